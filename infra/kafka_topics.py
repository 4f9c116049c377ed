"""Make the topics that are missing, and refuse to run on one whose settings contradict its declaration.

What a topic must be is declared in schemas/topics.py; this never changes one that exists.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from infra.retry import until_there
from infra.settings import Settings
from schemas.ids import Partition
from schemas.topics import TOPICS, Topic

SECONDS = 60.0
NEVER_LOSE = 3
"""Replicas of each partition, where there are as many brokers."""

IN_SYNC = "2"
"""How many of several replicas have to have a record before it is acknowledged; of two that is both."""


class TopicContradiction(RuntimeError):
    """Existing topics are not as declared: the text names topic, setting, what is expected and what was found."""


class Found:
    """A topic as the brokers describe it."""

    def __init__(self, described: Mapping[str, Any], config: Mapping[str, str]) -> None:
        self.name: str = described["topic"]
        self.partitions = len(described["partitions"])
        self.replicas = len(described["partitions"][0]["replicas"])
        self.config = config


async def ensure_topics(settings: Settings) -> dict[str, Found]:
    """Create what is missing, check the rest, and return all; several processes may do so at once.

    TopicContradiction when a topic is not as declared; KafkaError or TimeoutError when there is no broker in time.
    """
    async with asyncio.timeout(SECONDS), _admin(settings) as admin:
        described = await _described(admin)
        missing = [topic for topic in TOPICS if topic.name not in described]
        if missing:
            await _create(admin, missing, _partitions(described) or settings.partitions, flush=settings.flush)
            await _all_led(admin)
        found = await found_topics(admin)
        while len(found) < len(TOPICS):  # the broker that is asked has not heard of a new topic yet
            await asyncio.sleep(0.05)
            found = await found_topics(admin)
        check(found, log_partitions(found), flush=settings.flush)
        return found


async def describe_topics(settings: Settings) -> dict[str, Found]:
    """Return those of our topics that exist."""
    async with asyncio.timeout(SECONDS), _admin(settings) as admin:
        return await found_topics(admin)


def check(found: Mapping[str, Found], count: int, *, flush: bool) -> None:
    """Raise TopicContradiction unless all topics are as declared; `count`: the log's partition count."""
    wrong = [
        line
        for topic in TOPICS
        for line in contradictions(topic, found[topic.name], topic.partitions or count, flush=flush)
    ]
    if wrong:
        raise TopicContradiction("; ".join(wrong))


def log_partitions(found: Mapping[str, Found]) -> int:
    """Return the log's partition count, which its first topic settles until its first record does (log_start.py)."""
    there = (found[topic.name] for topic in TOPICS if topic.partitions is None and topic.name in found)
    return next((topic.partitions for topic in there), 0)


def partitions(found: Mapping[str, Found]) -> list[Partition]:
    """Return every partition of these topics."""
    return [Partition(topic.name, number) for topic in found.values() for number in range(topic.partitions)]


def contradictions(topic: Topic, found: Found, count: int, *, flush: bool) -> list[str]:
    """Return a line for each setting that differs; `flush`: what one broker alone is told to do."""
    expected = {"partitions": str(count), **_config(topic, found.replicas, flush=flush)}
    actual = {**found.config, "partitions": str(found.partitions)}
    return [
        f"topic {topic.name}: {setting} must be {value}, but is {actual.get(setting)}"
        for setting, value in expected.items()
        if actual.get(setting) != value
    ]


async def found_topics(admin: Any) -> dict[str, Found]:
    """Return those of our topics that exist, with their settings."""
    described = await _described(admin)
    if not described:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in described])
    configs = {}
    for code, _, _, name, entries in (resource for answer in answers for resource in answer.resources):
        if not code:
            configs[name] = dict(entry[:2] for entry in entries)
        elif (error := for_code(code)) is not UnknownTopicOrPartitionError:  # that is: not heard of by this broker yet
            raise error(name)
    return {name: Found(topic, configs[name]) for name, topic in described.items() if name in configs}


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**settings.kafka_options(), client_id="chat-topics")
    try:
        await until_there(admin.start, KafkaConnectionError)
        yield admin
    finally:
        await admin.close()


async def _described(admin: Any) -> dict[str, Any]:
    topics = await admin.describe_topics([topic.name for topic in TOPICS])
    for topic in topics:
        error = for_code(topic["error_code"])
        if topic["error_code"] and error is not UnknownTopicOrPartitionError:
            raise error(topic["topic"])
    return {topic["topic"]: topic for topic in topics if not topic["error_code"]}


def _partitions(described: Mapping[str, Any]) -> int | None:
    """Return the log's partition count where part of it exists: what is missing has to agree with that."""
    return next(
        (len(described[t.name]["partitions"]) for t in TOPICS if not t.partitions and t.name in described), None
    )


def _config(topic: Topic, replicas: int, *, flush: bool) -> dict[str, str]:
    """Return the configuration of a topic with so many replicas; `flush`: what one broker alone is told to do."""
    if replicas == 1:
        return topic.config(flush=flush)
    return {**topic.config(flush=False), "min.insync.replicas": IN_SYNC}


async def _create(admin: Any, missing: list[Topic], partitions: int, *, flush: bool) -> None:
    brokers = len((await admin.describe_cluster())["brokers"])
    replicas = min(NEVER_LOSE, brokers)
    new = [
        NewTopic(
            topic.name,
            topic.partitions or partitions,
            replicas,
            topic_configs=_config(topic, replicas, flush=flush),
        )
        for topic in missing
    ]
    answer = await admin.create_topics(new)
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"{name}: {message}")


async def _all_led(admin: Any) -> None:
    """Wait until every partition has a leader, which takes a moment after its creation."""
    while True:
        described = await _described(admin)
        partitions = [partition for topic in described.values() for partition in topic["partitions"]]
        if len(described) == len(TOPICS) and all(partition["leader"] >= 0 for partition in partitions):
            return
        await asyncio.sleep(0.05)
