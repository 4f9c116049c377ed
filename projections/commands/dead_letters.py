"""`chat dead-letters`: the records that a generation could not apply."""

import base64
from datetime import datetime
from typing import Any

import click

from infra.commands import reach
from infra.part import StartError
from infra.settings import Settings, load_settings
from schemas.times import write_time

COLUMNS = ("topic", "partition", "offset", "ce_type", "recorded_at", "reason")


@click.group("dead-letters", invoke_without_command=True)
@click.option("--json", "for_programs", is_flag=True, help="List as JSON.")
@click.pass_context
def dead_letters(ctx: click.Context, *, for_programs: bool) -> None:
    """List or show the records that could not be decoded or applied.

    There is no retry: when the code is mended, chat rebuild applies them.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, for_programs=for_programs)
    elif for_programs:
        raise click.UsageError("--json belongs behind the subcommand", ctx)


@dead_letters.command("list")
@click.option("--generation", type=int, help="Not the live one.")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many, the latest first."
)
@click.option("--json", "for_programs", is_flag=True, help="As JSON.")
def list_(*, generation: int | None, limit: int, for_programs: bool) -> None:
    """List them, the latest first."""
    select = """
        SELECT topic, partition, record_offset AS offset, ce_id, ce_type, recorded_at, reason
        FROM {schema}.dead_letters ORDER BY recorded_at DESC, topic, partition, record_offset DESC LIMIT $1
    """
    rows = reach.run(_ask(load_settings(), generation, select, limit))
    if for_programs:
        reach.as_json([_plain(row) for row in rows])
    elif rows:
        reach.table(COLUMNS, ([_readable(row[column]) for column in COLUMNS] for row in rows))
    else:
        click.echo("none")


@dead_letters.command()
@click.argument("topic")
@click.argument("partition", type=int)
@click.argument("offset", type=int)
@click.option("--generation", type=int, help="Not the live one.")
@click.option("--json", "for_programs", is_flag=True, help="As JSON, bytes in base64.")
def show(*, topic: str, partition: int, offset: int, generation: int | None, for_programs: bool) -> None:
    """Show one as it lies in the log."""
    select = """
        SELECT topic, partition, record_offset AS offset, ce_id, ce_type, recorded_at, reason, key, value, headers
        FROM {schema}.dead_letters WHERE (topic, partition, record_offset) = ($1, $2, $3)
    """
    rows = reach.run(_ask(load_settings(), generation, select, topic, partition, offset))
    if not rows:
        raise click.ClickException(f"there is no dead letter at {topic} {partition} {offset}")
    if for_programs:
        reach.as_json(_plain(rows[0]))
        return
    for name, value in rows[0].items():
        click.echo(f"{name:12} {_readable(value)}")


async def _ask(settings: Settings, generation: int | None, select: str, *arguments: object) -> list[dict[str, Any]]:
    async with reach.postgres(settings) as connection:
        if await connection.fetchval("SELECT to_regclass('chat.generations')") is None:
            raise StartError("there are no read tables yet: has a worker run?")
        which = "state = 'live' AND $1::int IS NULL OR id = $1"
        schema = await connection.fetchval(f"SELECT schema_name FROM chat.generations WHERE {which}", generation)  # noqa: S608
        if schema is None:
            raise StartError(f"there is no generation {generation}" if generation else "no generation is live yet")
        return [dict(row) for row in await connection.fetch(select.replace("{schema}", schema), *arguments)]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64encode(value).decode()
        if isinstance(value, bytes)
        else write_time(value)
        if isinstance(value, datetime)
        else value
        for name, value in row.items()
    }


def _readable(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bytes():
            return value.decode(errors="backslashreplace")
        case datetime():
            return write_time(value)
        case _:
            return str(value)
