"""The log as a worker finds it: its epoch, and where each projected partition begins and ends.

Knows Kafka through infra only, and nothing of Postgres.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from infra import log_start
from infra.kafka_topics import contradictions, describe_topics
from infra.log_reader import LogReader
from infra.retry import until_there
from infra.settings import Settings
from projections.refusal import Refusal
from schemas import topics
from schemas.ids import Partition

LOOK_SECONDS = 60.0
FOLLOWING_SECONDS = 20.0
PROJECTED = tuple(topic.name for topic in topics.TOPICS if topic.projected)


@dataclass(frozen=True, slots=True)
class Log:
    """Which log it is (a uuid), and the bounds of its projected partitions: first offset kept, next to be written."""

    epoch: str
    begins: dict[Partition, int]
    ends: dict[Partition, int]

    @property
    def empty(self) -> bool:
        return not any(self.ends.values())


class NotThere(Exception):
    """The log cannot be looked at yet."""


async def look(settings: Settings, *, within: float = LOOK_SECONDS) -> Log:
    """Return the log, waiting for its topics and its first record to be made; Refusal when they do not come."""
    try:
        async with asyncio.timeout(within):
            return await until_there(lambda: _look(settings), NotThere)
    except TimeoutError:
        raise Refusal(
            f"after {within:.0f} s Kafka at {settings.kafka_bootstrap_servers} is not there or has no topics yet; "
            "an edge makes them when it starts"
        ) from None


async def following(settings: Settings, offsets: Mapping[Partition, int]) -> dict[Partition, int | None]:
    """Return the first record that each partition has from an offset on, None where it has none; {} while it is away.

    On a compacted topic records before the last of their key may be gone.
    """
    reader = LogReader(settings)
    try:
        async with asyncio.timeout(FOLLOWING_SECONDS):
            await reader.start()
            return {partition: await reader.following(partition, offset) for partition, offset in offsets.items()}
    except (KafkaError, OSError, TimeoutError):
        return {}
    finally:
        await reader.stop()


async def _look(settings: Settings) -> Log:
    reader = LogReader(settings)
    try:
        await reader.start()
        known = await log_start.identity(reader)
        if known is None:
            raise NotThere("the log has no first record yet")
        await _require_settings(settings, known.partitions)
        partitions = [Partition(topic, number) for topic in PROJECTED for number in range(known.partitions)]
        return Log(known.epoch, await reader.begins(partitions), await reader.ends(partitions))
    except log_start.ForeignLog as foreign:
        raise Refusal(str(foreign)) from foreign
    except (KafkaError, OSError, TimeoutError) as away:
        raise NotThere(str(away)) from away
    finally:
        await reader.stop()


async def _require_settings(settings: Settings, count: int) -> None:
    """Refuse topics that might lose what the tables are made from; how they are flushed is for edges to say."""
    found = await describe_topics(settings)
    wrong = []
    for name in PROJECTED:
        if name in found:
            of_topic = (topics.BY_NAME[name], found[name], count)
            either_way = set(contradictions(*of_topic, flush=False))
            wrong += [line for line in contradictions(*of_topic, flush=True) if line in either_way]
    if wrong:
        raise Refusal("; ".join(wrong))
