"""`positions`: how far each partition is in the tables. The only truth about progress.

It moves in the transaction of the rows, and only from where the writer believes it to be: a worker that lost its
partition without knowing changes nothing.

While a generation is being filled the table has one more column, `until`: the filling stops there, so that the new
tables can be compared with the live ones at exactly the same positions. When the filling ends the column is dropped,
and whoever still fills without knowing fails.
"""

from typing import NamedTuple

from projections.database import Session
from projections.statement import Statement
from schemas.ids import Partition

TABLE = "positions"

DEFINITION = """
CREATE TABLE {schema}.positions (
    topic text NOT NULL,
    partition int NOT NULL,
    next_offset bigint NOT NULL,
    last_ce_id text,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50)
"""


class Begin(NamedTuple):
    """Where a partition begins."""

    topic: str
    partition: int
    next_offset: int


class Stored(NamedTuple):
    """The first offset that is not in the tables yet, and the ce_id of the record before it, where it had one.

    `until`: while the generation is being filled, the first offset that must not be in the tables, if that is set.
    """

    next_offset: int
    last_ce_id: str | None
    filling: bool = False
    until: int | None = None


class Fenced(Exception):
    """The stored position is not where this worker left it: somebody else moved it, and nothing may be written."""

    def __init__(self, partition: Partition, believed: int) -> None:
        super().__init__(f"{partition.topic} partition {partition.partition} is not at {believed} any more")


INSERT = Statement.insert(TABLE, Begin)
FILL = "ALTER TABLE {schema}.positions ADD COLUMN until bigint"
FILLED = "ALTER TABLE {schema}.positions DROP COLUMN until"
SET_UNTIL = "UPDATE {schema}.positions SET until = $3 WHERE topic = $1 AND partition = $2"
# By jsonb, because the column may be there or not.
_SELECT = """
SELECT topic, partition, next_offset, last_ce_id, to_jsonb(p) ? 'until', (to_jsonb(p) ->> 'until')::bigint
FROM {schema}.positions AS p
"""
ADVANCE = """
UPDATE {schema}.positions SET next_offset = $4, last_ce_id = $5
WHERE topic = $1 AND partition = $2 AND next_offset = $3
RETURNING next_offset
"""
"""Takes topic, partition, where the position is believed to be, and where it goes; no row when it is elsewhere."""
ADVANCE_FILLING = ADVANCE.replace("RETURNING", "AND (until IS NULL OR $4 <= until) RETURNING")


async def load(session: Session) -> dict[Partition, Stored]:
    """Return the stored positions."""
    return {Partition(row[0], row[1]): Stored(*row[2:]) for row in map(tuple, await session.fetch(_SELECT))}
