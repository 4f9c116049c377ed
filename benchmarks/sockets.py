"""Loads on sockets: pairs that talk in three ways, one pair alone, and sockets that only wait.

A trial is what the load generator says (loadgen/result.go), with what the read tables say: `behind_s`, how far they
were behind the log, looked at once a second and the most of it, as the time in which so many messages come;
`caught_up_s` afterwards, until they had everything; `stored_lost` and `stored_doubled` against what was sent.
"""

import asyncio
from pathlib import Path

from benchmarks.loadgen import LoadGenerator, seconds, timing
from benchmarks.plan import Plan
from benchmarks.results import Run, Trial
from benchmarks.seeding import open_pairs, write_idle, write_pairs
from benchmarks.stack import Stack, caught_up

MODES = ("closed", "window", "open", "one pair")


class Talk:
    """Pairs on one system, and the loads that they make."""

    def __init__(self, stack: Stack, generator: LoadGenerator, plan: Plan, state: Path) -> None:
        self._stack = stack
        self._generator = generator
        self._plan = plan
        self._state = state

    @classmethod
    def seeded(cls, stack: Stack, generator: LoadGenerator, plan: Plan) -> "Talk":
        """Open the pairs' conversations; blocks."""
        conversations = open_pairs(stack, plan.pairs)
        return cls(stack, generator, plan, write_pairs(stack.home / "pairs.json", stack, conversations))

    async def trial(self, mode: str, *, measured: float | None = None) -> Trial:
        """Run one load of MODES and wait until the read tables have it too."""
        before = await self._stack.stored()
        async with self._stack.lag() as behind:
            async with asyncio.TaskGroup() as group:
                load = group.create_task(self._load(mode, measured or self._plan.seconds))
                most = 0
                while not load.done():
                    await asyncio.wait([load], timeout=1)
                    most = max(most, await behind())
            trial = {**load.result(), "caught_up_s": await caught_up(behind)}
        if rate := float(trial["delivered_per_s"]):
            trial["behind_s"] = round(most / rate, 2)
        stored, sent = await self._stack.stored() - before, int(trial["sent"])
        return {**trial, "stored_lost": max(0, sent - stored), "stored_doubled": max(0, stored - sent)}

    async def _load(self, mode: str, measured: float) -> Trial:
        plan = self._plan
        flags: dict[str, object] = {"mode": mode, "window": plan.window, "rate": plan.rate, "pairs": plan.pairs}
        if mode == "one pair":
            flags |= {"mode": "closed", "pairs": 1}
        return await self._generator.run(
            "run",
            self._stack.sockets,
            plan.warmup + measured,
            state=self._state,
            roots=self._stack.roots(),
            **flags,
            **timing(plan.warmup, measured),
        )


async def talk(run: Run, system: str, talking: Talk, plan: Plan, modes: tuple[str, ...] = MODES) -> None:
    """Take every trial, after one that does not count; modes take turns, so that no slow minute hits one alone."""
    await talking.trial("closed", measured=plan.heat)
    for _ in range(plan.trials):
        for mode in modes:
            run.add(system, mode, await talking.trial(mode))


async def wait_idly(stack: Stack, generator: LoadGenerator, sockets: int, settle: float, watch: float = 0) -> Trial:
    """Open sockets that only wait: memory of each, and with `watch` the processor at rest."""
    state = write_idle(stack.home / "idle.json", stack, sockets)
    trial = await generator.run(
        "idle",
        stack.sockets,
        settle + watch + sockets / 100,
        state=state,
        roots=stack.roots(),
        accounts=sockets,
        pairs=0,
        settle=seconds(settle),
        watch=seconds(watch),
    )
    if watch:
        trial["cpu_percent"] = round(float(trial["server_cpu_s"]) / watch * 100, 2)
        trial["edge_cpu_percent"] = round(float(trial["server_cpu_s_by_root.edge"]) / watch * 100, 2)
    return trial
