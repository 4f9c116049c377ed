"""The log at start-up: make what is missing, learn its epoch and partition count, and find where a tail begins.

The first record of `chat.ids` says which log this is. It is not made anew where other topics have records already,
because ids would be given out twice.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from infra import kafka
from infra.kafka_topics import Found, check, describe_topics, log_partitions
from infra.log_reader import LogReader, OutOfLog
from infra.settings import Settings
from infra.tail import Start, remembered
from schemas import topics
from schemas.envelope import BadRecord, seal, unseal
from schemas.events import LogCreated
from schemas.ids import Partition
from schemas.judge import WINDOW
from schemas.times import format_time

LIMITS_REACH_BACK = {topics.CONVERSATIONS: 60_000, topics.MODERATION: 24 * 3_600_000}
"""Milliseconds of each judged topic that the limits need."""


class Log(NamedTuple):
    """Which log this is (a uuid made with it) and how many partitions its keyed topics have."""

    epoch: str
    partitions: int


class ForeignLog(RuntimeError):
    """The topics are not those of one log; the text says what to do."""


async def ensure(settings: Settings) -> Log:
    """Create the topics that are missing, check the others, and return the log's identity; made by whoever is first.

    TopicContradiction when the topics are not as declared, or have other partitions than when the log was made.
    """
    there = await kafka.ensure_topics(settings)
    reader = LogReader(settings)
    try:
        await reader.start()
        found = await identity(reader)
        if found is None:
            await _create(settings, reader)
            found = await identity(reader)
    finally:
        await reader.stop()
    if found is None:
        raise ForeignLog(f"{topics.IDS} is empty although its first record was just written")
    check(there, found.partitions, flush=settings.flush)
    return found


async def starts(
    reader: LogReader, partitions: int, stored: Mapping[Partition, int], now: int
) -> dict[Partition, Start]:
    """Choose where a tail begins in each partition.

    Judged topics: at the stored position or as far back as limits reach, whichever is earlier, within what a tail
    remembers; and one window before that, to warm the judge. Presence from its start; the others from their end.
    `stored`: the read tables' positions, empty when unknown; `now`: the broker's time in milliseconds.
    """
    wanted = [
        Partition(topic.name, number) for topic in topics.TOPICS for number in range(topic.partitions or partitions)
    ]
    counts = Counter(partition.topic for partition in wanted)
    ends, begins = await reader.ends(wanted), await reader.begins(wanted)
    recent = await reader.offsets_at(
        {
            partition: now - LIMITS_REACH_BACK[partition.topic]
            for partition in wanted
            if partition.topic in LIMITS_REACH_BACK
        }
    )
    chosen = {}
    for partition in wanted:
        begin, end = begins[partition], ends[partition]
        if partition.topic == topics.PRESENCE:
            chosen[partition] = Start(begin, begin)
        elif partition.topic in LIMITS_REACH_BACK:
            act = min(stored.get(partition, 0), recent.get(partition, end))
            act = max(begin, act, end - remembered(counts[partition.topic]))
            chosen[partition] = Start(max(begin, act - WINDOW), act)
        else:
            chosen[partition] = Start(end, end)
    return chosen


async def log_count(reader: LogReader, there: Mapping[str, Found]) -> int:
    """Return the log's partition count: what its first record tells, and before that one is written its first topic."""
    known = await identity(reader) if topics.IDS in there else None
    return log_partitions(there) if known is None else known.partitions


async def identity(reader: LogReader) -> Log | None:
    """Return which log this is, or None while its first record is not written."""
    partition = Partition(topics.IDS, 0)
    if (await reader.ends([partition]))[partition] == 0:
        return None
    cut = f"{topics.IDS} does not begin with {LogCreated.type}; was it cut? Restore it before starting"
    reader.read_from({partition: 0})
    try:
        async with asyncio.timeout(10):
            while not (found := await reader.records(wait=1, most=1)):
                pass
    except OutOfLog as gone:
        raise ForeignLog(cut) from gone
    record = found[partition][0]
    try:
        event = unseal(record.topic, record.key, record.value, record.headers)
    except BadRecord as bad:
        raise ForeignLog(f"the first record of {topics.IDS} is not ours: {bad}") from bad
    if record.offset != 0 or not isinstance(event, LogCreated):
        raise ForeignLog(cut)
    return Log(event.epoch, event.partitions)


async def _create(settings: Settings, reader: LogReader) -> None:
    """Write the epoch. Two processes may do so at once: the record at offset 0 is the one that counts."""
    found = await describe_topics(settings)
    for topic in topics.TOPICS:
        partitions = [Partition(topic.name, number) for number in range(found[topic.name].partitions)]
        if topic.name != topics.PRESENCE and any((await reader.ends(partitions)).values()):
            if topic.name == topics.IDS:
                return
            raise ForeignLog(
                f"{topics.IDS} is empty but {topic.name} has records: ids would be given out twice. "
                f"Restore {topics.IDS}, or delete all chat.* topics and the read tables to begin anew"
            )
    event = LogCreated(epoch=str(uuid.uuid4()), partitions=found[topics.CONVERSATIONS].partitions)
    producer = kafka.producer(settings)
    try:
        await producer.start()
        sealed = seal(event, ce_id=event.epoch, source="/chat/log", time=format_time(0))
        await producer.send_and_wait(topics.IDS, sealed.value, partition=0, headers=sealed.headers)
    finally:
        await kafka.stop(producer)
