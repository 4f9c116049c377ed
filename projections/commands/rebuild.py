"""`chat rebuild`: build the read tables anew from the start of the log, and have them take the old ones' place."""

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from infra.child import die_with
from infra.settings import Settings, load_settings
from projections import rebuild as building
from projections.build import Options, Stage
from projections.commands import process
from projections.database import Away, Gone
from projections.refusal import GaveUp, Refusal

LEAVE_SECONDS = 2.0
EVERY_SECONDS = 5.0
"""How often a line is written where nobody watches."""


class Interrupted(click.ClickException):
    """Somebody wanted it to end."""


class Dropped(click.ClickException):
    """The tables are not there any more."""


@click.command()
@click.option(
    "--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes here that share it."
)
@click.option("--join", is_flag=True, help="Only help a rebuild that runs elsewhere, until it is done.")
@click.option("--accept-dead-letters", is_flag=True, help="Go on past records that the live tables hold.")
@click.option("--accept-differences", is_flag=True, help="Promote although the tables differ: the new code is right.")
def rebuild(*, workers: int, join: bool, accept_dead_letters: bool, accept_differences: bool) -> None:
    """Build the read tables anew beside the live ones, compare, and promote.

    May be interrupted: the next one goes on where it was.
    """
    settings = load_settings()
    logging.basicConfig(level=logging.ERROR)
    # What the live tables could not apply either is known; what is new is told at the end.
    logging.getLogger("projections.lane").setLevel(logging.CRITICAL)
    process.prepare()
    if join:
        with suppress(Interrupted):
            _run(building.join(settings))
        return
    progress = Progress()
    options = Options(accept_dead_letters, accept_differences)
    with _helpers(workers - 1, settings):
        new = _run(building.rebuild(settings, options, progress.tell))
    progress.end()
    click.echo(f"generation {new.id} is live; the one before it stays fed, for a rollback, until it is dropped")


@contextmanager
def _helpers(count: int, settings: Settings) -> Iterator[None]:
    """Have so many other processes fill as well; one that ends early is not missed.

    Forked: each has everything imported at once. Before the loop, which a fork must not share.
    """
    fork = multiprocessing.get_context("fork")
    helpers = [fork.Process(target=_help, args=(settings, os.getpid())) for _ in range(count)]
    for helper in helpers:
        helper.start()
    try:
        yield
    finally:
        for helper in helpers:
            helper.terminate()
        for helper in helpers:
            helper.join(LEAVE_SECONDS)
            helper.kill()


def _help(settings: Settings, leader: int) -> None:
    die_with(leader, signal.SIGKILL)
    try:
        _run(building.join(settings))
    except (Interrupted, Dropped):
        pass  # it is the leader who tells, and where tables could not be made unique it only starts over
    except click.ClickException as end:
        end.show()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return process.run(_until_told(work))
    except (Refusal, GaveUp, Away) as end:
        raise click.ClickException(str(end)) from end
    except Gone as end:
        raise Dropped(f"the tables are gone; was the generation dropped? ({end})") from end
    except asyncio.CancelledError:
        raise Interrupted("interrupted; chat rebuild goes on where it was") from None


async def _until_told(work: Coroutine[Any, Any, Any]) -> Any:
    task = asyncio.ensure_future(work)
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    return await task


class Progress:
    """Records, rate and time left: one line that is rewritten on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=40)
        self._doing = ""
        self._told_at = 0.0
        self._terminal = sys.stderr.isatty()

    def tell(self, stage: Stage) -> None:
        """Show a stage."""
        now = time.monotonic()
        if self._seen and stage.done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, stage.done))
        new = stage.doing != self._doing
        if not self._terminal and not new and now - self._told_at < EVERY_SECONDS:
            return
        self._doing, self._told_at = stage.doing, now
        line = describe(stage, self._rate())
        passes = self._terminal and not stage.stays
        click.echo(f"\r\x1b[K{line}" if self._terminal else line, err=True, nl=not passes)

    def end(self) -> None:
        """Leave the line."""
        if self._terminal:
            click.echo(err=True)

    def _rate(self) -> float:
        (first, before), (last, done) = self._seen[0], self._seen[-1]
        return (done - before) / (last - first) if last > first else 0.0


def describe(stage: Stage, rate: float) -> str:
    """Return `filling [####----] 50 % 1,000 of 2,000 records, 30,000/s, 1 s left`."""
    if stage.stays:
        return stage.doing
    if stage.total <= 1:
        return f"{stage.doing} …"
    part = min(1.0, stage.done / stage.total)
    bar = "#" * int(part * 24) + "-" * (24 - int(part * 24))
    left = f", {(stage.total - stage.done) / rate:.0f} s left" if rate > 1 else ""
    return f"{stage.doing} [{bar}] {part:.0%}  {stage.done:,} of {stage.total:,} records, {rate:,.0f}/s{left}"
