"""A really started system: `chat up` in processes of its own, with its own home and free ports.

Tests share `system`; what kills or limits something starts one for itself with `start_system`.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra import running
from infra.child import Child
from infra.embedded.ports import free_ports
from infra.part import Part, StartError
from infra.settings import Settings, load_settings
from infra.tokens import sign_token

START_SECONDS = 120

Said = tuple[int | None, str]


@dataclass(frozen=True, kw_only=True)
class System:
    """Where it is and how to speak with it. `kafka`: bootstrap servers. `edges`: each edge's own address."""

    home: Path
    url: str
    ws_url: str
    kafka: str
    database_url: str
    edges: tuple[str, ...]
    settings: Settings
    child: Child

    def token(self, user: int, *, service: bool = False, seconds: int = 3_600) -> str:
        """Return a user's token, or a back end's."""
        return sign_token(self.settings, user, service=service, seconds=seconds)

    def part(self, name: str) -> running.Process:
        """Return the process of a part (`edge-1`, `worker-1`, `kafka-1`, `postgres`) as it is now."""
        now = running.read_running(self.home)
        assert now is not None
        return now.parts[name]

    def output(self) -> str:
        """Return everything that `chat up` has printed."""
        return self.child.part.log.read_text(encoding="utf-8")

    async def stop(self) -> None:
        """End it as Ctrl-C does; may be called again."""
        await self.child.stop()


@pytest.fixture(scope="session")
async def system() -> AsyncIterator[System]:
    """One edge, one worker, two partitions and no limit on messages. All tests share it, with users of their own."""
    async with start_system(CHAT_PARTITIONS="2", CHAT_MESSAGES_PER_MINUTE="0") as started:
        yield started


@asynccontextmanager
async def start_system(*options: str, home: Path | None = None, **environ: str) -> AsyncIterator[System]:
    """Run `chat up` with these options and settings, until the block ends; in `home`, or in a new one."""
    directory = home or Path(tempfile.mkdtemp(prefix="chat-system-"))
    part = _part(directory, options, environ)
    child = await Child.start(part)
    try:
        await child.ready()
        printed = _printed(part.log)
        settings = load_settings({"CHAT_HOME": str(directory), **part.environ})
        yield System(
            home=directory,
            url=printed["url"],
            ws_url=f"{printed['url'].replace('http', 'ws', 1)}/chat/connect",
            kafka=printed["kafka_bootstrap_servers"],
            database_url=printed["database_url"],
            edges=tuple(printed["edges"]),
            settings=settings,
            child=child,
        )
    except StartError as error:
        raise StartError(f"{error}\n{part.log.read_text(encoding='utf-8')}") from error
    finally:
        await child.stop()
        if home is None:
            shutil.rmtree(directory, ignore_errors=True)


async def chat(system: System, *arguments: str, **environ: str) -> Said:
    """Run a command as somebody in another terminal would; return its status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.cli",
        *arguments,
        env={**os.environ, "CHAT_HOME": str(system.home), **environ},
        cwd=system.home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, said.decode()


@contextmanager
def standing_still(system: System) -> Iterator[None]:
    """Stop the worker for a while."""
    pid = system.part("worker-1").pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _part(home: Path, options: tuple[str, ...], environ: dict[str, str]) -> Part:
    log = home / "up.log"
    # What an earlier system in this home has printed is not this one's.
    log.unlink(missing_ok=True)

    async def printed() -> None:
        while not _printed(log):
            await asyncio.sleep(0.05)

    (port,) = free_ports(1)
    return Part(
        name="chat up",
        command=(sys.executable, "-m", "infra.cli", "up", "--json", *options),
        environ={"CHAT_HOME": str(home), "CHAT_PORT": str(port), **environ},
        # No developer's .env here.
        cwd=home,
        log=log,
        ready=printed,
        ready_seconds=START_SECONDS,
        stop_seconds=60,
    )


def _printed(log: Path) -> Any:
    """Return the line of JSON that is printed when everything serves."""
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    return next((json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")), None)
