"""`differences`: where the judge numbered a message otherwise than the history did: a writer vouched wrongly.

The projection's own number stands. This table should be empty for ever.
"""

from typing import NamedTuple

from projections.statement import Statement

TABLE = "differences"

DEFINITION = """
CREATE TABLE {schema}.differences (
    topic text NOT NULL,
    partition int NOT NULL,
    record_offset bigint NOT NULL,
    conversation_id bigint NOT NULL,
    judged_seq bigint NOT NULL,
    own_seq bigint NOT NULL
)
"""
INDEXES = ("ALTER TABLE {schema}.differences ADD PRIMARY KEY (topic, partition, record_offset)",)


class Row(NamedTuple):
    """One message and its two numbers."""

    topic: str
    partition: int
    record_offset: int
    conversation_id: int
    judged_seq: int
    own_seq: int


# One that is there already was read again from a position that somebody set back.
INSERT = Statement.insert(TABLE, Row, unless_there=True)
