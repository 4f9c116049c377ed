"""A real Kafka and a real Postgres, started once for a test run and always taken down.

Embedded ones, or containers where a Docker engine answers. Tests take `settings`, which point at topics and a database
that are empty; `module_settings` are the same for all tests of a module.
"""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from infra.child import serving
from infra.embedded.kafka import prepare_kafka
from infra.embedded.postgres import prepare_postgres
from infra.settings import Settings, load_settings
from tests.support import containers

SECRET = "a secret of tests, which nothing else uses"
_numbers = itertools.count(1)


class Servers(NamedTuple):
    """Where they are; the database is one from which others can be made."""

    kafka_bootstrap_servers: str
    database_url: str


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A directory for servers. Not pytest's own: PostgreSQL, which root lends an account, has to pass through it."""
    directory = Path(tempfile.mkdtemp(prefix="chat-tests-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
async def servers(home: Path) -> AsyncIterator[Servers]:
    """Kafka and Postgres for the whole run."""
    async with containers.servers() if containers.engine_answers() else embedded(home) as (brokers, database):
        yield Servers(brokers, database)


@asynccontextmanager
async def embedded(home: Path) -> AsyncIterator[tuple[str, str]]:
    """Run embedded servers under `home`."""

    def quietly(_: str) -> None:
        pass

    broker, postgres = await asyncio.gather(
        asyncio.to_thread(prepare_kafka, home / "kafka", home / "logs", brokers=1, progress=quietly),
        asyncio.to_thread(prepare_postgres, home / "postgres", home / "logs", progress=quietly),
    )
    async with serving((*broker.parts, postgres.part)):
        yield broker.bootstrap_servers, postgres.url


@pytest.fixture
async def database_url(servers: Servers) -> AsyncIterator[str]:
    """A new, empty database."""
    async with new_database(servers) as url:
        yield url


@pytest.fixture
async def settings(servers: Servers, home: Path, database_url: str) -> Settings:
    """Settings of a process on an empty log and an empty database; `dataclasses.replace` changes others."""
    await forget_topics(servers)
    return settings_for(servers, home, database_url)


@pytest.fixture(scope="module")
async def module_settings(servers: Servers, home: Path) -> AsyncIterator[Settings]:
    """The same, once for a module: its tests share the log and the database."""
    async with new_database(servers) as url:
        await forget_topics(servers)
        yield settings_for(servers, home, url)


def settings_for(servers: Servers, home: Path, database_url: str) -> Settings:
    """Return settings that owe nothing to this machine's environment; two partitions, since one is the easier case."""
    return load_settings(
        {
            "CHAT_HOME": str(home),
            "CHAT_JWT_SECRET": SECRET,
            "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap_servers,
            "DATABASE_URL": database_url,
            "CHAT_PARTITIONS": "2",
        }
    )


@asynccontextmanager
async def new_database(servers: Servers) -> AsyncIterator[str]:
    """Make a database, and drop it again whoever is still connected."""
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(servers.database_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


async def forget_topics(servers: Servers) -> None:
    """Delete every topic of ours, and wait until the broker has."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka_bootstrap_servers)
    await admin.start()
    try:
        async with asyncio.timeout(30):
            while ours := [name for name in await admin.list_topics() if name.startswith("chat.")]:
                await admin.delete_topics(ours)
    finally:
        await admin.close()
