"""The projections' own rates, live and from the start of the log, where projection.py is there to measure them.

It runs as a process: `python -m benchmarks.projection --json`, with `--short` or `--growth` as this run has them. Each
line of JSON that it prints is a trial: numbers by name, and `measure`, which says of what.
"""

import importlib.util
import json
import sys

from benchmarks.bench import Bench
from benchmarks.processes import output
from benchmarks.results import flat


def there() -> bool:
    """Tell whether there is something to run."""
    return importlib.util.find_spec("benchmarks.projection") is not None


async def projection(bench: Bench, *, growth: bool) -> None:
    """Run it and take its trials."""
    options = ["--json", *(["--short"] if bench.plan.kind == "short" else []), *(["--growth"] if growth else [])]
    printed = await output([sys.executable, "-m", "benchmarks.projection", *options], 10 * bench.plan.part_seconds)
    for line in printed.splitlines():
        if line.startswith("{"):
            trial = flat(json.loads(line))
            bench.run.add("projection", str(trial.pop("measure", "projection")), trial)
