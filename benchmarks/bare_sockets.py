"""Loads on servers that do nothing: the bare socket server, and the generator's own null relay.

The first is the floor of our socket software, the second shows where the load generator is the limit.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.loadgen import LoadGenerator, timing
from benchmarks.plan import Plan
from benchmarks.results import Run
from benchmarks.seeding import write_nobodies
from infra.child import Child
from infra.embedded.ports import free_ports
from infra.part import Part

MODES = {"closed": "closed", "window": "window", "open": "open", "one pair": "closed"}


async def socket_floors(run: Run, generator: LoadGenerator, plan: Plan, home: Path) -> None:
    """Talk through both servers as the service's own pairs do."""
    state = write_nobodies(home / "nobodies.json", plan.pairs)
    (port,) = free_ports(1)
    modes = MODES if plan.thorough else {name: MODES[name] for name in ("closed", "one pair")}
    servers = {
        "bare socket": (sys.executable, "-m", "benchmarks.echo_server", str(port)),
        "null relay": (str(generator.binary), "relay", f"-listen=127.0.0.1:{port}"),
    }
    for system, command in servers.items():
        async with _serving(system, command, port, home) as pid:
            for _ in range(plan.trials):
                for name, mode in modes.items():
                    trial = await generator.run(
                        "run",
                        f"ws://127.0.0.1:{port}",
                        1 + plan.floor_seconds,
                        state=state,
                        roots=f"server={pid}",
                        mode=mode,
                        pairs=1 if name == "one pair" else plan.pairs,
                        window=plan.window,
                        rate=plan.rate,
                        **timing(1, plan.floor_seconds),
                    )
                    run.add(system, name, trial)


@asynccontextmanager
async def _serving(name: str, command: tuple[str, ...], port: int, home: Path) -> AsyncIterator[int]:
    """Run a server until the block ends; its process id."""

    async def listens() -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

    child = await Child.start(Part(name=name, command=command, log=home / f"{name}.log", ready=listens))
    try:
        await child.ready()
        yield child.identity.pid
    finally:
        await asyncio.shield(child.stop())
