"""How an edge asks the read tables, and how far they are.

Everything an edge reads from Postgres goes through here. A query names its tables by `{schema}`, which becomes the live
generation's. Postgres away, or no generation yet, is `Unavailable`; what fills the tables is in projections/.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import Any

import asyncpg

from infra.live_generation import ANSWER_SECONDS, AWAY, LOOK_SECONDS, LiveGeneration, stored_positions
from schemas.errors import Unavailable
from schemas.events import Event
from schemas.ids import Partition
from schemas.topics import BY_NAME

log = logging.getLogger(__name__)

POLL_SECONDS = 0.003
"""How often the stored positions are looked up while somebody waits for them."""

AWAY_SECONDS = 1.0
"""How often that is tried while Postgres is away."""


class ReadTables:
    """The read side of Postgres in this process. `stored`: the stored positions as they were last looked up.

    `pool`: at least two connections; one of them is for following the live generation.
    """

    def __init__(self, pool: Any, epoch: str) -> None:
        self._pool = pool
        self._turns = asyncio.Semaphore(pool.get_max_size() - 1)
        self._waiters: list[tuple[Mapping[Partition, int], asyncio.Future[bool]]] = []
        self._waiting = asyncio.Event()
        self.live = LiveGeneration(pool, epoch)
        self.stored: dict[Partition, int] = {}
        self.live.on_loss(self._forget)

    def understand(self, event: type[Event]) -> bool:
        """Tell whether the live generation reads this type and version; what is not projected needs nobody's leave."""
        return not BY_NAME[event.topic].projected or self.live.schema is None or event.type in self.live.reads

    async def run(self) -> None:
        """Follow the live generation and the stored positions, at once while somebody waits; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.live.run())
            tasks.create_task(self._follow_positions())

    async def fetch(self, sql: str, *arguments: object) -> list[Any]:
        """Return the rows of a query."""
        async with self._connection() as (connection, schema):
            rows: list[Any] = await connection.fetch(_of_schema(sql, schema), *arguments)
            return rows

    async def fetchrow(self, sql: str, *arguments: object) -> Any | None:
        """Return the first row of a query, or None."""
        async with self._connection() as (connection, schema):
            return await connection.fetchrow(_of_schema(sql, schema), *arguments)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["Snapshot"]:
        """Run several queries on one state of the tables (REPEATABLE READ)."""
        async with self._connection() as (connection, schema):
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            await transaction.start()
            try:
                yield Snapshot(connection, schema)
            except asyncio.CancelledError:
                raise  # the connection is cut, and nobody waits until the server has taken the transaction back
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()

    async def positions(self) -> dict[Partition, int]:
        """Look up the stored positions: the first offset of each partition that is not in the tables yet."""
        before = self.stored
        async with self._connection() as (connection, schema):
            found = await stored_positions(connection, schema)
        if any(found.get(partition, 0) < offset for partition, offset in before.items()):
            log.warning("the read tables went back: they were restored, or have lost their last transactions")
            self.live.lose()
        self.stored = found
        return found

    async def passed(self, positions: Mapping[Partition, int], within: float) -> bool:
        """Wait until everything before these offsets is in the tables; False after `within` seconds."""
        if self._has_passed(positions):
            return True
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append((positions, waiter))
        self._waiting.set()
        try:
            async with asyncio.timeout(within):
                return await waiter
        except TimeoutError:
            return False

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[Any, str]]:
        async with self.live.reading() as schema:
            if schema is None:
                raise Unavailable("the read tables are not built yet", retry_after=2)
            try:
                async with self._lent() as connection:
                    yield connection, schema
            except AWAY as error:
                log.warning("the read tables cannot be read: %r", error)
                raise Unavailable("the read tables cannot be read right now", retry_after=2) from error

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        """Lend a connection, to whoever asked first (the pool itself lets who comes later pass).

        What is not done within ANSWER_SECONDS fails as it does when the server goes. The connection is cut then, and
        when who waits is cancelled: to cancel a question would wait for a server that may have stopped answering.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + ANSWER_SECONDS
        async with asyncio.timeout_at(give_up_at):
            await self._turns.acquire()
        try:
            connection = await self._pool.acquire()  # one is free, or is made, which has a time limit of its own
            cut = loop.call_at(give_up_at, connection.terminate)
            try:
                yield connection
            except asyncio.CancelledError:
                with suppress(asyncpg.InterfaceError):  # it was lost a moment ago
                    connection.terminate()
                raise
            finally:
                cut.cancel()
                await self._pool.release(connection)
        finally:
            self._turns.release()

    def _has_passed(self, positions: Mapping[Partition, int]) -> bool:
        return all(self.stored.get(partition, 0) >= offset for partition, offset in positions.items())

    def _forget(self) -> None:
        self.stored = {}

    async def _follow_positions(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._waiting.wait()
            pause = POLL_SECONDS
            try:
                await self.positions()
            except Unavailable:
                pause = AWAY_SECONDS
            still = []
            for positions, waiter in self._waiters:
                if waiter.done():
                    continue
                if self._has_passed(positions):
                    waiter.set_result(True)
                else:
                    still.append((positions, waiter))
            self._waiters = still
            if not still:
                self._waiting.clear()
            await asyncio.sleep(pause)


class Snapshot:
    """Queries on one state of the tables."""

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    async def fetch(self, sql: str, *arguments: object) -> list[Any]:
        """Return the rows of a query."""
        rows: list[Any] = await self._connection.fetch(_of_schema(sql, self._schema), *arguments)
        return rows

    async def positions(self) -> dict[Partition, int]:
        """Return the stored positions of this snapshot."""
        return await stored_positions(self._connection, self._schema)


@lru_cache(maxsize=1_000)
def _of_schema(sql: str, schema: str) -> str:
    return sql.replace("{schema}", schema)
