"""`chat generations`: list the builds of the read tables; promote, roll back, drop."""

from collections.abc import Coroutine
from datetime import datetime
from typing import Any

import click

from infra.commands import reach
from infra.part import StartError
from infra.settings import Settings, load_settings
from projections import dropping, promotion
from projections.database import Away
from projections.refusal import Refusal
from schemas.times import write_time

COLUMNS = ("id", "schema", "state", "complete", "created_at", "promoted_at", "dead_letters", "differences")
PROMOTE_SECONDS = 60.0


@click.group(invoke_without_command=True)
@click.option("--json", "for_programs", is_flag=True, help="List as JSON.")
@click.pass_context
def generations(ctx: click.Context, *, for_programs: bool) -> None:
    """List the builds of the read tables; promote, roll back, drop."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, for_programs=for_programs)
    elif for_programs:
        raise click.UsageError("--json belongs behind the subcommand", ctx)


@generations.command("list")
@click.option("--json", "for_programs", is_flag=True, help="As JSON.")
def list_(*, for_programs: bool) -> None:
    """Show every generation: its state, and how many records it could not apply."""
    rows = reach.run(_list(load_settings()))
    if for_programs:
        reach.as_json(rows)
    else:
        reach.table(COLUMNS, ([row[column] if row[column] is not None else "-" for column in COLUMNS] for row in rows))


@generations.command()
@click.argument("number", type=int)
def promote(number: int) -> None:
    """Make generation NUMBER live, as soon as it is not behind the one that is."""
    _run(promotion.promote(load_settings(), number, within=PROMOTE_SECONDS))
    click.echo(f"generation {number} is live")


@generations.command()
def rollback() -> None:
    """Make the generation live again that was so before, as soon as it is not behind."""
    number = _run(promotion.roll_back(load_settings(), within=PROMOTE_SECONDS))
    click.echo(f"generation {number} is live again")


@generations.command()
@click.argument("number", type=int)
def drop(number: int) -> None:
    """Drop generation NUMBER and its tables; not the live one."""
    _run(dropping.drop(load_settings(), number))
    click.echo(f"generation {number} is gone")


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return reach.run(work)
    except (Refusal, Away) as end:
        raise click.ClickException(str(end)) from end


async def _list(settings: Settings) -> list[dict[str, Any]]:
    async with reach.postgres(settings) as connection:
        if await connection.fetchval("SELECT to_regclass('chat.generations')") is None:
            raise StartError("there are no read tables yet: has a worker run?")
        rows = await connection.fetch("SELECT *, schema_name AS schema FROM chat.generations ORDER BY id")
        found = [{**row, **await _counts(connection, row["schema"])} for row in rows]
    return [{column: _plain(row[column]) for column in COLUMNS} for row in found]


async def _counts(connection: Any, schema: str) -> dict[str, int]:
    # A schema's name comes from our own table, and cannot be a parameter.
    return {
        table: await connection.fetchval(f"SELECT count(*) FROM {schema}.{table}")  # noqa: S608
        for table in ("dead_letters", "differences")
    }


def _plain(value: Any) -> Any:
    return write_time(value) if isinstance(value, datetime) else value
