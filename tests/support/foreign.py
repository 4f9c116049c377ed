"""Records as a producer may write them that is not ours, also such as our own libraries would not write."""

import struct
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from infra.kafka import producer
from infra.placing import place
from infra.settings import Settings
from schemas.envelope import seal
from schemas.events import AnyEvent
from schemas.ids import Partition

NO_TEXT = b"\xff\xfe\x80"
CRC_AT, CRC_FROM = 17, 21
"""Where a batch has its checksum, and where what it covers begins (kafka.apache.org, "Record Batch")."""


def with_a_name_that_is_no_text(batch: bytes) -> bytearray:
    """Return a batch in which a header's name `bad` is bytes that are not UTF-8."""
    changed = bytearray(batch.replace(b"\x06bad", b"\x06" + NO_TEXT))
    assert changed != batch
    struct.pack_into(">I", changed, CRC_AT, calc_crc32c(memoryview(changed)[CRC_FROM:]))
    return changed


async def append_foreign(settings: Settings, partition: Partition, records: list[dict[str, Any]]) -> None:
    """Append records in one batch; header names `bad` become bytes that are not UTF-8."""
    producer = AIOKafkaProducer(**settings.kafka_options())
    await producer.start()
    try:
        batch = producer.create_batch()
        for record in records:
            batch.append(timestamp=None, **record)
        build = batch._build
        batch._build = lambda: with_a_name_that_is_no_text(bytes(build()))
        await (await producer.send_batch(batch, partition.topic, partition=partition.partition))
    finally:
        await producer.stop()


async def append_event(settings: Settings, event: AnyEvent, *, partition: int | None = None, times: int = 1) -> str:
    """Append an event as it ought to be, or to another partition; return the last record's position."""
    sealed = seal(event, ce_id="foreign", source="/foreign", time="2026-01-31T12:00:00.000Z")
    number = place(sealed.key, settings.partitions) if partition is None else partition
    record = {"value": sealed.value, "key": sealed.key, "partition": number, "headers": sealed.headers}
    writer = producer(settings)
    await writer.start()
    try:
        written = [await writer.send_and_wait(event.topic, **record) for _ in range(times)]
    finally:
        await writer.stop()
    return f"{number}:{written[-1].offset}"
