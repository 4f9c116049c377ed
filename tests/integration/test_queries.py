"""What a page costs, in blocks that Postgres touches: the same in a long list or history as in a short one."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import msgspec
import pytest
from msgspec import UNSET

from gateway.reads import queries
from gateway.reads.queries import Queries
from infra.read_tables import ReadTables
from infra.settings import Settings
from projections import generations
from projections.log import PROJECTED, Log
from schemas import topics
from schemas.answers import ConversationList, MessageList
from schemas.ids import MAX_ID, Partition
from schemas.requests import ListConversations, ListMessages
from schemas.times import read_time

BUSY, QUIET = 1, 2
CONVERSATIONS = 10_000
LONG, SHORT = CONVERSATIONS + 1, CONVERSATIONS + 2
MESSAGES = 100_000
PAGE = 20

LISTENING = """
SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%chat_generations%'
"""
FILL = f"""
INSERT INTO {{schema}}.conversations
    SELECT n, 0, 1, 1000000 + n, now(), 1, 1, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, 'x', 1, now(), n
    FROM generate_series(1, {CONVERSATIONS}) AS n;
INSERT INTO {{schema}}.conversations
    SELECT n, 0, 2, 1000000 + n, now(), 1, 1, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, 'x', 1, now(), n
    FROM generate_series({LONG + 10}, {LONG + 9 + PAGE}) AS n;
INSERT INTO {{schema}}.inbox
    SELECT lower_user_id, id, now() - id * interval '1 second', id FROM {{schema}}.conversations;
INSERT INTO {{schema}}.inbox_totals VALUES (1, 0, {CONVERSATIONS - 1}), (1, 1, 1), (2, 0, {PAGE});
INSERT INTO {{schema}}.conversations VALUES
    ({LONG}, 0, 3, 4, now(), {MESSAGES}, {MESSAGES},
        0, 0, 0, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, 'x', 3, now(), 1),
    ({SHORT}, 0, 3, 5, now(), {PAGE}, {PAGE}, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, 'x', 3, now(), 1);
INSERT INTO {{schema}}.messages
    SELECT {LONG}, n, n, 3, n, 'message ' || n, 'text', 'c' || n, now(), n FROM generate_series(1, {MESSAGES}) AS n;
INSERT INTO {{schema}}.messages
    SELECT {SHORT}, n, {MESSAGES} + n, 3, n, 'message ' || n, 'text', 'c' || n, now(), n
    FROM generate_series(1, {PAGE}) AS n;
INSERT INTO {{schema}}.reads
    SELECT {LONG}, 4, n, n, n, now(), n FROM generate_series(10, {MESSAGES}, 10) AS n;
INSERT INTO {{schema}}.reads VALUES ({SHORT}, 5, {PAGE}, {PAGE}, {PAGE}, now(), 1);
"""


class Place(NamedTuple):
    """Full tables: how to ask them, and a connection to look behind."""

    queries: Queries
    connection: asyncpg.Connection

    async def history(self, conversation: int, viewer: int, asked: ListMessages) -> MessageList:
        """Return a page as its reader reads it."""
        page = await self.queries.messages(conversation, viewer, asked)
        assert page is not None
        assert page.users[0] == 3
        return msgspec.json.decode(page.content, type=MessageList)

    async def list(self, **asked: int) -> ConversationList:
        """Return a page as its reader reads it."""
        page = await self.queries.conversations(ListConversations(**asked))
        listed = msgspec.json.decode(page.content, type=ConversationList)
        assert set(page.users) == {one.other_user_id for one in listed.conversations}
        return listed

    async def blocks(self, sql: str, *arguments: int) -> int:
        """Return how many blocks a statement touches."""
        explained = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql.replace("{schema}", "chat_g1")
        [(plan,)] = await self.connection.fetch(explained, *arguments)
        top = json.loads(plan)[0]["Plan"]
        return int(top["Shared Hit Blocks"]) + int(top["Shared Read Blocks"])


@pytest.fixture(scope="module")
async def place(module_settings: Settings) -> AsyncIterator[Place]:
    url = module_settings.database()
    begins = {Partition(topic, 0): 0 for topic in PROJECTED}
    await generations.join(url, Log("an epoch", begins, begins))
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        tables = ReadTables(pool, "an epoch")
        await tables.live.refresh()
        async with pool.acquire() as connection:
            await connection.execute(FILL.replace("{schema}", "chat_g1"))
            await connection.execute("VACUUM ANALYZE")
            yield Place(Queries(tables), connection)


async def test_the_first_page_of_a_long_list_costs_what_a_short_list_costs(place: Place) -> None:
    long, short = [await place.blocks(queries._CONVERSATIONS, user, PAGE, 0) for user in (BUSY, QUIET)]
    assert long < 2 * short


async def test_a_deep_page_of_a_list_joins_nothing_that_it_does_not_show(place: Place) -> None:
    first, deep = [await place.blocks(queries._CONVERSATIONS, BUSY, PAGE, at) for at in (0, CONVERSATIONS - PAGE)]
    assert deep < first + CONVERSATIONS / 20, "more than the index of what is skipped"


async def test_every_page_of_a_long_history_costs_what_a_short_history_costs(place: Place) -> None:
    short = await place.blocks(queries._MESSAGES, SHORT, 3, MAX_ID, 0, 0, PAGE)
    for offset in (0, MESSAGES // 2, MESSAGES - PAGE):
        assert await place.blocks(queries._MESSAGES, LONG, 3, MAX_ID, 0, offset, PAGE) < 2 * short


async def test_a_page_is_found_at_any_offset(place: Place) -> None:
    for offset in (0, 1, MESSAGES // 2, MESSAGES - 5, MESSAGES, 2**53 - 1):
        page = await place.history(LONG, 4, ListMessages(limit=3, offset=offset))
        newest = MESSAGES - offset
        assert [message.seq for message in page.messages] == list(range(max(newest, 0), max(newest - 3, 0), -1))
        assert page.total == MESSAGES


async def test_a_page_lies_between_the_numbers_that_are_named(place: Place) -> None:
    for before, after, wanted in (
        (50, None, [49, 48, 47]),
        (50, 47, [49, 48]),
        (None, MESSAGES - 1, [MESSAGES]),
        (MAX_ID, None, [MESSAGES, MESSAGES - 1, MESSAGES - 2]),
        (1, None, []),
        (None, MESSAGES, []),
    ):
        page = await place.history(LONG, 4, ListMessages(limit=3, before_seq=before, after_seq=after))
        assert [message.seq for message in page.messages] == wanted


async def test_a_message_is_what_the_contract_says_whoever_asks(place: Place) -> None:
    text = 'quotes " and \\ and \n and \u2028 and \x01 and 🙂'
    await place.connection.execute(
        """
        UPDATE chat_g1.messages SET content = $1, created_at = '2026-01-31T12:00:00+00' WHERE conversation_id = $2
        """,
        *(text, SHORT),
    )
    for viewer, client_id in ((3, f"c{PAGE}"), (5, UNSET)):
        newest = (await place.history(SHORT, viewer, ListMessages(limit=1))).messages[0]
        assert (newest.content, newest.created_at) == (text, "2026-01-31T12:00:00.000Z")
        assert (newest.position, newest.client_id) == (f"0:{PAGE}", client_id)
        assert newest.read_at is not None
        assert abs(read_time(newest.read_at) - datetime.now(UTC)) < timedelta(hours=1)


async def test_a_list_is_in_order_and_its_total_is_that_of_all_partitions(place: Place) -> None:
    for offset in (0, 5, CONVERSATIONS - 2, CONVERSATIONS, 2**53 - 1):
        page = await place.list(user_id=BUSY, limit=3, offset=offset)
        wanted = range(offset + 1, min(offset + 4, CONVERSATIONS + 1))
        assert [conversation.id for conversation in page.conversations] == list(wanted)
        assert page.total == CONVERSATIONS
    nobody = await place.list(user_id=99)
    assert (nobody.conversations, nobody.total) == ([], 0)


async def test_who_is_in_no_table_is_unknown(place: Place) -> None:
    assert await place.queries.is_known(BUSY)
    assert not await place.queries.is_known(99)
    assert await place.queries.messages(999_999, BUSY, ListMessages()) is None
    assert await place.queries.last_seen(BUSY) is None
    assert (await place.queries.blocked(BUSY)).total == 0


async def test_a_postgres_that_was_away_may_have_less_than_it_had(place: Place) -> None:
    tables = place.queries._tables
    following = asyncio.ensure_future(tables.live.run())
    partition = Partition(topics.CONVERSATIONS, 0)
    try:
        assert not await tables.passed({partition: 7}, 0)
        tables.stored = {partition: 7}  # as it was before a restore, say
        assert await tables.passed({partition: 7}, 0)
        async with asyncio.timeout(30):
            while not (listening := await place.connection.fetch(LISTENING)):
                await asyncio.sleep(0.01)
            assert [row["ended"] for row in listening] == [True]
            while tables.stored:
                await asyncio.sleep(0.01)
        assert not await tables.passed({partition: 7}, 0)
    finally:
        following.cancel()


async def test_tables_that_went_back_are_noticed_when_nobody_asks(place: Place) -> None:
    tables = place.queries._tables
    partition = Partition(topics.CONVERSATIONS, 0)
    lost = asyncio.Event()
    tables.live.on_loss(lost.set)
    tables.stored = {partition: 7}  # as it was before a restore, say
    following = asyncio.ensure_future(tables._follow_positions())
    try:
        await asyncio.wait_for(lost.wait(), 30)
        assert not await tables.passed({partition: 7}, 0)
    finally:
        following.cancel()


@pytest.mark.parametrize("in_snapshot", [False, True])
async def test_who_stops_waiting_does_not_wait_for_a_server_that_has_stopped(place: Place, in_snapshot: bool) -> None:
    tables = place.queries._tables
    asked: list[Any] = []

    async def ask() -> None:
        if in_snapshot:
            async with tables.snapshot() as snapshot:
                asked.append(snapshot._connection._con)
                await snapshot.fetch("SELECT pg_sleep(30)")
        async with tables._lent() as connection:
            asked.append(connection._con)
            await connection.execute("SELECT pg_sleep(30)")

    asking = asyncio.ensure_future(ask())
    async with asyncio.timeout(30):
        while not asked:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert asked[0].is_closed(), "it would have been asked to cancel the question, and been waited for"
    assert await place.queries.is_known(QUIET)


async def test_connections_are_lent_in_the_order_in_which_they_are_asked_for(place: Place) -> None:
    tables = place.queries._tables
    served: list[int] = []

    async def ask(number: int) -> None:
        async with tables._lent() as connection:
            await connection.execute("SELECT")
            served.append(number)
            asking.append(asyncio.ensure_future(serve_last()))

    async def serve_last() -> None:
        async with tables._lent():
            served.append(99)

    asking = [asyncio.ensure_future(ask(number)) for number in range(5)]
    async with asyncio.timeout(30):
        while len(served) < 10:
            await asyncio.sleep(0.01)
    assert served == [0, 1, 2, 3, 4, 99, 99, 99, 99, 99]
