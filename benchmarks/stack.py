"""The measured system: `chat up` with a home and ports of its own and without limits, always taken down again.

What it promises of an acknowledged message is its variant's; who loads it and how is in sockets.py and rest.py.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from infra import running
from infra.child import Child
from infra.commands import reach
from infra.embedded.ports import free_ports
from infra.part import Part
from infra.settings import Settings, load_settings
from infra.tokens import sign_token
from schemas.ids import Partition

START_SECONDS = 120
CATCH_UP_SECONDS = 180
# Empty is unset: this shell's own service, if it has one, must not be what is measured.
ENVIRON = {"KAFKA_BOOTSTRAP_SERVERS": "", "DATABASE_URL": "", "CHAT_HOST": "127.0.0.1"}
LIMITS_OFF = {"CHAT_MESSAGES_PER_MINUTE": "0", "CHAT_CONNECTIONS_PER_USER": "0", "CHAT_REPORTS_PER_DAY": "0"}

Lag = Callable[[], Awaitable[int]]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to run the system. `promise`: what has happened to a message by the time it is acknowledged."""

    name: str
    promise: str
    options: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


FLUSHED = Variant(
    name="chat",
    promise="in the log of one broker, which flushed its batch to the disk: survives a power cut (the default)",
)
UNFLUSHED = Variant(
    name="chat, flushed by the OS",
    promise="in the log of one broker, which the operating system writes later: survives a killed process only",
    environ={"CHAT_FLUSH": "0"},
)
REPLICATED = Variant(
    name="chat, three brokers",
    promise="in the logs of all in-sync brokers of three, at least two: survives the loss of a machine",
    options=("--brokers", "3"),
)


class Stack:
    """A system that runs. `url` is the clients' address; `start_seconds` is what its start took."""

    def __init__(self, home: Path, printed: dict[str, Any], settings: Settings, start_seconds: float) -> None:
        self.home = home
        self.url: str = printed["url"]
        self.sockets = self.url.replace("http", "ws", 1)
        self.edges: list[str] = printed["edges"]
        self.settings = settings
        self.start_seconds = start_seconds

    def token(self, user: int, *, service: bool = False) -> str:
        """Return a token that outlives every run."""
        return sign_token(self.settings, user, service=service, seconds=86_400)

    def process(self, part: str) -> int:
        """Return the process id of a part (`edge-1`, `worker-1`), as it is now."""
        return self._running().parts[part].pid

    def roots(self) -> str:
        """Return all process trees as the load generator takes them: kafka=12,postgres=13,…"""
        now = self._running()
        trees = [f"{name.partition('-')[0]}={process.pid}" for name, process in now.parts.items()]
        return ",".join([*trees, f"supervisor={now.supervisor.pid}"])

    @asynccontextmanager
    async def lag(self) -> AsyncIterator[Lag]:
        """Yield what tells how many records the live read tables lack; as `chat lag` does."""
        connection = await asyncpg.connect(self.settings.database())
        try:
            select = f"SELECT topic, partition, next_offset FROM {await _live(connection)}.positions"  # noqa: S608
            async with reach.log_reader(self.settings) as reader:

                async def behind() -> int:
                    rows = await connection.fetch(select)
                    stored = {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
                    ends = await reader.ends(stored)
                    return sum(ends[partition] - offset for partition, offset in stored.items())

                yield behind
        finally:
            await connection.close()

    async def caught_up(self) -> float:
        """Wait until the read tables have everything; return the seconds that took, TimeoutError after many."""
        async with self.lag() as behind:
            return await caught_up(behind)

    async def stored(self) -> int:
        """Count the messages in the read tables: their rows, and not what their conversations say of them."""
        connection = await asyncpg.connect(self.settings.database())
        try:
            schema = await _live(connection)
            count: int = await connection.fetchval(f"SELECT count(*) FROM {schema}.messages")  # noqa: S608
            return count
        finally:
            await connection.close()

    def _running(self) -> running.Running:
        now = running.read_running(self.home)
        if now is None:
            raise RuntimeError(f"the system in {self.home} has ended")
        return now


async def caught_up(behind: Lag) -> float:
    """Wait until the read tables have everything; return the seconds that took, TimeoutError after many."""
    begun = time.monotonic()
    async with asyncio.timeout(CATCH_UP_SECONDS):
        while await behind():
            await asyncio.sleep(0.02)
    return round(time.monotonic() - begun, 2)


async def _live(connection: Any) -> str:
    schema: str = await connection.fetchval("SELECT schema_name FROM chat.generations WHERE state = 'live'")
    return schema


@asynccontextmanager
async def started(home: Path, variant: Variant = FLUSHED, **environ: str) -> AsyncIterator[Stack]:
    """Run the system until the block ends, in a new home or again in one that it had."""
    port, admin = free_ports(2)
    ours = {"CHAT_HOME": str(home), "CHAT_PORT": str(port), "CHAT_ADMIN_PORT": str(admin)}
    told = {**ENVIRON, **LIMITS_OFF, **ours, **variant.environ, **environ}
    home.mkdir(parents=True, exist_ok=True)
    log = home / "up.log"
    log.unlink(missing_ok=True)
    part = Part(
        name="chat up",
        command=(sys.executable, "-m", "infra.cli", "up", "--json", *variant.options),
        environ=told,
        cwd=home,
        log=log,
        ready=lambda: _wait_for_print(log),
        ready_seconds=START_SECONDS,
        stop_seconds=60,
    )
    begun = time.monotonic()
    child = await Child.start(part)
    try:
        await child.ready()
        seconds = round(time.monotonic() - begun, 2)
        printed = _printed(log)
        servers = {key.upper(): printed[key] for key in ("kafka_bootstrap_servers", "database_url")}
        yield Stack(home, printed, load_settings({**told, **servers}), seconds)
    finally:
        await asyncio.shield(child.stop())


async def _wait_for_print(log: Path) -> None:
    while not _printed(log):
        await asyncio.sleep(0.05)


def _printed(log: Path) -> Any:
    """Return the line of JSON that `chat up` prints when everything serves, or None."""
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
    return next((json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")), None)
