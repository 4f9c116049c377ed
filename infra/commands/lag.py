"""`chat lag`: how far the read tables are behind the log."""

from typing import Any

import asyncpg
import click

from infra.commands import reach
from infra.part import StartError
from infra.settings import Settings, load_settings
from schemas.ids import Partition

COLUMNS = ("generation", "state", "topic", "partition", "position", "end", "behind")


@click.command()
@click.option("--json", "for_programs", is_flag=True, help="As JSON.")
def lag(*, for_programs: bool) -> None:
    """Compare the projections' positions with the end of the log, for each generation and partition."""
    rows = reach.run(_lag(load_settings()))
    if for_programs:
        reach.as_json(rows)
    else:
        reach.table(COLUMNS, ([row[column] for column in COLUMNS] for row in rows))
        click.echo(f"{sum(row['behind'] for row in rows)} records behind")


async def _lag(settings: Settings) -> list[dict[str, Any]]:
    async with reach.postgres(settings) as connection:
        rows = await _positions(connection)
    async with reach.log_reader(settings) as reader, reach.kafka(settings):
        ends = await reader.ends({Partition(row["topic"], row["partition"]) for row in rows})
    for row in rows:
        row["end"] = ends[Partition(row["topic"], row["partition"])]
        row["behind"] = row["end"] - row["position"]
    return rows


async def _positions(connection: Any) -> list[dict[str, Any]]:
    """Return the stored positions of every generation."""
    try:
        generations = await connection.fetch("SELECT schema_name, state FROM chat.generations ORDER BY id")
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        raise StartError("there are no read tables yet: has a worker run?") from None
    rows = []
    for schema, state in generations:
        # A schema's name comes from our own table, and cannot be a parameter.
        select = f"SELECT topic, partition, next_offset AS position FROM {schema}.positions ORDER BY 1, 2"  # noqa: S608
        rows += [{"generation": schema, "state": state, **row} for row in await connection.fetch(select)]
    return rows
