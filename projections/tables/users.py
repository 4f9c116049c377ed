"""`users`: how users are shown, as the profile service last published it."""

from typing import NamedTuple

from projections.statement import Statement

TABLE = "users"

DEFINITION = """
CREATE TABLE {schema}.users (
    id bigint NOT NULL,
    name text,
    photo text,
    record_offset bigint NOT NULL
)
"""
INDEXES = ("ALTER TABLE {schema}.users ADD PRIMARY KEY (id)",)


class Row(NamedTuple):
    """One user; None is not known."""

    id: int
    name: str | None
    photo: str | None
    record_offset: int


class Erased(NamedTuple):
    """A user who is to be forgotten."""

    id: int


UPSERT = Statement(
    """
    INSERT INTO {schema}.users (id, name, photo, record_offset) SELECT n.* FROM {rows}
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, photo = excluded.photo, record_offset = excluded.record_offset
    """,
    Row,
)
DELETE = Statement("DELETE FROM {schema}.users AS u USING {rows} WHERE u.id = n.id", Erased)
