"""projections/lanes.py: slabs go to the lane of their seek, and no more is fetched than lanes can hold."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from projections import lanes
from projections.lane import Lane
from projections.lanes import Bounds, Lanes
from projections.refusal import GaveUp
from projections.tables.positions import Fenced, Stored
from schemas import topics
from schemas.ids import Partition
from tests.support.live_parts import settle

HERE, THERE = Partition(topics.CONVERSATIONS, 0), Partition(topics.CONVERSATIONS, 1)


class Valued(NamedTuple):
    """A record of which only the value counts."""

    value: bytes | None


def slab(*values: bytes | None) -> list[Valued]:
    return [Valued(value) for value in values]


class FakeDatabase:
    """Positions, and nothing else."""

    def __init__(self, next_offset: int = 0) -> None:
        self.rows: list[Any] = [(*place, next_offset, None, False, None) for place in (HERE, THERE)]

    def transaction(self) -> Any:
        return self

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def fetch(self, _: str) -> list[Any]:
        return self.rows


class Told:
    """What was taken, and what happened."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.taken: list[Any] = []
        self.fenced = 0
        self.failures: list[BaseException] = []
        self.holding = asyncio.Event()
        self.holding.set()
        self.fails: BaseException | None = None


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()

    async def take(_: Lane, records: Sequence[Any]) -> None:
        await told.holding.wait()
        if told.fails:
            raise told.fails
        told.taken.append(list(records))

    monkeypatch.setattr(Lane, "take", take)
    return told


async def opened(told: Told, *partitions: Partition) -> Any:
    def fenced() -> None:
        told.fenced += 1

    made = Lanes(
        FakeDatabase(),  # type: ignore[arg-type]
        on_fenced=fenced,
        on_failure=told.failures.append,
        on_batch=told.begun.append,
    )
    await opened_anew(made, dict.fromkeys(partitions, (0, 100)))
    return made


async def opened_anew(made: Lanes, bounds: Bounds) -> dict[Partition, int]:
    async def found() -> Bounds:
        return bounds

    return await made.open(list(bounds), found)


async def test_slabs_of_an_earlier_seek_are_dropped_also_before_the_next_one(told: Told) -> None:
    made = await opened(told, HERE)
    made.deliver(HERE, 0, slab(b"before the first seek"))
    made.start(1)
    made.deliver(HERE, 1, slab(b"a"))
    await settle()
    await opened_anew(made, {HERE: (0, 100)})
    made.deliver(HERE, 1, slab(b"fetched before, delivered after"))
    made.start(2)
    made.deliver(HERE, 1, slab(b"late"))
    made.deliver(HERE, 2, slab(b"b"))
    await settle()
    await made.close()
    assert told.taken == [slab(b"a"), slab(b"b")]


async def test_who_asked_is_told_of_each_batch_before_its_lane_takes_it(told: Told) -> None:
    told.holding.clear()
    made = await opened(told, HERE)
    made.start(1)
    made.deliver(HERE, 1, slab(b"a"))
    await settle()
    assert (told.begun, told.taken) == ([slab(b"a")], [])
    told.holding.set()
    await settle()
    made.deliver(HERE, 1, slab(b"b"))
    await settle()
    await made.close()
    assert told.begun == told.taken == [slab(b"a"), slab(b"b")]


async def test_what_comes_while_a_lane_works_becomes_one_batch(told: Told) -> None:
    made = await opened(told, HERE, THERE)
    made.start(1)
    told.holding.clear()
    made.deliver(HERE, 1, slab(b"a"))
    await settle()
    made.deliver(HERE, 1, slab(b"b"))
    made.deliver(HERE, 1, slab(b"c", b"d"))
    made.deliver(THERE, 1, slab(b"x"))
    told.holding.set()
    await settle()
    await made.close()
    assert sorted(told.taken) == [slab(b"a"), slab(b"b", b"c", b"d"), slab(b"x")]


async def test_a_batch_has_no_more_bytes_than_it_may_but_for_one_record(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "BATCH_BYTES", 4)
    made = await opened(told, HERE)
    made.start(1)
    for values in [(b"aa", None), (b"bb",), (b"c",), (b"d", b"e", b"fff", b"g"), (b"too much",), (b"h",)]:
        made.deliver(HERE, 1, slab(*values))
    await settle()
    await made.close()
    assert told.taken == [
        slab(b"aa", None, b"bb"), slab(b"c", b"d", b"e"), slab(b"fff", b"g"), slab(b"too much"), slab(b"h")
    ]  # fmt: skip


@pytest.mark.parametrize(("bound", "most"), [("QUEUED_RECORDS", 3), ("QUEUED_BYTES", 7)])
async def test_no_more_is_fetched_while_lanes_are_full(
    told: Told, bound: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, bound, most)
    made = await opened(told, HERE, THERE)
    made.start(1)
    told.holding.clear()
    made.deliver(HERE, 1, slab(b"one", None))
    made.deliver(THERE, 1, slab(b"two"))
    assert made._room.is_set() is (bound == "QUEUED_BYTES")
    made.deliver(HERE, 1, slab(b"3"))
    waiting = asyncio.ensure_future(made.room())
    await settle()
    assert not waiting.done()
    told.holding.set()
    await asyncio.wait_for(waiting, 5)
    await made.close()


@pytest.mark.parametrize(("raised", "fenced"), [(Fenced(HERE, 0), 1), (GaveUp("away"), 0)])
async def test_a_fenced_lane_looks_again_and_any_other_failure_ends_the_worker(
    told: Told, raised: BaseException, fenced: int
) -> None:
    made = await opened(told, HERE)
    made.start(1)
    told.fails = raised
    made.deliver(HERE, 1, slab(b"a"))
    await settle()
    assert (told.fenced, len(told.failures)) == (fenced, 1 - fenced)
    made.deliver(HERE, 1, slab(b"b"))
    await settle()
    assert told.taken == []
    await made.close()


async def test_a_lane_begins_where_the_tables_stand(told: Told) -> None:
    made = Lanes(FakeDatabase(), on_fenced=lambda: None, on_failure=told.failures.append)  # type: ignore[arg-type]
    assert await opened_anew(made, {HERE: (0, 5), THERE: (0, 0)}) == {HERE: 0, THERE: 0}
    assert made.positions() == {HERE: 0, THERE: 0}
    assert Stored(*FakeDatabase().rows[0][2:]) == Stored(0, None)


async def test_lanes_at_the_end_of_their_filling_have_nothing_to_advance_to(told: Told) -> None:
    database = FakeDatabase()
    database.rows = [(*HERE, 7, None, True, 7), (*THERE, 6, None, True, 7)]
    made = Lanes(database, on_fenced=lambda: None, on_failure=told.failures.append)  # type: ignore[arg-type]
    await opened_anew(made, {HERE: (0, 9), THERE: (0, 9)})
    assert made.to_advance() == {THERE: 6}
    assert made.positions() == {HERE: 7, THERE: 6}


@pytest.mark.parametrize(
    ("stands", "busy", "back"), [(4, False, True), (5, False, False), (9, False, False), (4, True, False)]
)
async def test_tables_that_stand_before_an_idle_lane_went_back(
    told: Told, stands: int, *, busy: bool, back: bool
) -> None:
    database = FakeDatabase(5)
    made: Any = Lanes(database, on_fenced=lambda: None, on_failure=told.failures.append)  # type: ignore[arg-type]
    await opened_anew(made, {HERE: (0, 100)})
    made.start(1)
    told.holding.clear()
    if busy:
        made.deliver(HERE, 1, slab(b"a"))
        await settle()
    database.rows = FakeDatabase(stands).rows
    assert await made.went_back() is back
    told.holding.set()
    await made.close()
