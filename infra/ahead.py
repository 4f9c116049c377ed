"""What the broker has acknowledged before the reader brings it: our own records, taken where they are next.

A batch that was acknowledged lies in the log at known offsets, without gaps, and no reader will see others there. So
where the tail stands at its first offset, it can be taken at once; the reader brings it later all the same, and both
are compared. Pure: no clock, no log. docs/decisions/0006-taken-when-acknowledged.md has the why.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas.envelope import Sealed
from schemas.events import Fact

MOST_AHEAD_MS = 5_000
"""How far the reader may be behind, by the broker's time; beyond it nothing is taken ahead, so that it shows."""

MOST_WAITING = 100
"""Batches of a partition that may wait until they are next; the oldest are left to the reader."""


class Record(NamedTuple):
    """A record of the log with its event, which is None when it could not be decoded.

    `timestamp`: the broker's, in milliseconds since the epoch.
    """

    offset: int
    timestamp: int
    value: bytes | None
    ce_id: str | None
    event: Fact | None


def records_of(offset: int, timestamp: int, batch: Sequence[Sealed]) -> list[Record]:
    """Return a batch's records; its first is at `offset`, all have the broker's `timestamp` in milliseconds."""
    return [Record(at, timestamp, sealed.value, sealed.ce_id, sealed.event) for at, sealed in enumerate(batch, offset)]


class Ahead:
    """How far one partition was taken ahead of its reader, and what waits until it is next."""

    def __init__(self) -> None:
        self._waiting: deque[Sequence[Record]] = deque(maxlen=MOST_WAITING)
        self._unconfirmed: deque[Record] = deque()

    def add(self, batch: Sequence[Record]) -> None:
        """Take note of a batch that was acknowledged; `take` returns it when it is next."""
        self._waiting.append(batch)

    def take(self, position: int) -> Sequence[Record]:
        """Return the batch that begins at `position`, the first offset not taken yet; nothing if none does."""
        waiting, unconfirmed = self._waiting, self._unconfirmed
        while waiting and waiting[0][0].offset < position:
            waiting.popleft()  # the reader was faster
        if not waiting or waiting[0][0].offset > position:
            return ()
        if unconfirmed and waiting[0][0].timestamp - unconfirmed[0].timestamp > MOST_AHEAD_MS:
            return ()
        batch = waiting.popleft()
        unconfirmed.extend(batch)
        return batch

    def confirm(self, records: list[Any]) -> list[Any]:
        """Return what is new of the next records that the reader brings.

        RuntimeError when they are others than were taken: what this process has answered is not what the log says.
        """
        count = min(len(self._unconfirmed), len(records))
        for record in records[:count]:
            taken = self._unconfirmed.popleft()
            if (record.offset, record.value, record.timestamp) != (taken.offset, taken.value, taken.timestamp):
                raise RuntimeError(
                    f"{record.topic} partition {record.partition} has another record at offset {record.offset} "
                    f"than the one that the broker acknowledged at {taken.offset}"
                )
        return records[count:]
