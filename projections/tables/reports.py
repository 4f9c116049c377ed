"""`reports`: what users told the moderators."""

from datetime import datetime
from typing import NamedTuple

from projections.statement import Statement

TABLE = "reports"

DEFINITION = """
CREATE TABLE {schema}.reports (
    id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    user_id bigint NOT NULL,
    reported_user_id bigint NOT NULL,
    report_type text NOT NULL,
    reason text NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    reported_at timestamptz NOT NULL,
    partition int NOT NULL,
    record_offset bigint NOT NULL
)
"""
INDEXES = (
    "ALTER TABLE {schema}.reports ADD PRIMARY KEY (id)",
    "ALTER TABLE {schema}.reports ADD UNIQUE (conversation_id, user_id, client_id)",
    "CREATE INDEX reports_by_reporter ON {schema}.reports (user_id, reported_at)",
    "CREATE INDEX reports_by_reported ON {schema}.reports (reported_user_id, reported_at)",
)


class Row(NamedTuple):
    """One report."""

    id: int
    conversation_id: int
    user_id: int
    reported_user_id: int
    report_type: str
    reason: str
    client_id: str
    reported_at: datetime
    partition: int
    record_offset: int


# One from the same record was read again from a position that somebody set back; any other with its id is an error.
INSERT = Statement(
    """
    INSERT INTO {schema}.reports (
        id, conversation_id, user_id, reported_user_id, report_type, reason, client_id, reported_at, partition,
        record_offset
    )
    SELECT n.* FROM {rows} WHERE NOT EXISTS (
        SELECT FROM {schema}.reports AS r
        WHERE r.id = n.id AND r.partition = n.partition AND r.record_offset = n.record_offset
    )
    """,
    Row,
)
