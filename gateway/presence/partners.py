"""Who is in conversation with the users connected here, in which, and whether a block stands between two of them.

Loaded from the read tables when a user's first socket opens, together with their stored positions; to that comes what
the tail has seen since, so that it is right however far the tables lag. Presence, typing and reads hang on it, and what
a pair's conversation cannot have is pushed to nobody. Loads that come at once share one query.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from msgspec import Struct

from infra.background import Background
from infra.memory import Entry
from infra.read_tables import ReadTables
from infra.tail import Tail
from schemas.errors import Unavailable
from schemas.events import (
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
)
from schemas.ids import Partition
from schemas.topics import CONVERSATIONS

log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0

_MINE, _THEIRS = 1, 2

PairEvent = ConversationOpened | ConversationBlocked | ConversationUnblocked

_PAIRS = """
SELECT i.user_id,
    c.lower_user_id + c.higher_user_id - i.user_id AS other,
    c.id AS conversation_id,
    c.lower_blocked_at IS NOT NULL AND c.lower_unblocked_at IS NULL AS lower_blocks,
    c.higher_blocked_at IS NOT NULL AND c.higher_unblocked_at IS NULL AS higher_blocks,
    c.lower_user_id
FROM {schema}.inbox AS i JOIN {schema}.conversations AS c ON c.id = i.conversation_id
WHERE i.user_id = ANY($1::bigint[])
"""


class Change(NamedTuple):
    """Two users may see each other from now on, or may not any more."""

    users: tuple[int, int]
    see: bool


class _Partner(Struct, gc=False):
    """Somebody whom a local user is in conversation with; `blocks`: which of the two block the other."""

    conversation_id: int
    blocks: int


class Partners:
    """The partners of local users."""

    def __init__(self, tail: Tail, tables: ReadTables, background: Background) -> None:
        self._tail = tail
        self._tables = tables
        self._background = background
        self._of: dict[int, dict[int, _Partner]] = {}
        self._watchers: dict[int, set[int]] = {}
        self._wanted: set[int] = set()
        self._loading = False
        self._complete: set[int] = set()
        self._tell_changed: list[Callable[[Change], None]] = []
        self._tell_loaded: list[Callable[[Collection[int]], None]] = []

    def on_change(self, changed: Callable[[Change], None]) -> None:
        """Call `changed` when two users begin or cease to see each other."""
        self._tell_changed.append(changed)

    def on_load(self, loaded: Callable[[Collection[int]], None]) -> None:
        """Call `loaded` with local users whose partners have become known."""
        self._tell_loaded.append(loaded)

    def watch(self, user_id: int) -> bool:
        """Follow a user who is connected here; tell whether the partners are known already."""
        if user_id not in self._of:
            self._of[user_id] = {}
            self._want([user_id])
        return user_id in self._complete

    def forget(self, user_id: int) -> None:
        """Stop following a user whose last socket here has closed."""
        self._clear(user_id)
        del self._of[user_id]
        self._wanted.discard(user_id)
        self._complete.discard(user_id)

    def watchers(self, user_id: int) -> Iterable[int]:
        """Return the local users who may see this one: in conversation, and no block of either side."""
        return [local for local in self._watchers.get(user_id, ()) if not self._of[local][user_id].blocks]

    def seen_by(self, local: int) -> list[int]:
        """Return the users that a local one may see."""
        return [other for other, partner in self._of.get(local, {}).items() if not partner.blocks]

    def sees(self, local: int, other: int) -> bool | None:
        """Whether a local user may see another; None when that is not known."""
        partner = self._of.get(local, {}).get(other)
        if partner is None:
            return False if local in self._complete else None
        return not partner.blocks

    def blockers(self, local: int, other: int) -> set[int] | None:
        """Return who of the two blocks the other; None when that is not known."""
        partner = self._of.get(local, {}).get(other)
        if partner is None:
            return None
        return {user for user, bit in ((local, _MINE), (other, _THEIRS)) if partner.blocks & bit}

    def fold(self, entry: Entry) -> None:
        """Take the next counted event, and mark it where it is known to be inapplicable."""
        if entry.inapplicable:
            return
        match entry.event:
            case MessageSent() as event:
                self._check(entry, event.sender_id, event.recipient_id, event.conversation_id)
            case MessageRead() as event:
                self._check(entry, event.sender_id, event.reader_id, event.conversation_id)
            case ConversationOpened() as event:
                self._check(entry, event.user_id, event.other_user_id, None)
                self._change(entry, event)
            case ConversationBlocked() | ConversationUnblocked() as event:
                self._check(entry, event.user_id, event.other_user_id, event.conversation_id)
                self._change(entry, event)
            case _:
                pass

    def _check(self, entry: Entry, user_id: int, other: int, conversation_id: int | None) -> None:
        """Mark an event unless the pair has this conversation, or none, as it must; or nobody here knows."""
        if user_id not in self._complete:
            user_id, other = other, user_id
            if user_id not in self._complete:
                return
        partner = self._of[user_id].get(other)
        if (partner.conversation_id if partner else None) != conversation_id:
            entry.inapplicable = True
            log.warning("users %d and %d: an event that cannot be applied: %s", user_id, other, entry.position)
            self._want([user_id])  # what is known of them may have come from a dead letter

    def _change(self, entry: Entry, event: PairEvent) -> None:
        if entry.inapplicable:
            return
        pair = (event.user_id, event.other_user_id)
        saw = [self.sees(*pair), self.sees(*reversed(pair))]
        self._apply(event, event.user_id)
        self._apply(event, event.other_user_id)
        sees = [self.sees(*pair), self.sees(*reversed(pair))]
        if saw != sees:
            for tell in self._tell_changed:
                tell(Change(pair, see=True in sees))

    def _apply(self, event: PairEvent, local: int) -> None:
        """Fold an event of the pair into one side, unless it contradicts what is there."""
        partners = self._of.get(local)
        if partners is None:
            return
        other, bit = (event.other_user_id, _MINE) if local == event.user_id else (event.user_id, _THEIRS)
        partner = partners.get(other)
        if isinstance(event, ConversationOpened):
            if partner is None:
                self._set(local, other, _Partner(event.conversation_id, 0))
        elif partner is not None and partner.conversation_id == event.conversation_id:
            blocks = isinstance(event, ConversationBlocked)
            partner.blocks = partner.blocks | bit if blocks else partner.blocks & ~bit

    def _set(self, local: int, other: int, partner: _Partner) -> None:
        self._of[local][other] = partner
        self._watchers.setdefault(other, set()).add(local)

    def _clear(self, local: int) -> None:
        """Take a user's partners away."""
        for other in self._of.get(local, ()):
            watchers = self._watchers[other]
            watchers.discard(local)
            if not watchers:
                del self._watchers[other]
        self._of[local] = {}

    def _want(self, users: Iterable[int]) -> None:
        self._wanted.update(users)
        if not self._loading:
            self._loading = True
            self._background.spawn(self._load_wanted(), "partners")

    async def _load_wanted(self) -> None:
        """Load until nobody is waiting; with Postgres away, again and again."""
        try:
            while self._wanted:
                users = [user for user in self._wanted if user in self._of]
                self._wanted.clear()
                try:
                    await self._load(users)
                except Unavailable as away:
                    log.warning("the partners of %d users are not known yet: %s", len(users), away)
                    self._wanted.update(user for user in users if user in self._of)
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            self._loading = False

    async def _load(self, users: list[int]) -> None:
        async with self._tables.snapshot() as snapshot:
            stored = {p: at for p, at in (await snapshot.positions()).items() if p.topic == CONVERSATIONS}
            rows = await snapshot.fetch(_PAIRS, users)
        await self._tail.reach(stored)
        for partition, offset in stored.items():
            self._tail.memories[partition].check_covers(offset)
        waiting = {user for user in users if user in self._of}
        for user_id in waiting:
            self._clear(user_id)  # all that came before is in the rows or came since, where it is seen what fits
        for row in rows:
            user_id, other = row["user_id"], row["other"]
            if user_id in waiting:
                mine, theirs = row["lower_blocks"], row["higher_blocks"]
                if user_id != row["lower_user_id"]:
                    mine, theirs = theirs, mine
                self._set(user_id, other, _Partner(row["conversation_id"], mine * _MINE | theirs * _THEIRS))
        self._add_since(stored, waiting)
        self._complete |= waiting
        for tell in self._tell_loaded:
            tell(waiting)

    def _add_since(self, stored: dict[Partition, int], users: set[int]) -> None:
        """Add what the tail has seen since the rows."""
        for partition, offset in stored.items():
            for entry in self._tail.memories[partition].since(offset):
                event = entry.event
                if isinstance(event, PairEvent) and entry.counted:
                    for user_id in {event.user_id, event.other_user_id} & users:
                        self._apply(event, user_id)
