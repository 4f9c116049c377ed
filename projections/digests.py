"""Compare two generations at exactly the same positions, by digests of the columns that both have.

A table's rows are put into buckets by their hash, and each bucket has a count and a sum, whatever the order of rows.
Only the rows of buckets that differ are fetched, to be shown. Sessions must see the tables at those positions, and keep
seeing them so.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from projections import generations
from projections.database import Session
from schemas import topics

BUCKETS = 256
SHOWN = 3
# A reason may be worded anew without the record being any better.
_NOT_COMPARED = {("dead_letters", "reason")}
# A bad record that compaction took is a dead letter only where it was read before.
_COMPACTED = frozenset(topic.name for topic in topics.TOPICS if topic.compacted)

_COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = '{schema}' ORDER BY column_name
"""
_TOPICS = "SELECT DISTINCT topic FROM {schema}.positions"

Buckets = dict[int, tuple[int, int]]


class Difference(NamedTuple):
    """What one table has that the other has not: how many rows, and a few of them."""

    table: str
    only_live: int
    only_new: int
    shown: tuple[str, ...]

    def __str__(self) -> str:
        shown = "".join(f"\n    {row}" for row in self.shown)
        return f"{self.table}: {self.only_live} rows only in the live tables, {self.only_new} only in the new{shown}"


class Compared(NamedTuple):
    """One table, the columns that both generations have, and which of its rows both should have, as SQL."""

    table: str
    columns: tuple[str, ...]
    rows: str


Digest = Mapping[Compared, Buckets]


async def shared(live: Session, new: Session) -> list[Compared]:
    """Return what can be compared: tables and columns of both, and what they keep of the topics that both read."""
    of_live, of_new = [{tuple(row) for row in await session.fetch(_COLUMNS)} for session in (live, new)]
    both = sorted((of_live & of_new) - _NOT_COMPARED)
    read = {row[0] for row in await live.fetch(_TOPICS)} & {row[0] for row in await new.fetch(_TOPICS)}
    rows = {"positions": _of_topics(read), "dead_letters": _of_topics(read - _COMPACTED)}
    names = [table.TABLE for table in generations.TABLES] + ["inbox_totals", "positions"]
    columns = {name: tuple(column for table, column in both if table == name) for name in names}
    return [Compared(name, columns[name], rows.get(name, "true")) for name in names if columns[name]]


async def digest(session: Session, tables: Sequence[Compared]) -> Digest:
    """Return the buckets of each of these tables."""
    return {compared: await _buckets(session, compared) for compared in tables}


async def compare(live: Session, of_live: Digest, new: Session, of_new: Digest) -> list[Difference]:
    """Return how the two sessions' tables differ, by their digests."""
    return [
        await _difference(live, new, compared, unequal)
        for compared in of_live
        if (unequal := _unequal(of_live[compared], of_new[compared]))
    ]


def _of_topics(names: Collection[str]) -> str:
    return f"topic = ANY('{{{','.join(sorted(names))}}}')"


def _unequal(one: Buckets, other: Buckets) -> list[int]:
    return [bucket for bucket in one | other if one.get(bucket) != other.get(bucket)]


async def _difference(live: Session, new: Session, compared: Compared, buckets: Sequence[int]) -> Difference:
    rows_live, rows_new = await _rows(live, compared, buckets), await _rows(new, compared, buckets)
    only_live, only_new = rows_live - rows_new, rows_new - rows_live
    examples = [f"live: {row}" for row in sorted(only_live)[:SHOWN]] + [
        f"new:  {row}" for row in sorted(only_new)[:SHOWN]
    ]
    return Difference(compared.table, len(only_live), len(only_new), tuple(examples))


async def _buckets(session: Session, compared: Compared) -> Buckets:
    sql = f"""
        SELECT (hash & {BUCKETS - 1})::int, count(*), sum(hash)::text
        FROM ({_rows_sql(compared)}) AS r GROUP BY 1
    """  # noqa: S608 - names from the catalogue
    return {row[0]: (row[1], int(row[2])) for row in await session.fetch(sql)}


async def _rows(session: Session, compared: Compared, buckets: Sequence[int]) -> set[str]:
    sql = f"SELECT text FROM ({_rows_sql(compared)}) AS r WHERE (hash & {BUCKETS - 1})::int = ANY($1::int[])"  # noqa: S608
    return {row[0] for row in await session.fetch(sql, buckets)}


def _rows_sql(compared: Compared) -> str:
    row = f"ROW({', '.join(compared.columns)})"
    rows = f"{{schema}}.{compared.table} WHERE {compared.rows}"
    return f"SELECT {row}::text AS text, hash_record_extended({row}, 0) AS hash FROM {rows}"  # noqa: S608
