"""Whether the read tables and the log belong together: what a worker refuses to start on, asked without one.

For each generation: the epoch of the log it was made from, whether its positions are in the log, and whether the last
record that it holds of each partition is still there. Looks only; what to do is in docs/operating.md.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import asyncpg

from infra import log_start
from infra.commands import reach
from infra.log_reader import LogReader
from infra.settings import Settings
from schemas.envelope import header, storable
from schemas.ids import Partition
from schemas.topics import BY_NAME

SECONDS = 30.0
WAIT_SECONDS = 2.0


class Stand(NamedTuple):
    """How far a generation is in a partition: the first offset that it lacks, and the ce_id of the record before."""

    next_offset: int
    last_ce_id: str | None


class Tables(NamedTuple):
    """One generation: its schema, the epoch of the log that it was made from, and where it stands.

    `dead_letters` and `differences`: how many it has, where it is the live one.
    """

    schema: str
    epoch: str
    live: bool
    stands: Mapping[Partition, Stand]
    dead_letters: int
    differences: int


async def built(settings: Settings) -> list[Tables]:
    """Return all generations; none before a worker has made one. StartError when Postgres does not answer."""
    async with reach.postgres(settings) as connection:
        try:
            rows = await connection.fetch("SELECT schema_name, epoch, state = 'live' FROM chat.generations ORDER BY id")
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            return []
        return [
            Tables(
                schema,
                epoch,
                live,
                await _stands(connection, schema),
                *(await _counts(connection, schema) if live else (0, 0)),
            )
            for schema, epoch, live in rows
        ]


async def disagreements(settings: Settings, built: list[Tables]) -> list[str]:
    """Return a line for each thing that does not fit. StartError when Kafka does not answer."""
    async with reach.log_reader(settings) as reader, reach.kafka(settings, SECONDS):
        known = await log_start.identity(reader)
        lines = []
        for tables in built:
            if known is None or tables.epoch != known.epoch:
                found = "has no first record" if known is None else f"is {known.epoch}"
                lines.append(f"{tables.schema} was made from the log with epoch {tables.epoch}, and this one {found}")
            else:
                lines += [f"{tables.schema}, {line}" for line in await _of_one(reader, tables.stands)]
        return lines


async def _stands(connection: Any, schema: str) -> dict[Partition, Stand]:
    # A schema's name comes from our own table, and cannot be a parameter.
    rows = await connection.fetch(f"SELECT topic, partition, next_offset, last_ce_id FROM {schema}.positions")  # noqa: S608
    return {Partition(row[0], row[1]): Stand(row[2], row[3]) for row in rows}


async def _counts(connection: Any, schema: str) -> tuple[int, int]:
    counts = f"SELECT (SELECT count(*) FROM {schema}.dead_letters), (SELECT count(*) FROM {schema}.differences)"  # noqa: S608
    dead_letters, differences = await connection.fetchrow(counts)
    return dead_letters, differences


async def _of_one(reader: LogReader, stands: Mapping[Partition, Stand]) -> list[str]:
    begins, ends = await reader.begins(stands), await reader.ends(stands)
    lines, inside = [], {}
    for partition, stand in sorted(stands.items()):
        begin, end = begins[partition], ends[partition]
        if not begin <= stand.next_offset <= end:
            lines.append(f"{_at(partition)}: it stands at offset {stand.next_offset}, and the log has {begin} to {end}")
        elif stand.last_ce_id is not None and begin < stand.next_offset:
            inside[partition] = stand.next_offset - 1
    for partition, record in sorted((await _first_from(reader, inside)).items()):
        expected, found = stands[partition].last_ce_id, _ce_id(record)
        if record.offset == inside[partition]:
            if found != expected:
                lines.append(
                    f"{_at(partition)}: the record at offset {record.offset} was {expected}, and is {found} now"
                )
        elif not BY_NAME[partition.topic].compacted:
            lines.append(f"{_at(partition)}: the record at offset {inside[partition]} is gone")
    return lines


async def _first_from(reader: LogReader, places: Mapping[Partition, int]) -> dict[Partition, Any]:
    """Return the first record at or after each place; of compacted topics there may be none."""
    missing, found = dict(places), {}
    while missing:
        reader.read_from(missing)
        came = await reader.records(wait=WAIT_SECONDS, most=1_000)
        if not came:
            break
        for partition, records in came.items():
            found[partition] = records[0]
            del missing[partition]
    return found


def _ce_id(record: Any) -> str | None:
    text = header(record.headers, "ce_id")
    return None if text is None else storable(text)


def _at(partition: Partition) -> str:
    return f"{partition.topic} partition {partition.partition}"
