"""Postgres as the projections use it: a few connections, one transaction at a time on each, errors in kinds.

`BadData`: the rows are at fault, and would be again. `Away`: Postgres is, try later. `Gone`: the tables are not those
that they were. All else is our own mistake and is raised as it comes. The only module here that knows asyncpg.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import asyncpg

from projections.statement import Row, Statement, together

COPY_FROM = 100
"""More rows than this are faster by COPY, which takes two round trips."""

STATEMENT_SECONDS = 30
IDLE_SECONDS = 5
"""A worker that is stopped in the middle of a transaction holds its position's row; the server lets go after this."""

_BAD_DATA = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.exceptions._base.DataError,  # noqa: SLF001 - what the driver itself refuses; it has no public name
    UnicodeError,
    OverflowError,
)
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.PostgresSystemError,
    # No such database, no such user: told in one line, and tried again as long as anything is.
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
)


_GONE = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError)


class BadData(Exception):
    """Postgres refuses these rows for what is in them."""


class Away(Exception):
    """Postgres cannot be reached, or cannot work, right now."""


class Gone(Exception):
    """A table or a column is not there: the generation was dropped, or its filling has ended."""


class Session:
    """One connection on one generation; `{schema}` in a statement is its schema.

    Each call is a transaction of its own, unless it is inside of `transaction`.
    """

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    def of(self, schema: str) -> "Session":
        """Return the same connection for the tables of another schema."""
        return Session(self._connection, schema)

    async def execute(self, sql: str, *arguments: object) -> None:
        """Run a statement."""
        with _kinds_of_errors():
            await self._connection.execute(sql.replace("{schema}", self._schema), *arguments)

    async def fetch(self, sql: str, *arguments: object) -> list[Any]:
        """Run a query and return its rows."""
        with _kinds_of_errors():
            found: list[Any] = await self._connection.fetch(sql.replace("{schema}", self._schema), *arguments)
            return found

    async def run(self, statement: Statement, rows: Collection[Row], *, copy: bool = False) -> None:
        """Run a statement on rows. `copy`: many that are only inserted go by COPY, which is faster.

        No limit ends a COPY whose client stands still, and the rows that it holds: for what nobody takes over.
        """
        with _kinds_of_errors():
            if copy and statement.copies and len(rows) > COPY_FROM:
                await self._connection.copy_records_to_table(
                    statement.copies, schema_name=self._schema, columns=statement.columns, records=rows
                )
            else:
                await self._connection.execute(statement.text(self._schema), *columns(rows))

    async def run_if(
        self, condition: str, arguments: Sequence[object], writes: Sequence[tuple[Statement, Collection[Row]]]
    ) -> bool:
        """Run everything as one statement, if `condition` returns a row, and tell whether it did."""
        text = together(condition, len(arguments), tuple(statement for statement, _ in writes), self._schema)
        with _kinds_of_errors():
            values = [column for _, rows in writes for column in columns(rows)]
            return bool(await self._connection.fetch(text, *arguments, *values))

    @asynccontextmanager
    async def transaction(self, *, frozen: bool = False) -> AsyncIterator[None]:
        """Make what is done inside one transaction; inside of another, take back only this part when it fails.

        `frozen`: all of it sees the tables as they are at its first query (REPEATABLE READ).
        """
        with _kinds_of_errors():
            async with self._connection.transaction(isolation="repeatable_read" if frozen else None):
                yield


class Database:
    """At most `size` connections to one generation's schema, opened when needed.

    `patient`: for what may take minutes; statements and silences have no limit then.
    """

    def __init__(self, url: str, schema: str, *, size: int = 4, patient: bool = False) -> None:
        self.schema = schema
        self._patient = patient
        self._url = url
        self._free = asyncio.Semaphore(size)
        self._idle: list[Any] = []

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Lend a connection."""
        async with self._free:
            with _kinds_of_errors():
                connection = self._idle.pop() if self._idle else await connect(self._url, patient=self._patient)
            try:
                with _kinds_of_errors():
                    yield Session(connection, self.schema)
            except BaseException as error:
                # Whatever happened on it, a new one is sure to be clean; those that rest are as dead as one that broke.
                connection.terminate()
                if isinstance(error, Away):
                    while self._idle:
                        self._idle.pop().terminate()
                raise
            self._idle.append(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Lend a connection for one transaction: committed at the end, taken back by an error."""
        async with self.session() as session, session.transaction():
            yield session

    async def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            with suppress(*_AWAY):
                await self._idle.pop().close(timeout=1)


@asynccontextmanager
async def one_transaction(url: str, schema: str) -> AsyncIterator[Session]:
    """Connect for one transaction."""
    database = Database(url, schema, size=1)
    try:
        async with database.transaction() as session:
            yield session
    finally:
        await database.close()


async def connect(url: str, *, patient: bool = False) -> Any:
    """Open a connection; unless `patient`, its statements and silences have a limit."""
    settings = {
        "application_name": "chat-projections",
        "statement_timeout": "0" if patient else f"{STATEMENT_SECONDS}s",
        "idle_in_transaction_session_timeout": "0" if patient else f"{IDLE_SECONDS}s",
        # Rows and position are one transaction: what a power cut takes is read from the log again.
        "synchronous_commit": "off",
        # Every statement looks rows up by an index, however many; a plan made for each batch would cost more than it.
        "plan_cache_mode": "auto" if patient else "force_generic_plan",
    }
    return await asyncpg.connect(
        url,
        timeout=5,
        command_timeout=None if patient else STATEMENT_SECONDS + 1,
        server_settings=settings,
        max_cached_statement_lifetime=0,
    )


def columns(rows: Collection[Sequence[Any]]) -> list[Sequence[Any]]:
    """Turn rows into columns, as `unnest` takes them."""
    return list(zip(*rows, strict=True))


@contextmanager
def _kinds_of_errors() -> Iterator[None]:
    try:
        yield
    except _BAD_DATA as error:
        raise BadData(str(error)) from error
    except _AWAY as error:
        raise Away(str(error) or type(error).__name__) from error
    except _GONE as error:
        raise Gone(str(error)) from error
