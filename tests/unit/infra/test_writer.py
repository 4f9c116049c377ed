"""infra/writer.py: when a batch leaves, what is in it, and what becomes of those that fail."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from infra import writer as module
from infra.writer import MOST_IN_LINE, Writer
from schemas.envelope import Sealed
from schemas.errors import Unavailable
from schemas.events import IdsLeased
from schemas.ids import Partition
from tests.support.live_parts import settle

ONE, OTHER, ELSEWHERE = (Partition("chat.conversations", number) for number in range(3))
ROOM = 3


@dataclass
class Place:
    """Where the broker says that a batch is; -1 when it knows only that it was written before."""

    offset: int
    timestamp: int = 5


class Batch:
    """Takes `ROOM` records."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.closed = False

    def append(self, *, timestamp: None, key: bytes | None, value: bytes, headers: Any) -> object | None:  # noqa: ARG002
        if len(self.values) == ROOM:
            return None
        self.values.append(value)
        return object()

    def close(self) -> None:
        self.closed = True


class Producer:
    """Keeps the batches that it is given; a test says when they are written."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, Batch, asyncio.Future[Place]]] = []
        self.answered: list[asyncio.Event] = []
        self.stopped = False
        self.refuses = False

    async def start(self) -> None:
        if self.refuses:
            raise KafkaError("no id")

    async def stop(self) -> None:
        self.stopped = True

    def create_batch(self) -> Batch:
        return Batch()

    def leader(self, partition: Partition) -> int:
        return 2 if partition == ELSEWHERE else 1

    async def send_now(self, batch: Batch, partition: Partition) -> "asyncio.Future[Place]":
        assert batch.closed
        written: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        answered = asyncio.Event()
        written.add_done_callback(lambda _: answered.set())
        self.answered.append(answered)
        self.sent.append((partition.partition, batch, written))
        await answered.wait()
        return written

    def values(self, partition: Partition) -> list[list[bytes]]:
        return [batch.values for number, batch, _ in self.sent if number == partition.partition]


class Fixture:
    def __init__(self) -> None:
        self.producers: list[Producer] = []
        self.away = False
        self.told: list[tuple[Partition, int, int, list[bytes]]] = []
        self.writer = Writer(self._new, self._tell)

    def _new(self) -> Producer:
        if self.away:
            raise KafkaError("away")
        self.producers.append(Producer())
        return self.producers[-1]

    def _tell(self, partition: Partition, offset: int, timestamp: int, batch: list[Sealed]) -> None:
        self.told.append((partition, offset, timestamp, [record.value for record in batch]))

    def put(self, partition: Partition, *values: int) -> None:
        for value in values:
            self.writer.put(partition, record(value))

    async def end(self, number: int, error: KafkaError | None = None, *, offset: int = 0) -> None:
        """End the newest producer's batch of this number, and let everything run that follows from it."""
        *_, written = self.producers[-1].sent[number]
        if error is None:
            written.set_result(Place(offset))
        else:
            written.set_exception(error)
        await settle()


def record(value: int) -> Sealed:
    return Sealed(b"1:2", b"%d" % value, [], f"id-{value}", IdsLeased(edge="edge"))


@pytest.fixture
async def given(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fixture]:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0)
    monkeypatch.setattr(module, "STOP_SECONDS", 0.05)
    fixture = Fixture()
    await fixture.writer.start()
    yield fixture
    await fixture.writer.stop()


async def test_a_producer_that_cannot_start_is_stopped(given: Fixture) -> None:
    refusing = Producer()
    refusing.refuses = True
    with pytest.raises(KafkaError):
        await Writer(lambda: refusing, given._tell).start()
    assert refusing.stopped


async def test_what_comes_while_a_batch_is_on_its_way_shares_the_next(given: Fixture) -> None:
    given.put(ONE, 1)
    await settle()
    given.put(ONE, 2, 3)
    await settle()
    assert given.producers[0].values(ONE) == [[b"1"]]
    await given.end(0)
    assert given.producers[0].values(ONE) == [[b"1"], [b"2", b"3"]]


async def test_the_partitions_of_a_broker_take_turns_and_no_batch_is_closed_before_its_own(given: Fixture) -> None:
    given.put(ONE, 1)
    await settle()
    given.put(OTHER, 8)
    given.put(ONE, 2)
    await settle()
    given.put(OTHER, 9)
    assert given.producers[0].values(OTHER) == []
    await given.end(0)
    assert given.producers[0].values(OTHER) == [[b"8", b"9"]]
    assert given.producers[0].values(ONE) == [[b"1"]]
    await given.end(1)
    assert given.producers[0].values(ONE) == [[b"1"], [b"2"]]


async def test_a_batch_that_is_tried_again_keeps_no_other_partition_waiting(given: Fixture) -> None:
    given.put(ONE, 1)
    await settle()
    given.put(OTHER, 2)
    given.producers[0].answered[0].set()
    await settle()
    assert given.producers[0].values(OTHER) == [[b"2"]]
    given.put(ONE, 3)
    await given.end(1)
    assert given.producers[0].values(ONE) == [[b"1"]], "the next batch of its own partition waits"
    await given.end(0)
    assert given.producers[0].values(ONE) == [[b"1"], [b"3"]]


async def test_another_brokers_partitions_wait_for_nobody(given: Fixture) -> None:
    given.put(ONE, 1)
    given.put(ELSEWHERE, 2)
    await settle()
    assert given.producers[0].values(ELSEWHERE) == [[b"2"]]


async def test_what_does_not_fit_goes_with_the_batch_after(given: Fixture) -> None:
    given.put(ONE, 1, 2, 3, 4, 5)
    await settle()
    await given.end(0)
    await given.end(1)
    assert given.producers[0].values(ONE) == [[b"1", b"2", b"3"], [b"4", b"5"]]


async def test_of_what_is_written_its_place_is_told(given: Fixture) -> None:
    given.put(ONE, 1, 2, 3, 4)
    await settle()
    assert given.told == []
    await given.end(0, offset=70)
    await given.end(1, offset=73)
    assert given.told == [(ONE, 70, 5, [b"1", b"2", b"3"]), (ONE, 73, 5, [b"4"])]


async def test_what_has_no_place_is_not_told(given: Fixture) -> None:
    given.put(ONE, 1)
    await settle()
    await given.end(0, offset=-1)
    given.put(ONE, 2)
    await settle()
    await given.end(1, KafkaError("refused"))
    assert given.told == []


async def test_after_a_refused_batch_another_producer_goes_on(given: Fixture) -> None:
    given.put(ONE, 1)
    await settle()
    given.put(ONE, 2)
    await given.end(0, KafkaError("out of sequence"))
    first, second = given.producers
    assert first.stopped
    assert (first.values(ONE), second.values(ONE)) == ([[b"1"]], [[b"2"]])


async def test_two_batches_that_fail_together_cost_one_producer(given: Fixture) -> None:
    given.put(ONE, 1)
    given.put(ELSEWHERE, 2)
    await settle()
    for *_, written in given.producers[0].sent:
        written.set_exception(KafkaError("out of sequence"))
    await settle()
    assert len(given.producers) == 2


async def test_without_a_broker_the_line_waits_until_it_is_full(given: Fixture) -> None:
    given.put(ONE, 1)
    await settle()
    given.put(ONE, *range(MOST_IN_LINE))
    with pytest.raises(Unavailable):
        given.put(ONE, 0)


async def test_a_producer_that_cannot_be_replaced_is_tried_again(given: Fixture) -> None:
    given.put(ONE, 1)
    await settle()
    given.away = True
    await given.end(0, KafkaError("gone"))
    given.put(ONE, 2)
    await settle()
    assert given.producers[0].values(ONE) == [[b"1"], [b"2"]]
    given.away = False
    await given.end(1, KafkaError("gone"))
    given.put(ONE, 3)
    await settle()
    assert given.producers[1].values(ONE) == [[b"3"]]


async def test_a_stop_hands_over_what_is_in_line(given: Fixture) -> None:
    given.put(ONE, 1)
    await settle()
    given.put(ONE, 2)
    stopping = asyncio.ensure_future(given.writer.stop())
    await given.end(0)
    await given.end(1)
    await stopping
    assert given.producers[0].values(ONE) == [[b"1"], [b"2"]]
    assert given.producers[0].stopped
