"""projections/statement.py: SQL on many rows, alone or together with others."""

from datetime import datetime
from typing import NamedTuple

from projections.statement import Statement, together


class Row(NamedTuple):
    id: int
    name: str | None
    at: datetime
    raw: bytes


class Id(NamedTuple):
    id: int


def test_an_insert_takes_its_columns_and_types_from_the_row() -> None:
    insert = Statement.insert("things", Row)
    assert insert.copies == "things"
    assert insert.text("s") == (
        "INSERT INTO s.things (id, name, at, raw) SELECT n.* FROM "
        "unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::bytea[]) AS n(id, name, at, raw)"
    )


def test_an_insert_that_may_find_its_row_there_is_no_copy() -> None:
    insert = Statement.insert("things", Id, unless_there=True)
    assert insert.copies is None
    assert insert.text("s").endswith("ON CONFLICT DO NOTHING")


def test_statements_together_number_their_parameters_on_and_depend_on_the_condition() -> None:
    delete = Statement("DELETE FROM {schema}.things AS t USING {rows} WHERE t.id = n.id", Id)
    text = together("UPDATE {schema}.p SET a = $1 WHERE b = $2 RETURNING a", 2, (delete, delete), "s")
    assert text == (
        "WITH condition AS (UPDATE s.p SET a = $1 WHERE b = $2 RETURNING a), "
        "part1 AS (DELETE FROM s.things AS t USING unnest($3::bigint[]) AS n(id) CROSS JOIN condition"
        " WHERE t.id = n.id), "
        "part2 AS (DELETE FROM s.things AS t USING unnest($4::bigint[]) AS n(id) CROSS JOIN condition"
        " WHERE t.id = n.id) "
        "SELECT * FROM condition"
    )
