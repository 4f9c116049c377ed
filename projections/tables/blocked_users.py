"""`blocked_users`: who blocked whom; an unblock leaves the row, with its time."""

from datetime import datetime
from typing import NamedTuple

from projections.statement import Statement

TABLE = "blocked_users"

DEFINITION = """
CREATE TABLE {schema}.blocked_users (
    user_id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    blocked_user_id bigint NOT NULL,
    blocked_at timestamptz NOT NULL,
    unblocked_at timestamptz,
    record_offset bigint NOT NULL
)
"""
INDEXES = (
    "ALTER TABLE {schema}.blocked_users ADD PRIMARY KEY (user_id, conversation_id)",
    """
    CREATE INDEX blocked_users_in_force ON {schema}.blocked_users (user_id, blocked_at DESC, conversation_id DESC)
    WHERE unblocked_at IS NULL
    """,
)


class Row(NamedTuple):
    """The latest block by one user of one conversation; in force while `unblocked_at` is None."""

    user_id: int
    conversation_id: int
    blocked_user_id: int
    blocked_at: datetime
    unblocked_at: datetime | None
    record_offset: int


UPSERT = Statement(
    """
    INSERT INTO {schema}.blocked_users
        (user_id, conversation_id, blocked_user_id, blocked_at, unblocked_at, record_offset)
    SELECT n.* FROM {rows}
    ON CONFLICT (user_id, conversation_id) DO UPDATE SET
        blocked_at = excluded.blocked_at, unblocked_at = excluded.unblocked_at, record_offset = excluded.record_offset
    """,
    Row,
)
