"""projections/faust_worker.py: batches dressed as records, and a memory that forgets."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as driver

from infra.kafka import AT_ONCE, Patience
from projections.faust_worker import BUSY, ConsumerThread, Slab, Unremembered

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


class Fetching:
    """A consumer's thread whose fetches find `found`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: dict[Any, Any] = {PLACE: [record(0)]}
        self.sought: list[Any] = []
        self.consumer = SimpleNamespace(seek=lambda *place: self.sought.append(place), _fetcher=SimpleNamespace())
        self.thread = ConsumerThread.__new__(ConsumerThread)
        self.thread._consumer = self.consumer

        async def fetched(*_: object, **__: object) -> dict[Any, Any]:
            return self.found

        monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetched)

    async def fetch(self) -> dict[Any, list[Slab]]:
        return await self.thread._fetch_records(self.consumer)

    @property
    def patience(self) -> tuple[int, int]:
        return self.consumer._fetcher._fetch_min_bytes, self.consumer._fetcher._fetch_max_wait_ms


async def test_slabs_are_stamped_with_the_seek_that_they_were_fetched_after(monkeypatch: pytest.MonkeyPatch) -> None:
    fetching = Fetching(monkeypatch)
    assert (await fetching.fetch())[PLACE][0].seek == 0
    assert await fetching.thread._seek_all({PLACE: 40}) == 1
    assert fetching.sought == [(PLACE, 40)]
    assert (await fetching.fetch())[PLACE][0].seek == 1


@pytest.mark.parametrize(
    ("records", "seconds", "patience"),
    [(12, 0.025, BUSY), (1, 0.002, BUSY), (1, 0.02, AT_ONCE), (3, 0.025, AT_ONCE), (100, 60, AT_ONCE), (0, 1, AT_ONCE)],
)
async def test_only_many_records_wait_for_company(
    records: int, seconds: float, patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching = Fetching(monkeypatch)
    fetching.found = {PLACE: [record(number) for number in range(records)]} if records else {}
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    await fetching.fetch()
    now += seconds
    await fetching.fetch()
    assert fetching.patience == patience
