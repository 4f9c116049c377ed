"""Two edges that do the same thing in the same instant, whose clocks differ, whose Postgres goes back in time.

Nobody is told what the log does not say, and no answer is taken back. Blocks against sends, two hundred times:
tests/e2e/test_races.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import asyncpg
import pytest

from infra import log_start
from schemas.times import read_time
from schemas.topics import CONVERSATIONS, MODERATION
from tests.faults import scaled
from tests.oracle import TABLES
from tests.projecting import assert_as_the_log
from tests.support.clients import PATIENCE_SECONDS, Client, clients, new_user
from tests.support.edges import edge_beside
from tests.support.system import System, standing_still, start_system

ROUNDS = scaled(10, 100)


class Round(NamedTuple):
    """Two users and a back end, each at two edges."""

    ada: tuple[Client, ...]
    bob: tuple[Client, ...]
    back_end: tuple[Client, ...]


@pytest.fixture(scope="module")
async def two_edges() -> AsyncIterator[System]:
    """Two edges and a worker; their log holds nothing but what happens here."""
    async with start_system("--edges", "2", CHAT_PARTITIONS="2", CHAT_MESSAGES_PER_MINUTE="0") as started:
        yield started


@asynccontextmanager
async def cold_edges(system: System) -> AsyncIterator[tuple[str, str]]:
    """Run two edges that begin where the tables are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_start, "LIMITS_REACH_BACK", {CONVERSATIONS: 0, MODERATION: 0})
        async with edge_beside(system.settings) as one, edge_beside(system.settings) as other:
            yield one, other


@asynccontextmanager
async def rounds(system: System, edges: Sequence[str], users: Sequence[tuple[int, int]]) -> AsyncIterator[list[Round]]:
    """Connect the users of each round at both edges."""
    async with AsyncExitStack() as stack:
        made = []
        for pair in users:
            at = [await stack.enter_async_context(clients(system.settings, edge, *pair)) for edge in edges]
            made.append(Round(*zip(*at, strict=True)))
        yield made


async def opened(one: Round) -> int:
    """Open from both sides. Who lost may be told to wait for the tables."""
    users = one.ada[0].user, one.bob[0].user
    bodies = [{"user_id": users[0], "other_user_id": users[1]}, {"user_id": users[1], "other_user_id": users[0]}]
    answers = await asyncio.gather(
        *(client.http.post("/chat/conversations", json=body) for client, body in zip(one.back_end, bodies, strict=True))
    )
    assert {answer.status_code for answer in answers} <= {200, 201, 503}
    (conversation,) = {answer.json()["id"] for answer in answers if answer.status_code != 503}
    return int(conversation)


async def opened_at_last(back_end: Client, user: int, other: int) -> int:
    """Open, as often as the edge says to wait for the tables, within a bound."""
    async with asyncio.timeout(3 * PATIENCE_SECONDS):
        while True:
            answer = await back_end.http.post("/chat/conversations", json={"user_id": user, "other_user_id": other})
            if answer.status_code != 503:
                assert answer.status_code == 200, answer.text
                return int(answer.json()["id"])
            await asyncio.sleep(int(answer.headers["retry-after"]))


async def talked(one: Round, conversation: int) -> list[int]:
    """Send twice and read twice at once, then block against a send; return what was said in the end, by its ids."""
    async with one.bob[1].socket() as his:
        sent = await asyncio.gather(*(client.send(conversation, "hello", client_id="one") for client in one.ada))
        assert [answer.status_code for answer in sent] == [201, 201]
        assert sent[0].json() == sent[1].json()
        wanted = [sent[0].json()["message_id"]]
        path = f"/chat/messages/{wanted[0]}/read"
        reads = [*await asyncio.gather(*(client.http.put(path) for client in one.bob)), await one.bob[0].http.put(path)]
        assert len({(read.status_code, read.json().get("read_at")) for read in reads}) == 1
        assert reads[0].status_code == 200

        said, blocked = await asyncio.gather(
            one.ada[0].send(conversation, "now?", client_id="two"),
            one.bob[1].http.post(f"/chat/conversations/{conversation}/block"),
        )
        assert blocked.status_code == 200
        assert said.status_code in {201, 403}
        for client in one.ada:
            again = await client.send(conversation, "now?", client_id="two")
            assert (again.status_code, again.json().get("message_id")) == (
                said.status_code,
                said.json().get("message_id"),
            )
        if said.status_code == 201:
            wanted.append(said.json()["message_id"])
        await his.until("message", len(wanted), conversation_id=conversation)
        assert [frame["message_id"] for frame in his.of("message", conversation_id=conversation)] == wanted
    return wanted


async def told_as_it_was(one: Round, conversation: int, wanted: list[int]) -> None:
    """Ask everybody everywhere."""
    assert await opened(one) == conversation
    for client in (*one.ada, *one.bob):
        assert [message["id"] for message in (await client.history(conversation))["messages"]][::-1] == wanted


async def test_with_tables_that_stand_still(two_edges: System) -> None:
    """9: two edges know from the log alone."""
    users = [(new_user(), new_user()) for _ in range(ROUNDS)]
    async with rounds(two_edges, two_edges.edges, users) as made:
        with standing_still(two_edges):
            conversations = await asyncio.gather(*(opened(one) for one in made))
            said = await asyncio.gather(*(talked(one, number) for one, number in zip(made, conversations, strict=True)))
        await assert_as_the_log(two_edges.settings)
        for one, number, wanted in zip(made, conversations, said, strict=True):
            await told_as_it_was(one, number, wanted)


async def test_at_edges_that_know_nothing_yet(two_edges: System) -> None:
    """9: two edges have to load everything."""
    users = [(new_user(), new_user()) for _ in range(ROUNDS)]
    async with rounds(two_edges, two_edges.edges, users) as made:
        conversations = await asyncio.gather(*(opened(one) for one in made))
    await assert_as_the_log(two_edges.settings)
    async with cold_edges(two_edges) as edges, rounds(two_edges, edges, users) as made:
        assert await asyncio.gather(*(opened(one) for one in made)) == conversations
        said = await asyncio.gather(*(talked(one, number) for one, number in zip(made, conversations, strict=True)))
        await assert_as_the_log(two_edges.settings)
        for one, number, wanted in zip(made, conversations, said, strict=True):
            await told_as_it_was(one, number, wanted)


@pytest.mark.parametrize("seconds", [3_500, -3_500])
async def test_a_clock_that_is_off_by_an_hour(two_edges: System, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """15: order, times and limits are the log's. (Tokens, which end after an hour here, go by the edge's own clock.)"""
    ada, bob = new_user(), new_user()
    right, ahead = time.time, time.time_ns
    async with (
        edge_beside(two_edges.settings, messages_per_minute=10) as wrong,
        clients(two_edges.settings, two_edges.url, ada) as (alice, back_end),
        clients(two_edges.settings, wrong, bob) as (bert, _),
        bert.socket() as his,
    ):
        monkeypatch.setattr(time, "time", lambda: right() + seconds)
        monkeypatch.setattr(time, "time_ns", lambda: ahead() + seconds * 10**9)
        conversation = await back_end.open(ada, bob)
        sent = [await (alice, bert)[number % 2].sent(conversation, f"message {number}") for number in range(20)]
        assert [message["seq"] for message in sent] == list(range(1, 21))
        at = [read_time(message["sent_at"]).timestamp() for message in sent]
        assert at == sorted(at)
        assert all(abs(moment - right()) < 60 for moment in at)
        history = (await bert.history(conversation))["messages"]  # who sent last reads what he has written
        assert [message["id"] for message in history][::-1] == [message["message_id"] for message in sent]
        await his.until("message", 10)
        refused = await bert.send(conversation, "one too many")
        assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
    await assert_as_the_log(two_edges.settings)


async def test_postgres_restored_from_an_older_backup_under_edges_that_go_on(two_edges: System) -> None:
    """11: everything is right after catching up, and no id is given out twice."""
    ada, bob, eve = new_user(), new_user(), new_user()
    ids: list[int] = []

    async def say(*everybody: Client) -> None:
        for client in everybody:
            ids.append((await client.sent(conversation, f"message {len(ids)}"))["message_id"])

    async with rounds(two_edges, two_edges.edges, [(ada, bob)]) as (one,):
        conversation = await opened(one)
        await say(*one.ada, *one.bob)
        await assert_as_the_log(two_edges.settings)
        backup = "".join(f"CREATE TABLE old.{table} AS TABLE chat_g1.{table};" for table in TABLES)
        await run(two_edges, "CREATE SCHEMA old;" + backup)
        await say(*one.ada, *one.bob)
        await assert_as_the_log(two_edges.settings)
        later = await one.back_end[0].open(ada, eve)
        await run(
            two_edges,
            "".join(f"DELETE FROM chat_g1.{table}; INSERT INTO chat_g1.{table} TABLE old.{table};" for table in TABLES),
        )
        await say(*one.ada, *one.bob)
        async with cold_edges(two_edges) as edges, rounds(two_edges, edges, [(ada, bob)]) as (cold,):
            await say(*cold.ada, *cold.bob)
            assert await opened_at_last(cold.back_end[0], eve, ada) == later
        await assert_as_the_log(two_edges.settings)
        assert len({*ids, conversation, later}) == len(ids) + 2
        await told_as_it_was(one, conversation, ids)


async def run(system: System, sql: str) -> None:
    """Run statements in one transaction."""
    connection = await asyncpg.connect(system.database_url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
