"""`reads`: one row for each time that a reader's watermark moved forward.

A message's `read_at` is that of the first row of the other user whose `up_to_seq` reached it.
"""

from datetime import datetime
from typing import NamedTuple

from projections.statement import Statement

TABLE = "reads"

DEFINITION = """
CREATE TABLE {schema}.reads (
    conversation_id bigint NOT NULL,
    reader_id bigint NOT NULL,
    up_to_seq bigint NOT NULL,
    up_to_count bigint NOT NULL,
    message_id bigint NOT NULL,
    read_at timestamptz NOT NULL,
    record_offset bigint NOT NULL
)
"""
INDEXES = ("ALTER TABLE {schema}.reads ADD PRIMARY KEY (conversation_id, reader_id, up_to_seq)",)


class Row(NamedTuple):
    """A step of a watermark; `up_to_count` of the other's messages are covered by it."""

    conversation_id: int
    reader_id: int
    up_to_seq: int
    up_to_count: int
    message_id: int
    read_at: datetime
    record_offset: int


INSERT = Statement.insert(TABLE, Row)
