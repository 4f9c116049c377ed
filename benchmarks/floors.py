"""What the parts can do at most on this machine, in the same run: producer, consumer, socket, COPY, and the generator.

Each is the bare library with the service's own settings and about its own bytes, and nothing of the service around it.
"""

import asyncio
import secrets
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.loops import on_uvloop
from benchmarks.plan import Plan
from benchmarks.results import Run, Trial
from benchmarks.stack import Stack
from infra import kafka
from projections.tables import messages
from schemas.topics import AT_ONCE, WHEN_THE_SYSTEM_DOES

FLUSHES = {"flushed": AT_ONCE, "flushed by the OS": WHEN_THE_SYSTEM_DOES}
VALUE = secrets.token_hex(175).encode()
HEADERS = [("ce_type", b"chat.message.sent.v1"), ("ce_id", b"0123456789abcdef-1234"), ("ce_source", b"/chat/edges/1")]
IN_FLIGHT = 100
COPY_ROWS = 2_000
_NOW = datetime(2026, 1, 31, tzinfo=UTC)


async def server_floors(run: Run, stack: Stack, plan: Plan) -> None:
    """Take the floors of Kafka and Postgres, on the loop that edges use."""
    await on_uvloop(_kafka_floors(run, stack, plan))
    await on_uvloop(_copy_floor(run, stack, plan))


async def _kafka_floors(run: Run, stack: Stack, plan: Plan) -> None:
    """Append one record after another, then many at once, and read them all again."""
    for name, flush in FLUSHES.items():
        async with _topic(stack, flush) as topic:
            for _ in range(plan.trials):
                run.add("parts", f"producer, {name}", await _produce(stack, topic, plan))
            for _ in range(plan.trials if flush == WHEN_THE_SYSTEM_DOES else 0):
                run.add("parts", "consumer", await _consume(stack, topic, plan.floor_seconds))


@asynccontextmanager
async def _topic(stack: Stack, flush: str) -> AsyncIterator[str]:
    """A topic of ours with as many partitions as the log's default has, until the block ends."""
    topic = f"bench.{secrets.token_hex(4)}"
    admin = AIOKafkaAdminClient(**stack.settings.kafka_options())
    await admin.start()
    try:
        configs = {"flush.messages": flush, "message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopic(topic, stack.settings.partitions, 1, topic_configs=configs)])
        await asyncio.sleep(1)  # until every partition is led
        yield topic
        await admin.delete_topics([topic])
    finally:
        await admin.close()


async def _produce(stack: Stack, topic: str, plan: Plan) -> Trial:
    producer = kafka.producer(stack.settings)
    await producer.start()
    try:
        await _alone(producer, topic, 0.5)
        alone = sorted(await _alone(producer, topic, plan.floor_seconds))
        await _together(producer, topic, 0.5)
        done = await _together(producer, topic, plan.floor_seconds)
    finally:
        await producer.stop()
    return {
        "latency_ms.p50": round(statistics.median(alone), 3),
        "latency_ms.p99": round(alone[int(0.99 * len(alone))], 3),
        "records_per_s": round(done / plan.floor_seconds),
    }


async def _alone(producer: Any, topic: str, seconds: float) -> list[float]:
    """Return the milliseconds of each append, one at a time."""
    took, end = [], time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        await producer.send_and_wait(topic, VALUE, partition=0, headers=HEADERS)
        took.append((time.perf_counter() - begun) * 1_000)
    return took


async def _together(producer: Any, topic: str, seconds: float) -> int:
    """Return how many appends were done by IN_FLIGHT that never wait for each other."""
    partitions = len(await producer.partitions_for(topic))
    end = time.perf_counter() + seconds

    async def one(number: int) -> int:
        done = 0
        while time.perf_counter() < end:
            await producer.send_and_wait(topic, VALUE, partition=number % partitions, headers=HEADERS)
            done += 1
        return done

    return sum(await asyncio.gather(*(one(number) for number in range(IN_FLIGHT))))


async def _consume(stack: Stack, topic: str, seconds: float) -> Trial:
    """Read the topic from its start, for at most so many seconds."""
    consumer = kafka.consumer(stack.settings)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(stack.settings.partitions)]
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        wanted = sum((await consumer.end_offsets(partitions)).values())
        done, begun = 0, time.perf_counter()
        while done < wanted and time.perf_counter() < begun + seconds:
            found = await consumer.getmany(timeout_ms=500, max_records=10_000)
            done += sum(map(len, found.values()))
        return {"records_per_s": round(done / (time.perf_counter() - begun)), "records": done}
    finally:
        await consumer.stop()


async def _copy_floor(run: Run, stack: Stack, plan: Plan) -> None:
    """Write rows of messages into a table with the service's own columns and indexes."""
    schema = f"bench_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(stack.settings.database())
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
        for statement in (messages.DEFINITION, *messages.INDEXES, *messages.LATE_INDEXES):
            await connection.execute(statement.format(schema=schema))
        await connection.execute("SET synchronous_commit = off")  # as the projections do
        number = 0
        for _ in range(plan.trials):
            done, begun = 0, time.perf_counter()
            while time.perf_counter() < begun + plan.floor_seconds:
                rows = [_row(number + each) for each in range(COPY_ROWS)]
                number += COPY_ROWS
                await connection.copy_records_to_table(
                    messages.TABLE, schema_name=schema, columns=messages.Row._fields, records=rows
                )
                done += COPY_ROWS
            run.add("parts", "COPY", {"rows_per_s": round(done / (time.perf_counter() - begun)), "rows": done})
    finally:
        await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await connection.close()


def _row(number: int) -> messages.Row:
    """Return the number-th message, of 10,000 conversations in turn."""
    seq, conversation = divmod(number, 10_000)
    return messages.Row(
        conversation_id=conversation,
        seq=seq,
        id=number,
        sender_id=conversation,
        sender_count=seq,
        content="x" * 100,
        content_type="text",
        client_id=f"bench-{number}",
        created_at=_NOW,
        record_offset=number,
    )
