"""`make bench`: measure everything, write the page, and say what moved since the last committed result.

Everything is started here and taken down again, whatever happens; status 1 when a part could not be measured. The full
run writes into docs/benchmarks/; the short one, and one of some parts only, into build/benchmarks/, which git ignores.
"""

import asyncio
import functools
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from benchmarks import bench, loadgen, machine, profiles, projection_part
from benchmarks import growth as growing
from benchmarks import peers as other_servers
from benchmarks.plan import FULL, SHORT, Plan
from benchmarks.publishing import PUBLISHED, ROOT, publish
from benchmarks.results import Run, write
from infra.embedded.training import train
from infra.part import StartError

SHORT_OUT, PARTIAL_OUT = Path("build/benchmarks/short"), Path("build/benchmarks/partial")
MOST_SOCKETS = 65_536
NOT_SAID = {"kind", "thorough", "part_seconds"}
PEERS_SECONDS = 7_200

OWN = {
    "floors": bench.floors,
    "sockets": bench.sockets,
    "requests": bench.requests,
    "rest": bench.rest,
    "idle": bench.idle,
    "reconnecting": bench.reconnecting,
    "variants": bench.variants,
}
NAMES = (*OWN, "projection")


class Part(NamedTuple):
    """What to do, and how many seconds it may take."""

    work: Callable[[bench.Bench], Awaitable[None]]
    seconds: float


@click.command()
@click.option("--short", is_flag=True, help="Two minutes instead of half an hour.")
@click.option("--only", help=f"Some parts only, with commas between: {', '.join(NAMES)}; none: what the others say.")
@click.option("--growth", is_flag=True, help="Measure against what grows, too.")
@click.option(
    "--peers", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Measure other servers, too."
)
@click.option("--profile", is_flag=True, help="Record edge and worker with py-spy, too.")
@click.option("--trials", type=click.IntRange(1, 20), help="How often each measure is taken.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Where the page goes.")
@click.option("--add", is_flag=True, help="Keep what is there and was not measured now.")
def main(*, short: bool, trials: int | None, out: Path | None, add: bool, **asked: Any) -> None:
    """Measure the system, and compare with the last committed result."""
    plan = SHORT if short else FULL
    plan = msgspec.structs.replace(plan, trials=trials) if trials else plan
    partial_run = asked["only"] is not None and not add
    out = out or (SHORT_OUT if short else PARTIAL_OUT if partial_run else PUBLISHED)
    _allow_sockets()
    try:
        parts = _parts(plan, **asked)
        sys.exit(asyncio.run(_measure(plan, parts, ROOT / out, add=add)))
    except StartError as error:
        raise click.ClickException(str(error)) from error
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise click.ClickException("stopped; everything that was started has ended") from None


def _parts(plan: Plan, *, only: str | None, growth: bool, peers: Path | None, profile: bool) -> dict[str, Part]:
    """Return what to do, in order; UsageError for a part that there is none of."""
    names = set(NAMES if only is None else only.split(",")) - {"none"}
    if unknown := names - set(NAMES):
        raise click.UsageError(f"no part {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    within = plan.part_seconds
    parts = {name: Part(work, within) for name, work in OWN.items() if name in names}
    if not plan.thorough:
        parts.pop("variants", None)
    if "projection" in names and projection_part.there():
        parts["projection"] = Part(functools.partial(projection_part.projection, growth=growth), 10 * within)
    if growth:
        parts |= {f"growth: {name}": Part(work, 2 * within) for name, work in growing.SERIES.items()}
    if peers is not None:
        parts["peers"] = Part(functools.partial(other_servers.peers, directory=peers.resolve()), PEERS_SECONDS)
    if profile:
        profiles.find_spy()
        parts["profile"] = Part(profiles.profile, within)
    return parts


async def _measure(plan: Plan, parts: dict[str, Part], out: Path, *, add: bool) -> int:
    """Do every part and write what came out; the status to end with."""
    _end_in_order()
    building = ROOT / "build" / "benchmarks"
    building.mkdir(parents=True, exist_ok=True)
    generator = await loadgen.build(building)
    # On the disk of the repository, as a service's home is, and not in memory.
    home = Path(tempfile.mkdtemp(prefix="run-", dir=building))
    begun, run = time.monotonic(), _new_run(plan, home)
    working = bench.Bench(run=run, plan=plan, generator=generator, home=home, say=lambda line: _say(line, begun))
    try:
        # Otherwise the first `chat up` on a machine does it in the background, while we measure.
        await train(home, working.say)
        for name, part in parts.items():
            await working.part(name, part.work, part.seconds)
            run.minutes = round((time.monotonic() - begun) / 60, 1)
            (building / "unfinished.json").write_bytes(write(run))
        failed = bool(run.failures)
        publish(run, out, home, add=add)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 1 if failed else 0


def _new_run(plan: Plan, home: Path) -> Run:
    settings = {
        name: str(getattr(plan, name))
        for name in plan.__struct_fields__
        if name not in {"kind", "thorough", "part_seconds"}
    }
    return Run(
        kind=plan.kind,
        begun=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=machine.commit(),
        machine=machine.machine(home),
        versions=machine.versions(),
        settings={**settings, "limits": "off (messages a minute, sockets of a user, reports a day)"},
    )


def _allow_sockets() -> None:
    """Let what we start have many sockets, as far as this account may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_SOCKETS if hard == resource.RLIM_INFINITY else min(MOST_SOCKETS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _end_in_order() -> None:
    """Take SIGTERM as Ctrl-C is taken: what runs is cancelled, and everything that was started ends."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _say(line: str, begun: float) -> None:
    print(f"{time.monotonic() - begun:6.0f} s  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
