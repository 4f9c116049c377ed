"""Which records of the log each user must find in a list: the last ones that they wrote or were pushed.

What the tail has seen and the read tables may lack, so that a GET can wait for it (waiting.py). Pure: it is told the
tail's records and how far the tables are. Bounded: what is forgotten too early is waited for by everybody.
"""

from collections import defaultdict, deque
from collections.abc import Mapping

from msgspec import Struct

from infra.memory import Entry
from schemas.events import (
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    Fact,
    MessageRead,
    MessageSent,
)
from schemas.ids import Partition

MOST_KEPT = 200_000


class _Concern(Struct, frozen=True, gc=False):
    user_id: int
    partition: Partition
    after: int


class Concerning:
    """For each user and partition the offset after the last record that concerns them."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._oldest_first: deque[_Concern] = deque()
        self._of_user: defaultdict[int, dict[Partition, int]] = defaultdict(dict)
        self._everybody: dict[Partition, int] = {}

    def fold(self, entry: Entry) -> None:
        """Take the next counted event of a conversation."""
        partition, after = entry.partition, entry.offset + 1
        for user_id in concerned(entry.event):
            self._oldest_first.append(_Concern(user_id, partition, after))
            self._of_user[user_id][partition] = after

    def of(self, user_id: int) -> Mapping[Partition, int]:
        """Return what the tables must have passed before this user sees all that concerns them."""
        mine = self._of_user.get(user_id)
        if not self._everybody:
            return mine or {}
        return later(self._everybody, mine or {})

    def prune(self, stored: Mapping[Partition, int]) -> None:
        """Forget what the tables have passed, and the oldest beyond the bound."""
        while self._oldest_first:
            oldest = self._oldest_first[0]
            passed = stored.get(oldest.partition, 0) >= oldest.after
            if not passed and len(self._oldest_first) <= self._most:
                return
            self._oldest_first.popleft()
            of_user = self._of_user[oldest.user_id]
            if of_user[oldest.partition] != oldest.after:  # there is a later one
                continue
            if not passed:
                self._everybody[oldest.partition] = max(oldest.after, self._everybody.get(oldest.partition, 0))
            del of_user[oldest.partition]
            if not of_user:
                del self._of_user[oldest.user_id]


def concerned(event: Fact | None) -> tuple[int, ...]:
    """Return who wrote an event of a conversation or is pushed it; nobody for any other."""
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
            return ()


def later(some: Mapping[Partition, int], others: Mapping[Partition, int]) -> dict[Partition, int]:
    """Return of each partition the later of the two offsets."""
    return {**some, **{partition: max(offset, some.get(partition, 0)) for partition, offset in others.items()}}
