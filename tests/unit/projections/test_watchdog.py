"""projections/watchdog.py: a worker is stuck when there is work, or no answer, and nothing advances."""

import asyncio

import pytest

from projections import watchdog
from projections.refusal import GaveUp
from projections.watchdog import MOST_LOOKS, Progress
from schemas.ids import Partition

ONE, OTHER = Partition("chat.conversations", 0), Partition("chat.users", 1)


def looks(progress: Progress, *stands: tuple[dict[Partition, int], dict[Partition, int] | None]) -> list[bool]:
    return [progress.stuck(stand, ends) is not None for stand, ends in stands]


def test_work_that_does_not_advance_is_noticed_and_named() -> None:
    progress = Progress()
    assert looks(progress, *[({ONE: 5}, {ONE: 9})] * MOST_LOOKS) == [False] * MOST_LOOKS
    assert progress.stuck({ONE: 5}, {ONE: 9}) == "nothing has advanced for 60 s: chat.conversations partition 0 at 5"


def test_a_worker_without_work_is_not_stuck() -> None:
    progress = Progress()
    assert not any(looks(progress, *[({ONE: 9}, {ONE: 9})] * 20))
    assert not any(looks(progress, *[({}, {})] * 20))


def test_any_advance_counts() -> None:
    progress = Progress()
    stands = [({ONE: at, OTHER: 0}, {ONE: 99, OTHER: 7}) for at in range(30)]
    assert not any(looks(progress, *stands))


def test_a_kafka_that_never_answers_is_noticed() -> None:
    assert looks(Progress(), *[({ONE: 5}, None)] * MOST_LOOKS)[-1]


async def test_watching_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "EVERY_SECONDS", 0.001)

    async def ends() -> dict[Partition, int]:
        return {ONE: 9}

    async with asyncio.timeout(5):
        with pytest.raises(GaveUp, match="nothing has advanced"):
            await watchdog.watch(lambda: {ONE: 5}, ends)


async def test_a_failing_look_is_none_that_advances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "EVERY_SECONDS", 0.001)

    async def ends() -> dict[Partition, int]:
        raise OSError("away")

    async with asyncio.timeout(5):
        with pytest.raises(GaveUp, match="Kafka does not answer"):
            await watchdog.watch(lambda: {ONE: 5}, ends)
