"""projections/lane.py against Postgres, without Kafka: what it writes, refuses, and tries again."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from projections import lane
from projections.database import Away, Database, Session
from projections.folds import conversations as conversations_fold
from projections.lane import Lane
from projections.refusal import GaveUp, Refusal
from projections.tables import positions
from projections.tables.positions import Fenced, Stored
from schemas import topics
from schemas.ids import Partition
from schemas.judge import WINDOW
from tests.histories import Entry, History
from tests.oracle import expected
from tests.projecting import assert_same, tables_at
from tests.support.lanes import Place, make_place, take_all


@pytest.fixture
async def place(database_url: str) -> AsyncIterator[Place]:
    made = await make_place(database_url)
    yield made
    await made.database.close()


def conversations(history: History) -> tuple[Partition, list[Entry]]:
    """Return the longest partition of conversations."""
    found = {p: entries for p, entries in history.log.items() if p.topic == topics.CONVERSATIONS}
    return max(found.items(), key=lambda item: len(item[1]))


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

    with pytest.raises(Refusal) as refused:
        await lane.take(entries[12:20])
    at = f"{partition.topic} partition {partition.partition}: expected offset 10, found 12"
    assert str(refused.value).startswith(f"{at}: records are missing: restore")
    assert "the end of a transaction takes an offset" in str(refused.value)
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
