"""Postgres and the log away, cut, restored and made anew: noticed, refused with what to do, or caught up."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from infra import log_start
from infra.child import Child
from infra.embedded.postgres import prepare_postgres
from infra.settings import Settings
from projections.refusal import Refusal
from schemas import topics
from tests.faults import scaled
from tests.faults.workers import load, supervised, workers
from tests.histories import History
from tests.oracle import TABLES, expected
from tests.projecting import LIVE, append, assert_same, caught_up, run_sql, tables, until, working
from tests.support.servers import Servers, forget_topics


class Postgres:
    """A server of its own, to be killed and stopped."""

    def __init__(self, home: Path) -> None:
        prepared = prepare_postgres(home / "postgres", home / "logs", progress=lambda _: None)
        self.url, self._part = prepared.url, prepared.part
        self._child: Child | None = None

    async def start(self) -> None:
        self._child = await Child.start(self._part)
        await self._child.ready()

    async def kill(self) -> None:
        """Kill the server, and wait for those that serve connections: no other starts before they have noticed."""
        assert self._child is not None
        serving = psutil.Process(self._child.identity.pid).children(recursive=True)
        self._child.kill()
        await self._child.ended()
        await asyncio.to_thread(psutil.wait_procs, serving, timeout=30)

    def freeze(self, number: signal.Signals) -> None:
        """Send a signal to the server and all that serve connections."""
        assert self._child is not None
        server = psutil.Process(self._child.identity.pid)
        for process in (server, *server.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # what was killed while it stood still ends when the others go on
                process.send_signal(number)

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop()


@pytest.fixture
async def postgres(home: Path) -> AsyncIterator[Postgres]:
    server = Postgres(home / "of-faults")
    await server.start()
    yield server
    await server.stop()


async def test_postgres_killed_and_stopped_under_load_and_while_partitions_are_assigned(
    settings: Settings, postgres: Postgres
) -> None:
    """4: the worker waits, or ends and is started again; then everything is right."""
    settings = replace(settings, database_url=postgres.url)
    await run_sql(settings, "DROP SCHEMA IF EXISTS chat, chat_g1 CASCADE")
    history = History(random.Random(1), partitions=settings.partitions, pairs=20)
    await append(settings, history.steps(200))
    async with workers(settings, "one") as (one,), supervised(one):
        await until(settings, LIVE)
        async with load(settings, history, records=scaled(1_500, 30_000), seconds=scaled(8, 150)):
            await postgres.kill()
            await asyncio.sleep(scaled(1, 20))
            await postgres.start()
            await asyncio.sleep(2)
            postgres.freeze(signal.SIGSTOP)
            one.kill()  # what comes in its place is assigned its partitions meanwhile
            await asyncio.sleep(scaled(4, 60))
            postgres.freeze(signal.SIGCONT)
        await caught_up(settings, history.log)
    assert_same(await tables(settings), expected(history.log))


async def test_what_a_killed_postgres_has_lost_is_written_again_though_nothing_more_comes(
    settings: Settings, postgres: Postgres
) -> None:
    """4: rows and position were committed, and were not on the disk yet."""
    settings = replace(settings, database_url=postgres.url)
    await run_sql(settings, "DROP SCHEMA IF EXISTS chat, chat_g1 CASCADE")
    history = History(random.Random(17), partitions=settings.partitions)
    await append(settings, history.steps(100))
    async with working(settings):
        await until(settings, LIVE)
        for _ in range(scaled(2, 20)):
            await append(settings, history.steps(10))
            await caught_up(settings, history.log)
            await postgres.kill()
            await postgres.start()
            await caught_up(settings, history.log)
    assert_same(await tables(settings), expected(history.log))


async def test_a_log_that_was_cut_before_the_tables_is_refused(settings: Settings) -> None:
    """11: retention, or an operator, took records that the tables do not have."""
    history = await _projected(settings, 11)
    await append(settings, history.steps(300))
    partition, entries = max(history.log.items(), key=lambda item: len(item[1]))
    admin = AIOKafkaAdminClient(**settings.kafka_options())
    await admin.start()
    place = TopicPartition(*partition)
    await admin.delete_records({place: RecordsToDelete(len(entries) - 1)})
    await admin.close()

    await _refused(settings, f"the tables stand at offset .*, and the log has {len(entries) - 1} to {len(entries)}")


async def test_a_log_made_anew_is_refused(settings: Settings, servers: Servers) -> None:
    """11: by its epoch, whatever it holds."""
    await _projected(settings, 12)
    await forget_topics(servers)
    other = History(random.Random(99), partitions=settings.partitions, first_id=7)
    await append(settings, other.steps(600))

    await _refused(settings, "the tables were made from the log with epoch .*, and this one's is")


async def test_a_topic_made_anew_and_written_on_is_refused(settings: Settings) -> None:
    """11: the epoch is the same; the records that were applied last are not there, or others are in their place."""
    history = await _projected(settings, 13)
    admin = AIOKafkaAdminClient(**settings.kafka_options())
    await admin.start()
    await admin.delete_topics([topics.CONVERSATIONS])
    await admin.close()
    await asyncio.sleep(1)
    await log_start.ensure(settings)
    other = History(random.Random(98), partitions=settings.partitions, first_id=8)
    entries = other.steps(900)
    await append(settings, [entry for entry in entries if entry.topic == topics.CONVERSATIONS])

    await _refused(settings, "was ce-.* when it was applied, and is|the tables stand at offset")

    # What the refusal says: an empty database. Of the topics that are as they were, the history has the records.
    await run_sql(settings, "DROP SCHEMA chat, chat_g1 CASCADE")
    log = {place: (other if place.topic == topics.CONVERSATIONS else history).log[place] for place in history.log}
    async with working(settings):
        await caught_up(settings, log)
        await until(settings, LIVE)
    assert_same(await tables(settings), expected(log))


@pytest.mark.parametrize("running", [True, False][: scaled(1, 2)])
async def test_postgres_restored_from_an_older_backup_catches_up(settings: Settings, *, running: bool) -> None:
    """11: rows and positions go back together, and the log has the rest."""
    history = await _projected(settings, 14)
    for table in TABLES:
        await run_sql(settings, f"CREATE TABLE public.backup_{table} AS TABLE chat_g1.{table}")
    async with working(settings):
        await append(settings, history.steps(400))
        await caught_up(settings, history.log)
    restore = "".join(
        f"DELETE FROM chat_g1.{table}; INSERT INTO chat_g1.{table} SELECT * FROM public.backup_{table};"
        for table in TABLES
    )

    async def restored() -> None:
        connection = await asyncpg.connect(settings.database())
        await connection.execute(restore)
        await connection.close()

    if not running:
        await restored()
    async with working(settings):
        if running:
            await append(settings, history.steps(50))
            await caught_up(settings, history.log)
            await restored()
        await caught_up(settings, history.log)
    assert_same(await tables(settings), expected(history.log))


async def _projected(settings: Settings, seed: int) -> History:
    history = History(random.Random(seed), partitions=settings.partitions, pairs=8)
    await append(settings, history.steps(400))
    async with working(settings):
        await caught_up(settings, history.log)
    return history


async def _refused(settings: Settings, why: str) -> None:
    """A worker must refuse, and leave the tables as they are."""
    before = await tables(settings)
    with pytest.raises(Refusal, match=why):
        async with working(settings) as task, asyncio.timeout(40):
            await asyncio.wait([task])
    assert_same(await tables(settings), before)
