"""projections/rebuild.py on real servers: what is built beside the live tables equals them, and takes their place."""

import asyncio
import random
import re
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer

from infra.settings import Settings
from projections import build, digests, dropping, faust_worker, filling, promotion, watchdog
from projections.build import Options, Stage
from projections.database import Session
from projections.digests import Compared, Digest
from projections.generations import Generation
from projections.lane import Lane
from projections.rebuild import join, rebuild
from projections.records import Raw
from projections.refusal import Refusal
from schemas.ids import Partition
from schemas.topics import LAST_SEEN, USERS
from tests.histories import Entry, History
from tests.oracle import expected
from tests.projecting import LIVE, append, assert_same, caught_up, run_sql, send, states, tables, until, working


@pytest.fixture(autouse=True)
def short_histories_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the filling stop before the end of a test's history too."""
    monkeypatch.setattr(build, "NEAR", 100)


def ignore(_: Stage) -> None:
    pass


async def built(settings: Settings, options: Options = Options()) -> Generation:  # noqa: B008 - it is frozen
    async with asyncio.timeout(90):
        return await rebuild(settings, options, ignore)


async def live_history(settings: Settings, seed: int, *, refused: bool = False) -> History:
    history = History(random.Random(seed), partitions=settings.partitions, pairs=8, refused=refused)
    await append(settings, history.steps(600))
    return history


async def test_a_rebuild_under_load_equals_the_live_tables_and_takes_their_place(settings: Settings) -> None:
    history = await live_history(settings, 1)
    async with working(settings):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
        building = asyncio.ensure_future(built(settings))
        while not building.done():
            await append(settings, history.steps(20))
            await asyncio.sleep(0.05)
        assert (await building).id == 2
        assert await states(settings) == {1: "retired", 2: "live"}
        await append(settings, history.steps(50))
        await caught_up(settings, history.log, "chat_g2")
        await caught_up(settings, history.log, "chat_g1")
        assert_same(await tables(settings, "chat_g2"), expected(history.log))
        assert_same(await tables(settings, "chat_g1"), expected(history.log))

        assert await promotion.roll_back(settings, within=20) == 1
        assert await states(settings) == {1: "live", 2: "retired"}
        with pytest.raises(Refusal, match="generation 1 is live"):
            await dropping.drop(settings, 1)
        await dropping.drop(settings, 2)
        assert await states(settings) == {1: "live"}
        await append(settings, history.steps(50))
        await caught_up(settings, history.log)


async def test_records_that_only_an_index_refuses_are_found_by_a_rebuild_too(settings: Settings) -> None:
    history = await live_history(settings, 2, refused=True)
    async with working(settings):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
        new = await built(settings)
        await caught_up(settings, history.log, new.schema)
    reasons = await run_sql(
        settings, f"SELECT reason FROM {new.schema}.dead_letters WHERE reason LIKE '%messages_claim%'"
    )
    assert reasons
    assert_same(await tables(settings, new.schema), expected(history.log))


async def test_it_starts_over_when_an_index_cannot_be_made_while_the_live_tables_are_digested(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, finish, tries = digests.digest, filling.finish, iter(range(9))

    async def slow(session: Session, compared: Sequence[Compared]) -> Digest:
        await session.fetch("SELECT pg_sleep(1)")
        return await digest(session, compared)

    async def not_unique(session: Session) -> None:
        if next(tries) == 0:
            await asyncio.sleep(0.2)
            raise filling.NotUnique("a message twice")
        await finish(session)

    monkeypatch.setattr(digests, "digest", slow)
    monkeypatch.setattr(filling, "finish", not_unique)
    history = await live_history(settings, 10)
    async with working(settings):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
        await built(settings)
    assert next(tries) == 2
    assert_same(await tables(settings, "chat_g2"), expected(history.log))


async def test_it_goes_on_where_it_was_interrupted_and_two_are_the_same(settings: Settings) -> None:
    history = await live_history(settings, 3)
    async with working(settings):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
        for doing in ("filling", "filling to where the live tables were", "comparing"):
            await _interrupted(settings, doing)
            assert await states(settings) == {1: "live", 2: "building"}
            await append(settings, history.steps(300))
            await caught_up(settings, history.log)
        await built(settings)
        await built(settings)
        assert await states(settings) == {1: "retired", 2: "retired", 3: "live"}
    assert_same(await tables(settings, "chat_g2"), await tables(settings, "chat_g3"))
    assert_same(await tables(settings, "chat_g3"), expected(history.log))


async def _interrupted(settings: Settings, doing: str) -> None:
    reached = asyncio.Event()

    def tell(stage: Stage) -> None:
        if stage.doing == doing:
            reached.set()

    task = asyncio.ensure_future(rebuild(settings, Options(), tell))
    async with asyncio.timeout(60):
        await asyncio.wait({task, asyncio.ensure_future(reached.wait())}, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_was_compacted_is_passed_over_and_what_is_only_late_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands for a record that compaction took: the end of a transaction, an offset that nobody is given.

    It was a bad one, and is a dead letter where it was read before.
    """
    monkeypatch.setattr(build, "COMPACTED_SECONDS", 0.1)
    history = await live_history(settings, 8)
    async with working(settings):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
        again = history.log[Partition(USERS, 0)][-1]
        await append_in_a_transaction(settings, again)
        end = again.offset + 3
        of_users = "topic = 'chat.users' AND partition = 0"
        await until(settings, f"SELECT FROM chat_g1.positions WHERE {of_users} AND next_offset = {end - 1}")
        await run_sql(settings, f"UPDATE chat_g1.positions SET next_offset = {end} WHERE {of_users}")
        place = f"'chat.users', 0, {end - 1}"
        await run_sql(
            settings,
            f"INSERT INTO chat_g1.dead_letters (topic, partition, record_offset, reason, headers, recorded_at) "
            f"VALUES ({place}, 'bad', '[]', now())",
        )
        filling = asyncio.Event()
        take = Lane.take

        async def late(lane: Lane, records: Sequence[Raw]) -> None:
            if lane.partition.topic in {USERS, LAST_SEEN}:
                await filling.wait()
                await asyncio.sleep(1)
            await take(lane, records)

        monkeypatch.setattr(Lane, "take", late)

        def tell(stage: Stage) -> None:
            if stage.doing == "filling to where the live tables were":
                filling.set()

        async with asyncio.timeout(90):
            await rebuild(settings, Options(), tell)
    assert await states(settings) == {1: "retired", 2: "live"}


async def append_in_a_transaction(settings: Settings, entry: Entry) -> None:
    """Append a record, and after it, as Kafka does, an offset that is no record."""
    producer = AIOKafkaProducer(**settings.kafka_options(), transactional_id="a-hole")
    await producer.start()
    try:
        async with producer.transaction():
            await send(producer, entry)
    finally:
        await producer.stop()


async def test_the_end_may_take_long_while_records_come_and_others_come_to_help(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparing, may_end, digest = asyncio.Event(), asyncio.Event(), digests.digest

    async def slow(session: Session, compared: Sequence[Compared]) -> Digest:
        if comparing.is_set():
            await may_end.wait()
        return await digest(session, compared)

    def tell(stage: Stage) -> None:
        if stage.doing == "comparing":
            comparing.set()

    monkeypatch.setattr(digests, "digest", slow)
    history = await live_history(settings, 9)
    async with working(settings), asyncio.timeout(90):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
        monkeypatch.setattr(watchdog, "EVERY_SECONDS", 1)
        monkeypatch.setattr(faust_worker, "SEEK_SECONDS", 6)
        building = asyncio.ensure_future(rebuild(settings, Options(), tell))
        await comparing.wait()
        helping = asyncio.ensure_future(join(settings))
        for _ in range(100):
            await append(settings, history.steps(5))
            await asyncio.wait({building, helping}, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
        assert not building.done()
        assert not helping.done()
        async with asyncio.timeout(10):
            await run_sql(settings, "SELECT FROM chat_g2.positions")
        may_end.set()
        await building
        await helping
        await caught_up(settings, history.log, "chat_g2")
    assert_same(await tables(settings, "chat_g2"), expected(history.log))


async def test_one_rebuild_leads(settings: Settings) -> None:
    history = await live_history(settings, 7)
    async with working(settings):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
        both = await asyncio.gather(built(settings), built(settings), return_exceptions=True)
    (led,) = [one for one in both if isinstance(one, Generation)]
    (other,) = [one for one in both if isinstance(one, Refusal)]
    assert (led.id, str(other)) == (2, "a rebuild is running already; chat rebuild --join helps it")


async def test_tables_that_differ_are_not_promoted(settings: Settings) -> None:
    history = await live_history(settings, 4)
    async with working(settings):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
        await run_sql(settings, "UPDATE chat_g1.messages SET content = 'tampered' WHERE seq = 1")
        with pytest.raises(
            Refusal, match=r"(?s)messages: \d+ rows only in the live tables, \d+ only in the new.*tampered"
        ):
            await built(settings)
        assert await states(settings) == {1: "live", 2: "building"}

        told: list[Stage] = []
        async with asyncio.timeout(90):
            await rebuild(settings, Options(accept_differences=True), told.append)
        assert await states(settings) == {1: "retired", 2: "live"}
    (accepted,) = [stage.doing for stage in told if stage.stays]
    assert re.search(r"(?s)messages: \d+ rows only in the live tables, \d+ only in the new.*tampered", accepted)


async def test_a_new_dead_letter_stops_it(settings: Settings) -> None:
    history = await live_history(settings, 5)
    async with working(settings):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
        await run_sql(settings, "DELETE FROM chat_g1.dead_letters WHERE topic = 'chat.conversations'")
        with pytest.raises(Refusal, match=r"(?s)cannot be applied any more.*chat generations drop 2, mend the code"):
            await built(settings)
        await built(settings, Options(accept_dead_letters=True, accept_differences=True))
        assert await states(settings) == {1: "retired", 2: "live"}


@pytest.mark.parametrize(
    "lacks",
    [
        ["ALTER TABLE chat_g1.last_seen DROP COLUMN record_offset"],
        [
            "DROP TABLE chat_g1.reports CASCADE",
            "DELETE FROM chat_g1.positions WHERE topic = 'chat.moderation'",
            "DELETE FROM chat_g1.dead_letters WHERE topic = 'chat.moderation'",
        ],
    ],
    ids=["a column", "a topic and its table"],
)
async def test_tables_of_another_release_are_left_to_its_workers_and_a_rebuild_makes_those_of_this_one(
    settings: Settings, lacks: Sequence[str]
) -> None:
    history = await live_history(settings, 11)
    async with working(settings):
        await caught_up(settings, history.log)
        await until(settings, LIVE)
    for sql in (*lacks, "UPDATE chat.generations SET shape = 'another'"):
        await run_sql(settings, sql)
    before = await run_sql(settings, "SELECT * FROM chat_g1.positions")
    async with working(settings):
        await append(settings, history.steps(200))
        assert (await built(settings)).id == 2
        await caught_up(settings, history.log, "chat_g2")
    assert await states(settings) == {1: "retired", 2: "live"}
    assert_same(await tables(settings, "chat_g2"), expected(history.log))
    assert await run_sql(settings, "SELECT * FROM chat_g1.positions") == before


async def test_without_a_live_generation_there_is_nothing_to_rebuild(settings: Settings) -> None:
    await live_history(settings, 6)
    with pytest.raises(Refusal, match="no read tables yet"):
        await built(settings)
