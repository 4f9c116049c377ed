"""What the broker has acknowledged before the reader brings it: our own records, taken where they are next.

A batch that was acknowledged lies in the log at known offsets, without gaps, and no reader will see others there. So
where the tail stands at its first offset, it can be taken at once; the reader brings it later all the same, and must
bring the very same. Pure: no clock, no log. docs/decisions/0006-taken-when-acknowledged.md has the why.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas.envelope import Headers, Sealed
from schemas.ids import Partition
from schemas.judge import LIMIT

MOST_UNCONFIRMED = LIMIT
"""Records that may be taken before the reader has brought them; beyond it a reader that is stuck shows."""


class Acknowledged(NamedTuple):
    """A record of ours that is in the log, with the attributes of a consumer's record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: Headers


def acknowledged(partition: Partition, offset: int, timestamp: int, batch: Sequence[Sealed]) -> list[Acknowledged]:
    """Return a batch's records; its first is at `offset`, all have the broker's `timestamp` in milliseconds."""
    topic, number = partition
    return [
        Acknowledged(topic, number, at, timestamp, key, value, headers)
        for at, (key, value, headers) in enumerate(batch, offset)
    ]


class Ahead:
    """How far one partition was taken ahead of its reader, and what waits until it is next."""

    def __init__(self) -> None:
        self._waiting: deque[Sequence[Acknowledged]] = deque()
        self._unconfirmed: deque[Acknowledged] = deque()

    @property
    def waits(self) -> bool:
        """Whether there is a batch that is not next: only the reader can bring what lies before it."""
        return bool(self._waiting)

    def add(self, batch: Sequence[Acknowledged]) -> None:
        """Take note of a batch that was acknowledged; `take` returns it when it is next."""
        self._waiting.append(batch)

    def take(self, position: int) -> Sequence[Acknowledged]:
        """Return the batch that begins at `position`, the first offset not taken yet; nothing if none does."""
        waiting = self._waiting
        while waiting and waiting[0][0].offset < position:
            waiting.popleft()  # the reader was faster
        if not waiting or waiting[0][0].offset > position or len(self._unconfirmed) >= MOST_UNCONFIRMED:
            return ()
        batch = waiting.popleft()
        self._unconfirmed.extend(batch)
        return batch

    def confirm(self, records: list[Any]) -> list[Any]:
        """Return what is new of the next records that the reader brings.

        RuntimeError when they are others than were taken: what this process has answered is not what the log says.
        """
        count = min(len(self._unconfirmed), len(records))
        for record in records[:count]:
            taken = self._unconfirmed.popleft()
            if (record.offset, record.key, record.value) != (taken.offset, taken.key, taken.value):
                raise RuntimeError(
                    f"{record.topic} partition {record.partition} has another record at offset {record.offset} "
                    f"than the one that the broker acknowledged at {taken.offset}"
                )
        return records[count:]
