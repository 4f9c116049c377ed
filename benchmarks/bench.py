"""The parts of a run: what each starts, measures and takes down again.

A part that fails or takes too long becomes a line in the results, and the others go on. Which parts a run has and
where its results go is in __main__.py.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bare_sockets import socket_floors
from benchmarks.floors import server_floors
from benchmarks.loadgen import LoadGenerator
from benchmarks.loops import on_uvloop
from benchmarks.plan import Plan
from benchmarks.reconnecting import TWO_EDGES, reconnect
from benchmarks.rest import MEASURES, Asking, Population, ask, ask_deep, compare_with_stored, heat, populate
from benchmarks.results import Run
from benchmarks.sockets import Talk, talk, wait_idly
from benchmarks.stack import FLUSHED, REPLICATED, UNFLUSHED, Variant, started
from benchmarks.targets import CHAT, NO_CACHES


@dataclass(kw_only=True)
class Bench:
    """What every part works with; `home` is a directory that is thrown away at the end."""

    run: Run
    plan: Plan
    generator: LoadGenerator
    home: Path
    say: Callable[[str], None]
    population: Population | None = None

    async def part(self, name: str, work: Callable[["Bench"], Awaitable[None]], within: float) -> None:
        """Do one part within its time; what goes wrong is said and kept."""
        self.say(name)
        self.run.parts.append(name)
        try:
            async with asyncio.timeout(within):
                await work(self)
        except Exception as error:  # noqa: BLE001 - it is kept in the results, and the exit status tells
            told = str(error) or ("it took too long" if isinstance(error, TimeoutError) else type(error).__name__)
            self.run.failures.append(f"{name}: {told}".replace(str(self.home), "the run's home"))
            self.say(f"{name} failed: {told}")


async def floors(bench: Bench) -> None:
    """What the parts could do at most."""
    bench.run.systems["bare socket"] = "nothing: uvicorn hands each frame on"
    bench.run.systems["null relay"] = "nothing: the load generator's own server hands each frame on"
    await socket_floors(bench.run, bench.generator, bench.plan, bench.home)
    async with started(bench.home / "floors") as stack:
        await server_floors(bench.run, stack, bench.plan)


async def sockets(bench: Bench) -> None:
    """Pairs that talk, on the system as it is by default."""
    bench.run.systems[CHAT] = FLUSHED.promise
    async with started(bench.home / "chat") as stack:
        await talk(
            bench.run, CHAT, await asyncio.to_thread(Talk.seeded, stack, bench.generator, bench.plan), bench.plan
        )


async def requests(bench: Bench) -> None:
    """Requests over many conversations, with caches and without, and pages of a long history."""
    run, plan = bench.run, bench.plan
    async with started(bench.home / "chat") as stack:
        bench.population = there = await populate(stack, plan)
        asking = Asking(stack, bench.generator, plan)
        for name in MEASURES:
            await heat(asking, name, there, plan)
            await stack.caught_up()
            before = await stack.stored()
            await ask(run, CHAT, asking, there, plan, [name])
            if name == "send":
                await compare_with_stored(run, CHAT, stack, before)
    if not plan.thorough:
        return
    run.systems[NO_CACHES] = "the same as chat; edges keep no answers (CHAT_CACHES=0)"
    async with started(bench.home / "chat", CHAT_CACHES="0") as stack:
        asking = Asking(stack, bench.generator, plan)
        for name in ("history", "list"):
            await heat(asking, name, there, plan)
            await ask(run, NO_CACHES, asking, there, plan, [name])
        await ask_deep(run, NO_CACHES, asking, there, plan)


async def rest(bench: Bench) -> None:
    """The system that nobody asks anything: its start and its memory, with what the other parts have left in it."""
    home = bench.home / "chat"
    if not home.exists():
        async with started(home):
            pass
    for _ in range(bench.plan.starts):
        async with started(home) as stack:
            bench.run.add(CHAT, "start", {"seconds": stack.start_seconds})
            bench.run.add(CHAT, "memory", await wait_idly(stack, bench.generator, 0, bench.plan.settle))


async def idle(bench: Bench) -> None:
    """Sockets that wait, on a system that has done nothing yet: what it let go of would hide what they need."""
    run, plan, generator = bench.run, bench.plan, bench.generator
    for _ in range(plan.starts):
        async with started(bench.home / "idle") as stack:
            run.add(CHAT, "idle", await wait_idly(stack, generator, plan.sockets, plan.settle, plan.rest_seconds))
            run.add(CHAT, "rest", await wait_idly(stack, generator, plan.rest_sockets, plan.settle, plan.rest_seconds))


async def reconnecting(bench: Bench) -> None:
    """Clients that come back at once after their edge was killed."""
    for _ in range(bench.plan.starts):
        async with started(bench.home / "reconnecting", TWO_EDGES) as stack:
            bench.run.add(CHAT, "reconnect", await on_uvloop(reconnect(stack, bench.plan)))
        shutil.rmtree(bench.home / "reconnecting")


async def variants(bench: Bench) -> None:
    """The same talk where an acknowledgement promises less, or more."""
    for variant in (UNFLUSHED, REPLICATED):
        await vary(bench, variant, ("closed", "window", "open"))


async def vary(bench: Bench, variant: Variant, modes: tuple[str, ...], **environ: str) -> None:
    """Let pairs talk on a system that is started another way."""
    bench.run.systems[variant.name] = variant.promise
    async with started(bench.home / variant.name.replace(" ", "-").replace(",", ""), variant, **environ) as stack:
        talking = await asyncio.to_thread(Talk.seeded, stack, bench.generator, bench.plan)
        await talk(bench.run, variant.name, talking, bench.plan, modes)
