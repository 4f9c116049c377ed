"""Generations: complete builds of the read tables, each in its own schema and fed by its own consumer group.

`chat.generations` lists them; at most one is live, which edges read. Tables are never migrated: a change of their shape
is a new generation, filled from the start of the log.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from projections import log, refusal
from projections.database import Gone, Session, one_transaction
from projections.tables import (
    blocked_users,
    conversations,
    dead_letters,
    differences,
    inbox,
    last_seen,
    messages,
    positions,
    reads,
    reports,
    users,
    views,
)
from schemas.events import EVENT_TYPES

CONTROL = "chat"
CHANNEL = "chat_generations"
"""Notified whenever the list of generations has changed."""

_LOCK = 0x63686174  # "chat": one worker at a time makes or changes generations

_DEFINE_CONTROL = (
    "CREATE SCHEMA IF NOT EXISTS {schema}",
    """
    CREATE TABLE IF NOT EXISTS {schema}.generations (
        id int PRIMARY KEY,
        schema_name text NOT NULL UNIQUE,
        state text NOT NULL CHECK (state IN ('building', 'live', 'retired')),
        epoch text NOT NULL,
        reads text[] NOT NULL,
        complete boolean NOT NULL,
        shape text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        promoted_at timestamptz
    )
    """,
    "CREATE UNIQUE INDEX IF NOT EXISTS one_live ON {schema}.generations (state) WHERE state = 'live'",
)
_INSERT = """
INSERT INTO {schema}.generations (id, schema_name, state, epoch, complete, shape, reads, promoted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $3 = 'live' THEN now() END)
"""
_LISTED = "SELECT id, schema_name, state, epoch, complete, shape, reads FROM {schema}.generations ORDER BY id"
_LIVE_BEFORE = "SELECT id FROM {schema}.generations WHERE state = 'retired' ORDER BY promoted_at DESC LIMIT 1"

TABLES = (
    conversations, messages, reads, inbox, blocked_users, reports, users, last_seen, dead_letters, differences
)  # fmt: skip
LATE_INDEXES = messages.LATE_INDEXES + inbox.LATE_INDEXES
"""Made after the filling, in which nothing needs them."""

READS = tuple(sorted(event.type for event in EVENT_TYPES if event.topic in log.PROJECTED))
"""Event types and versions that this code projects; edges write no others."""


class Generation(NamedTuple):
    """One build of the read tables, made from the log with this epoch.

    `complete`: it has all its indexes, and workers feed it; until then those who fill it do. `shape`: a digest of its
    tables' definitions. `reads`: types of events; edges write no others while it is live.
    """

    id: int
    schema: str
    state: str
    epoch: str
    complete: bool
    shape: str
    reads: Sequence[str]

    @property
    def fits(self) -> bool:
        """Whether it has the tables that this code writes, from events that it knows; any other is for other code."""
        return self.shape == SHAPE and set(self.reads) <= set(READS)

    @property
    def group(self) -> str:
        return f"chat-projections-g{self.id}"


async def join(url: str, found: log.Log) -> None:
    """Make the first generation unless there is one: live at once when the log is empty."""
    async with one_transaction(url, CONTROL) as session:
        await lock(session)
        for statement in _DEFINE_CONTROL:
            await session.execute(statement)
        if not await listed(session):
            state = "live" if found.empty else "building"
            await create(session, 1, found, state=state, complete=True)
            await notify(session)


def require_epoch(generation: Generation, epoch: str) -> None:
    """Refuse to feed a generation from another log than it was begun with."""
    if generation.epoch != epoch:
        raise refusal.other_log(generation.epoch, epoch)


async def notify(session: Session) -> None:
    """Tell edges, when this transaction is committed, that the list has changed."""
    await session.execute(f"NOTIFY {CHANNEL}")


async def lock(session: Session) -> None:
    """Let nobody else make or change generations until this transaction ends."""
    await session.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")


async def listed(session: Session) -> list[Generation]:
    """Return all generations, the oldest first; Refusal before a worker has made the list."""
    return [Generation(*row) for row in await _look_up(session, _LISTED)]


async def live_before(session: Session) -> int | None:
    """Return the number of the generation that was live before the one that is, if it is still there."""
    found = await _look_up(session, _LIVE_BEFORE)
    return found[0][0] if found else None


async def _look_up(session: Session, sql: str) -> list[Any]:
    try:
        return await session.of(CONTROL).fetch(sql)
    except Gone:
        raise refusal.Refusal("there are no read tables yet: has a worker run?") from None


async def create(
    session: Session, number: int, found: log.Log, *, state: str, complete: bool, late_indexes: bool = True
) -> Generation:
    """Make a generation's schema, empty tables and positions at the start of the log.

    Not `complete`: it is to be filled, and filling.py makes in the end what is faster made once, `late_indexes` too
    unless they are wanted from the start.
    """
    generation = Generation(number, f"{CONTROL}_g{number}", state, found.epoch, complete, SHAPE, list(READS))
    await session.of(CONTROL).execute(_INSERT, *generation)
    # One that had this number may have been taken off the list, and its schema left.
    await drop_schema(session, generation)
    within = session.of(generation.schema)
    await within.execute("CREATE SCHEMA {schema}")
    for statement in _definitions(late_indexes=late_indexes):
        await within.execute(statement)
    if not complete:
        await within.execute(positions.FILL)
    await within.run(positions.INSERT, [positions.Begin(*partition, at) for partition, at in found.begins.items()])
    return generation


def _definitions(*, late_indexes: bool) -> Iterator[str]:
    yield positions.DEFINITION
    yield inbox.TOTALS_DEFINITION
    for table in TABLES:
        yield table.DEFINITION
    for table in TABLES:
        yield from table.INDEXES
    yield from views.VIEWS
    if late_indexes:
        yield from LATE_INDEXES


SHAPE = hashlib.sha256(" ".join(" ".join(_definitions(late_indexes=True)).split()).encode()).hexdigest()[:16]
"""Of the tables, indexes and views as this code defines them."""


async def forget(session: Session, generation: Generation) -> None:
    """Take a generation off the list; its schema is for the caller to drop, once nobody feeds it any more."""
    await session.of(CONTROL).execute("DELETE FROM {schema}.generations WHERE id = $1", generation.id)
    await notify(session)


async def drop_schema(session: Session, generation: Generation) -> None:
    """Drop the tables of a generation, if there are any."""
    await session.of(generation.schema).execute("DROP SCHEMA IF EXISTS {schema} CASCADE")
