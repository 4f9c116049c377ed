"""Projection workers that are killed, stopped, crowded and alone: the tables stay those of the log."""

import asyncio
import random
import signal

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from infra import log_start
from infra.settings import Settings
from projections.changes import Changes
from projections.lane import Lane
from tests.faults import FULL, scaled
from tests.faults.workers import load, supervised, workers
from tests.histories import History
from tests.oracle import expected
from tests.projecting import LIVE, append, assert_same, caught_up, run_sql, tables, until, working


def history_of(settings: Settings, seed: int) -> History:
    return History(random.Random(seed), partitions=settings.partitions, pairs=scaled(30, 300))


async def test_workers_killed_again_and_again(settings: Settings) -> None:
    """1: kill -9, also during the rebalance that the one before has caused: one of them has no name."""
    history, chance = history_of(settings, 1), random.Random(1)
    await append(settings, history.steps(200))
    async with workers(settings, "one", nameless=1) as two:
        await until(settings, LIVE)
        kills = scaled(3, 20)
        async with load(settings, history, records=scaled(5_000, 100_000), seconds=kills * 2.5):
            for _ in range(kills):
                await asyncio.sleep(chance.choice([0.5, 2.0, 4.0]))
                victim = chance.choice(two)
                victim.kill()
                await victim.ended()
                await victim.start()
        await caught_up(settings, history.log)
    assert_same(await tables(settings), expected(history.log))
    seqs = await run_sql(
        settings, "SELECT FROM chat_g1.messages GROUP BY conversation_id HAVING max(seq) <> count(*) OR min(seq) <> 1"
    )
    assert not seqs


async def test_a_worker_stopped_past_its_session_writes_nothing_when_it_goes_on(settings: Settings) -> None:
    """2: another takes over within 15 s."""
    history = history_of(settings, 2)
    await append(settings, history.steps(500))
    async with workers(settings, "stopped", "other") as (stopped, _):
        await until(settings, LIVE)
        await _shared(settings, 2)
        async with load(settings, history, records=scaled(1_000, 20_000), seconds=12):
            await asyncio.sleep(1)
            stopped.signal(signal.SIGSTOP)
            await asyncio.sleep(1)  # what is appended meanwhile nobody reads
            assert 1 + await _seconds_until_all_advance(settings, history) < 15
            stopped.signal(signal.SIGCONT)
        await caught_up(settings, history.log)
        assert stopped.runs, stopped.said()
    assert_same(await tables(settings), expected(history.log))


async def _shared(settings: Settings, members: int) -> None:
    """Wait until so many workers have partitions, and none is still coming."""
    admin = AIOKafkaAdminClient(**settings.kafka_options())
    await admin.start()
    try:
        async with asyncio.timeout(30):
            while True:
                (answer,) = await admin.describe_consumer_groups(["chat-projections-g1"])
                ((_, _, state, _, _, found, *_),) = answer.groups
                if (state, len(found)) == ("Stable", members):
                    return
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def _seconds_until_all_advance(settings: Settings, history: History) -> float:
    """Return how long it takes until everything that is in the log now is in the tables."""
    begun = asyncio.get_running_loop().time()
    await caught_up(settings, {partition: list(entries) for partition, entries in history.log.items()})
    return asyncio.get_running_loop().time() - begun


@pytest.mark.parametrize("at", [1, 3] if FULL else [2])
async def test_an_exception_in_the_handler_skips_no_record(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """3: it ends the worker, and the next one goes on at the same record."""
    history = history_of(settings, 3)
    await append(settings, history.steps(300))
    apply, calls = Lane._apply, iter(range(1, 1_000_000))

    async def failing(*arguments: object, **options: object) -> Changes:
        if next(calls) == at:
            raise ZeroDivisionError("a mistake of ours")
        return await apply(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Lane, "_apply", failing)
    with pytest.raises(ZeroDivisionError):
        async with working(settings, "one") as task, asyncio.timeout(30):
            await asyncio.wait([task])
    async with working(settings, "one"):
        await caught_up(settings, history.log)
    assert_same(await tables(settings), expected(history.log))


async def test_one_worker_then_many_more_than_partitions_then_one(settings: Settings) -> None:
    """13: they share, and nothing is lost or doubled while they come and go."""
    history = history_of(settings, 4)
    await log_start.ensure(settings)
    names = [f"worker-{number}" for number in range(settings.partitions + 1)]
    async with workers(settings, "first") as (first,):
        await until(settings, LIVE)
        async with load(settings, history, records=scaled(2_000, 50_000), seconds=scaled(7, 10)):
            async with workers(settings, *names):
                await asyncio.sleep(scaled(5, 7))
            assert first.runs, first.said()
        await caught_up(settings, history.log)
    assert_same(await tables(settings), expected(history.log))


async def test_a_killed_worker_has_its_partitions_back_at_once(settings: Settings) -> None:
    """By its name, without waiting for the session to end."""
    history = history_of(settings, 5)
    await append(settings, history.steps(200))
    async with workers(settings, "one") as (one,), supervised(one):
        await until(settings, LIVE)
        one.kill()
        await append(settings, history.steps(200))
        assert await _seconds_until_all_advance(settings, history) < 9
    assert_same(await tables(settings), expected(history.log))
