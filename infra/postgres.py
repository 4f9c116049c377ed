"""Postgres, as every part of the service uses it: the one adapter of asyncpg's connections.

Says how to connect and for how long to wait; what is asked is for others to know.
"""

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
MOST_CONNECTIONS = 10


async def pool(settings: Settings) -> Any:
    """Return a pool, whose connections are made when they are needed: the server need not be there yet."""
    return await asyncpg.create_pool(
        settings.database(),
        min_size=0,
        max_size=MOST_CONNECTIONS,
        timeout=CONNECT_SECONDS,
        command_timeout=COMMAND_SECONDS,
        reset=_nothing_to_reset,
    )


async def _nothing_to_reset(_: Any) -> None:
    """Spare each query a second one: nobody here leaves anything behind on a connection."""


async def wait_for_database(url: str) -> None:
    """Return when the server at `url` takes connections and answers; unbounded."""
    await until_there(lambda: _answers_at(url), *AWAY)


async def _answers_at(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    try:
        await connection.fetchval("SELECT 1", timeout=CONNECT_SECONDS)
    finally:
        connection.terminate()
