"""`messages`: every message that counts, numbered without gaps in its conversation.

`sender_count` is the sender's own count up to here, so that an unread count is a subtraction however long the history.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from projections.database import Session, columns
from projections.statement import Statement

TABLE = "messages"

DEFINITION = """
CREATE TABLE {schema}.messages (
    conversation_id bigint NOT NULL,
    seq bigint NOT NULL,
    id bigint NOT NULL,
    sender_id bigint NOT NULL,
    sender_count bigint NOT NULL,
    content text NOT NULL,
    content_type text NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    record_offset bigint NOT NULL
)
"""
INDEXES = ("ALTER TABLE {schema}.messages ADD PRIMARY KEY (conversation_id, seq)",)
LATE_INDEXES = (
    "CREATE UNIQUE INDEX IF NOT EXISTS messages_id ON {schema}.messages (id)",
    "CREATE UNIQUE INDEX IF NOT EXISTS messages_claim ON {schema}.messages (conversation_id, sender_id, client_id)",
    "CREATE INDEX IF NOT EXISTS messages_of_sender ON {schema}.messages (sender_id, created_at)",
)


class Row(NamedTuple):
    """One message."""

    conversation_id: int
    seq: int
    id: int
    sender_id: int
    sender_count: int
    content: str
    content_type: str
    client_id: str
    created_at: datetime
    record_offset: int


class Sent(NamedTuple):
    """What a read must know of the message that it names."""

    id: int
    sender_id: int
    sender_count: int


INSERT = Statement.insert(TABLE, Row)
_SELECT = """
SELECT m.conversation_id, m.seq, m.id, m.sender_id, m.sender_count FROM {schema}.messages AS m
JOIN unnest($1::bigint[], $2::bigint[]) AS wanted(conversation_id, seq) USING (conversation_id, seq)
"""


async def load(session: Session, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Sent]:
    """Return what is known of messages by (conversation id, seq)."""
    found = await session.fetch(_SELECT, *columns(places))
    return {(row[0], row[1]): Sent(row[2], row[3], row[4]) for row in found}
