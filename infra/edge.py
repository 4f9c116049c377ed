"""One edge process's footing: its tail, its appender, its clock and its view of the read tables.

The write side and the gateway stand on it; it knows neither commands nor sockets. `start` returns once what was in the
log has been read, so that what is decided here is decided on all of it.
"""

import asyncio
import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiokafka.errors import KafkaError

from infra import kafka, log_start, postgres
from infra.appender import Appender
from infra.background import Background, cancel
from infra.clock import BrokerClock
from infra.log_reader import LogReader
from infra.memory import Entry
from infra.read_tables import ReadTables
from infra.settings import Settings
from infra.tail import Readers, Stage, Tail
from infra.writer import Writer
from schemas.errors import Unavailable
from schemas.events import EdgeBeat
from schemas.ids import Partition

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
SILENCE_SECONDS = 15.0
CATCH_UP_SECONDS = 60.0
CLOSE_SECONDS = 2.0


class Edge:
    """Connections and background tasks of one edge; `boot` is new at each start, `name` stays."""

    def __init__(self, settings: Settings, log_is: log_start.Log, readers: Readers, pool: Any) -> None:
        self.settings = settings
        self.epoch = log_is.epoch
        self.partitions = log_is.partitions
        self.name = settings.edge_name
        self.boot = secrets.token_hex(8)
        self.clock = BrokerClock()
        self.tail = Tail(readers, self.clock)
        self.tail.follow(Stage.FOLD, self._hear, EdgeBeat)
        self.tables = ReadTables(pool, self.epoch)
        self._writer = Writer(lambda: kafka.producer(settings), self.tail.written)
        self.appender = Appender(
            self._writer,
            self.tail,
            self.clock,
            edge=self.name,
            partitions=self.partitions,
            understood=self.tables.understand,
        )
        self._readers = readers
        self._pool = pool
        self.background = Background()
        self._tasks: list[asyncio.Task[None]] = []
        self._last_beat = 0.0
        self._others_heard = asyncio.get_running_loop().time()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.caught_up = False

    @classmethod
    async def connect(cls, settings: Settings) -> "Edge":
        """Connect to Kafka, and make what the log lacks; Unavailable when it is away. Postgres may come later."""
        pool = await postgres.pool(settings)
        with _kafka_away():
            log_is = await log_start.ensure(settings)
            readers = Readers(LogReader(settings), LogReader(settings), LogReader(settings))
            await readers.start()
        return cls(settings, log_is, readers, pool)

    async def start(self) -> None:
        """Read the log's end and begin to follow it; followers must have been added before. Unavailable: try again."""
        with _kafka_away():
            await self._catch_up()
        self._spawn(self._keep_beating(), "heartbeat")
        self._spawn(self._keep_expiring(), "expiry")
        self._last_beat = asyncio.get_running_loop().time()
        self.caught_up = True

    async def _catch_up(self) -> None:
        await self._writer.start()
        self.clock.observe(await self.appender.append_blindly(self._beat()))
        self._spawn(self.tables.run(), "read tables")
        try:
            await self.tables.live.refresh()
            stored: Mapping[Partition, int] = await self.tables.positions()
        except Unavailable as away:
            log.warning("starting without the read tables: %s", away)
            stored = {}
        starts = await log_start.starts(self._readers.questions, self.partitions, stored, self.clock.now())
        self.tail.begin(starts)
        self._spawn(self.tail.run(), "tail")
        if not await self.tail.passed(await self.tail.ends(self.tail.positions), CATCH_UP_SECONDS):
            raise Unavailable("the log could not be read to its end")

    async def stop(self) -> None:
        """Say that this edge leaves, stop following, and disconnect."""
        await self.background.stop()
        if self.caught_up:
            try:
                await self.appender.append_blindly(self._beat(leaving=True))
            except Unavailable:
                log.warning("could not say that this edge leaves")
        await cancel(self._tasks)
        await self._writer.stop()
        await self._readers.stop()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @property
    def hears_itself(self) -> bool:
        """Whether this edge's own heartbeats have lately come back: that appends, Kafka and the tail work."""
        return self.caught_up and self.unheard < SILENCE_SECONDS

    @property
    def unheard(self) -> float:
        """Seconds since the last of this edge's own heartbeats came back."""
        return asyncio.get_running_loop().time() - self._last_beat

    def _beat(self, *, leaving: bool = False) -> EdgeBeat:
        return EdgeBeat(edge=self.name, boot=self.boot, leaving=leaving)

    def _hear(self, entry: Entry) -> None:
        """Note whether other edges are there; own heartbeats tell that none was heard for long."""
        now, beat = asyncio.get_running_loop().time(), entry.event
        if isinstance(beat, EdgeBeat) and beat.boot != self.boot and not beat.leaving:
            self._others_heard = now
        self.tail.be_alone(alone=now - self._others_heard > SILENCE_SECONDS)

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self.appender.append_and_observe(self._beat())
                self._last_beat = asyncio.get_running_loop().time()
            except Unavailable as away:
                log.warning("no heartbeat came back: %s", away)

    async def _keep_expiring(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self.appender.expire()

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """A background task that ends by itself is the end of the process: its state would fall behind the log."""
        error = None if task.cancelled() else task.exception() or RuntimeError("it returned")
        if error is None or self.failed.done():
            return
        while isinstance(error, BaseExceptionGroup):  # several tasks of one group: the first to fail tells why
            error = error.exceptions[0]
        log.critical("the %s failed", task.get_name(), exc_info=error)
        self.failed.set_exception(error)


@contextmanager
def _kafka_away() -> Iterator[None]:
    try:
        yield
    except (KafkaError, TimeoutError) as error:
        raise Unavailable(f"Kafka cannot be used right now: {error or type(error).__name__}") from error
