"""What tests of projections do: append records, run a worker, wait, and take all tables out."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from infra import kafka, log_start
from infra.log_reader import LogReader
from infra.settings import Settings
from projections import faust_worker, worker
from projections.log import PROJECTED
from schemas.ids import Partition
from schemas.times import write_time
from tests.histories import Entry
from tests.oracle import TABLES, Tables, expected

CAUGHT_UP_SECONDS = 60.0

LIVE = "SELECT FROM chat.generations WHERE state = 'live'"
"""Has a row once there is a live generation."""

_COLUMNS = {"dead_letters": "topic, partition, record_offset"}


async def append(settings: Settings, entries: Iterable[Entry]) -> None:
    """Write records where they belong, and check that they came to lie there."""
    await log_start.ensure(settings)
    producer = kafka.producer(settings)
    await producer.start()
    try:
        sent = [(entry, await send(producer, entry)) for entry in entries]
        for entry, future in sent:
            assert (await future).offset == entry.offset
    finally:
        await producer.stop()


async def send(producer: Any, entry: Entry) -> Any:
    """Give a record to a producer, and return its future."""
    return await producer.send(
        entry.topic, entry.value, key=entry.key, partition=entry.partition, headers=list(entry.headers)
    )


@asynccontextmanager
async def working(settings: Settings, instance: str | None = None) -> AsyncIterator["asyncio.Task[None]"]:
    """Run a worker in this process; at the end it stops in order, and what it raised is raised.

    Unlike a worker's own this process goes on: Faust has the time to let go of all it has, in a rebuild meanwhile too.
    """
    stop = asyncio.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faust_worker, "STOP_SECONDS", 10)
        task = asyncio.ensure_future(worker.work(settings, instance, stop))
        try:
            yield task
        finally:
            stop.set()
            async with asyncio.timeout(20):
                await task


async def caught_up(settings: Settings, log: Mapping[Partition, Sequence[Any]], schema: str = "chat_g1") -> None:
    """Wait until the tables stand at the ends of these partitions."""
    wanted = {partition: len(entries) for partition, entries in log.items()}
    stored: dict[Partition, int] = {}
    connection = await asyncpg.connect(settings.database())
    try:
        async with asyncio.timeout(CAUGHT_UP_SECONDS):
            while any(stored.get(partition, 0) < end for partition, end in wanted.items()):
                await asyncio.sleep(0.02)
                try:
                    rows = await connection.fetch(f"SELECT topic, partition, next_offset FROM {schema}.positions")
                except asyncpg.UndefinedTableError:
                    continue
                stored = {Partition(row[0], row[1]): row[2] for row in rows}
    except TimeoutError:
        raise AssertionError(f"the tables stand at {stored}, and not at {wanted}") from None
    finally:
        await connection.close()


async def run_sql(settings: Settings, sql: str) -> list[Any]:
    """Run a statement on a connection of its own."""
    connection = await asyncpg.connect(settings.database())
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


async def states(settings: Settings) -> dict[int, str]:
    """Return the state of each generation by its number."""
    return {row[0]: row[1] for row in await run_sql(settings, "SELECT id, state FROM chat.generations")}


async def until(settings: Settings, sql: str) -> None:
    """Wait until a query returns a row."""
    async with asyncio.timeout(CAUGHT_UP_SECONDS):
        while True:
            try:
                if await run_sql(settings, sql):
                    return
            except asyncpg.UndefinedTableError:
                pass
            await asyncio.sleep(0.05)


async def tables(settings: Settings, schema: str = "chat_g1") -> Tables:
    """Return all rows of all tables of a generation."""
    return await tables_at(settings.database(), schema)


async def tables_at(url: str, schema: str = "chat_g1") -> Tables:
    """Return all rows of all tables, times as text; positions at which nothing was applied are left out."""
    connection = await asyncpg.connect(url)
    try:
        found: Tables = {}
        for table in TABLES:
            rows = await connection.fetch(f"SELECT {_COLUMNS.get(table, '*')} FROM {schema}.{table}")
            found[table] = {tuple(_text(value) for value in row) for row in rows}
            assert len(found[table]) == len(rows), f"{table} has rows twice"
    finally:
        await connection.close()
    found["positions"] = {row for row in found["positions"] if row[2]}
    return found


def assert_same(found: Tables, wanted: Tables) -> None:
    """Compare table by table, so that a difference can be read."""
    for table in TABLES:
        missing, extra = (
            sorted(rows, key=repr) for rows in (wanted[table] - found[table], found[table] - wanted[table])
        )
        wrong = f"{table}: {len(missing)} rows are missing, {len(extra)} should not be there: "
        assert (missing, extra) == ([], []), wrong + f"{missing[:3]}; {extra[:3]}"


async def assert_as_the_log(settings: Settings) -> None:
    """Hold the live tables against what lies in Kafka, once nothing is written any more."""
    async with asyncio.timeout(CAUGHT_UP_SECONDS):
        while True:
            log = await the_log(settings)
            (live,) = await run_sql(settings, "SELECT schema_name FROM chat.generations WHERE state = 'live'")
            await caught_up(settings, log, live[0])
            found, wanted = await tables(settings, live[0]), expected(log)
            if found["positions"] == wanted["positions"]:
                return assert_same(found, wanted)


async def the_log(settings: Settings) -> dict[Partition, list[Any]]:
    """Return all records of the projected topics, of which none may be compacted away yet."""
    reader = LogReader(settings)
    await reader.start()
    try:
        known = await log_start.identity(reader)
        assert known is not None
        partitions = [Partition(topic, number) for topic in PROJECTED for number in range(known.partitions)]
        ends = await reader.ends(partitions)
        log: dict[Partition, list[Any]] = {partition: [] for partition in partitions}
        reader.read_from(dict.fromkeys(partitions, 0))
        while any(len(log[partition]) < end for partition, end in ends.items()):
            for partition, records in (await reader.records(wait=1, most=10_000)).items():
                log[partition] += records
    finally:
        await reader.stop()
    return log


def _text(value: Any) -> Any:
    return write_time(value) if isinstance(value, datetime) else value
