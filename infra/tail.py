"""Follow the end of the log: read every partition of every topic in order, judge, tell the followers, and remember.

One tail for each edge process. Each record goes through the stages below, in the order of the log. Followers must not
wait; one that raises ends the process, because its state would no longer be that of the log. What this process writes
into the log of conversations is taken as soon as it is acknowledged, where it is next (ahead.py).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError
from msgspec import Struct

from infra.ahead import Ahead, Record, records_of
from infra.clock import BrokerClock
from infra.kafka import AT_ONCE, Patience
from infra.log_reader import LogReader, OutOfLog
from infra.memory import Entry, Memory
from infra.placing import check_place
from schemas import topics
from schemas.envelope import BadRecord, Sealed, header, unseal
from schemas.errors import Unavailable
from schemas.events import Fact
from schemas.ids import Partition
from schemas.judge import COUNTED, LIMIT, Judge

REMEMBERED = 200_000
"""Records that are remembered of a judged topic, at about a kilobyte each..."""

LEAST_REMEMBERED = 2 * LIMIT
"""... and of each of its partitions at least: a void record has to find the one that counts instead."""

MOST_CONTENTS = 100 * 1024 * 1024
"""Bytes of remembered messages' contents of a topic; beyond it fewer are remembered."""

QUESTION_SECONDS = 5.0

REACH_SECONDS = 2.0
"""How long what was read from the tables waits for a tail that is behind them."""

ALONE = Patience(enough=256 * 1024, milliseconds=500)
"""While no other edge writes, hardly anything that the reader of conversations can bring is news."""

JUDGED = frozenset({topics.CONVERSATIONS, topics.MODERATION})

Follower = Callable[[Entry], None]


class Stage(IntEnum):
    """When a follower sees a record: it is applied, state is folded, commands are answered, then it is pushed.

    One that contradicts what it is applied to is marked as inapplicable: it counts neither in the later stages nor for
    what is remembered.
    """

    APPLY = 0
    FOLD = 1
    ANSWER = 2
    PUSH = 3


class Start(NamedTuple):
    """Where to begin in a partition: read from `read`, which only warms the judge, and act from `act` on."""

    read: int
    act: int


class _Following(NamedTuple):
    """A follower, and the kinds of events that it wants; none named: every record. `void`: those that are void, too."""

    stage: Stage
    follower: Follower
    kinds: tuple[type[Struct], ...]
    void: bool


def remembered(partitions: int) -> int:
    """Return how many records of each partition are remembered at most, when its topic has so many partitions."""
    return max(LEAST_REMEMBERED, REMEMBERED // partitions)


class Readers(NamedTuple):
    """The connections of a tail.

    A fetch costs by the number of its partitions, so the busy ones have a reader for themselves; and it holds up what
    is asked behind it until something comes, so questions have one too.
    """

    conversations: LogReader
    others: LogReader
    questions: LogReader

    async def start(self) -> None:
        """Connect all of them, or none; KafkaError when there is no broker."""
        try:
            for reader in self:  # not all at once: one that fails would have the others stopped before they are there
                await reader.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Disconnect."""
        await asyncio.gather(*(reader.stop() for reader in self))


class Tail:
    """The one reader of the log in this process; `positions` holds the first offset not yet taken of each partition."""

    def __init__(self, readers: Readers, clock: BrokerClock) -> None:
        self._readers = readers
        self._clock = clock
        self._judges: dict[Partition, Judge] = {}
        self._acting: dict[Partition, int] = {}
        self._counts: Counter[str] = Counter()
        self._followers: list[_Following] = []
        self._followers_of = cache(self._find_followers)
        self._waiters: list[tuple[Mapping[Partition, int], asyncio.Future[None]]] = []
        self._ahead: dict[Partition, Ahead] = {}
        self._written: asyncio.Queue[Partition] = asyncio.Queue()
        self.positions: dict[Partition, int] = {}
        self.memories: dict[Partition, Memory] = {}

    def follow(self, stage: Stage, follower: Follower, *kinds: type[Struct], void: bool = False) -> None:
        """Call `follower` with every record that counts from now on, or with those of some kinds of events only.

        `void`: with the ones that do not count, too; without kinds also with those that could not be decoded.
        """
        self._followers.append(_Following(stage, follower, kinds, void))
        self._followers.sort(key=lambda following: following.stage)
        self._followers_of.cache_clear()

    def begin(self, starts: Mapping[Partition, Start]) -> None:
        """Say where to begin; call `run` afterwards."""
        self._counts = Counter(partition.topic for partition in starts)
        for partition, start in starts.items():
            self.positions[partition] = start.read
            self._acting[partition] = start.act
            self._ahead[partition] = Ahead()
            if partition.topic in JUDGED:
                partitions = self._counts[partition.topic]
                self._judges[partition] = Judge()
                self.memories[partition] = Memory(
                    start.act,
                    remembered(partitions),
                    least=LEAST_REMEMBERED,
                    contents=MOST_CONTENTS // partitions,
                )
        self._readers.conversations.read_from(self._of(conversations=True))
        self._readers.others.read_from(self._of(conversations=False))

    def written(self, partition: Partition, offset: int, timestamp: int, batch: list[Sealed]) -> None:
        """Take note of a batch that this process has written: its first record is at `offset`."""
        if partition.topic == topics.CONVERSATIONS:
            self._ahead[partition].add(records_of(offset, timestamp, batch))
            self._written.put_nowait(partition)

    def be_alone(self, *, alone: bool) -> None:
        """Say whether nobody else is known to write conversations: then nothing that their reader brings is urgent."""
        self._readers.conversations.be_patient(ALONE if alone else AT_ONCE)

    async def run(self) -> None:
        """Read until cancelled; whatever it raises is the end of the process."""
        async with asyncio.TaskGroup() as reading:
            reading.create_task(self._read(self._readers.conversations))
            reading.create_task(self._read(self._readers.others))
            reading.create_task(self._read_ahead())

    async def _read(self, reader: LogReader) -> None:
        while True:
            try:
                batches = await reader.records(wait=1, most=2_000)
            except OutOfLog as out:
                await self._rewind(out)
                continue
            for partition, records in batches.items():
                self._take_read(partition, self._ahead[partition].confirm(records))
                self._take_ahead(partition)
            if batches:
                self._wake()
                await asyncio.sleep(0)

    async def _read_ahead(self) -> None:
        while True:
            partition = await self._written.get()
            self._take_ahead(partition)
            self._wake()

    def _take_ahead(self, partition: Partition) -> None:
        while records := self._ahead[partition].take(self.positions[partition]):
            self._take(partition, records)

    async def passed(self, positions: Mapping[Partition, int], within: float) -> bool:
        """Wait until the tail has read everything before these offsets; False after `within` seconds."""
        if self._has_passed(positions):
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((positions, waiter))
        try:
            async with asyncio.timeout(within):
                await waiter
        except TimeoutError:
            return False
        return True

    async def reach(self, stored: Mapping[Partition, int]) -> None:
        """Wait until the tail has read what the read tables have, everything before these offsets; or Unavailable."""
        if not await self.passed(stored, REACH_SECONDS):
            raise Unavailable("this edge is behind the read tables")

    async def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask the broker for the ends of partitions as they are now; Unavailable when it does not tell."""
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                return await self._readers.questions.ends(partitions)
        except (KafkaError, TimeoutError) as error:
            raise Unavailable("the log does not answer") from error

    def _take_read(self, partition: Partition, records: Sequence[Any]) -> None:
        partitions = self._counts[partition.topic]
        self._take(partition, (_decoded(record, partitions) for record in records))

    def _take(self, partition: Partition, records: Iterable[Record]) -> None:
        judge = self._judges.get(partition)
        memory = self.memories.get(partition)
        acting = self._acting[partition]
        for offset, timestamp, _, ce_id, event in records:
            judgement = judge.judge(offset, event) if judge else COUNTED
            self.positions[partition] = offset + 1
            if offset < acting:
                continue
            entry = Entry(partition, offset, timestamp, ce_id, event, judgement)
            self._clock.observe(timestamp)
            kind: type = type(event)
            for follower in self._followers_of(True, kind, entry.counted):
                follower(entry)
            if memory is not None:
                memory.add(entry)
            for follower in self._followers_of(False, kind, entry.counted):
                follower(entry)
            entry.origin = None  # it is remembered for long, and shall not keep a socket

    def _find_followers(self, applying: bool, kind: type, counted: bool) -> tuple[Follower, ...]:
        """Return who sees such records: those that apply them, or all others."""
        return tuple(
            follower
            for stage, follower, kinds, void in self._followers
            if (stage is Stage.APPLY) is applying and (counted or void) and (not kinds or kind in kinds)
        )

    def _of(self, *, conversations: bool) -> dict[Partition, int]:
        return {p: at for p, at in self.positions.items() if (p.topic == topics.CONVERSATIONS) is conversations}

    def _has_passed(self, positions: Mapping[Partition, int]) -> bool:
        return all(self.positions.get(partition, 0) >= offset for partition, offset in positions.items())

    def _wake(self) -> None:
        waiting = self._waiters
        self._waiters = []
        for positions, waiter in waiting:
            if waiter.done():
                continue
            if self._has_passed(positions):
                waiter.set_result(None)
            else:
                self._waiters.append((positions, waiter))

    async def _rewind(self, out: OutOfLog) -> None:
        """Presence may be deleted faster than it is read; in every other topic that means a log made anew."""
        for partition in out.positions:
            if partition.topic != topics.PRESENCE:
                raise RuntimeError(f"the log was cut or made anew, see docs/operating.md: {out}") from out
            await self._readers.others.rewind(partition)


def _decoded(record: Any, partitions: int) -> Record:
    """Return what the reader brought, of a topic with so many partitions, with its event."""
    event: Fact | None
    try:
        event = unseal(record.topic, record.key, record.value, record.headers)
        check_place(record.key, record.partition, partitions)
    except BadRecord:
        event = None
    return Record(record.offset, record.timestamp, record.value, header(record.headers, "ce_id"), event)
