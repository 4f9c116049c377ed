"""What the tail remembers: the last judged records of each partition, by key, user, message and opened conversation.

Bounded in records, and in what their messages say. Cold loads, short resumes, answers to retries and GETs that wait for
the read tables look into it; nothing here knows Kafka or clients.
"""

import sys
from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from msgspec import Struct

from schemas.errors import Unavailable
from schemas.events import (
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    Fact,
    MessageRead,
    MessageSent,
    concerned,
    key_of,
)
from schemas.ids import Partition, Position
from schemas.judge import Judgement, Verdict, from_offset

K = TypeVar("K")

Standing = tuple[int, int, int, type]
"""A conversation, a user, the other, and a kind of event: the user's reads, or their blocks and the ends of these."""


class Entry(Struct, gc=False):
    """One record as the tail saw it; `event` is None when it could not be decoded.

    `timestamp`: the broker's, in milliseconds since the epoch. `origin`: what this process appended it for, or None.
    `repeats`: a read or a block of what another one, which is remembered, has made so already: nobody is told of it.
    `inapplicable`: it contradicts what came before it, and the projections refuse it (schemas/conversation.py).
    The garbage collector does not look at entries: there are many, they live long, and nothing in them points back.
    """

    partition: Partition
    offset: int
    timestamp: int
    ce_id: str | None
    event: Fact | None
    judgement: Judgement
    origin: object | None = None
    repeats: bool = False
    inapplicable: bool = False

    @property
    def counted(self) -> bool:
        return self.event is not None and self.judgement.verdict is Verdict.COUNTED and not self.inapplicable

    @property
    def position(self) -> Position:
        return Position(self.partition.partition, self.offset)


class Memory:
    """The last `bound` records of one partition; `begin` is the first offset that it still covers.

    Fewer, though never less than `least`, while the contents of their messages take more than `contents` bytes.
    """

    def __init__(self, begin: int, bound: int, *, least: int = 0, contents: int = sys.maxsize) -> None:
        self.begin = begin
        self.end = begin
        self._bound = bound
        self._least = least
        self._room = contents
        self._entries: deque[Entry] = deque()
        self._by_key: defaultdict[str, deque[Entry]] = defaultdict(deque)
        self._by_user: defaultdict[int, deque[Entry]] = defaultdict(deque)
        self._messages: dict[int, Entry] = {}
        self._opened: dict[int, str] = {}
        self._standing: dict[Standing, Entry] = {}

    def add(self, entry: Entry) -> None:
        """Remember the next record of the partition, void and undecodable ones too; whether it counts is settled."""
        self._entries.append(entry)
        self.end = entry.offset + 1
        if entry.counted and entry.event is not None:
            key = key_of(entry.event) or ""
            self._by_key[key].append(entry)
            for user_id in concerned(entry.event):
                self._by_user[user_id].append(entry)
            if isinstance(entry.event, MessageSent):
                self._messages[entry.event.message_id] = entry
                self._room -= sys.getsizeof(entry.event.content)
            elif isinstance(entry.event, ConversationOpened):
                self._opened[entry.event.conversation_id] = key
            else:
                self._compare(entry, entry.event)
        while len(self._entries) > (self._bound if self._room >= 0 else self._least):
            self._forget(self._entries.popleft())

    def covers(self, offset: int) -> bool:
        """Tell whether every record from `offset` to the end is remembered."""
        return self.begin <= offset

    def check_covers(self, offset: int) -> None:
        """Raise Unavailable unless what the read tables, which end before `offset`, do not have is remembered."""
        if not self.covers(offset):
            raise Unavailable("the read tables are too far behind the log", retry_after=5)

    def since(self, offset: int) -> Iterator[Entry]:
        """Yield the records from `offset` on, in order."""
        return islice(self._entries, max(0, len(self._entries) - (self.end - offset)), None)

    def of_key(self, key: str, since: int = 0) -> list[Entry]:
        """Return the counted records of one key from offset `since` on, in order."""
        return from_offset(self._by_key.get(key, ()), since)

    def of_user(self, user_id: int, since: int) -> list[Entry]:
        """Return the counted records that concern a user from offset `since` on, in order."""
        return from_offset(self._by_user.get(user_id, ()), since)

    def after(self, user_id: int) -> int:
        """Return the offset after the last record that concerns a user; any that is not remembered may have."""
        entries = self._by_user.get(user_id)
        return entries[-1].offset + 1 if entries else self.begin

    def message(self, message_id: int) -> Entry | None:
        """Return the counted message with this id."""
        return self._messages.get(message_id)

    def opened(self, conversation_id: int) -> str | None:
        """Return the key of a conversation whose opening is remembered."""
        return self._opened.get(conversation_id)

    def _compare(self, entry: Entry, event: Fact) -> None:
        """Hold a read or a block against the last one that changed anything."""
        what = _set_by(event)
        if what is None:
            return
        entry.repeats = _repeats(event, self._standing.get(what))
        if entry.repeats:
            return
        self._standing[what] = entry
        if isinstance(event, ConversationUnblocked):  # reads that the block hid may be told now
            for reader, sender in ((event.user_id, event.other_user_id), (event.other_user_id, event.user_id)):
                self._standing.pop((event.conversation_id, reader, sender, MessageRead), None)

    def _forget(self, entry: Entry) -> None:
        self.begin = entry.offset + 1
        if not entry.counted or entry.event is None:
            return
        _forget_first(self._by_key, key_of(entry.event) or "")
        for user_id in concerned(entry.event):
            _forget_first(self._by_user, user_id)
        if isinstance(entry.event, MessageSent):
            self._messages.pop(entry.event.message_id, None)
            self._room += sys.getsizeof(entry.event.content)
        elif isinstance(entry.event, ConversationOpened):
            self._opened.pop(entry.event.conversation_id, None)
        elif (what := _set_by(entry.event)) is not None and self._standing.get(what) is entry:
            del self._standing[what]


def _set_by(event: Fact) -> Standing | None:
    """Return what a read or a block sets, and the next one like it sets anew; None for any other event."""
    match event:
        case MessageRead():
            return event.conversation_id, event.reader_id, event.sender_id, MessageRead
        case ConversationBlocked() | ConversationUnblocked():
            return event.conversation_id, event.user_id, event.other_user_id, ConversationBlocked
        case _:
            return None


def _repeats(event: Fact, standing: Entry | None) -> bool:
    """Whether what stands already leaves nothing for this read or block to change."""
    earlier = standing.event if standing else None
    if isinstance(event, MessageRead) and isinstance(earlier, MessageRead):
        return earlier.up_to_seq >= event.up_to_seq
    return type(earlier) is type(event)


def _forget_first(index: dict[K, deque[Entry]], key: K) -> None:
    entries = index[key]
    entries.popleft()
    if not entries:
        del index[key]
