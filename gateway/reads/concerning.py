"""Which records of the log each user must find in a list: the last ones that they wrote or were pushed.

What the tail has seen and the read tables may lack, so that a GET can wait for it (waiting.py). Pure: it is told the
tail's records and how far the tables are. Bounded: what is forgotten too early is waited for by everybody.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import assert_never

from infra.memory import Entry
from schemas.events import (
    ConversationBlocked,
    ConversationEvent,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
)
from schemas.ids import Partition

MOST_KEPT = 200_000


class Concerning:
    """For each user and partition the offset after the last record that concerns them."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._oldest_first: OrderedDict[tuple[int, Partition], int] = OrderedDict()
        self._of_user: dict[int, dict[Partition, int]] = {}
        self._everybody: dict[Partition, int] = {}

    def fold(self, entry: Entry) -> None:
        """Take the next record of the tail."""
        event = entry.event
        if not entry.counted or not isinstance(event, ConversationEvent):
            return
        for user_id in concerned(event):
            key = user_id, entry.partition
            self._oldest_first[key] = entry.offset + 1
            self._oldest_first.move_to_end(key)
            self._of_user.setdefault(user_id, {})[entry.partition] = entry.offset + 1

    def of(self, user_id: int) -> Mapping[Partition, int]:
        """Return what the tables must have passed before this user sees all that concerns them."""
        mine = self._of_user.get(user_id)
        if not self._everybody:
            return mine or {}
        return later(self._everybody, mine or {})

    def prune(self, stored: Mapping[Partition, int]) -> None:
        """Forget what the tables have passed, and the oldest beyond the bound."""
        while self._oldest_first:
            (user_id, partition), offset = next(iter(self._oldest_first.items()))
            passed = stored.get(partition, 0) >= offset
            if not passed and len(self._oldest_first) <= self._most:
                return
            if not passed:
                self._everybody[partition] = max(offset, self._everybody.get(partition, 0))
            del self._oldest_first[user_id, partition]
            of_user = self._of_user[user_id]
            del of_user[partition]
            if not of_user:
                del self._of_user[user_id]


def concerned(event: ConversationEvent) -> tuple[int, ...]:
    """Return who wrote an event or is pushed it."""
    match event:
        case MessageSent():
            return event.sender_id, event.recipient_id
        case MessageRead():
            return event.reader_id, event.sender_id
        case ConversationOpened():
            return event.user_id, event.other_user_id
        case ConversationBlocked() | ConversationUnblocked():
            return (event.user_id,)
        case _:
            assert_never(event)


def later(some: Mapping[Partition, int], others: Mapping[Partition, int]) -> dict[Partition, int]:
    """Return of each partition the later of the two offsets."""
    return {**some, **{partition: max(offset, some.get(partition, 0)) for partition, offset in others.items()}}
