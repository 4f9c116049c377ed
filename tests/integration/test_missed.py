"""gateway/resuming/missed.py: what its queries find in the real tables is what a plain reading of the log finds."""

import json
import random
from typing import Any

import pytest

from command_api.service import WriteSide
from gateway.resuming.missed import FIRST_PAGE, TooMuch, missed
from gateway.sockets.session import Given, Slot
from infra import kafka
from infra.settings import Settings
from schemas.envelope import seal
from schemas.ids import Partition
from schemas.topics import CONVERSATIONS
from tests.support.user_log import OTHERS, TIME, USER, World
from tests.support.write_sides import PATIENCE_SECONDS, serving_tables, worker, write_side

RECORDS = 1_500
STARTS = 40


def history(pick: random.Random, partitions: int) -> World:
    """Return three conversations in which everything happens, again and again."""
    world = World(partitions)
    for step in range(RECORDS):
        other, mine = pick.choice(OTHERS), pick.random() < 0.5
        # The third is opened late, and none is blocked for long.
        if other != OTHERS[2] or step > RECORDS // 2:
            world.open(other)
        match pick.choices(("send", "read", "block", "unblock"), (20, 4, 1, 8))[0]:
            case "send":
                world.send(other, by_user=mine)
            case "read":
                world.read(other, by_user=mine)
            case what:
                world.block(other, by_user=mine, blocks=what == "block")
    # Two of them end under a block, with a read behind it that is nobody else's business.
    for other, mine in zip(OTHERS, (True, False), strict=False):
        for blocker in (True, False):
            world.block(other, by_user=blocker, blocks=False)
        world.send(other, by_user=True)
        world.block(other, by_user=mine, blocks=True)
        world.read(other, by_user=False)
    return world


async def write(settings: Settings, world: World) -> None:
    """Append the history as it lies there."""
    producer = kafka.producer(settings)
    await producer.start()
    try:
        for entry in (entry for entries in world.log for entry in entries):
            event: Any = entry.event
            sealed = seal(event, ce_id=str(entry.position), source="/chat/edges/test", time=TIME)
            written = await producer.send_and_wait(
                CONVERSATIONS,
                sealed.value,
                key=sealed.key,
                partition=entry.partition.partition,
                headers=sealed.headers,
            )
            assert written.offset == entry.offset
    finally:
        await producer.stop()


def told(given: list[Given]) -> list[dict[str, Any]]:
    """Return the frames as a client reads them."""
    return [json.loads(one.frame) for one in given if not isinstance(one.frame, Slot)]


async def check(side: WriteSide, world: World, start: dict[int, int]) -> int:
    """Ask both, and return how much there was."""
    async with side.edge.tables.snapshot() as snapshot:
        found = await missed(snapshot, USER, start)
    assert told(found) == told(await world.missed(world.end(), USER, start))
    assert [one[:2] for one in found] == sorted(one[:2] for one in found)
    return len(found)


async def test_rows_since_any_cursor_are_those_of_the_log(
    module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pick = random.Random(7)
    async with write_side(module_settings) as side, worker(module_settings):
        await serving_tables(side)
        world = history(pick, side.edge.partitions)
        await write(module_settings, world)
        ends = world.end()
        positions = {Partition(CONVERSATIONS, number): end for number, end in ends.items()}
        assert await side.edge.tables.passed(positions, PATIENCE_SECONDS)
        counts = [await check(side, world, {n: pick.randint(0, end) for n, end in ends.items()}) for _ in range(STARTS)]
        assert max(counts) > 4 * FIRST_PAGE, "no start was far enough back to need several pages"
        assert await check(side, world, ends) == 0
        begins = dict.fromkeys(ends, 0)
        assert await check(side, world, begins) > 0
        for bound in ("MOST_MESSAGES", "MOST_CHARACTERS"):
            with monkeypatch.context() as patched:
                patched.setattr(f"gateway.resuming.missed.{bound}", 100)
                with pytest.raises(TooMuch):
                    await check(side, world, begins)
