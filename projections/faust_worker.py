"""Faust, in slabs: each fetched partition batch is one item, and the position is in Postgres.

The one module that knows Faust. A stock agent juggles tasks for each record; here the consumer hands the agents a whole
batch, and they hand it to the lanes. Nothing depends on Faust's acknowledgements or commits: there are none.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Never

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError
from faust.app.base import BootStrategy
from faust.tables import TableManager
from faust.transport.drivers import aiokafka as driver
from mode.threads import WorkerThread

from infra.kafka import AT_ONCE, Patience, be_patient
from projections import log, refusal, watchdog
from projections.database import Away, Database, Gone
from projections.lanes import Bounds, Lanes, OnBatch
from schemas.ids import Partition

logger = logging.getLogger(__name__)

SEEK_SECONDS = 15.0
STOP_SECONDS = 1.5
SESSION_SECONDS = 10
REQUEST_SECONDS = 40
POLL_RECORDS = 10_000
FETCH_BYTES = 4 * 1024 * 1024
SEEKING_SECONDS = 0.004
LOOK_BACK_SECONDS = 1.0
HEARTBEAT_SECONDS = 3.0


# Many records wait for each other for a moment, and share the cost of a fetch and of a transaction. A few do not, since
# somebody may wait to read what he has just written; nor does nothing, which would be fetched 40 times a second.
BUSY = Patience(enough=1024 * 1024, milliseconds=100)
MANY_PER_SECOND = 200


class Slab:
    """Records of one partition, dressed as one consumer record; `seek` counts the seeks before the fetch."""

    def __init__(self, seek: int, records: list[Any]) -> None:
        first = records[0]
        self.seek = seek
        self.records = records
        self.topic = first.topic
        self.partition = first.partition
        self.offset = first.offset
        self.timestamp = first.timestamp
        self.timestamp_type = first.timestamp_type
        self.headers = None
        self.key = None
        self.checksum = None
        self.serialized_key_size = 0
        self.serialized_value_size = 0

    @property
    def value(self) -> "Slab":
        return self


class Thread(WorkerThread):
    """A thread that ends with the process."""

    def __init__(self, service: Any, **options: Any) -> None:
        super().__init__(service, **options)
        self.daemon = True


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """aiokafka's consumer on its own thread: fetches slabs, and stamps each with the seek that it came after."""

    Worker = Thread
    app: Any
    seeks = 0
    fetched_at = 0.0

    def _create_worker_consumer(self, _transport: Any) -> AIOKafkaConsumer:
        self._assignor = RoundRobinPartitionAssignor
        return AIOKafkaConsumer(
            **self.app.kafka_options,
            client_id=self.app.conf.id,
            group_id=self.app.conf.id,
            group_instance_id=self.app.instance,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_records=POLL_RECORDS,
            max_poll_interval_ms=300_000,
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_min_bytes=AT_ONCE.enough,
            fetch_max_wait_ms=AT_ONCE.milliseconds,
            request_timeout_ms=REQUEST_SECONDS * 1_000,
            session_timeout_ms=SESSION_SECONDS * 1_000,
            rebalance_timeout_ms=SESSION_SECONDS * 1_000,
            heartbeat_interval_ms=round(self.app.heartbeat * 1_000),
            retry_backoff_ms=100,
        )

    async def _fetch_records(self, consumer: Any, *arguments: Any, **options: Any) -> dict[Any, list[Slab]]:
        try:
            fetched = await super()._fetch_records(consumer, *arguments, **options)
        except NoOffsetForPartitionError:
            # The partition was assigned a moment ago, and the seek to where the tables stand is under way.
            await asyncio.sleep(SEEKING_SECONDS)
            return {}
        be_patient(consumer, BUSY if self._are_many(fetched) else AT_ONCE)
        # Nothing has run on this thread's loop since the records were taken: the stamp is theirs.
        return {partition: [Slab(self.seeks, records)] for partition, records in fetched.items()}

    def _are_many(self, fetched: Mapping[Any, list[Any]]) -> bool:
        now = time.monotonic()
        seconds, self.fetched_at = now - self.fetched_at, now
        return sum(map(len, fetched.values())) > MANY_PER_SECOND * seconds

    def close(self) -> None:
        """Leave the consumer to the stop of its thread, which is under way when a rebalance calls this.

        Faust's own closes it from the app's loop, where that fails, and the stop then takes it for closed.
        """

    async def seek_all(self, positions: dict[Any, int]) -> int:
        """Seek, and return the stamp of the slabs that come from there."""
        stamp: int = await self.call_thread(self._seek_all, positions)
        return stamp

    async def _seek_all(self, positions: dict[Any, int]) -> int:
        self.seeks += 1
        for partition, offset in positions.items():
            self._ensure_consumer().seek(partition, offset)
        return self.seeks


class Unremembered(defaultdict[Any, None]):
    """Faust's memory of what was read, which would drop slabs after a seek back: always empty. Lanes check offsets."""

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def __getitem__(self, _partition: Any) -> None:
        return None

    def __setitem__(self, _partition: Any, _offset: Any) -> None:
        return None


class Consumer(driver.Consumer):
    """Seeks to the positions in Postgres, and waits for the lanes before it fetches more."""

    app: Any
    _thread: Any
    _read_offset: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._read_offset = Unremembered()
        self._seeking = asyncio.Lock()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Open the lanes of this assignment where the tables stand, and read from there.

        Called by Faust whenever partitions were assigned (its other hooks fire before its own seek, which undoes
        theirs). Without a limit here a worker could live on and consume nothing.
        """
        try:
            async with asyncio.timeout(SEEK_SECONDS), self._seeking:
                await self._seek_to_tables()
        except IllegalStateError:
            logger.info("partitions were taken away while seeking; waiting for the next assignment")
        except TimeoutError:
            self.app.failed(refusal.GaveUp(f"the stored positions could not be taken up within {SEEK_SECONDS:.0f} s"))
        except Exception as failure:  # noqa: BLE001 - Faust would only log it
            self.app.failed(failure)

    async def _seek_to_tables(self) -> None:
        while True:
            assigned = self.assignment()
            try:
                starts = await self.app.lanes.open([Partition(*tp) for tp in assigned], partial(self._bounds, assigned))
            except Away as away:
                logger.warning("Postgres is away while partitions are assigned: %s", away)
                await asyncio.sleep(0.5)
            else:
                stamp = await self._thread.seek_all({tp: starts[Partition(*tp)] for tp in assigned})
                self.app.lanes.start(stamp)
                return

    async def _bounds(self, partitions: Collection[Any]) -> Bounds:
        begins = await self.earliest_offsets(*partitions) if partitions else {}
        ends = await self.highwaters(*partitions) if partitions else {}
        return {Partition(*tp): (begins[tp], ends[tp]) for tp in partitions}

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - Faust names it
        await self.app.lanes.room()
        return await super()._wait_next_records(timeout)


class Transport(driver.Transport):
    """Faust's aiokafka transport with our consumer."""

    Consumer = Consumer


class NoTables(TableManager):
    """Faust's tables, of which there are none to wait for; what recovers them is what seeks."""

    async def on_start(self) -> None:
        """Start without the second that Faust leaves for tables to be declared."""
        await self._update_channels()
        await self.recovery.start()


class Boot(BootStrategy):
    """Starts what consumes, and nothing else."""

    enable_kafka_producer = False
    enable_web = False
    enable_sensors = False


class App(faust.App):
    """A Faust app for one generation: its consumer group, and one agent for each projected topic.

    `heartbeat`, in seconds: so late it may learn that another worker has come to share the partitions. `on_batch` is
    called with the records of each batch before they are taken.
    """

    BootStrategy = Boot

    def __init__(
        self,
        database: Database,
        *,
        group: str,
        instance: str | None,
        kafka_options: dict[str, Any],
        heartbeat: float = HEARTBEAT_SECONDS,
        on_batch: OnBatch | None = None,
    ) -> None:
        super().__init__(
            group,
            store="memory://",
            autodiscover=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_wait_empty=False,
            broker_max_poll_records=POLL_RECORDS,
            broker_session_timeout=SESSION_SECONDS,
            broker_request_timeout=REQUEST_SECONDS,
            TableManager=NoTables,
        )
        self.instance = instance
        self.kafka_options = kafka_options
        self.heartbeat = heartbeat
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lanes = Lanes(database, on_fenced=self.look_again, on_failure=self.failed, on_batch=on_batch)
        self._looking: asyncio.Task[None] | None = None
        for topic in log.PROJECTED:
            channel = self.topic(topic, key_serializer="raw", value_serializer="raw", acks=False)
            self.agent(channel, name=topic, concurrency=1)(self._project)

    async def _project(self, slabs: Any) -> None:
        async for slab in slabs:
            self.lanes.deliver(Partition(slab.topic, slab.partition), slab.seek, slab.records)

    def failed(self, failure: BaseException) -> None:
        """End the worker: only the first failure is told."""
        if not self.failure.done():
            self.failure.set_exception(failure)

    async def ends(self) -> dict[Partition, int]:
        """Return the end of each assigned partition, as the broker says now."""
        assigned = self.consumer.assignment()
        found = await self.consumer.highwaters(*assigned) if assigned else {}
        return {Partition(*tp): end for tp, end in found.items()}

    def look_again(self) -> None:
        """Open the lanes anew, where the tables stand now."""
        self._looking = asyncio.get_running_loop().create_task(self.consumer.perform_seek())

    async def keep_looking_back(self) -> Never:
        """Read again what the tables have lost although they had it."""
        while True:
            await asyncio.sleep(LOOK_BACK_SECONDS)
            with suppress(Away, Gone):
                if await self.lanes.went_back():
                    logger.warning("the tables stand before what was written to them; reading from there again")
                    await self.consumer.perform_seek()

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Keep nothing on the disk."""


async def run(app: App, stop: asyncio.Event) -> None:
    """Consume until `stop` is set, or raise what ended the worker."""
    await app.start()
    ends: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(watchdog.watch(app.lanes.to_advance, app.ends)),
        asyncio.ensure_future(app.keep_looking_back()),
        asyncio.ensure_future(stop.wait()),
        asyncio.ensure_future(app.wait_until_stopped()),
        app.failure,
    ]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await app.lanes.close()
        await _stop(app)
        for end in ends:
            end.cancel()
    for end in ends:
        if end.done() and not end.cancelled():
            end.result()
    if not stop.is_set():
        raise refusal.GaveUp(f"Faust stopped by itself: {app.crash_reason!r}")


async def _stop(app: App) -> None:
    """Leave Kafka; after a moment the process ends without that, since nothing depends on it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await app.stop()
