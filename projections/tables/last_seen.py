"""`last_seen`: when a user's last socket closed; the latest time wins, whatever order the records have."""

from datetime import datetime
from typing import NamedTuple

from projections.statement import Statement

TABLE = "last_seen"

DEFINITION = """
CREATE TABLE {schema}.last_seen (
    user_id bigint NOT NULL,
    last_seen timestamptz NOT NULL,
    record_offset bigint NOT NULL
)
"""
INDEXES = ("ALTER TABLE {schema}.last_seen ADD PRIMARY KEY (user_id)",)


class Row(NamedTuple):
    """One user's latest time, and the last record that said it, which is the one that compaction keeps."""

    user_id: int
    last_seen: datetime
    record_offset: int


class Erased(NamedTuple):
    """A user who is to be forgotten."""

    user_id: int


UPSERT = Statement(
    """
    INSERT INTO {schema}.last_seen AS l (user_id, last_seen, record_offset) SELECT n.* FROM {rows}
    ON CONFLICT (user_id) DO UPDATE SET last_seen = excluded.last_seen, record_offset = excluded.record_offset
    WHERE excluded.last_seen >= l.last_seen
    """,
    Row,
)
DELETE = Statement("DELETE FROM {schema}.last_seen AS l USING {rows} WHERE l.user_id = n.user_id", Erased)
