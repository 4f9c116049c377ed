"""Other servers under the same load, when asked: `--peers DIR` names a folder outside this repository that runs them.

The folder has a `bench.sh PEER`, a script PEER.sh for each server, and `loadgen/`, a load generator with a driver for
each of them that prints the same JSON as ours; its README says what every server needs. One that cannot be started
here is said, and the others go on. Each load comes once more than it counts: a server that has just started is slow.
"""

import json
import os
from pathlib import Path

from benchmarks import loadgen
from benchmarks.bench import Bench
from benchmarks.processes import Failed, output
from benchmarks.results import Run, flat

NOT_PEERS = {"bench", "lib", "probe", "relay"}  # the relay is ours too (bare_sockets.py)
SLOW = {"synapse": {"PAR": "4", "WARMUP": "15s", "DURATION": "30s", "DRAIN": "120s", "RATES": "10 20"}}
"""What takes a minute to deliver what others do in a second gets more time and less to do."""

OURS = {"PEERS_HOME", "LOADGEN_BIN", "OUT", "RUNS"}
"""What the caller cannot say otherwise."""

SECONDS = 2_000
PROMISES = {
    "tinode": "in Postgres, committed (fsync and synchronous_commit on)",
    "ejabberd": "in Postgres, committed (fsync and synchronous_commit on)",
    "synapse": "in Postgres, committed (fsync and synchronous_commit on)",
}


async def peers(bench: Bench, directory: Path) -> None:
    """Run every peer of the folder that can run here."""
    home = bench.home / "peers"
    bench.home.chmod(0o711)  # their Postgres has an account of its own, which must get to its directory
    generator = await loadgen.build(home, directory / "loadgen")
    names = sorted(script.stem for script in directory.glob("*.sh") if script.stem not in NOT_PEERS)
    missing = []
    for name in names:
        bench.say(f"  {name}")
        try:
            await _peer(bench, directory, name, home, generator.binary)
        except Failed as error:
            missing.append(f"{name}: {error}".replace(f"{directory}/", ""))
    if missing:
        raise Failed("; ".join(missing))


async def _peer(bench: Bench, directory: Path, name: str, home: Path, binary: Path) -> None:
    plan, results = bench.plan, home / f"{name}.jsonl"
    told = {
        "PEERS_HOME": str(home),
        "LOADGEN_BIN": str(binary),
        "OUT": str(results),
        "RUNS": str(plan.trials + 1),
        "PAIRS": str(plan.pairs),
        "WARMUP": loadgen.seconds(plan.warmup),
        "DURATION": loadgen.seconds(plan.seconds),
        "RATES": f"{plan.rate:g}",
        "IDLE": str(plan.sockets),
        **SLOW.get(name, {}),
    }
    # What the caller says of a server (where it is installed) is the folder's own business.
    environ = {key: value for key, value in told.items() if key in OURS or key not in os.environ}
    try:
        await output(["bash", str(directory / "bench.sh"), name], SECONDS, environ=environ)
    finally:
        if results.exists():
            _take(bench.run, name, results)


def _take(run: Run, name: str, results: Path) -> None:
    """Keep all lines but the first of each load, which finds a server that has just started."""
    heated = set()
    run.systems[name] = PROMISES.get(name, "see its documentation")
    for line in results.read_text(encoding="utf-8").splitlines():
        raw = json.loads(line)
        for unwanted in ("label", "time"):
            raw.pop(unwanted, None)
        mode = raw["mode"] if raw.get("rate") in {None, 500} else f"open, {raw['rate']:g} a second"
        if mode in heated:
            run.add(name, mode, flat(raw))
        heated.add(mode)
