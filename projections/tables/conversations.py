"""`conversations`: one row for each pair, with what lists, unread counts and admission need."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from projections.database import Session, columns
from projections.statement import Statement

TABLE = "conversations"

# fillfactor: rows change with each batch, and none of the indexed columns do, so the new version fits the same page.
DEFINITION = """
CREATE TABLE {schema}.conversations (
    id bigint NOT NULL,
    partition int NOT NULL,
    lower_user_id bigint NOT NULL,
    higher_user_id bigint NOT NULL,
    opened_at timestamptz NOT NULL,
    last_seq bigint NOT NULL,
    lower_sent bigint NOT NULL,
    higher_sent bigint NOT NULL,
    lower_read_seq bigint NOT NULL,
    lower_read_count bigint NOT NULL,
    lower_read_at timestamptz,
    higher_read_seq bigint NOT NULL,
    higher_read_count bigint NOT NULL,
    higher_read_at timestamptz,
    lower_blocked_at timestamptz,
    lower_unblocked_at timestamptz,
    higher_blocked_at timestamptz,
    higher_unblocked_at timestamptz,
    last_message text,
    last_message_sender bigint,
    updated_at timestamptz NOT NULL,
    record_offset bigint NOT NULL
) WITH (fillfactor = 70)
"""
INDEXES = (
    "ALTER TABLE {schema}.conversations ADD PRIMARY KEY (id)",
    "ALTER TABLE {schema}.conversations ADD UNIQUE (lower_user_id, higher_user_id)",
)


class Row(NamedTuple):
    """A conversation as of one record; `record_offset` is that of the last event that was applied to it."""

    id: int
    partition: int
    lower_user_id: int
    higher_user_id: int
    opened_at: datetime
    last_seq: int
    lower_sent: int
    higher_sent: int
    lower_read_seq: int
    lower_read_count: int
    lower_read_at: datetime | None
    higher_read_seq: int
    higher_read_count: int
    higher_read_at: datetime | None
    lower_blocked_at: datetime | None
    lower_unblocked_at: datetime | None
    higher_blocked_at: datetime | None
    higher_unblocked_at: datetime | None
    last_message: str | None
    last_message_sender: int | None
    updated_at: datetime
    record_offset: int


INSERT = Statement.insert(TABLE, Row)
UPDATE = Statement(
    """
    UPDATE {schema}.conversations AS c SET
        last_seq = n.last_seq, lower_sent = n.lower_sent, higher_sent = n.higher_sent,
        lower_read_seq = n.lower_read_seq, lower_read_count = n.lower_read_count, lower_read_at = n.lower_read_at,
        higher_read_seq = n.higher_read_seq, higher_read_count = n.higher_read_count,
        higher_read_at = n.higher_read_at,
        lower_blocked_at = n.lower_blocked_at, lower_unblocked_at = n.lower_unblocked_at,
        higher_blocked_at = n.higher_blocked_at, higher_unblocked_at = n.higher_unblocked_at,
        last_message = n.last_message, last_message_sender = n.last_message_sender,
        updated_at = n.updated_at, record_offset = n.record_offset
    FROM {rows} WHERE c.id = n.id
    """,
    Row,
)
_SELECT = """
SELECT c.* FROM {schema}.conversations AS c
JOIN unnest($1::bigint[], $2::bigint[]) AS pair(lower_user_id, higher_user_id) USING (lower_user_id, higher_user_id)
"""


async def load(session: Session, pairs: Collection[tuple[int, int]]) -> list[Row]:
    """Return the conversations of these pairs (lower user id, higher user id), as far as they have one."""
    found = await session.fetch(_SELECT, *columns(pairs))
    return [Row(*row) for row in found]
