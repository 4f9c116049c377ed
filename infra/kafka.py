"""Kafka, as every part of the service uses it: the one adapter of aiokafka's producer, consumer and connection.

Says how to connect and with which guarantees; what is written and read is for others to know. Making and checking the
topics is in kafka_topics.py, which is offered here too.
"""

import asyncio
import logging
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from infra import header_names
from infra.kafka_topics import TopicContradiction, ensure_topics
from infra.producer import Producer
from infra.settings import Settings

__all__ = [
    "AT_ONCE",
    "Patience",
    "TopicContradiction",
    "be_patient",
    "consumer",
    "ensure_topics",
    "producer",
    "stop",
    "wait_for_broker",
]

log = logging.getLogger(__name__)

header_names.tolerate()

BATCH_BYTES = 128 * 1024
# Below the topics' max.message.bytes (schemas/topics.py): a batch that the broker refuses for good would leave an
# idempotent producer's sequence wrong.
REQUEST_BYTES = 1_000_000
# A broker that is stopped, and not gone, takes what is asked of it and is silent. Nobody waits for it any longer than
# the others take to replace it (9 s): the library's 40 s would come several times, as it may be asked for metadata too.
REQUEST_MS = 10_000

STOP_SECONDS = 5.0
"""How long a producer or a consumer may take to stop in order; then it is only disconnected."""

DISCONNECT_SECONDS = 1.0


class Patience(NamedTuple):
    """How long the broker keeps a fetch that finds less than `enough` bytes."""

    enough: int
    milliseconds: int


AT_ONCE = Patience(enough=1, milliseconds=500)
"""A fetch is answered as soon as there is anything."""


def producer(settings: Settings) -> Producer:
    """Return a producer, not yet started: each record is once in the log and on all replicas when its send returns.

    A send never times out by itself; wait with a bound, on a shielded future.
    """
    return Producer(
        **settings.kafka_options(),
        client_id=f"chat-{settings.edge_name}",
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
        max_request_size=REQUEST_BYTES,
        request_timeout_ms=REQUEST_MS,
    )


def consumer(settings: Settings, **options: Any) -> Any:
    """Return a consumer without a group, not yet started; its reader says where to begin and keeps its own position."""
    return AIOKafkaConsumer(
        **settings.kafka_options(),
        client_id=f"chat-{settings.edge_name}",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=REQUEST_MS,
        **options,
    )


async def stop(client: Any) -> None:
    """Stop a producer or a consumer and disconnect it, within bounds; what it could not do in order is logged.

    In a task of its own, since aiokafka may hand on the cancellation of one of its tasks, and leave its connections.
    """
    stopping = asyncio.create_task(client.stop(), name="stopping")
    await asyncio.wait([stopping], timeout=STOP_SECONDS)
    if stopping.done() and not stopping.cancelled():
        error = stopping.exception()
        if error is None:
            return
        log.warning("a %s did not stop in order: %r", type(client).__name__, error)
    elif not stopping.done():
        stopping.cancel()
        log.warning("a %s did not stop within %s s", type(client).__name__, STOP_SECONDS)
    connections = client.client if isinstance(client, AIOKafkaProducer) else client._client  # noqa: SLF001
    await asyncio.wait([asyncio.create_task(connections.close())], timeout=DISCONNECT_SECONDS)


def be_patient(consumer: Any, patience: Patience) -> None:
    """Have the broker keep a consumer's fetches to come for so long; aiokafka would settle that at its start."""
    fetcher = consumer._fetcher  # noqa: SLF001
    fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = patience  # noqa: SLF001


async def wait_for_broker(address: str, node: int) -> None:
    """Return when the broker at `host:port` answers and counts itself among those that serve; unbounded."""
    host, _, port = address.rpartition(":")
    while True:
        try:
            async with asyncio.timeout(5):
                connection = await create_conn(host, int(port), client_id="chat-start")
                try:
                    metadata = await connection.send(MetadataRequest([]))
                finally:
                    connection.close()
            if any(broker[0] == node for broker in metadata.brokers):
                return
        except (OSError, KafkaError, TimeoutError):
            pass
        await asyncio.sleep(0.05)
