"""Write to the log: one idempotent producer, and of each partition one batch on its way.

What is to be written meanwhile waits in line and goes with the next batch, so that batches grow with the load and
nothing waits for company. A broker takes one request at a time from each connection, so its partitions take turns, and
a batch is made up only when its turn has come. Who waits for a record to be observed is in appender.py.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from aiokafka.errors import KafkaError

from infra import kafka
from infra.background import Background
from infra.turns import Turns
from schemas.envelope import Sealed
from schemas.errors import Unavailable
from schemas.ids import Partition

log = logging.getLogger(__name__)

MOST_IN_LINE = 5_000
"""Records that may wait for one partition; while a broker is away they are more and more."""

Told = Callable[[Partition, int, int, list[Sealed]], None]
"""Is told of each batch that is in the log: the offset of its first record, the broker's timestamp, its records."""

AGAIN_SECONDS = 0.5
STOP_SECONDS = 5.0


class Writer:
    """The one producer of this process, and the lines before it; `told` hears where a batch was written."""

    def __init__(self, new_producer: Callable[[], Any], told: Told) -> None:
        self._new_producer = new_producer
        self._told = told
        self._producer: Any = None
        self._replacing = asyncio.Lock()
        self._turns: defaultdict[int | None, Turns] = defaultdict(Turns)
        self._lines: defaultdict[Partition, deque[Sealed]] = defaultdict(deque)
        self._writing: dict[Partition, asyncio.Task[None]] = {}
        self._background = Background()

    async def start(self) -> None:
        """Connect a producer; KafkaError when there is no broker."""
        producer = self._new_producer()
        try:
            await producer.start()
        except BaseException:
            await kafka.stop(producer)  # it waits for its id with connections open
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Hand over what is still in line, within bounds, and disconnect."""
        if self._writing:
            await asyncio.wait(self._writing.values(), timeout=STOP_SECONDS)
        await self._background.stop()
        if self._producer is not None:
            await kafka.stop(self._producer)

    def put(self, partition: Partition, record: Sealed) -> None:
        """Put a record in line; Unavailable when the line is full. Whether it was written tells only the log."""
        line = self._lines[partition]
        if len(line) >= MOST_IN_LINE:
            raise Unavailable("the log cannot be written to right now")
        line.append(record)
        if partition not in self._writing:
            self._writing[partition] = self._background.spawn(self._write(partition, line), f"writing to {partition}")

    async def write(self, partition: Partition, record: Sealed) -> int:
        """Write a record and return the broker's timestamp of it; KafkaError when it cannot be written."""
        written = await self._producer.send_and_wait(
            partition.topic, record.value, key=record.key, partition=partition.partition, headers=record.headers
        )
        timestamp: int = written.timestamp
        return timestamp

    async def _write(self, partition: Partition, line: deque[Sealed]) -> None:
        try:
            while line:
                producer = self._producer
                try:
                    async with self._turns[producer.leader(partition)]:  # not while it is tried again
                        producer = self._producer  # which may have been replaced meanwhile
                        batch = producer.create_batch()
                        records = _fill(batch, line)
                        answered = await producer.send_now(batch, partition)
                    written = await answered
                except (KafkaError, AssertionError) as error:
                    await self._replace(producer, error)
                    continue
                # A batch that had to be sent again is answered with its first place, for as long as Kafka knows that.
                if written.offset >= 0:
                    self._told(partition, written.offset, written.timestamp, records)
        finally:
            del self._writing[partition]

    async def _replace(self, producer: Any, error: BaseException) -> None:
        """A refused batch leaves an idempotent producer's sequence wrong: take a new one; outcomes stay unknown."""
        async with self._replacing:
            if self._producer is not producer:
                return
            log.error("the producer failed and is replaced: %r", error)
            try:
                await self.start()
            except KafkaError as away:
                log.warning("no new producer could connect, the next batch tries again: %r", away)
                await asyncio.sleep(AGAIN_SECONDS)
                return
        await kafka.stop(producer)


def _fill(batch: Any, line: deque[Sealed]) -> list[Sealed]:
    """Put into a batch what it takes of the line, close it, and return what went in."""
    records = []
    while line:
        key, value, headers, _, _ = line[0]
        if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            break
        records.append(line.popleft())
    batch.close()
    return records
