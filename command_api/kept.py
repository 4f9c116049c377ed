"""Conversations in memory: what is known of one, and how many are kept.

Bounded by their number and by the client_ids that they remember; those used last stay, and so do pinned ones. How they
are loaded and kept up to date is in conversations.py.
"""

import logging
from collections import OrderedDict
from typing import Self

from schemas.conversation import Conversation, Inapplicable, Member, apply
from schemas.errors import forbidden
from schemas.events import ConversationEvent, MessageSent
from schemas.ids import Partition

log = logging.getLogger(__name__)

MOST_KEPT = 50_000
MOST_CLAIMS = 1_000_000
"""Digests of client_ids in all conversations together, at about 80 bytes each."""


class Known:
    """A conversation as of the tail's position; `claims` are digests of (sender, client_id) that are used.

    `complete`: all that were ever used are there; otherwise one that is missing has to be asked for.
    """

    __slots__ = ("claims", "complete", "conversation", "partition", "pins")

    def __init__(self, conversation: Conversation, partition: Partition, claims: set[int], *, complete: bool) -> None:
        self.conversation = conversation
        self.partition = partition
        self.claims = claims
        self.complete = complete
        self.pins = 0

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

    def fold(self, event: ConversationEvent) -> None:
        """Take a counted event of this conversation."""
        try:
            apply(self.conversation, event)
        except Inapplicable as error:
            # The projections have put it among the dead letters; there is nothing for an edge to undo.
            log.warning("conversation %s: an event that cannot be applied: %s", self.conversation.id, error)
            return
        if isinstance(event, MessageSent):
            self.claims.add(digest(event.sender_id, event.client_id))


def digest(sender_id: int, client_id: str) -> int:
    """Return a number to recognise a used client_id by, within this process; a hit has to be confirmed."""
    return hash((sender_id, client_id))


class Kept:
    """The conversations in memory, by id and by pair."""

    def __init__(self, most: int = MOST_KEPT, most_claims: int = MOST_CLAIMS) -> None:
        self._most = most
        self._most_claims = most_claims
        self._by_id: OrderedDict[int, Known] = OrderedDict()
        self._by_key: dict[str, Known] = {}
        self._claims = 0

    def of_id(self, conversation_id: int) -> Known | None:
        """Return a conversation that is about to be used."""
        known = self._by_id.get(conversation_id)
        if known is not None:
            self._by_id.move_to_end(conversation_id)
        return known

    def of_key(self, key: str) -> Known | None:
        """Return the conversation of a pair."""
        return self._by_key.get(key)

    def add(self, known: Known) -> Known:
        """Keep one more, at the cost of those that were not used for longest."""
        self._by_id[known.conversation.id] = known
        self._by_key[known.conversation.key] = known
        self._claims += len(known.claims)
        self._make_room()
        return known

    def fold(self, known: Known, event: ConversationEvent) -> None:
        """Take a counted event of a conversation that is kept."""
        before = len(known.claims)
        known.fold(event)
        self._claims += len(known.claims) - before
        if self._claims > self._most_claims:
            self._make_room()

    def drop(self) -> None:
        """Forget all but what commands are using."""
        for known in list(self._by_id.values()):
            if not known.pins:
                self._forget(known)

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
        return len(self._by_id) > self._most or self._claims > self._most_claims

    def _forget(self, known: Known) -> None:
        del self._by_id[known.conversation.id]
        del self._by_key[known.conversation.key]
        self._claims -= len(known.claims)
