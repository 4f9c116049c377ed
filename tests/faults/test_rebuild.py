"""`chat rebuild` under load and killed in the middle; readers never go back in time."""

import asyncio
import random
import sys
from contextlib import suppress

import asyncpg

from infra.settings import Settings
from tests.faults import FULL, scaled
from tests.faults.workers import load, workers
from tests.histories import History
from tests.oracle import expected
from tests.projecting import LIVE, append, assert_same, caught_up, run_sql, tables, until

READS_PER_SECOND = 200


async def start_rebuild(settings: Settings) -> asyncio.subprocess.Process:
    assert settings.kafka_bootstrap_servers
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.cli", "rebuild",
        env={
            "PATH": "/usr/bin:/bin",
            "CHAT_HOME": str(settings.home),
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "DATABASE_URL": settings.database(),
        },
        cwd=settings.home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def read_on(settings: Settings, seen: list[int]) -> None:
    """Read the live tables as edges do, and note how far they are; it must never be less."""
    connection = await asyncpg.connect(settings.database())
    try:
        while True:
            schema = await connection.fetchval("SELECT schema_name FROM chat.generations WHERE state = 'live'")
            seen.append(await connection.fetchval(f"SELECT sum(next_offset) FROM {schema}.positions"))
            await asyncio.sleep(1 / READS_PER_SECOND)
    finally:
        await connection.close()


async def test_a_rebuild_killed_in_the_middle_goes_on_and_readers_never_go_back(settings: Settings) -> None:
    """8: the tables are the live ones', and a second rebuild's are the same."""
    history = History(random.Random(8), partitions=settings.partitions, pairs=scaled(40, 300), refused=False)
    await append(settings, history.steps(scaled(6_000, 100_000)))
    async with workers(settings, "one"):
        await until(settings, LIVE)
        async with load(settings, history, records=scaled(1_000, 20_000), seconds=scaled(5, 60)):
            killed = await start_rebuild(settings)
            await until(settings, "SELECT FROM chat_g2.positions WHERE next_offset > 0")
            killed.kill()
            await killed.wait()
            assert [row[0] for row in await run_sql(settings, "SELECT state FROM chat.generations ORDER BY id")] == [
                "live",
                "building",
            ]
            await _rebuilt(settings, 2)
        await caught_up(settings, history.log, "chat_g2")
        assert_same(await tables(settings, "chat_g2"), expected(history.log))
        if FULL:  # in short: tests/integration/test_projections_rebuild.py
            await _rebuilt(settings, 3)
            assert_same(await tables(settings, "chat_g3"), await tables(settings, "chat_g2"))


async def _rebuilt(settings: Settings, number: int) -> None:
    seen: list[int] = []
    reading = asyncio.ensure_future(read_on(settings, seen))
    process = await start_rebuild(settings)
    try:
        async with asyncio.timeout(scaled(90, 600)):
            said, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0, said.decode()
    assert f"generation {number} is live" in said.decode()
    assert not reading.done(), "a read failed"
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert seen == sorted(seen), "a read went back in time"
