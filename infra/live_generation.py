"""Which generation of the read tables is live, as this process knows it: told by Postgres, and looked up now and then.

A generation that was made from another log is as good as none. What makes and promotes them is in projections/.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import asyncpg

from schemas.errors import Unavailable

log = logging.getLogger(__name__)

CHANNEL = "chat_generations"
"""Notified by whoever changes the list of generations (projections/generations.py)."""

LOOK_SECONDS = 1.0
"""How often it is looked up besides, and how long a lost connection is waited for."""

ANSWER_SECONDS = 5.0

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InternalClientError,
)
"""What Postgres raises when it is away, or when a generation is gone that was live a moment ago."""

_LIVE = "SELECT schema_name, epoch, reads FROM chat.generations WHERE state = 'live'"


class LiveGeneration:
    """The live generation: its schema, None while there is none, and the event types that it reads."""

    def __init__(self, pool: Any, epoch: str) -> None:
        self._pool = pool
        self._epoch = epoch
        self._changed: list[Callable[[], None]] = []
        self.schema: str | None = None
        self.reads: frozenset[str] = frozenset()

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever another generation has become live."""
        self._changed.append(changed)

    async def refresh(self) -> None:
        """Look it up; Unavailable when Postgres is away."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._pool.acquire() as connection:
                await self._look(connection)
        except AWAY as error:
            raise Unavailable("the read tables are away") from error

    async def run(self) -> None:
        """Follow it until cancelled."""
        while True:
            try:
                async with self._pool.acquire(timeout=ANSWER_SECONDS) as connection:
                    await self._listen(connection)
            except AWAY as error:
                log.warning("Postgres is away: %r", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def _listen(self, connection: Any) -> None:
        told = asyncio.Event()

        def tell(*_: object) -> None:
            told.set()

        await connection.add_listener(CHANNEL, tell)
        try:
            while True:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._look(connection)
                try:
                    await asyncio.wait_for(told.wait(), LOOK_SECONDS)
                except TimeoutError:
                    continue
                told.clear()
        finally:
            if not connection.is_closed():
                await connection.remove_listener(CHANNEL, tell)

    async def _look(self, connection: Any) -> None:
        try:
            row = await connection.fetchrow(_LIVE)
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            row = None  # no worker has been here yet
        if row is not None and row["epoch"] != self._epoch:
            log.critical(
                "the live generation was made from the log %s, this one is %s: see docs/operating.md",
                *(row["epoch"], self._epoch),
            )
            row = None
        self.reads = frozenset(row["reads"]) if row else frozenset()
        schema = row["schema_name"] if row else None
        if schema != self.schema:
            log.info("the live generation is %s", schema)
            self.schema = schema
            for changed in self._changed:
                changed()
