"""`chat up`: the whole system in one terminal, from the first download to the last flush."""

import asyncio
import dataclasses
import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from infra.commands import reach
from infra.embedded.training import train
from infra.part import StartError
from infra.running import Process, Running, forget_running, read_last, write_running
from infra.settings import Settings, load_settings
from infra.supervisor import Supervisor
from infra.system import System, Wanted, lay_out
from infra.welcome import as_json, screen, welcome

GIVEN_SECONDS = 60
"""How long servers that are not ours to start may take to answer."""


@click.command()
@click.option("--brokers", type=click.Choice(["1", "3"]), help="Embedded Kafka brokers; settled at the first start.")
@click.option("--edges", type=click.IntRange(1, 32), default=1, show_default=True, help="Edges behind one address.")
@click.option("--workers", type=click.IntRange(1, 32), default=1, show_default=True, help="Projection workers.")
@click.option("--port", type=click.IntRange(1, 65535), help="The clients' port, instead of CHAT_PORT.")
@click.option("--json", "for_programs", is_flag=True, help="Print the addresses as one line of JSON.")
def up(brokers: str | None, edges: int, workers: int, port: int | None, *, for_programs: bool) -> None:
    """Run everything: Kafka, Postgres, workers and edges; Ctrl-C stops all in order."""
    settings = load_settings(discover=False, make_secret=True)
    if brokers and settings.kafka_bootstrap_servers:
        raise click.UsageError("--brokers is for the embedded Kafka, and KAFKA_BOOTSTRAP_SERVERS names another")
    if port is not None:
        settings = dataclasses.replace(settings, port=port)
    wanted = Wanted(brokers=int(brokers) if brokers else None, edges=edges, workers=workers)
    with _alone(settings.home):
        _break_off_when_told()
        try:
            system = lay_out(settings, wanted, _say)
        except KeyboardInterrupt:
            # Not by the interpreter's end, which waits for what is being fetched; whatever is half done is begun anew.
            _say("broken off")
            os._exit(1)
        asyncio.run(_run(settings, system, for_programs=for_programs))


async def _run(settings: Settings, system: System, *, for_programs: bool) -> None:
    """Serve until told to stop, or until a part cannot be kept running: StartError."""
    told = _told_to_stop()
    supervisor = Supervisor(_say, lambda: write_running(settings.home, _running(system, supervisor)))
    serving = asyncio.ensure_future(_serve(settings, system, supervisor, for_programs=for_programs))
    stopping = asyncio.ensure_future(told.wait())
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        _say("stopping")
        serving.cancel()
        await asyncio.wait((serving,))
        await supervisor.stop(system.stop_order)
        forget_running(settings.home)
    if not serving.cancelled():
        serving.result()


async def _serve(settings: Settings, system: System, supervisor: Supervisor, *, for_programs: bool) -> None:
    await reach.wait_for(settings, GIVEN_SECONDS, _say)
    for group in filter(None, system.start_order):
        _say(f"starting {', '.join(part.name for part in group)}")
        await supervisor.start(group)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervisor.failure())
            tasks.create_task(_greet(settings, system, for_programs=for_programs))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _greet(settings: Settings, system: System, *, for_programs: bool) -> None:
    """Show the screen when everything answers, or has had time; then make the next start faster."""
    found = await welcome(settings, system, _say)
    _tell(json.dumps(as_json(system, found)) if for_programs else screen(settings, system, found))
    if system.servers.kafka:
        try:
            await train(settings.home.resolve() / "logs", _say)
        except StartError as error:
            _say(str(error))


def _break_off_when_told() -> None:
    """Have SIGTERM and a terminal that is closed act as Ctrl-C does, while there is nothing yet to stop in order."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's `&` has the first one ignored
        signal.signal(number, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def _told_to_stop() -> asyncio.Event:
    """Return what Ctrl-C, SIGTERM or a terminal that is closed sets.

    At a second of the first two we go at once, and the kernel ends the children. The terminal's comes by itself, beside
    another or after it, so it never counts as one.
    """
    told, asked, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()

    def ask() -> None:
        if asked.is_set():
            os._exit(130)
        asked.set()
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, told.set)
    return told


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the home, so that no second system is started in it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "lock").open("w", encoding="ascii")
    except OSError as error:
        raise StartError(f"{home} cannot be used: {error.strerror}; choose another with CHAT_HOME") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            last = read_last(home)
            process = f" (process {last.supervisor.pid})" if last else ""
            raise StartError(
                f"`chat up` runs in {home} already{process}; stop it, or choose another CHAT_HOME"
            ) from None
        yield


def _running(system: System, supervisor: Supervisor) -> Running:
    return Running(
        supervisor=Process.of(os.getpid()),
        kafka_bootstrap_servers=system.servers.kafka_bootstrap_servers,
        database_url=system.servers.database_url,
        url=system.url,
        edges=system.edge_urls,
        parts=dict(supervisor.processes),
    )


def _say(line: str) -> None:
    _tell(f"chat: {line}", err=True)


def _tell(text: str, *, err: bool = False) -> None:
    """Print, if anybody still reads it: a terminal that is gone, or a full disk behind it, decides nothing here."""
    with suppress(OSError):
        try:
            click.echo(text, err=err)
        except BrokenPipeError:
            # What the pipe did not take is written once more at the exit, which is not to fail for it.
            with Path(os.devnull).open("w", encoding="ascii") as nowhere:
                os.dup2(nowhere.fileno(), (sys.stderr if err else sys.stdout).fileno())
