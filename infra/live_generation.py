"""Which generation of the read tables is live, as this process knows it: told by Postgres, and looked up now and then.

It changes between two reads, and only to tables that hold what was read from the old ones, so that no read goes back in
time. A generation that was made from another log is as good as none. What makes and promotes them is in projections/.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from schemas.errors import Unavailable
from schemas.ids import Partition

log = logging.getLogger(__name__)

CHANNEL = "chat_generations"
"""Notified by whoever changes the list of generations (projections/generations.py)."""

LOOK_SECONDS = 1.0
"""How often it is looked up besides, and how long a lost connection is waited for."""

ANSWER_SECONDS = 5.0

LEVEL_SECONDS = 2.0
"""How long reads may be held at a change, for those under way to end and for the new tables to draw level."""

LEVEL_LOOK_SECONDS = 0.003

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InternalClientError,
)
"""What Postgres raises when it is away, or when another generation is live than the one that can answer."""

_LIVE = "SELECT schema_name, epoch, reads FROM chat.generations WHERE state = 'live'"
_POSITIONS = "SELECT topic, partition, next_offset FROM {schema}.positions"


class LiveGeneration:
    """The live generation: its schema, None while there is none, and the event types that it reads."""

    def __init__(self, pool: Any, epoch: str) -> None:
        self._pool = pool
        self._epoch = epoch
        self._changed: list[Callable[[], None]] = []
        self._lost: list[Callable[[], None]] = []
        self.schema: str | None = None
        self.reads: frozenset[str] = frozenset()
        self._under_way = 0
        self._no_reads, self._may_read = asyncio.Event(), asyncio.Event()
        self._no_reads.set()
        self._may_read.set()

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever another generation has become live."""
        self._changed.append(changed)

    def on_loss(self, lost: Callable[[], None]) -> None:
        """Call `lost` whenever what is known of the tables may be more than they have.

        Another generation is live, Postgres was away and may come back with less than it had, or has less all at once.
        """
        self._lost.append(lost)

    def lose(self) -> None:
        """Let go of what is known of the tables."""
        for lost in self._lost:
            lost()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[str | None]:
        """Lend the live schema, None while there is none; it stays so for this process until the read has ended."""
        await self._may_read.wait()
        self._under_way += 1
        self._no_reads.clear()
        try:
            yield self.schema
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._no_reads.set()

    async def refresh(self) -> None:
        """Look it up; Unavailable when Postgres is away."""
        try:
            async with self._pool.acquire(timeout=ANSWER_SECONDS) as connection:
                async with asyncio.timeout(ANSWER_SECONDS):
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
                self.lose()
            await asyncio.sleep(LOOK_SECONDS)

    async def _listen(self, connection: Any) -> None:
        told = asyncio.Event()

        def tell(*_: object) -> None:
            told.set()

        connection.add_termination_listener(tell)  # at once, before anybody can ask a server that comes back
        await connection.add_listener(CHANNEL, tell)
        try:
            while True:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._look(connection)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await told.wait()
                told.clear()
        finally:
            # Not in order: to take the listener back, Postgres would be waited for, and a cancellation could be lost.
            with suppress(asyncpg.InterfaceError):  # it was lost
                connection.terminate()

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
            await self._change(connection, schema)

    async def _change(self, connection: Any, schema: str | None) -> None:
        self._may_read.clear()
        try:
            async with asyncio.timeout(LEVEL_SECONDS):
                await self._no_reads.wait()
                if self.schema is not None and schema is not None:
                    await _draw_level(connection, self.schema, schema)
        except TimeoutError:
            log.warning("reads go on with %s before it has all that was read from %s", schema, self.schema)
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            log.info("%s is gone already", self.schema)
        finally:
            self._may_read.set()
        self.schema = schema
        self.lose()
        for changed in self._changed:
            changed()


async def _draw_level(connection: Any, old: str, new: str) -> None:
    """Wait until one generation holds what the other holds now."""
    seen = await stored_positions(connection, old)
    while True:
        there = await stored_positions(connection, new)
        if all(there.get(partition, 0) >= offset for partition, offset in seen.items()):
            return
        await asyncio.sleep(LEVEL_LOOK_SECONDS)


async def stored_positions(connection: Any, schema: str) -> dict[Partition, int]:
    """Return the first offset of each partition that a generation does not hold yet."""
    rows = await connection.fetch(_POSITIONS.replace("{schema}", schema))
    return {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
