"""projections/faust_worker.py: batches dressed as records, and a memory that forgets."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as driver

from projections.faust_worker import ConsumerThread, Slab, Unremembered

PLACE = TopicPartition("chat.conversations", 2)


def record(offset: int) -> Any:
    return SimpleNamespace(
        topic=PLACE.topic,
        partition=PLACE.partition,
        offset=offset,
        timestamp=5,
        timestamp_type=1,
        key=b"1:2",
        value=b"{}",
    )


def test_a_slab_looks_like_its_first_record_and_carries_all_of_them() -> None:
    records = [record(7), record(8)]
    slab = Slab(3, records)
    assert (slab.topic, slab.partition, slab.offset, slab.timestamp) == (*PLACE, 7, 5)
    assert (slab.value.seek, slab.value.records) == (3, records)


def test_what_was_read_is_not_remembered() -> None:
    memory = Unremembered()
    memory[PLACE] = 500
    assert memory[PLACE] is None
    assert PLACE not in memory
    assert memory.pop(PLACE, None) is None


async def test_slabs_are_stamped_with_the_seek_that_they_were_fetched_after(monkeypatch: pytest.MonkeyPatch) -> None:
    sought: list[Any] = []
    thread = ConsumerThread.__new__(ConsumerThread)
    thread._consumer = SimpleNamespace(seek=lambda *place: sought.append(place))

    async def fetched(*_: object, **__: object) -> dict[Any, Any]:
        return {PLACE: [record(0)]}

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetched)
    assert (await thread._fetch_records())[PLACE][0].seek == 0
    assert await thread._seek_all({PLACE: 40}) == 1
    assert sought == [(PLACE, 40)]
    assert (await thread._fetch_records())[PLACE][0].seek == 1
