"""`chat generations`, `chat dead-letters` and what `chat doctor` says of the tables, on real ones."""

import asyncio
import base64
import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from click.testing import CliRunner, Result

from infra import log_start
from infra.cli import main
from infra.kafka import TopicContradiction
from infra.settings import Settings
from schemas.topics import IDS, TOPICS
from tests.histories import History
from tests.projecting import LIVE, append, caught_up, run_sql, until, working
from tests.support.servers import Servers, forget_topics

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def projected(settings: Settings) -> History:
    history = History(random.Random(21), partitions=settings.partitions)
    await append(settings, history.steps(300))
    async with working(settings):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
    return history


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[Any]:
    """Lend a client of what brokers do for administrators."""
    admin = AIOKafkaAdminClient(**settings.kafka_options())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


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
    for command in ("list", "promote 1", "rollback", "drop 1"):
        refused = await run(settings, "generations", *command.split())
        wanted = (1, "Error: there are no read tables yet: has a worker run?\n")
        assert (refused.exit_code, refused.output) == wanted, command
    await projected(settings)

    (row,) = await parsed(settings, "generations", "list")
    assert (row["id"], row["schema"], row["state"], row["complete"]) == (1, "chat_g1", "live", True)
    assert row["dead_letters"] > 0
    assert TIME.fullmatch(row["created_at"])
    assert (await run(settings, "generations")).output == (await run(settings, "generations", "list")).output
    assert [row] == await parsed(settings, "generations")
    assert await parsed(settings, "dead-letters") == await parsed(settings, "dead-letters", "list")
    refused = await run(settings, "generations", "--json", "rollback")
    assert (refused.exit_code, "belongs behind" in refused.output) == (2, True)
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


async def diagnosed(settings: Settings, name: str = "tables") -> Any:
    """Return what the doctor finds about the tables, or something else."""
    findings = json.loads((await run(settings, "doctor", "--json")).output)
    (found,) = [finding for finding in findings if finding["name"] == name]
    return found


async def test_the_doctor_knows_the_tables_of_this_log(settings: Settings) -> None:
    await log_start.ensure(settings)
    assert await diagnosed(settings) == {"name": "tables", "well": True, "found": "of this log: none yet"}
    await projected(settings)
    assert await diagnosed(settings) == {"name": "tables", "well": True, "found": "of this log: chat_g1"}


async def test_the_doctor_counts_what_the_live_tables_could_not_apply_and_is_content(settings: Settings) -> None:
    await projected(settings)
    (row,) = await parsed(settings, "generations", "list")
    assert row["dead_letters"] * row["differences"] > 0
    counted = f"chat_g1: {row['dead_letters']} dead letters, {row['differences']} differences; see docs/operating.md"
    assert await diagnosed(settings, "live") == {"name": "live", "well": True, "found": counted}
    assert f"live      {counted}\n" in (await run(settings, "doctor")).output
    await run_sql(settings, "DELETE FROM chat_g1.differences")
    await run_sql(settings, "DELETE FROM chat_g1.dead_letters")
    assert (await diagnosed(settings, "live"))["found"] == "chat_g1: 0 dead letters, 0 differences"


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


async def test_partitions_that_were_added_to_all_topics_are_seen_by_everybody(settings: Settings) -> None:
    made = (await log_start.ensure(settings)).partitions
    keyed = [topic.name for topic in TOPICS if topic.partitions is None]
    async with admin_client(settings) as admin:
        await admin.create_partitions({name: NewPartitions(made + 1) for name in keyed})

    wrong = [f"topic {name}: partitions must be {made}, but is {made + 1}" for name in keyed]
    with pytest.raises(TopicContradiction, match=f"^{'; '.join(wrong)}$"):
        await log_start.ensure(settings)
    found = await diagnosed(settings, "kafka")
    assert (found["well"], found["found"].partition(": ")[2]) == (False, "; ".join(wrong))
    listed = await run(settings, "topics")
    assert (listed.exit_code, listed.stderr.splitlines()) == (1, wrong)


async def test_a_log_whose_first_record_is_gone_is_one_line(settings: Settings) -> None:
    await log_start.ensure(settings)
    async with admin_client(settings) as admin:
        await admin.delete_records({TopicPartition(IDS, 0): RecordsToDelete(1)})

    cut = "chat.ids does not begin with chat.log.created.v1; was it cut? Restore it before starting"
    with pytest.raises(log_start.ForeignLog, match=re.escape(cut)):
        await log_start.ensure(settings)
    assert await diagnosed(settings, "kafka") == {"name": "kafka", "well": False, "found": cut}
    assert (await run(settings, "topics")).output == f"Error: {cut}\n"


async def test_the_lag_of_tables_whose_topics_are_missing_names_them(settings: Settings, servers: Servers) -> None:
    await projected(settings)
    await forget_topics(servers)
    where = f"Kafka at {settings.kafka_bootstrap_servers}"
    names = "chat.conversations, chat.last-seen, chat.moderation, chat.users"
    said = f"Error: {where} lacks topics that the read tables were made from, or partitions: {names}\n"
    lag = await run(settings, "lag")
    assert (lag.exit_code, lag.output) == (1, said)
