"""Ids come out of leased blocks: never the same twice, and without waiting as long as leases come in time."""

import asyncio
from typing import cast

import pytest

from command_api.ids import Ids
from infra.appender import Appender
from infra.memory import Entry
from schemas.errors import Unavailable
from schemas.events import AnyEvent, IdsLeased
from schemas.ids import BLOCK_SIZE, Partition
from schemas.judge import COUNTED


class Log:
    """`chat.ids` without Kafka: a lease gets the next offset, as soon as the log is there."""

    def __init__(self, begin: int = 1) -> None:
        self.end = begin
        self.there = asyncio.Event()
        self.there.set()

    async def append_and_observe(self, event: AnyEvent) -> Entry:
        assert isinstance(event, IdsLeased)
        await self.there.wait()
        self.end += 1
        return Entry(Partition(event.topic, 0), self.end - 1, 0, "id", event, COUNTED)


def ids_of(log: object) -> Ids:
    return Ids(cast(Appender, log), "edge-1")


async def take(ids: Ids, count: int) -> list[int]:
    taken = []
    for _ in range(count):
        await ids.ready()
        taken.append(ids.take())
    return taken


async def test_a_lease_at_offset_n_is_block_n() -> None:
    assert await take(ids_of(Log(begin=7)), 3) == [7_000, 7_001, 7_002]


async def test_blocks_follow_each_other_and_nothing_is_given_twice() -> None:
    log = Log()
    first, second = ids_of(log), ids_of(log)
    mine, theirs = await asyncio.gather(take(first, 3 * BLOCK_SIZE), take(second, 3 * BLOCK_SIZE))
    assert len({*mine, *theirs}) == 6 * BLOCK_SIZE
    assert mine == sorted(mine)


async def test_the_next_block_is_there_before_the_last_one_is_used_up() -> None:
    log = Log()
    ids = ids_of(log)
    await take(ids, BLOCK_SIZE // 2 + 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    log.there.clear()
    assert len(await take(ids, BLOCK_SIZE)) == BLOCK_SIZE


async def test_many_who_wait_lease_one_block() -> None:
    log = Log()
    log.there.clear()
    ids = ids_of(log)
    waiting = [asyncio.ensure_future(take(ids, 1)) for _ in range(100)]
    await asyncio.sleep(0)
    log.there.set()
    taken = [number for numbers in await asyncio.gather(*waiting) for number in numbers]
    assert sorted(taken) == list(range(BLOCK_SIZE, BLOCK_SIZE + 100))
    assert log.end == 2


async def test_a_log_that_is_away_refuses_and_is_asked_again() -> None:
    class Away(Log):
        away = True

        async def append_and_observe(self, event: AnyEvent) -> Entry:
            if self.away:
                raise Unavailable("away")
            return await super().append_and_observe(event)

    log = Away()
    ids = ids_of(log)
    with pytest.raises(Unavailable):
        await ids.ready()
    log.away = False
    assert await take(ids, 1) == [BLOCK_SIZE]


async def test_who_gives_up_waiting_takes_the_lease_from_nobody() -> None:
    log = Log()
    log.there.clear()
    ids = ids_of(log)
    impatient, patient = asyncio.ensure_future(take(ids, 1)), asyncio.ensure_future(take(ids, 1))
    await asyncio.sleep(0)
    impatient.cancel()
    log.there.set()
    assert await patient == [BLOCK_SIZE]


def test_nobody_takes_without_being_ready() -> None:
    with pytest.raises(RuntimeError, match="without ready"):
        ids_of(Log()).take()
