"""Conversations in memory: what is known of one, and how many are kept.

Bounded by their number and by the client_ids that they remember; those used last stay, and so do pinned ones. How they
are loaded and kept up to date is in conversations.py.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable
from typing import Self

from command_api.client_ids import ClientIds
from infra.memory import Entry
from schemas.conversation import Conversation, Inapplicable, Member, apply
from schemas.errors import forbidden
from schemas.events import ConversationEvent, ConversationOpened, MessageSent
from schemas.ids import Partition

log = logging.getLogger(__name__)

MOST_KEPT = 50_000
MOST_CLIENT_IDS = 4_000_000
"""In all conversations together, at 18 bytes each, and 300 for each conversation."""


class Known:
    """A conversation as of the tail's position, and the client_ids that were used in it.

    `complete`: all that were ever used are there; otherwise one that is missing has to be asked for. `asked`: how often
    that was done. `outdated`: the tables that it was loaded from are not the live ones any more. `proven`: the tables
    have it; otherwise the tail saw it opened, and that it is the pair's first is what the writer of that vouches for.
    """

    __slots__ = ("asked", "client_ids", "complete", "conversation", "outdated", "partition", "pins", "proven")

    def __init__(
        self,
        conversation: Conversation,
        partition: Partition,
        client_ids: ClientIds,
        *,
        complete: bool,
        proven: bool = False,
    ) -> None:
        self.conversation = conversation
        self.partition = partition
        self.client_ids = client_ids
        self.complete = complete
        self.proven = proven
        self.asked = 0
        self.pins = 0
        self.outdated = False

    def member(self, user_id: int) -> Member:
        """Return this user's side; ChatError FORBIDDEN for somebody who does not take part."""
        member = self.conversation.member(user_id)
        if member is None:
            raise forbidden("the conversation is not yours")
        return member

    def __enter__(self) -> Self:
        """Keep this entry in memory while a command is under way."""
        self.pins += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.pins -= 1

    def fold(self, event: ConversationEvent) -> bool:
        """Take a counted event of this pair; False for one that the projections put among the dead letters."""
        try:
            apply(self.conversation, event)
        except Inapplicable as error:
            log.warning("conversation %s: an event that cannot be applied: %s", self.conversation.id, error)
            # That of another conversation may be the true one. A second opening never is.
            same = event.conversation_id == self.conversation.id or isinstance(event, ConversationOpened)
            return not (self.proven or same)
        if isinstance(event, MessageSent):
            self.client_ids.add(event.sender_id, event.client_id)
        return True


class Kept:
    """The conversations in memory, by id and by pair."""

    def __init__(self, most: int = MOST_KEPT, most_client_ids: int = MOST_CLIENT_IDS) -> None:
        self._most = most
        self._most_client_ids = most_client_ids
        self._by_id: OrderedDict[int, Known] = OrderedDict()
        self._by_key: dict[str, Known] = {}
        self._client_ids = 0

    def of_id(self, conversation_id: int) -> Known | None:
        """Return a conversation that is about to be used."""
        known = self._usable(self._by_id.get(conversation_id))
        if known is not None:
            self._by_id.move_to_end(conversation_id)
        return known

    def of_key(self, key: str) -> Known | None:
        """Return the conversation of a pair."""
        return self._usable(self._by_key.get(key))

    def add(self, known: Known) -> Known:
        """Keep one more, at the cost of those that were not used for longest; it takes the place of its namesakes."""
        for other in (self._by_id.get(known.conversation.id), self._by_key.get(known.conversation.key)):
            if other is not None:
                self._forget(other)
        self._by_id[known.conversation.id] = known
        self._by_key[known.conversation.key] = known
        self._client_ids += len(known.client_ids)
        self._make_room()
        return known

    def fold(self, known: Known, event: ConversationEvent) -> bool:
        """Take a counted event of a pair whose conversation is kept; False for a dead letter."""
        before = len(known.client_ids)
        applied = known.fold(event)
        self._client_ids += len(known.client_ids) - before
        if self._client_ids > self._most_client_ids:
            self._make_room()
        return applied

    def has_room(self, client_ids: int) -> bool:
        """Tell whether so many more can be kept, and nothing has to be forgotten for it."""
        return self._client_ids + client_ids <= self._most_client_ids

    def learn(self, known: Known, used: Iterable[str], since: Iterable[Entry]) -> None:
        """Take all client_ids of a conversation: those `used`, and what came `since` these were read."""
        if self._by_id.get(known.conversation.id) is not known:
            return  # forgotten meanwhile
        self._client_ids -= len(known.client_ids)
        known.client_ids, known.complete = ClientIds(used), True
        for entry in since:
            if isinstance(entry.event, MessageSent):
                known.client_ids.add(entry.event.sender_id, entry.event.client_id)
        self._client_ids += len(known.client_ids)

    def drop(self) -> None:
        """Forget all, but what commands are using only when the last of them is done."""
        for known in list(self._by_id.values()):
            known.outdated = True
            self._usable(known)

    def _usable(self, known: Known | None) -> Known | None:
        """Return it, unless it is outdated and no command is using it: then it is forgotten."""
        if known is None or not known.outdated or known.pins:
            return known
        self._forget(known)
        return None

    def _make_room(self) -> None:
        """Forget what was not used for longest; one that fills the bound by itself goes too, and is loaded anew."""
        for _ in range(len(self._by_id)):
            if not self._full():
                return
            oldest = next(iter(self._by_id.values()))
            if oldest.pins:
                self._by_id.move_to_end(oldest.conversation.id)
            else:
                self._forget(oldest)

    def _full(self) -> bool:
        return len(self._by_id) > self._most or self._client_ids > self._most_client_ids

    def _forget(self, known: Known) -> None:
        if self._by_id.get(known.conversation.id) is known:
            del self._by_id[known.conversation.id]
            del self._by_key[known.conversation.key]
            self._client_ids -= len(known.client_ids)
