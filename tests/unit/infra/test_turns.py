"""infra/turns.py: who goes together, and that nobody who gave up stops the others."""

import asyncio

from infra.turns import Turns
from tests.support.live_parts import settle


class Walk:
    """One who takes a turn, and stays until told to leave."""

    def __init__(self, turns: Turns) -> None:
        self.inside = False
        self._leave = asyncio.Event()
        self._turns = turns
        self.task = asyncio.create_task(self._go())

    async def _go(self) -> None:
        async with self._turns:
            self.inside = True
            await self._leave.wait()
        self.inside = False

    async def end(self) -> None:
        """Leave; who is let in by that has not run yet."""
        self._leave.set()
        await self.task


async def test_all_who_wait_go_together_once_all_before_them_are_back() -> None:
    turns = Turns()
    first, *waiting = [Walk(turns) for _ in range(3)]
    await settle()
    assert first.inside
    assert not any(walk.inside for walk in waiting)
    await first.end()
    await settle()
    assert all(walk.inside for walk in waiting)
    late = Walk(turns)
    await waiting[0].end()
    await settle()
    assert not late.inside
    await waiting[1].end()
    await settle()
    assert late.inside
    await late.end()


async def test_who_was_inside_is_behind_those_who_waited() -> None:
    turns = Turns()
    order = []

    async def go(name: str, times: int) -> None:
        for _ in range(times):
            async with turns:
                order.append(name)
                await asyncio.sleep(0)

    await asyncio.gather(go("a", 3), go("b", 2))
    assert order == ["a", "b", "a", "b", "a"]


async def test_who_gives_up_while_waiting_is_not_waited_for() -> None:
    turns = Turns()
    first, gives_up, last = (Walk(turns) for _ in range(3))
    await settle()
    gives_up.task.cancel()
    await settle()
    await first.end()
    await settle()
    assert last.inside
    await last.end()


async def test_who_gives_up_when_let_in_leaves_the_turn_to_the_next() -> None:
    turns = Turns()
    first, let_in = Walk(turns), Walk(turns)
    await settle()
    await first.end()
    let_in.task.cancel()
    await settle()
    last = Walk(turns)
    await settle()
    assert last.inside
    await last.end()
