"""The end of a filling: what is made faster once than row by row, and then the tables are as any others.

Indexes that nothing needs while the log is replayed, and the order of the inboxes, which is that of the conversations.
"""

from projections import generations
from projections.database import BadData, Session
from projections.generations import Generation
from projections.tables import positions

_WITHOUT_LIMITS = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL maintenance_work_mem = '256MB'",
)
_ORDER_INBOXES = """
UPDATE {schema}.inbox AS i SET updated_at = c.updated_at
FROM {schema}.conversations AS c
WHERE c.id = i.conversation_id AND c.updated_at <> i.updated_at
"""
_SET_COMPLETE = "UPDATE {schema}.generations SET complete = true WHERE id = $1"


class NotUnique(Exception):
    """The log has records that only an index shows to be bad: all indexes are needed from the start."""


async def finish(session: Session) -> None:
    """Make the filled tables whole, in the caller's transaction. NotUnique when they cannot be.

    Until it ends nobody moves a position, and everybody may look where they are: it may take minutes.
    """
    for statement in (*_WITHOUT_LIMITS, "LOCK TABLE {schema}.positions IN EXCLUSIVE MODE", _ORDER_INBOXES):
        await session.execute(statement)
    for index in generations.LATE_INDEXES:
        try:
            await session.execute(index)
        except BadData as duplicate:
            raise NotUnique(str(duplicate)) from duplicate
    for table in generations.TABLES:
        await session.execute(f"ANALYZE {{schema}}.{table.TABLE}")


async def has_late_indexes(session: Session) -> bool:
    """Tell whether the indexes that are made in the end have been there from the start."""
    found = await session.fetch("SELECT to_regclass('{schema}.messages_claim') IS NOT NULL")
    return bool(found[0][0])


async def set_complete(session: Session, generation: Generation) -> None:
    """End the filling, and have workers feed this generation from now on."""
    await session.execute(positions.FILLED)
    control = session.of(generations.CONTROL)
    await control.execute(_SET_COMPLETE, generation.id)
    await generations.notify(control)
