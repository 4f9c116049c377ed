"""Postgres, as every part of the service uses it: the one adapter of asyncpg's connections.

Says how to connect and for how long to wait; what is asked is for others to know.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from infra.retry import until_there
from infra.settings import Settings

AWAY: tuple[type[BaseException], ...] = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)
"""What connecting to a server and a first question raise while it is away, starts, or stops."""

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 30.0
START_SECONDS = 60.0


async def lazy_pool(settings: Settings, *, most: int = 10) -> Any:
    """Return a pool of at most `most` connections, each made when it is needed: the server need not be there yet."""
    return await asyncpg.create_pool(
        settings.database(),
        min_size=0,
        max_size=most,
        timeout=CONNECT_SECONDS,
        command_timeout=COMMAND_SECONDS,
        reset=_nothing_to_reset,
    )


async def _nothing_to_reset(_: Any) -> None:
    """Spare each query a second one: nobody here leaves anything behind on a connection."""


async def pool(settings: Settings, *, most: int = 10, within: float = START_SECONDS) -> Any:
    """Return a pool once the server answers; TimeoutError when it does not `within` seconds."""
    connections = await lazy_pool(settings, most=most)
    try:
        async with asyncio.timeout(within):
            await until_there(lambda: answers(connections), *AWAY)
    except BaseException:
        connections.terminate()
        raise
    return connections


@asynccontextmanager
async def lent(connections: Any, within: float) -> AsyncIterator[Any]:
    """Lend a connection of a pool; what is not done `within` seconds fails as it does when the server goes.

    It is cut then, and when who waits is cancelled: to cancel the question would wait for the answer of a server that
    may have stopped answering.
    """
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + within
    connection = await connections.acquire(timeout=within)
    cut = loop.call_at(give_up_at, connection.terminate)
    try:
        yield connection
    except asyncio.CancelledError:
        connection.terminate()
        raise
    finally:
        cut.cancel()
        await connections.release(connection)


async def answers(connections: Any) -> None:
    """Ask the server for a sign of life; what it raises otherwise is in `AWAY`, or a TimeoutError."""
    await connections.fetchval("SELECT 1", timeout=CONNECT_SECONDS)


async def wait_for_database(url: str) -> None:
    """Return when the server at `url` takes connections and answers; unbounded."""
    await until_there(lambda: _answers_at(url), *AWAY)


async def _answers_at(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    try:
        await connection.fetchval("SELECT 1", timeout=CONNECT_SECONDS)
    finally:
        connection.terminate()
