"""The lanes of one worker: opened where partitions are assigned, each fed through its own queue.

Knows nothing of Faust: faust_worker.py delivers slabs and seeks to where the lanes begin. While one lane waits for
Postgres the others decode and fold, and what comes meanwhile for a lane becomes one batch.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from projections import refusal
from projections.database import Database, Gone
from projections.lane import Lane
from projections.records import Raw
from projections.tables import positions
from projections.tables.positions import Fenced
from schemas.ids import Partition

log = logging.getLogger(__name__)

BATCH_RECORDS = 10_000
"""A transaction takes no more slabs once it has this many records..."""

BATCH_BYTES = 32 * 1024 * 1024
"""... and none that would give it more bytes of values; one record may have any number."""

QUEUED_RECORDS = 40_000
QUEUED_BYTES = 64 * 1024 * 1024
"""Nothing more is fetched while so many records, or bytes of values, wait for all lanes together."""

FINISH_SECONDS = 1.0
NO_SEEK = -1

OnBatch = Callable[[Sequence[Raw]], None]
"""Is told the records of a batch; it must not wait."""

Bounds = Mapping[Partition, tuple[int, int]]
"""The first offset that the log keeps of a partition, and the next to be written."""


class Lanes:
    """All lanes of a worker. `on_fenced` and `on_failure` are called once each; then nothing more is taken.

    `on_batch` is called with the records of each batch before they are taken.
    """

    def __init__(
        self,
        database: Database,
        *,
        on_fenced: Callable[[], None],
        on_failure: Callable[[BaseException], None],
        on_batch: OnBatch | None = None,
    ) -> None:
        self._database = database
        self._on_fenced = on_fenced
        self._on_failure = on_failure
        self._on_batch = on_batch
        self._fed: dict[Partition, _Fed] = {}
        self._room = asyncio.Event()
        self._room.set()
        self._seek = NO_SEEK

    async def open(
        self, partitions: Collection[Partition], bounds: Callable[[], Awaitable[Bounds]]
    ) -> dict[Partition, int]:
        """Close all lanes, open one for each of these partitions, and return from where each must be read.

        `bounds` is asked after the stored positions, which another worker may still move along with the log. Refusal
        when a position is outside of them; Away when Postgres is.
        """
        await self.close()
        async with self._database.transaction() as session:
            stored = await positions.load(session)
        if unknown := set(partitions) - set(stored):
            raise refusal.unknown_partition(min(unknown))
        found = await bounds()
        for partition, (begin, end) in found.items():
            if not begin <= stored[partition].next_offset <= end:
                raise refusal.outside(partition, stored[partition].next_offset, begin, end)
        counts = Counter(partition.topic for partition in stored)
        lanes = [
            Lane(partition, counts[partition.topic], self._database, stored[partition], begin)
            for partition, (begin, _) in found.items()
        ]
        self._fed = {lane.partition: _Fed(lane) for lane in lanes}
        return {lane.partition: lane.reads_from for lane in lanes}

    def start(self, seek: int) -> None:
        """Begin to take slabs that were fetched after this seek; all others are dropped."""
        self._seek = seek
        for fed in self._fed.values():
            fed.task = asyncio.get_running_loop().create_task(self._feed(fed), name=f"lane {fed.lane.partition}")

    def deliver(self, partition: Partition, seek: int, records: Sequence[Raw]) -> None:
        """Queue a slab for its lane."""
        fed = self._fed.get(partition)
        if fed is None or seek != self._seek:
            return
        fed.put(records)
        if self._are_full():
            self._room.clear()

    async def room(self) -> None:
        """Return once more may be fetched."""
        await self._room.wait()

    def positions(self) -> dict[Partition, int]:
        """Return where each lane stands."""
        return {partition: fed.lane.next_offset for partition, fed in self._fed.items()}

    def to_advance(self) -> dict[Partition, int]:
        """Return where those lanes stand that are to take what comes: all but those that stand where a filling ends."""
        return {partition: fed.lane.next_offset for partition, fed in self._fed.items() if not fed.lane.filled}

    async def went_back(self) -> bool:
        """Tell whether the tables stand before a lane that has nothing to do, which would wait there for ever.

        Postgres lost its last moments, which a crash may take, or was restored from a backup. A lane that has something
        to do is fenced.
        """
        before = self.positions()
        async with self._database.transaction() as session:
            stored = await positions.load(session)
        return any(
            before.get(partition) == fed.lane.next_offset > stored[partition].next_offset
            for partition, fed in self._fed.items()
            if not fed.records and partition in stored
        )

    async def close(self) -> None:
        """Let transactions that are under way end, for a moment, and drop all lanes."""
        tasks = [fed.task for fed in self._fed.values() if fed.task is not None]
        for fed in self._fed.values():
            fed.closing = True
            fed.filled.set()
        self._fed = {}
        # What was fetched before the next seek is not for the next lanes.
        self._seek = NO_SEEK
        self._room.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=FINISH_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _are_full(self) -> bool:
        records = sum(fed.records for fed in self._fed.values())
        return records >= QUEUED_RECORDS or sum(fed.size for fed in self._fed.values()) >= QUEUED_BYTES

    async def _feed(self, fed: "_Fed") -> None:
        try:
            while (batch := await fed.next()) is not None:
                if self._on_batch is not None:
                    self._on_batch(batch.records)
                await fed.lane.take(batch.records)
                fed.let_go(batch)
                if not self._are_full():
                    self._room.set()
        except (Fenced, Gone) as fenced:
            log.warning("%s; dropping what was fetched and looking again", fenced)
            self._on_fenced()
        except Exception as failure:  # noqa: BLE001 - whatever it is, the worker ends: no record may be skipped
            self._on_failure(failure)


class _Slab(NamedTuple):
    """Records that are written together, and the bytes of their values."""

    records: Sequence[Raw]
    size: int


class _Fed:
    """A lane and what waits for it; `records` and `size`, their values' bytes, count the batch under way too."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.records = 0
        self.size = 0
        self.filled = asyncio.Event()
        self.closing = False
        self.task: asyncio.Task[None] | None = None
        self._slabs: deque[_Slab] = deque()

    def put(self, records: Sequence[Raw]) -> None:
        """Queue records, in halves of halves where they are too big for one batch."""
        size = sum(len(raw.value) for raw in records if raw.value)
        if size > BATCH_BYTES and len(records) > 1:
            half = len(records) // 2
            self.put(records[:half])
            self.put(records[half:])
            return
        self._slabs.append(_Slab(records, size))
        self.records += len(records)
        self.size += size
        self.filled.set()

    async def next(self) -> _Slab | None:
        """Return the next batch, or None when the lane is closing."""
        while not self._slabs and not self.closing:
            self.filled.clear()
            await self.filled.wait()
        if self.closing:
            return None
        records: list[Raw] = []
        size = 0
        while self._slabs and len(records) < BATCH_RECORDS:
            if records and size + self._slabs[0].size > BATCH_BYTES:
                break
            slab = self._slabs.popleft()
            records += slab.records
            size += slab.size
        return _Slab(records, size)

    def let_go(self, batch: _Slab) -> None:
        """Count a batch no more that is in the tables."""
        self.records -= len(batch.records)
        self.size -= batch.size
