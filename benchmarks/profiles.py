"""Where the processor time goes: py-spy on an edge and on the worker under the closed loop.

A flame graph of each is kept beside the results, and a list of the functions that cost the most by themselves.
"""

import asyncio
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.processes import output
from benchmarks.sockets import Talk
from benchmarks.stack import Stack, started
from infra.part import StartError

PARTS = {"edge": "edge-1", "worker": "worker-1"}
SECONDS = 10
MOST = 10


async def profile(bench: Bench) -> None:
    """Record both processes twice each, for the list and for the graph; StartError when there is no py-spy."""
    spy = find_spy()
    async with started(bench.home / "profile") as stack:
        talking = await asyncio.to_thread(Talk.seeded, stack, bench.generator, bench.plan)
        load = asyncio.create_task(talking.trial("closed", measured=3 * SECONDS))
        try:
            await asyncio.sleep(bench.plan.warmup + 2)
            for form in ("raw", "flamegraph"):
                await asyncio.gather(*(_record(spy, stack, bench, name, form) for name in PARTS))
        finally:
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
    for name in PARTS:
        for function, percent in costs((bench.home / f"{name}.raw").read_text(encoding="utf-8")):
            bench.run.add("profile", name, {"function": function, "percent": percent})


def find_spy() -> str:
    """Return py-spy, from the search path or from beside this Python."""
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        raise StartError("py-spy is not here: pip install py-spy")
    return spy


async def _record(spy: str, stack: Stack, bench: Bench, name: str, form: str) -> None:
    """Sample one process, threads that wait left out."""
    file = bench.home / (f"{name}.raw" if form == "raw" else f"{name}.svg")
    told = ["--format", form, "--duration", str(SECONDS), "--rate", "200", "--output", str(file)]
    await output([spy, "record", "--pid", str(stack.process(PARTS[name])), *told], SECONDS + 60)
    if form == "flamegraph":
        file.write_text(without_paths(file.read_text(encoding="utf-8")), encoding="utf-8")


def costs(raw: str) -> list[tuple[str, float]]:
    """Return the functions that cost the most by themselves, in percent of all samples."""
    own: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, samples = line.rpartition(" ")
        own[without_paths(re.sub(r":\d+\)$", ")", stack.rpartition(";")[2]))] += int(samples)
    total = sum(own.values()) or 1
    return [(function, round(samples / total * 100, 1)) for function, samples in own.most_common(MOST)]


def without_paths(text: str) -> str:
    """Leave out where things are installed, and the command: package and file are enough."""
    text = re.sub(r">[^<>]*py-spy record[^<>]*<", ">py-spy<", text)
    for prefix in (str(Path.cwd()), sys.prefix, sys.base_prefix):
        text = text.replace(f"{prefix}/", "")
    return re.sub(r"[\w./@+-]*/(?:site-packages|lib/python3\.\d+)/", "", text)
