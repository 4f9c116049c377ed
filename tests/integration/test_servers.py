"""infra/kafka.py and infra/postgres.py against real servers."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from infra import kafka, postgres
from infra.kafka_topics import Found, _create, contradictions, describe_topics, found_topics
from infra.log_reader import LogReader
from infra.settings import Settings
from schemas.topics import BY_NAME, IDS, TOPICS


async def test_missing_topics_are_made_as_declared(settings: Settings) -> None:
    await kafka.ensure_topics(replace(settings, partitions=2))

    found = await describe_topics(settings)
    assert {name: topic.partitions for name, topic in found.items()} == {t.name: t.partitions or 2 for t in TOPICS}
    assert found[IDS].config["flush.messages"] == "1"


async def test_topics_that_are_there_stay_as_they_are(settings: Settings) -> None:
    await kafka.ensure_topics(replace(settings, partitions=2))
    await kafka.ensure_topics(replace(settings, partitions=3))

    assert {topic.partitions for topic in (await describe_topics(settings)).values()} == {1, 2}


async def test_a_topic_that_contradicts_its_declaration_is_refused(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(**settings.kafka_options())
    await admin.start()
    await admin.create_topics([NewTopic(IDS, 3, 1)])
    await admin.close()

    with pytest.raises(kafka.TopicContradiction, match=r"topic chat\.ids: partitions must be 1, but is 3") as refused:
        await kafka.ensure_topics(settings)
    assert "topic chat.ids: retention.ms must be -1, but is 604800000" in str(refused.value)


class OneOfThree:
    """A broker that knows two topics; of the settings of the second it says no more than this error code."""

    def __init__(self, code: int) -> None:
        self._code = code

    async def describe_topics(self, _: object) -> list[dict[str, Any]]:
        return [{"topic": name, "error_code": 0, "partitions": [{"replicas": [1, 2, 3]}]} for name in ("a", "b")]

    async def describe_configs(self, _: object) -> list[Any]:
        resources = [(0, None, 2, "a", [("cleanup.policy", "delete", False)]), (self._code, "no", 2, "b", [])]
        return [SimpleNamespace(resources=resources)]


async def test_a_topic_that_the_broker_asked_has_not_heard_of_is_not_there_yet() -> None:
    assert list(await found_topics(OneOfThree(UnknownTopicOrPartitionError.errno))) == ["a"]
    with pytest.raises(TopicAuthorizationFailedError):
        await found_topics(OneOfThree(TopicAuthorizationFailedError.errno))


class Brokers:
    """So many of them; what they are told to make is kept."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.made: list[NewTopic] = []

    async def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [{"node_id": node} for node in range(self._count)]}

    async def create_topics(self, new: list[NewTopic]) -> SimpleNamespace:
        self.made = new
        return SimpleNamespace(topic_errors=[])


def as_found(topic: NewTopic, **changed: str) -> Found:
    partitions = [{"replicas": list(range(topic.replication_factor))}] * topic.num_partitions
    return Found({"topic": topic.name, "partitions": partitions}, {**topic.topic_configs, **changed})


@pytest.mark.parametrize(("brokers", "replicas", "in_sync"), [(1, 1, None), (2, 2, "2"), (3, 3, "2"), (5, 3, "2")])
async def test_of_several_replicas_two_have_to_have_a_record(brokers: int, replicas: int, in_sync: str | None) -> None:
    cluster = Brokers(brokers)
    await _create(cluster, list(TOPICS), 2, flush=True)
    for made in cluster.made:
        assert (made.replication_factor, made.topic_configs.get("min.insync.replicas")) == (replicas, in_sync)
        assert contradictions(BY_NAME[made.name], as_found(made), made.num_partitions, flush=True) == []
        if in_sync is not None:
            weak = as_found(made, **{"min.insync.replicas": "1"})
            assert contradictions(BY_NAME[made.name], weak, made.num_partitions, flush=True) == [
                f"topic {made.name}: min.insync.replicas must be 2, but is 1"
            ]


async def test_a_record_comes_back_as_it_was_written(settings: Settings) -> None:
    await kafka.ensure_topics(settings)
    producer, consumer = kafka.producer(settings), kafka.consumer(settings)
    await producer.start()
    await producer.send_and_wait(IDS, b"value", headers=[("ce_id", b"1")])
    await producer.stop()

    await consumer.start()
    consumer.assign([TopicPartition(IDS, 0)])
    await consumer.seek_to_beginning()
    record = await consumer.getone()
    await consumer.stop()
    assert (record.value, record.headers) == (b"value", (("ce_id", b"1"),))


async def test_what_does_not_stop_is_disconnected(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    await kafka.ensure_topics(settings)
    monkeypatch.setattr(kafka, "STOP_SECONDS", 0.05)
    producer, consumer = kafka.producer(settings), kafka.consumer(settings)
    await producer.start()
    await producer.send_and_wait(IDS, b"value")
    await consumer.start()
    await consumer.end_offsets([TopicPartition(IDS, 0)])
    for client, connections in ((producer, producer.client._conns), (consumer, consumer._client._conns)):
        connected = list(connections.values())
        with monkeypatch.context() as patched:
            patched.setattr(client, "stop", asyncio.Event().wait)
            await kafka.stop(client)
        assert connected
        assert not any(connection.connected() for connection in connected)
        await client.stop()


async def test_a_reader_may_be_stopped_as_soon_as_it_was_started(settings: Settings) -> None:
    """The consumer's own tasks have not begun by then, and it hands on what comes of their cancellation."""
    reader = LogReader(settings)
    await reader.start()
    await reader.stop()


async def test_each_test_has_a_database_of_its_own(settings: Settings) -> None:
    pool = await postgres.pool(settings)
    await pool.execute("CREATE TABLE only_here ()")
    assert await pool.fetchval("SELECT count(*) FROM pg_class WHERE relname = 'only_here'") == 1
    await pool.close()
