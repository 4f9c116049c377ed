"""`chat lag`: how far the read tables are behind the log."""

from typing import Any

import asyncpg
import click

from infra.commands import reach
from infra.kafka_topics import describe_topics, partitions
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
    stored = {Partition(row["topic"], row["partition"]) for row in rows}
    async with reach.log_reader(settings) as reader, reach.kafka(settings):
        # What is not there has no end, and a client would wait for it.
        if missing := stored.difference(partitions(await describe_topics(settings))):
            lacking = ", ".join(sorted({partition.topic for partition in missing}))
            where = f"Kafka at {settings.kafka_bootstrap_servers}"
            raise StartError(f"{where} lacks topics that the read tables were made from, or partitions: {lacking}")
        ends = await reader.ends(stored)
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
