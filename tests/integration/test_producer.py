"""infra/producer.py: the short way to a real broker, and what it leaves to aiokafka's sender."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, RequestTimedOutError

from infra import kafka
from infra.producer import Producer
from infra.settings import Settings
from schemas.ids import Partition
from schemas.topics import IDS

PLACE = Partition(IDS, 0)


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[Producer]:
    await kafka.ensure_topics(settings)
    producer = kafka.producer(settings)
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
async def values(settings: Settings) -> AsyncIterator[Callable[[], Any]]:
    """Read all that is in the log: each record's offset, timestamp and value."""
    consumer = kafka.consumer(settings)
    await consumer.start()

    async def read() -> list[tuple[int, int, bytes]]:
        key = TopicPartition(*PLACE)
        consumer.assign([key])
        await consumer.seek_to_beginning(key)
        (end,) = (await consumer.end_offsets([key])).values()
        records = [await consumer.getone() for _ in range(end)]
        return [(record.offset, record.timestamp, record.value) for record in records]

    yield read
    await consumer.stop()


def batch(producer: Producer, *values: bytes) -> Any:
    builder = producer.create_batch()
    for value in values:
        builder.append(timestamp=None, key=None, value=value)
    builder.close()
    return builder


async def write(producer: Producer, builder: Any, partition: Partition) -> Any:
    return await (await producer.send_now(builder, partition))


def no_sender(*_: object, **__: object) -> None:
    raise AssertionError("the sender was asked")


async def test_batches_are_written_one_behind_the_other_and_without_the_sender(
    producer: Producer, values: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(producer, batch(producer, b"before"), PLACE)  # from now on the leader is known
    monkeypatch.setattr(producer, "send_batch", no_sender)
    first = await write(producer, batch(producer, b"a", b"b"), PLACE)
    second = await write(producer, batch(producer, b"c"), PLACE)
    assert (first.offset, second.offset) == (1, 3)
    written = [(1, first.timestamp, b"a"), (2, first.timestamp, b"b"), (3, second.timestamp, b"c")]
    assert (await values())[1:] == written


async def test_where_no_leader_is_known_the_sender_looks_for_it(
    producer: Producer, values: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    known, unknown = producer.client.cluster.leader_for_partition, [-1]

    def leader(partition: TopicPartition) -> Any:
        return unknown.pop() if unknown else known(partition)

    with monkeypatch.context() as patched:
        patched.setattr(producer.client.cluster, "leader_for_partition", leader)
        await write(producer, batch(producer, b"a"), PLACE)
    await write(producer, batch(producer, b"b"), PLACE)
    assert [value for *_, value in await values()] == [b"a", b"b"]


async def test_a_batch_whose_answer_was_lost_is_written_once_and_told_its_first_place(
    producer: Producer, values: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edge takes its records at the place that it is told (infra/ahead.py)."""
    send, sent = producer.client.send, []

    async def lose(node: int, request: Any, **options: Any) -> Any:
        sent.append(await send(node, request, **options))
        if len(sent) == 1:
            raise RequestTimedOutError
        return sent[-1]

    await write(producer, batch(producer, b"before"), PLACE)
    with monkeypatch.context() as patched:
        patched.setattr(producer.client, "send", lose)
        written = await write(producer, batch(producer, b"a", b"b"), PLACE)
    after = await write(producer, batch(producer, b"after"), PLACE)
    assert len(sent) == 2
    assert (written.offset, after.offset) == (1, 3)
    assert (await values())[1:3] == [(1, written.timestamp, b"a"), (2, written.timestamp, b"b")]


async def test_a_batch_that_is_refused_for_good_raises(producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise MessageSizeTooLargeError

    monkeypatch.setattr(producer.client, "send", refuse)
    with pytest.raises(MessageSizeTooLargeError):
        await write(producer, batch(producer, b"a"), PLACE)
