"""projections/lane.py against Postgres, without Kafka: whatever dies when, the tables are those of the whole log."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from projections import database, generations, lane
from projections.database import Away, Database, Session
from projections.folds import conversations as conversations_fold
from projections.lane import Lane
from projections.log import PROJECTED, Log
from projections.refusal import GaveUp, Refusal
from projections.tables import positions
from projections.tables.positions import Fenced, Stored
from schemas import topics
from schemas.ids import Partition
from schemas.judge import WINDOW
from tests.histories import Entry, History
from tests.oracle import TABLES, expected
from tests.projecting import assert_same, tables_at

PARTITIONS = [Partition(topic, number) for topic in PROJECTED for number in range(2)]


@dataclass
class Place:
    """A generation in an empty database."""

    url: str
    database: Database

    async def stored(self, partition: Partition) -> Stored:
        async with self.database.transaction() as session:
            return (await positions.load(session))[partition]

    async def lane(self, partition: Partition, *, partitions: int = 2) -> Lane:
        return Lane(partition, partitions, self.database, await self.stored(partition), 0)

    async def empty(self) -> None:
        async with self.database.transaction() as session:
            for table in TABLES:
                await session.execute(f"TRUNCATE {{schema}}.{table}")
            await session.run(positions.INSERT, [positions.Begin(*partition, 0) for partition in PARTITIONS])


async def make_place(url: str) -> Place:
    begins = dict.fromkeys(PARTITIONS, 0)
    await generations.join(url, Log("an epoch", begins, begins))
    return Place(url, Database(url, "chat_g1"))


@pytest.fixture
async def place(database_url: str) -> AsyncIterator[Place]:
    made = await make_place(database_url)
    yield made
    await made.database.close()


def conversations(history: History) -> tuple[Partition, list[Entry]]:
    """Return the longest partition of conversations."""
    found = {p: entries for p, entries in history.log.items() if p.topic == topics.CONVERSATIONS}
    return max(found.items(), key=lambda item: len(item[1]))


async def take_all(place: Place, history: History, size: int = 1_000) -> None:
    """Bring every partition to its end."""
    for partition, entries in history.log.items():
        lane = await place.lane(partition)
        for start in range(lane.reads_from, len(entries), size):
            await lane.take(entries[start : start + size])


async def test_one_at_a_time_and_all_at_once_are_the_same(place: Place) -> None:
    history = History(random.Random(5))
    history.steps(400)
    await take_all(place, history, size=1)
    one_at_a_time = await tables_at(place.url)
    await place.empty()
    await take_all(place, history)

    assert_same(await tables_at(place.url), one_at_a_time)
    assert_same(one_at_a_time, expected(history.log))


@pytest.mark.parametrize("remembered", [1, 3])
async def test_what_a_batch_needs_is_not_forgotten_for_what_it_loads(
    place: Place, remembered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations_fold, "CONVERSATIONS_REMEMBERED", remembered)
    monkeypatch.setattr(conversations_fold, "MESSAGES_REMEMBERED", remembered)
    history = History(random.Random(17))
    history.steps(600)
    await take_all(place, history, size=7)

    assert_same(await tables_at(place.url), expected(history.log))


async def test_clocks_that_are_off_by_an_hour_change_no_order(place: Place) -> None:
    history = History(random.Random(16), bad=False, clocks_off=3_600_000)
    history.steps(400)
    await take_all(place, history, size=50)

    found = await tables_at(place.url)
    assert_same(found, expected(history.log))
    assert not found["dead_letters"]


async def test_positions_that_were_set_back_do_no_harm(place: Place) -> None:
    history = History(random.Random(15))
    history.steps(400)
    await take_all(place, history)
    before = await tables_at(place.url)
    async with place.database.transaction() as session:
        await session.execute("UPDATE {schema}.positions SET next_offset = next_offset / 3, last_ce_id = NULL")
    await take_all(place, history, size=7)

    assert_same(await tables_at(place.url), before)
    assert_same(before, expected(history.log))


@pytest.mark.parametrize("where", ["first", "middle", "last", "all"])
async def test_a_bad_record_is_a_dead_letter_and_the_others_apply(place: Place, where: str) -> None:
    history = History(random.Random(6), partitions=1, pairs=2, bad=False)
    history.steps(60)
    batch_from = len(conversations(history)[1]) if where == "first" else 0
    history.bad = history.refused = True
    while len(_dead(history)) < 8:
        history.spoil()
    if where in ("first", "middle"):
        history.bad = False
        history.steps(20)
    partition, entries = conversations(history)
    lane = await place.lane(partition, partitions=1)
    if batch_from:
        await lane.take(entries[:batch_from])
    if where == "all":
        for bad in entries:
            await lane.take([bad])
    else:
        await lane.take(entries[batch_from:])

    wanted = expected({partition: entries})
    found = await tables_at(place.url)
    assert_same({**wanted, **{t: found[t] for t in ("conversations", "messages", "reads", "dead_letters")}}, wanted)
    assert len(found["dead_letters"]) >= 8


def _dead(history: History) -> Any:
    return expected(history.log)["dead_letters"]


async def test_a_dead_letter_has_the_record_as_it_was(place: Place) -> None:
    entry = Entry(
        topics.CONVERSATIONS, 0, 0, 1_750_000_000_123, b"1:2", b"\x00{", (("ce_type", b"chat.message.sent.v1"),)
    )
    await (await place.lane(Partition(topics.CONVERSATIONS, 0), partitions=1)).take([entry])

    async with place.database.transaction() as session:
        letter = (await session.fetch("SELECT * FROM {schema}.dead_letters"))[0]
    assert (letter["key"], letter["value"], letter["ce_type"]) == (b"1:2", b"\x00{", "chat.message.sent.v1")
    assert letter["headers"] == b'[["ce_type","Y2hhdC5tZXNzYWdlLnNlbnQudjE="]]'
    assert letter["recorded_at"].isoformat() == "2025-06-15T15:06:40.123000+00:00"
    assert "malformed" in letter["reason"]


async def test_a_stale_worker_changes_nothing(place: Place) -> None:
    history = History(random.Random(7))
    history.steps(300)
    partition, entries = conversations(history)
    stale, current = await place.lane(partition), await place.lane(partition)
    await stale.take(entries[:20])
    current = await place.lane(partition)
    await current.take(entries[:90])
    before = await tables_at(place.url)

    with pytest.raises(Fenced):
        await stale.take(entries[20:60])
    assert_same(await tables_at(place.url), before)
    await current.take(entries[90:])
    await take_all(place, history)
    assert_same(await tables_at(place.url), expected(history.log))


@pytest.mark.parametrize("committed", [False, True])
async def test_a_batch_that_postgres_went_away_from_is_written_once(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    """Tried again where nothing was written; where it was, and only the answer is missing, the position tells."""
    history = History(random.Random(10))
    history.steps(200)
    partition, entries = conversations(history)
    lane, run_if, times = await place.lane(partition), Session.run_if, iter(range(100))

    async def away(*arguments: Any) -> bool:
        if next(times) == 1:
            if committed:
                await run_if(*arguments)
            raise Away("cut")
        return await run_if(*arguments)

    monkeypatch.setattr(Session, "run_if", away)
    await lane.take(entries[:20])
    if committed:
        with pytest.raises(Fenced):
            await lane.take(entries[20:60])
        lane = await place.lane(partition)
        await lane.take(entries[:60])
    else:
        await lane.take(entries[20:60])
    await take_all(place, history)
    assert_same(await tables_at(place.url), expected(history.log))


async def test_postgres_that_stays_away_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "RETRY_SECONDS", 0.3)
    history = History(random.Random(11))
    history.steps(50)
    partition, entries = conversations(history)
    nowhere = Database("postgresql://chat@127.0.0.1:1/chat", "chat_g1")
    with pytest.raises(GaveUp, match="Postgres has been away for"):
        async with asyncio.timeout(20):
            await Lane(partition, 2, nowhere, Stored(0, None), 0).take(entries)


async def test_a_lane_that_does_not_know_where_its_filling_ends_stops_there(place: Place) -> None:
    history = History(random.Random(12))
    history.steps(200)
    partition, entries = conversations(history)
    async with place.database.transaction() as session:
        await session.execute(positions.FILL)
    filler = await place.lane(partition)
    async with place.database.transaction() as session:
        await session.execute(positions.SET_UNTIL, *partition, 30)

    with pytest.raises(Fenced):
        await filler.take(entries[:40])
    await (await place.lane(partition)).take(entries[:40])
    assert (await place.stored(partition)).next_offset == 30


async def test_a_gap_ends_the_worker(place: Place) -> None:
    history = History(random.Random(8))
    history.steps(200)
    partition, entries = conversations(history)
    lane = await place.lane(partition)
    await lane.take(entries[:10])

    with pytest.raises(
        Refusal, match=rf"{partition.topic} partition {partition.partition}: expected offset 10, found 12"
    ):
        await lane.take(entries[12:20])
    assert (await place.stored(partition)).next_offset == 10


async def test_a_gap_on_a_compacted_topic_is_none(place: Place) -> None:
    entries = [
        Entry(
            topics.USERS,
            0,
            offset,
            1,
            b"7",
            b'{"user_id":7,"name":"n%d"}' % offset,
            (("ce_type", b"chat.user.updated.v1"),),
        )
        for offset in (3, 9, 10)
    ]
    lane = await place.lane(Partition(topics.USERS, 0), partitions=1)
    await lane.take(entries[:1])
    await lane.take(entries[1:])

    assert (await tables_at(place.url))["users"] == {(7, "n10", None, 10)}
    assert (await place.stored(Partition(topics.USERS, 0))).next_offset == 11


async def test_another_record_where_the_last_one_was_ends_the_worker(place: Place) -> None:
    history = History(random.Random(9), partitions=1, bad=False)
    history.steps(100)
    partition, entries = conversations(history)
    await (await place.lane(partition, partitions=1)).take(entries[:30])
    others = History(random.Random(9), partitions=1, bad=False, first_id=2)
    others.steps(100)
    made_anew = conversations(others)[1]

    lane = await place.lane(partition, partitions=1)
    assert lane.reads_from == 0
    before = await tables_at(place.url)
    with pytest.raises(Refusal, match=r"the record at offset 29 was ce-\d+ when it was applied, and is ce-\d+ now"):
        await lane.take(made_anew[:40])
    assert_same(await tables_at(place.url), before)


async def test_a_worker_begins_a_window_before_its_position(place: Place) -> None:
    partition, of_users = Partition(topics.CONVERSATIONS, 0), Partition(topics.USERS, 0)
    stored = Stored(WINDOW + 500, None)

    assert Lane(partition, 2, place.database, stored, 0).reads_from == 500
    assert Lane(partition, 2, place.database, stored, 700).reads_from == 700
    assert Lane(of_users, 2, place.database, stored, 0).reads_from == WINDOW + 499


CHOICES = st.sampled_from([0, 1, 0, 1, 0, 1, 2, 4, 6])
"""Mostly the partitions of conversations."""


class Interleavings(RuleBasedStateMachine):
    """Workers that come and go, that are stopped and go on, that fail anywhere; records arrive in any batches."""

    place: Place
    runner: asyncio.Runner

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.run(self.place.empty())
        self.history = History(random.Random(seed), pairs=3)
        self.history.steps(60)
        self.lanes: dict[Partition, list[Lane]] = {}
        self.given: dict[int, int] = {}
        for choice in range(len(PARTITIONS)):
            self.start_another(choice)

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    @rule(count=st.integers(1, 40))
    def append(self, count: int) -> None:
        self.history.steps(count)

    @rule(choice=CHOICES)
    def rebalance(self, choice: int) -> None:
        """The earlier workers may not have noticed."""
        self.start_another(choice)

    def start_another(self, choice: int) -> None:
        partition = PARTITIONS[choice]
        lane = self.run(self.place.lane(partition))
        # What only warms its judge comes at once, so that its deliveries are of what it may write.
        warming = self.history.log[partition][lane.reads_from : lane.next_offset]
        if warming:
            self.run(lane.take(warming))
        self.given[id(lane)] = lane.next_offset
        self.lanes.setdefault(partition, []).append(lane)

    @rule(
        choice=CHOICES,
        which=st.integers(0, 1),
        size=st.integers(1, 30),
        fail_at=st.sampled_from([0, 0, 0, 1, 2, 3, 5, 9]),
    )
    def deliver(self, choice: int, which: int, size: int, fail_at: int) -> None:
        """Give some worker of a partition its next records; one that fails or is fenced is gone."""
        of_partition = self.lanes.get(PARTITIONS[choice], [])
        if not of_partition:
            return
        lane = of_partition[which % len(of_partition)]
        start = self.given[id(lane)]
        batch = self.history.log[lane.partition][start : start + size]
        if not batch:
            return
        self.given[id(lane)] = start + len(batch)
        try:
            self.run(_taken(lane, batch, fail_at))
        except (Fenced, Crash):
            of_partition.remove(lane)

    @invariant()
    def nothing_is_ahead(self) -> None:
        """The tables are always those of a prefix of each partition."""
        if not hasattr(self, "history"):
            return

        async def compare() -> None:
            stored = {p: (await self.place.stored(p)).next_offset for p in self.history.log}
            prefix = {p: entries[: stored[p]] for p, entries in self.history.log.items()}
            assert_same(await tables_at(self.place.url), expected(prefix))

        self.run(compare())

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.run(take_all(self.place, self.history))
            assert_same(self.run(tables_at(self.place.url)), expected(self.history.log))


class Crash(Exception):
    """What ends a worker in the middle of anything."""


async def _taken(lane: Lane, batch: Sequence[Entry], fail_at: int) -> None:
    """Let a lane take a batch; its `fail_at`-th statement fails, if it comes to that. 0: none does."""
    countdown = iter(range(fail_at - 1, -1, -1))

    def crashing(statement: Any) -> Any:
        async def run(*arguments: Any, **options: Any) -> Any:
            if next(countdown, 1) == 0:
                raise Crash
            return await statement(*arguments, **options)

        return run

    with pytest.MonkeyPatch.context() as patch:
        for statement in ("execute", "fetch", "run", "run_if"):
            patch.setattr(Session, statement, crashing(getattr(Session, statement)))
        await lane.take(batch)


def test_whatever_dies_when_the_tables_are_those_of_a_prefix(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Low enough that all three ways of writing a batch are taken.
    monkeypatch.setattr(lane, "AT_ONCE", 8)
    monkeypatch.setattr(database, "COPY_FROM", 3)
    with asyncio.Runner() as runner:
        Interleavings.runner = runner
        Interleavings.place = runner.run(make_place(database_url))
        run_state_machine_as_test(
            Interleavings,
            settings=settings(
                max_examples=15,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                # A shorter example is not worth the minutes that looking for one takes here.
                phases=(Phase.reuse, Phase.generate),
            ),
        )
        runner.run(Interleavings.place.database.close())
