"""The embedded servers for themselves: a cluster of three, what they keep, and what stands in their way."""

import asyncio
import dataclasses
from functools import partial
from pathlib import Path

import asyncpg
import psutil
import pytest

from infra import kafka
from infra.child import Child, leftover_of, serving
from infra.embedded.kafka import prepare_kafka
from infra.embedded.postgres import prepare_postgres
from infra.kafka_topics import describe_topics
from infra.part import StartError
from infra.settings import Settings, load_settings
from schemas.topics import CONVERSATIONS, IDS, TOPICS


@pytest.fixture
def own_home(home: Path, request: pytest.FixtureRequest) -> Path:
    directory = home / str(request.node.name)
    directory.mkdir()
    return directory


def silent(_: str) -> None:
    pass


def settings_of(home: Path, bootstrap_servers: str) -> Settings:
    return load_settings({"CHAT_HOME": str(home), "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers})


async def write(settings: Settings, value: bytes) -> None:
    producer = kafka.producer(settings)
    await producer.start()
    try:
        async with asyncio.timeout(60):
            await producer.send_and_wait(CONVERSATIONS, value, partition=0)
    finally:
        await producer.stop()


async def test_three_brokers_keep_everything_when_one_is_killed(own_home: Path) -> None:
    cluster = await asyncio.to_thread(prepare_kafka, own_home, own_home / "logs", brokers=3, progress=silent)
    settings = settings_of(own_home, cluster.bootstrap_servers)
    async with serving(cluster.parts) as brokers:
        await kafka.ensure_topics(settings)
        found = await describe_topics(settings)
        assert {found[topic.name].replicas for topic in TOPICS} == {3}
        assert found[CONVERSATIONS].config["min.insync.replicas"] == "2"
        # What is on three machines need not be on the disk of each at once; where ids come from is all the same.
        assert found[CONVERSATIONS].config["flush.messages"] != "1"
        assert found[IDS].config["flush.messages"] == "1"

        await write(settings, b"before")
        brokers[0].kill()
        await brokers[0].ended()
        await write(settings, b"after")


async def test_postgres_is_a_child_of_ours_and_keeps_its_data(own_home: Path) -> None:
    for expected in (None, "kept"):
        postgres = await asyncio.to_thread(prepare_postgres, own_home, own_home / "logs", progress=silent)
        async with serving([postgres.part]) as (child,):
            assert psutil.Process(child.identity.pid).ppid() == psutil.Process().pid
            assert psutil.Process(child.identity.pid).username() != "root"
            connection = await asyncpg.connect(postgres.url)
            assert await connection.fetchval("SHOW fsync") == "on"
            await connection.execute("CREATE TABLE IF NOT EXISTS things (name text)")
            assert await connection.fetchval("SELECT max(name) FROM things") == expected
            await connection.execute("INSERT INTO things VALUES ('kept')")
            await connection.close()
        assert child.status == 0


async def test_postgres_takes_as_many_connections_as_are_asked_for(own_home: Path) -> None:
    prepare = partial(prepare_postgres, own_home, own_home / "logs", progress=silent, connections=640)
    postgres = await asyncio.to_thread(prepare)
    async with serving([postgres.part]):
        connection = await asyncpg.connect(postgres.url)
        assert await connection.fetchval("SHOW max_connections") == "640"
        await connection.close()


async def test_postgres_is_reached_where_others_are_only_by_tls(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "require")
    postgres = await asyncio.to_thread(prepare_postgres, own_home, own_home / "logs", progress=silent)
    async with serving([dataclasses.replace(postgres.part, ready_seconds=20)]):
        pass


async def test_a_layout_that_was_broken_off_is_begun_anew(own_home: Path) -> None:
    broken = own_home / "state" / "unfinished"
    broken.mkdir(parents=True)
    (broken / "PG_VERSION").write_text("18\n")
    postgres = await asyncio.to_thread(prepare_postgres, own_home, own_home / "logs", progress=silent)
    async with serving([postgres.part]):
        pass


async def test_a_password_that_was_not_written_to_the_end_is_made_anew(own_home: Path) -> None:
    (own_home / "password").touch(mode=0o600)
    postgres = await asyncio.to_thread(prepare_postgres, own_home, own_home / "logs", progress=silent)
    async with serving([postgres.part]):
        assert len((own_home / "password").read_text()) >= 32


async def test_a_leftover_server_is_named_by_its_process(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.child.LEFTOVER_SECONDS", 0.2)
    postgres = await asyncio.to_thread(prepare_postgres, own_home, own_home / "logs", progress=silent)
    async with serving([postgres.part]) as (child,):
        assert leftover_of(own_home) == child.identity
        with pytest.raises(StartError, match=f"postgres of an earlier run still holds .* process {child.identity.pid}"):
            await Child.start(postgres.part)
