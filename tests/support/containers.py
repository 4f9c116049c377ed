"""Kafka and Postgres in containers, where a Docker engine answers: the images that docker-compose.yml runs."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import cache
from pathlib import Path

import docker
import yaml
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer

from infra.embedded.ports import LOOPBACK, free_ports
from infra.kafka import wait_for_broker
from infra.postgres import wait_for_database

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
START_SECONDS = 180
PASSWORD = "of-tests"


@cache
def engine_answers() -> bool:
    """Tell whether there is a Docker engine; asked once for a run."""
    with warnings.catch_warnings():
        # The client drops the socket on which nobody answered.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            docker.from_env(timeout=3).close()
        except DockerException:
            return False
        finally:
            gc.collect()
    return True


@asynccontextmanager
async def servers() -> AsyncIterator[tuple[str, str]]:
    """Run both; yield Kafka's bootstrap servers and the database's address."""
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    broker, database = free_ports(2)
    with ExitStack() as stack:
        stack.enter_context(_kafka(services["kafka"]["image"], broker))
        stack.enter_context(_postgres(services["postgres"]["image"], database))
        url = f"postgresql://chat:{PASSWORD}@{LOOPBACK}:{database}/chat"
        async with asyncio.timeout(START_SECONDS):
            await asyncio.gather(wait_for_broker(f"{LOOPBACK}:{broker}", 1), wait_for_database(url))
        yield f"{LOOPBACK}:{broker}", url


def _kafka(image: str, port: int) -> DockerContainer:
    return (
        DockerContainer(image)
        .with_bind_ports(9092, port)
        .with_env("KAFKA_NODE_ID", "1")
        .with_env("KAFKA_PROCESS_ROLES", "broker,controller")
        .with_env("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .with_env("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
        .with_env("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT")
        .with_env("KAFKA_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093")
        .with_env("KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://{LOOPBACK}:{port}")
        .with_env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "1")
        .with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    )


def _postgres(image: str, port: int) -> DockerContainer:
    return (
        DockerContainer(image)
        .with_bind_ports(5432, port)
        .with_env("POSTGRES_USER", "chat")
        .with_env("POSTGRES_PASSWORD", PASSWORD)
        .with_env("POSTGRES_DB", "chat")
    )
