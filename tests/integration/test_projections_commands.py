"""`chat generations`, `chat dead-letters` and what `chat doctor` says of the tables, on real ones."""

import asyncio
import base64
import json
import random
import re
from typing import Any

import pytest
from click.testing import CliRunner, Result

from infra import log_start
from infra.cli import main
from infra.settings import Settings
from tests.histories import History
from tests.projecting import LIVE, append, caught_up, run_sql, until, working

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def projected(settings: Settings) -> History:
    history = History(random.Random(21), partitions=settings.partitions)
    await append(settings, history.steps(300))
    async with working(settings):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
    return history


async def run(settings: Settings, *arguments: str) -> Result:
    """Run a command as a process would, in a thread, because it runs a loop of its own."""
    environ = {
        "CHAT_HOME": str(settings.home),
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "DATABASE_URL": settings.database(),
    }
    return await asyncio.to_thread(CliRunner().invoke, main, list(arguments), env=environ)


async def parsed(settings: Settings, *arguments: str) -> Any:
    result = await run(settings, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


async def test_generations_are_listed_and_the_live_one_is_kept(settings: Settings) -> None:
    assert (
        await run(settings, "generations", "list")
    ).output == "Error: there are no read tables yet: has a worker run?\n"
    await projected(settings)

    (row,) = await parsed(settings, "generations", "list")
    assert (row["id"], row["schema"], row["state"], row["complete"]) == (1, "chat_g1", "live", True)
    assert row["dead_letters"] > 0
    assert TIME.fullmatch(row["created_at"])
    assert (await run(settings, "generations")).output == (await run(settings, "generations", "list")).output
    for arguments, why in [
        (("drop", "1"), "generation 1 is live: promote another one first"),
        (("drop", "7"), "there is no generation 7"),
        (("promote", "1"), "generation 1 is live already"),
        (("rollback",), "there is no earlier generation to go back to"),
    ]:
        refused = await run(settings, "generations", *arguments)
        assert (refused.exit_code, refused.output) == (1, f"Error: {why}\n")


async def test_dead_letters_are_listed_and_shown_as_they_lie_in_the_log(settings: Settings) -> None:
    history = await projected(settings)
    listed = await parsed(settings, "dead-letters", "list")
    assert listed == sorted(listed, key=lambda row: row["recorded_at"], reverse=True)
    assert all(TIME.fullmatch(row["recorded_at"]) for row in listed)
    for row in listed[:5]:
        place = [row["topic"], str(row["partition"]), str(row["offset"])]
        shown = await parsed(settings, "dead-letters", "show", *place)
        (entry,) = [e for e in history.order if (e.topic, e.partition, e.offset) == (*place[:1], *map(int, place[1:]))]
        assert shown["reason"] == row["reason"]
        assert shown["value"] == (entry.value and base64.b64encode(entry.value).decode())
        readable = (await run(settings, "dead-letters", "show", *place)).output
        assert (
            f"\nvalue        {'-' if entry.value is None else entry.value.decode(errors='backslashreplace')}\n"
            in readable
        )
    assert (await run(settings, "dead-letters", "list")).output.startswith("topic ")
    assert (await run(settings, "dead-letters")).output == (await run(settings, "dead-letters", "list")).output
    missing = await run(settings, "dead-letters", "show", "chat.users", "0", "99999")
    assert (missing.exit_code, missing.output) == (1, "Error: there is no dead letter at chat.users 0 99999\n")


async def diagnosed(settings: Settings) -> Any:
    """Return what the doctor finds about the tables."""
    findings = json.loads((await run(settings, "doctor", "--json")).output)
    (found,) = [finding for finding in findings if finding["name"] == "tables"]
    return found


async def test_the_doctor_knows_the_tables_of_this_log(settings: Settings) -> None:
    await log_start.ensure(settings)
    assert await diagnosed(settings) == {"name": "tables", "well": True, "found": "of this log: none yet"}
    await projected(settings)
    assert await diagnosed(settings) == {"name": "tables", "well": True, "found": "of this log: chat_g1"}


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("UPDATE chat.generations SET epoch = 'another'", "chat_g1 was made from the log with epoch another, and this"),
        (
            "UPDATE chat_g1.positions SET next_offset = 100000 WHERE (topic, partition) = ('chat.conversations', 1)",
            "chat_g1, chat.conversations partition 1: it stands at offset 100000, and the log has 0 to",
        ),
        (
            "UPDATE chat_g1.positions SET last_ce_id = 'x' WHERE (topic, partition) = ('chat.users', 0)",
            "chat_g1, chat.users partition 0: the record at offset",
        ),
    ],
)
async def test_the_doctor_finds_tables_of_another_log(settings: Settings, damage: str, why: str) -> None:
    await projected(settings)
    await run_sql(settings, damage)

    found = await diagnosed(settings)
    assert not found["well"]
    assert found["found"].startswith(why)
    assert (await run(settings, "doctor")).exit_code == 1
