"""The command line against a system that runs: what people paste, and what programs read."""

import asyncio
import json
import os
import signal
from typing import Any

import pytest

from infra.kafka import producer
from schemas.topics import PRESENCE
from tests.support.system import System, chat


async def as_json(system: System, *arguments: str) -> Any:
    status, said = await chat(system, *arguments, "--json")
    assert status == 0, said
    return json.loads(said)


async def test_two_users_talk_and_every_step_is_shown(system: System) -> None:
    status, said = await chat(system, "demo")
    assert status == 0, said
    steps = [line.split()[2] for line in said.splitlines()]
    assert steps == [
        *("opened", "connected", "sent", "acknowledged", "delivered", "read"),
        *("sent", "delivered", "listed", "history", "history"),
    ]


async def test_the_topics_are_as_declared(system: System) -> None:
    listed = {topic["topic"]: topic for topic in await as_json(system, "topics")}
    assert listed["chat.ids"]["partitions"] == 1
    assert all(topic["wrong"] == [] for topic in listed.values())
    assert listed["chat.conversations"]["records"] > 0


@pytest.mark.parametrize("value", [b"{", b"[" * 50_000, b"\xff", b"[NaN]", None])
async def test_the_tail_shows_what_is_no_event_of_ours(system: System, value: bytes | None) -> None:
    writer = producer(system.settings)
    await writer.start()
    await writer.send_and_wait(PRESENCE, value, key=b"\xff", partition=0, headers=[("ce_type", None)])
    await writer.stop()
    arguments = ("tail", PRESENCE, "--no-follow", "--last", "20")
    status, said = await chat(system, *arguments)
    assert (status, "Traceback" in said) == (0, False)
    status, said = await chat(system, *arguments, "--json")
    assert status == 0
    assert any(json.loads(line)["headers"] == {"ce_type": None} for line in said.splitlines())
    assert "NaN" not in said.replace('"NaN"', "")


async def test_the_tail_shows_what_was_written_with_its_headers(system: System) -> None:
    status, said = await chat(system, "tail", "chat.ids", "--no-follow", "--last", "1000", "--json")
    assert status == 0, said
    first = json.loads(said.splitlines()[0])
    assert (first["offset"], first["headers"]["ce_type"]) == (0, "chat.log.created.v1")
    assert first["value"]["partitions"] == system.settings.partitions

    status, said = await chat(system, "tail", "--no-follow")
    assert status == 0
    assert "chat.conversation.opened.v1" in said


async def test_the_projections_catch_up_with_the_log(system: System) -> None:
    rows = await as_json(system, "lag")
    assert {row["topic"] for row in rows} >= {"chat.conversations", "chat.users"}
    assert all(row["behind"] >= 0 for row in rows)
    said = ""
    async with asyncio.timeout(30):  # other tests' sockets still write what their edge notices of them
        while not said.endswith("\n0 records behind\n"):
            status, said = await chat(system, "lag")
            assert status == 0, said


async def test_the_doctor_finds_everything_well(system: System) -> None:
    findings = await as_json(system, "doctor")
    assert all(finding["well"] for finding in findings), findings
    assert {finding["name"] for finding in findings} >= {"settings", "disk", "running", "kafka", "postgres", "edge"}


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1", "Kafka at 127.0.0.1:1 does not answer"),
        ("DATABASE_URL", "postgresql://x@127.0.0.1:1/x", "Postgres at 127.0.0.1:1/x does not answer"),
        ("CHAT_PORT", "abc", "CHAT_PORT: must be a whole number, not 'abc'"),
    ],
)
async def test_the_doctor_names_what_is_wrong(system: System, name: str, value: str, wrong: str) -> None:
    status, said = await chat(system, "doctor", **{name: value})
    assert status == 1
    assert any(line.startswith("WRONG") and wrong in line for line in said.splitlines()), said


@pytest.mark.parametrize(
    ("end", "wrong"), [("-nowhere", "does not exist"), ("?sslmode=x", "`sslmode` parameter must be")]
)
async def test_what_speaks_against_an_address_of_postgres_is_one_line(system: System, end: str, wrong: str) -> None:
    status, said = await chat(system, "lag", DATABASE_URL=system.database_url.partition("?")[0] + end)
    assert status == 1
    assert said.startswith("Error: Postgres at ")
    assert wrong in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "http://127.0.0.1:port", "ftp://127.0.0.1"])
async def test_an_address_that_is_none_is_wrong_usage(system: System, url: str) -> None:
    status, said = await chat(system, "demo", "--url", url)
    assert status == 2
    assert said.splitlines()[-1] == "Error: Invalid value for '--url': must be http://host:port"


async def test_a_demonstration_that_cannot_be_read_back_fails_clearly(system: System) -> None:
    worker = system.part("worker-1")
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        status, said = await chat(system, "demo")
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    assert status == 1
    assert said.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in said
