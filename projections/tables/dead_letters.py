"""`dead_letters`: records that could not be decoded or applied, as they lie in the log, with the reason.

There is no retry: the code is mended and the tables are built again, so that they stay a function of the log.
"""

from datetime import datetime
from typing import NamedTuple

from projections.statement import Statement

TABLE = "dead_letters"

# headers: JSON, [name, value in base64] in the record's order. Bytes, because a name may hold what jsonb refuses.
DEFINITION = """
CREATE TABLE {schema}.dead_letters (
    topic text NOT NULL,
    partition int NOT NULL,
    record_offset bigint NOT NULL,
    ce_id text,
    ce_type text,
    reason text NOT NULL,
    key bytea,
    value bytea,
    headers bytea NOT NULL,
    recorded_at timestamptz NOT NULL
)
"""
INDEXES = ("ALTER TABLE {schema}.dead_letters ADD PRIMARY KEY (topic, partition, record_offset)",)


class Row(NamedTuple):
    """One record; `recorded_at` is its append time, by the broker."""

    topic: str
    partition: int
    record_offset: int
    ce_id: str | None
    ce_type: str | None
    reason: str
    key: bytes | None
    value: bytes | None
    headers: bytes
    recorded_at: datetime


# One that is there already was read again from a position that somebody set back.
INSERT = Statement.insert(TABLE, Row, unless_there=True)
