"""`inbox` and `inbox_totals`: each viewer's conversations in the order of a list, and how many there are.

A list is one range of one index, and its total one row for each partition, so that workers on different partitions
never wait for each other.
"""

from datetime import datetime
from typing import NamedTuple

from projections.statement import Statement

TABLE = "inbox"

DEFINITION = """
CREATE TABLE {schema}.inbox (
    user_id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    opened_offset bigint NOT NULL
)
"""
TOTALS_DEFINITION = """
CREATE TABLE {schema}.inbox_totals (
    user_id bigint NOT NULL,
    partition int NOT NULL,
    total bigint NOT NULL
)
"""
INDEXES = (
    "ALTER TABLE {schema}.inbox ADD PRIMARY KEY (user_id, conversation_id)",
    "ALTER TABLE {schema}.inbox_totals ADD PRIMARY KEY (user_id, partition)",
)
LATE_INDEXES = (
    """
    CREATE INDEX IF NOT EXISTS inbox_latest_first
    ON {schema}.inbox (user_id, updated_at DESC, conversation_id DESC)
    """,
)


class Row(NamedTuple):
    """A conversation in the list of one of its two users, and where in its partition it was opened."""

    user_id: int
    conversation_id: int
    updated_at: datetime
    opened_offset: int


class Move(NamedTuple):
    """A new place in the list."""

    user_id: int
    conversation_id: int
    updated_at: datetime


class Total(NamedTuple):
    """How many conversations of a partition a user has, or has more than before."""

    user_id: int
    partition: int
    total: int


INSERT = Statement.insert(TABLE, Row)
UPDATE = Statement(
    """
    UPDATE {schema}.inbox AS i SET updated_at = n.updated_at
    FROM {rows} WHERE i.user_id = n.user_id AND i.conversation_id = n.conversation_id
    """,
    Move,
)
ADD_TOTALS = Statement(
    """
    INSERT INTO {schema}.inbox_totals AS t (user_id, partition, total) SELECT n.* FROM {rows}
    ON CONFLICT (user_id, partition) DO UPDATE SET total = t.total + excluded.total
    """,
    Total,
)
