"""A worker on real Kafka and Postgres: its tables are those that an independent reader of the log expects."""

import asyncio
import json
import random

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra import log_start
from infra.placing import place
from infra.settings import Settings
from projections import faust_worker, generations, watchdog
from projections.database import Database, Session
from projections.lane import Lane
from projections.refusal import GaveUp, Refusal
from projections.tables import positions
from projections.tables.positions import Stored
from schemas import topics
from schemas.ids import Partition
from tests.histories import History
from tests.oracle import expected
from tests.projecting import LIVE, append, assert_same, caught_up, run_sql, tables, until, working
from tests.support.foreign import append_foreign


async def projected(settings: Settings, steps: int, seed: int) -> History:
    """Append a history and have it projected."""
    history = History(random.Random(seed), partitions=settings.partitions, pairs=6)
    await append(settings, history.steps(steps))
    async with working(settings):
        await caught_up(settings, history.log)
    return history


async def test_the_tables_are_what_the_log_says(settings: Settings) -> None:
    history = History(random.Random(1), partitions=settings.partitions, pairs=12)
    await append(settings, history.steps(1_500))

    async with working(settings):
        await caught_up(settings, history.log)
        assert_same(await tables(settings), expected(history.log))
        await append(settings, history.steps(1_500))
        await caught_up(settings, history.log)
    assert_same(await tables(settings), expected(history.log))


async def test_a_worker_resumes_where_the_tables_stand_and_an_empty_database_is_filled_again(
    settings: Settings,
) -> None:
    history = await projected(settings, 400, 2)
    before = await tables(settings)
    async with working(settings):
        await append(settings, history.steps(200))
        await caught_up(settings, history.log)
    after = await tables(settings)
    assert before["messages"] < after["messages"]
    assert_same(after, expected(history.log))

    await run_sql(settings, "DROP SCHEMA chat CASCADE")
    await run_sql(settings, "DROP SCHEMA chat_g1 CASCADE")
    async with working(settings):
        await caught_up(settings, history.log)
    assert_same(await tables(settings), after)


async def test_the_first_generation_is_live_at_once_on_an_empty_log(settings: Settings) -> None:
    await log_start.ensure(settings)
    async with working(settings):
        await until(settings, "SELECT FROM chat.generations WHERE state = 'live' AND id = 1")
    rows = await run_sql(settings, "SELECT promoted_at, 'chat.message.sent.v1' = ANY(reads) FROM chat.generations")
    assert [(row[0] is not None, row[1]) for row in rows] == [(True, True)]


async def test_the_first_generation_on_a_full_log_is_live_once_it_has_caught_up(settings: Settings) -> None:
    history = History(random.Random(3), partitions=settings.partitions)
    await append(settings, history.steps(300))
    async with working(settings):
        await until(settings, LIVE)
        assert_same(await tables(settings), expected(history.log))


async def test_a_worker_waits_for_the_topics(settings: Settings) -> None:
    async with working(settings):
        await asyncio.sleep(1)
        await log_start.ensure(settings)
        await until(settings, LIVE)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("UPDATE chat.generations SET epoch = 'another'", "made from the log with epoch another"),
        (
            "UPDATE chat_g1.positions SET next_offset = 100000",
            "the tables stand at offset 100000, and the log has 0 to",
        ),
        ("UPDATE chat_g1.positions SET last_ce_id = 'x' WHERE next_offset > 0", "was x when it was applied, and is"),
        ("DELETE FROM chat_g1.positions WHERE partition = 1", "partition 1 was not there when the tables were made"),
    ],
)
async def test_a_log_that_is_not_the_one_of_the_tables_is_refused(settings: Settings, damage: str, why: str) -> None:
    await projected(settings, 100, 4)
    await run_sql(settings, damage)
    before = await tables(settings)

    with pytest.raises(Refusal, match=why):
        async with working(settings) as task, asyncio.timeout(30):
            await asyncio.wait([task])
    assert_same(await tables(settings), before)


async def test_a_log_that_grows_while_a_worker_joins_is_not_taken_for_one_that_was_cut(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker, here a statement, has in the tables what was appended since this one began to join."""
    history = await projected(settings, 200, 12)
    load, joined = positions.load, asyncio.Event()

    async def late(session: Session) -> dict[Partition, Stored]:
        monkeypatch.setattr(positions, "load", load)
        await append(settings, history.steps(50))
        for (topic, partition), entries in history.log.items():
            await run_sql(
                settings,
                f"UPDATE chat_g1.positions SET next_offset = {len(entries)}, last_ce_id = NULL "
                f"WHERE topic = '{topic}' AND partition = {partition}",
            )
        joined.set()
        return await load(session)

    monkeypatch.setattr(positions, "load", late)
    async with working(settings):
        await joined.wait()
        await append(settings, history.steps(50))
        await caught_up(settings, history.log)


async def test_a_topic_that_would_lose_records_is_refused(settings: Settings) -> None:
    await projected(settings, 50, 7)
    admin = AIOKafkaAdminClient(**settings.kafka_options())
    await admin.start()
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, "chat.conversations", {"retention.ms": "1000"})]
    )
    await admin.close()

    with pytest.raises(Refusal, match=r"topic chat\.conversations: retention\.ms must be -1, but is 1000"):
        async with working(settings) as task, asyncio.timeout(30):
            await asyncio.wait([task])


async def test_connections_that_are_cut_lose_and_double_nothing(settings: Settings) -> None:
    history = History(random.Random(5), partitions=settings.partitions)
    await append(settings, history.steps(100))
    async with working(settings):
        await until(settings, LIVE)
        for number in range(6):
            await append(settings, history.steps(100))
            if number % 2:  # while nothing is under way, too
                await caught_up(settings, history.log)
            await run_sql(
                settings,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chat-projections'",
            )
        await append(settings, history.steps(100))
        await caught_up(settings, history.log)
    assert_same(await tables(settings), expected(history.log))


async def test_a_worker_that_does_not_advance_ends(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hanging(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Lane, "take", hanging)
    monkeypatch.setattr(watchdog, "EVERY_SECONDS", 0.3)
    history = History(random.Random(8), partitions=settings.partitions)
    await append(settings, history.steps(20))
    with pytest.raises(GaveUp, match="nothing has advanced for"):
        async with working(settings) as task, asyncio.timeout(30):
            await asyncio.wait([task])


async def test_two_workers_share_and_one_goes(settings: Settings) -> None:
    history = History(random.Random(6), partitions=settings.partitions, pairs=20)
    await append(settings, history.steps(100))
    async with working(settings, "one"):
        async with working(settings, "two"):
            for _ in range(10):
                await append(settings, history.steps(50))
            await caught_up(settings, history.log)
        await append(settings, history.steps(100))
        await caught_up(settings, history.log)
    assert_same(await tables(settings), expected(history.log))


async def test_a_worker_that_another_joins_while_it_stops_leaves_the_group_and_its_connections(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await projected(settings, 20, 13)
    database = Database(settings.database(), "chat_g1")
    async with database.transaction() as session:
        (generation,) = await generations.listed(session.of(generations.CONTROL))
    app = faust_worker.App(
        database, group=generation.group, instance=None, kafka_options=settings.kafka_options(), heartbeat=0.1
    )
    close, rebalanced, stop = faust_worker.Consumer.close, asyncio.Event(), asyncio.Event()

    def told(consumer: faust_worker.Consumer) -> None:
        close(consumer)
        rebalanced.set()

    async def until_rebalanced(*_: object, **__: object) -> None:
        await rebalanced.wait()

    monkeypatch.setattr(faust_worker.Consumer, "close", told)
    app.on_before_shutdown.connect(until_rebalanced)
    async with asyncio.timeout(30):
        running = asyncio.ensure_future(faust_worker.run(app, stop))
        while not app.lanes.positions():
            await asyncio.sleep(0.02)
        stop.set()
        async with working(settings):
            await running
    await database.close()
    assert isinstance(app.consumer, faust_worker.Consumer)
    consumer = app.consumer._thread._consumer
    assert consumer._coordinator.generation < 0, "it has not left"
    assert not [connection for connection in consumer._client._conns.values() if connection.connected()]


async def test_header_names_that_are_no_text_stop_nobody(settings: Settings) -> None:
    """An event with such a header besides counts; what is no event is a dead letter, with the bytes written out."""
    partition = Partition(topics.USERS, 0)
    ann, bad, eve = [user for user in range(1, 100) if place(b"%d" % user, settings.partitions) == 0][:3]

    def profile(user: int) -> bytes:
        return json.dumps({"user_id": user, "name": "Ann", "photo": None}).encode()

    kind = ("ce_type", b"chat.user.updated.v1")
    async with working(settings):
        await log_start.ensure(settings)
        await until(settings, LIVE)
        records = [
            {"key": b"%d" % ann, "value": profile(ann), "headers": [("bad", b"1"), kind]},
            {"key": b"%d" % bad, "value": b"{}", "headers": [kind, ("bad", None)]},
            {"key": b"%d" % eve, "value": profile(eve), "headers": [kind]},
        ]
        await append_foreign(settings, partition, records)
        await until(settings, "SELECT FROM chat_g1.positions WHERE topic = 'chat.users' AND next_offset = 3")
    assert [row[0] for row in await run_sql(settings, "SELECT id FROM chat_g1.users ORDER BY 1")] == [ann, eve]
    (letter,) = await run_sql(settings, "SELECT record_offset, headers FROM chat_g1.dead_letters")
    assert letter["record_offset"] == 1
    assert json.loads(letter["headers"])[1] == ["\\xff\\xfe\\x80", None]
