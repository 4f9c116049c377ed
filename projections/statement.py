"""SQL that takes many rows at once, in one of three ways: alone, by COPY, or together with others in one round trip.

Pure text. Rows are arrays that `unnest` turns into a relation called n; a statement says where with `{rows}`.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any, get_args, get_type_hints

Row = tuple[Any, ...]

_TYPES = {int: "bigint", str: "text", bytes: "bytea", datetime: "timestamptz"}


class Statement:
    """One statement on rows of a named tuple. `copies`: it only inserts them, into this table."""

    def __init__(self, sql: str, row: type[Row], *, copies: str | None = None) -> None:
        self.sql = sql
        self.copies = copies
        hints = get_type_hints(row)
        self.columns = tuple(hints)
        self._types = [_type(hint) for hint in hints.values()]

    @classmethod
    def insert(cls, table: str, row: type[Row], *, unless_there: bool = False) -> "Statement":
        """Return the statement that inserts rows and nothing else."""
        names = ", ".join(get_type_hints(row))
        sql = f"INSERT INTO {{schema}}.{table} ({names}) SELECT n.* FROM {{rows}}"  # noqa: S608 - our own names
        return cls(f"{sql} ON CONFLICT DO NOTHING", row) if unless_there else cls(sql, row, copies=table)

    def text(self, schema: str, *, first: int = 1, joined: str = "") -> str:
        """Return the SQL with parameters from `$first` on; the rows are joined to `joined`: none if it is empty."""
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(self._types, first))
        rows = f"unnest({arrays}) AS n({', '.join(self.columns)})"
        if joined:
            rows = f"{rows} CROSS JOIN {joined}"
        return self.sql.replace("{schema}", schema).replace("{rows}", rows)


def _type(hint: Any) -> str:
    """Return the Postgres type of a field, optional or not."""
    return next(_TYPES[kind] for kind in (hint, *get_args(hint)) if kind in _TYPES)


@lru_cache(maxsize=256)
def together(condition: str, parameters: int, statements: tuple[Statement, ...], schema: str) -> str:
    """Return one SQL text that runs all statements if `condition`, which takes so many parameters, returns a row.

    `condition` is a statement that changes something itself (data-modifying WITH). All of them see the tables as they
    were before, so that no two may touch the same row.
    """
    parts = [f"condition AS ({condition.replace('{schema}', schema)})"]
    for number, statement in enumerate(statements, 1):
        parts.append(f"part{number} AS ({statement.text(schema, first=parameters + 1, joined='condition')})")
        parameters += len(statement.columns)
    return f"WITH {', '.join(parts)} SELECT * FROM condition"  # noqa: S608 - our own statements
