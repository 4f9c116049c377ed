"""Answers of GETs that are given again: until the tail passes something that concerns them, or their time is over.

An answer is kept only if the read tables had passed all that concerned it when they were asked (waiting.py sees to
that), and nothing came meanwhile; so it is never older than the tail, and its time is an upper bound, not a delay.
"""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from infra.memory import Entry
from schemas.events import (
    CONVERSATION_EVENTS,
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    Erased,
    LastSeen,
    MessageRead,
    MessageSent,
    UserUpdated,
)

MOST_BYTES = 192 * 1024 * 1024
"""Ten thousand pages of a history, at 15 KiB each, and the lists beside them."""
CACHED: tuple[type[Struct], ...] = (*CONVERSATION_EVENTS, UserUpdated, Erased, LastSeen)
"""What answers may be about."""
OVERHEAD = 400
"""About what an answer costs in memory beside its bytes."""


class Kind(IntEnum):
    """What is cached, and for how many seconds at most."""

    CONVERSATIONS = 15 * 60
    HISTORY = 60 * 60
    USER = 5 * 60
    BLOCKED = 30 * 60


class Topic(NamedTuple):
    """What an answer is about: a user's list, a history, a user's blocks, a user; with None any of that kind."""

    kind: Kind
    subject: int | None


class Key(NamedTuple):
    """One answer: its kind, whom or what it is about, who asked, and what for."""

    kind: Kind
    subject: int
    asker: int
    asked: Hashable = None


class _Kept(NamedTuple):
    content: bytes
    until: float
    about: tuple[Topic, ...]


class Filling:
    """An answer that may be made; it is kept unless the tail passes what it is about meanwhile."""

    __slots__ = ("about", "key", "outdated")

    def __init__(self, key: Key, about: tuple[Topic, ...]) -> None:
        self.key = key
        self.about = about
        self.outdated = False


class Caches:
    """The answers of one edge; none when they are switched off."""

    def __init__(self, *, on: bool, most_bytes: int = MOST_BYTES) -> None:
        self._on = on
        self._most = most_bytes
        self._size = 0
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._about: defaultdict[Topic, set[Key]] = defaultdict(set)
        self._filling: defaultdict[Topic, set[Filling]] = defaultdict(set)

    def get(self, key: Key) -> bytes | None:
        """Return an answer that still holds."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until < time.monotonic():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return kept.content

    @contextmanager
    def filling(self, key: Key) -> Iterator[Filling]:
        """Say that an answer may be made, before it is known how far the tables must be for it: what the tail passes
        from then on may not be in it, and it is not kept then.
        """
        filling = Filling(key, (Topic(key.kind, key.subject), Topic(key.kind, None)))
        for topic in filling.about:
            self._filling[topic].add(filling)
        try:
            yield filling
        finally:
            for topic in filling.about:
                self._filling[topic].discard(filling)
                if not self._filling[topic]:
                    del self._filling[topic]

    def keep(self, filling: Filling, content: bytes, users: tuple[int, ...] = ()) -> None:
        """Keep an answer, unless it is out of date already; `users`: those whose names and photos it shows."""
        if filling.outdated or not self._on:
            return
        about = (filling.about[0], *(Topic(Kind.USER, user) for user in users))
        self._forget(filling.key)
        self._kept[filling.key] = _Kept(content, time.monotonic() + filling.key.kind.value, about)
        self._size += len(content) + OVERHEAD
        for topic in about:
            self._about[topic].add(filling.key)
        while self._size > self._most:
            self._forget(next(iter(self._kept)))

    def clear(self) -> None:
        """Forget everything: another generation is live, or the tables may have less than they had."""
        for key in list(self._kept):
            self._forget(key)
        for fillings in self._filling.values():
            for filling in fillings:
                filling.outdated = True

    def fold(self, entry: Entry) -> None:
        """Take the next event that counts: what it concerns is out of date."""
        if not (self._about or self._filling):
            return
        match entry.event:
            case MessageSent() as event:
                self._outdate(Kind.HISTORY, event.conversation_id)
                self._outdate(Kind.CONVERSATIONS, event.sender_id, event.recipient_id)
            case MessageRead() as event:
                self._outdate(Kind.HISTORY, event.conversation_id)
                self._outdate(Kind.CONVERSATIONS, event.reader_id)
            case ConversationOpened() as event:
                self._outdate(Kind.CONVERSATIONS, event.user_id, event.other_user_id)
            case ConversationBlocked() | ConversationUnblocked() as event:
                self._outdate(Kind.BLOCKED, event.user_id)
            case UserUpdated() | Erased() as event:
                # Any list that is being made may show this user; of those that are made it is known.
                self._outdate(Kind.USER, event.user_id)
                for filling in self._filling.get(Topic(Kind.CONVERSATIONS, None), ()):
                    filling.outdated = True
            case LastSeen() as event:
                self._outdate(Kind.USER, event.user_id)
            case _:
                pass

    def _outdate(self, kind: Kind, *subjects: int) -> None:
        for subject in subjects:
            topic = Topic(kind, subject)
            for filling in self._filling.get(topic, ()):
                filling.outdated = True
            if topic in self._about:
                for key in list(self._about[topic]):
                    self._forget(key)

    def _forget(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self._size -= len(kept.content) + OVERHEAD
        for topic in kept.about:
            keys = self._about[topic]
            keys.discard(key)
            if not keys:
                del self._about[topic]
