"""Sockets on real servers: resumes over edges and out of the tables, places, presence, tokens, slow readers, stops."""

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from websockets.server import ServerProtocol

from gateway.sockets.connection import Connection
from gateway.sockets.handshakes import Handshakes
from gateway.sockets.session import Session
from gateway.sockets.wire import Wire
from infra import log_start
from infra.log_reader import LogReader
from infra.settings import Settings
from infra.tail import Tail
from infra.tokens import sign_token
from schemas.events import AnyEvent, AsOf, ConversationBlocked, ConversationOpened, MessageRead, MessageSent
from tests.support.clients import PATIENCE_SECONDS, Client, Frame, clients, new_user
from tests.support.dialling import Dial, cut
from tests.support.edges import edge_beside
from tests.support.foreign import append_event
from tests.support.write_sides import worker


@pytest.fixture(scope="module")
async def edges(module_settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """Two edges and a worker."""
    unlimited = replace(module_settings, messages_per_minute=0)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(edge_beside(unlimited))
        second = await stack.enter_async_context(edge_beside(unlimited))
        await stack.enter_async_context(worker(module_settings))
        async with clients(module_settings, first) as (back_end,):
            await back_end.until_tables()
        yield first, second


@pytest.fixture
async def pair(module_settings: Settings, edges: tuple[str, str]) -> AsyncIterator[tuple[Client, Client, int]]:
    """Two users in conversation."""
    ada, bob = new_user(), new_user()
    async with clients(module_settings, edges[0], ada, bob) as (alice, bert, back_end):
        yield alice, bert, await back_end.open(ada, bob)


Pair = tuple[Client, Client, int]


async def test_what_is_left_of_a_connection_is_freed_when_it_ends(
    module_settings: Settings, dial: Dial, edges: tuple[str, str], pair: Pair
) -> None:
    _, bert, conversation = pair
    ours = Handshakes | RequestResponseCycle | Wire | ServerProtocol | Connection | Session

    def left() -> int:
        return sum(isinstance(found, ours) for found in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = left()
        ended = [await dial(edges[0], bert.user) for _ in range(3)]
        for socket in ended:
            await socket.frame()
        await ended[0].tell("message", conversation_id=conversation, content="hi", client_id="c")
        await ended[0].until("ack")
        assert left() > before, "they are not in this process"
        await cut(ended[0])
        await ended[1].connection.close()
        await ended[2].connection.send(b"binary")
        assert (await ended[2].closed())[0] == 1003
        refused = await dial(edges[0], bert.user, "&cursor=0")
        await refused.until("resync")
        await cut(refused)
        async with clients(module_settings, edges[0], bert.user) as (asking, _):
            await asking.history(conversation)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while left() > before:
                await asyncio.sleep(0.05)
    finally:
        gc.enable()


async def test_a_gap_is_told_at_another_edge(dial: Dial, edges: tuple[str, str], pair: Pair) -> None:
    alice, bert, conversation = pair
    his = await dial(edges[0], bert.user)
    assert (await his.frame())["resumed"] is False
    await cut(his)
    sent = [await alice.sent(conversation, f"message {number}") for number in range(20)]
    again = await dial(edges[1], bert.user, his.given_back)
    connected, *missed, heartbeat = await again.until("heartbeat")
    assert connected["resumed"] is True
    assert [frame["message_id"] for frame in missed if frame["type"] == "message"] == [
        one["message_id"] for one in sent
    ]
    assert [frame["position"] for frame in missed if frame["type"] == "message"] == [one["position"] for one in sent]
    assert heartbeat["cursor"] != connected["cursor"]


async def test_a_gap_that_no_memory_covers_comes_out_of_the_tables(
    dial: Dial, edges: tuple[str, str], pair: Pair, module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bert, conversation = pair
    his = await dial(edges[0], bert.user)
    await his.frame()
    await cut(his)
    sent = [(await alice.sent(conversation, f"message {number}"))["message_id"] for number in range(120)]
    await bert.http.put(f"/chat/messages/{sent[50]}/read")
    await bert.http.post(f"/chat/conversations/{conversation}/block")
    # An edge whose tail begins now: it remembers nothing of this.
    monkeypatch.setattr(log_start, "LIMITS_REACH_BACK", dict.fromkeys(log_start.LIMITS_REACH_BACK, 0))
    async with edge_beside(module_settings) as late:
        again = await dial(late, bert.user, his.given_back)
        _, *missed, heartbeat = await again.until("heartbeat")
        assert "cursor" in heartbeat
        assert [frame["message_id"] for frame in missed if frame["type"] == "message"] == sent
        assert [frame["seq"] for frame in missed if frame["type"] == "read"] == [51]
        assert missed[-1]["type"] == "blocked"


def contradictions(alice: int, bert: int, conversation: int, first: Frame) -> list[AnyEvent]:
    """Return what a pair with one message cannot have, and what strangers cannot."""
    at = first["sent_at"]
    as_of = AsOf(int(first["position"].partition(":")[2]) + 1, 1)
    other, stranger = 2**53 - 5, new_user()
    forged = {"message_id": other, "content": "forged", "content_type": "text", "sent_at": at}
    read = {"message_id": first["message_id"], "reader_id": bert, "sender_id": alice, "read_at": at}
    pair = {"user_id": alice, "other_user_id": bert}
    return [
        MessageSent(sender_id=alice, recipient_id=bert, conversation_id=other, client_id="a", as_of=as_of, **forged),
        MessageSent(sender_id=stranger, recipient_id=alice, conversation_id=9, client_id="b", as_of=AsOf(0), **forged),
        MessageRead(conversation_id=conversation, up_to_seq=10**9, **read),
        MessageRead(conversation_id=other, up_to_seq=1, **read),
        ConversationOpened(conversation_id=other, opened_at=at, as_of=as_of, **pair),
        ConversationBlocked(conversation_id=other, blocked_at=at, **pair),
        ConversationBlocked(conversation_id=9, user_id=stranger, other_user_id=alice, blocked_at=at),
        ConversationBlocked(conversation_id=9, user_id=alice, other_user_id=stranger, blocked_at=at),
    ]


async def test_what_contradicts_a_conversation_is_told_nobody(
    dial: Dial, edges: tuple[str, str], pair: Pair, module_settings: Settings
) -> None:
    """No producer of ours appends it, and the projections put it among the dead letters."""
    alice, bert, conversation = pair
    first = await alice.sent(conversation, "first")
    history = f"/chat/conversations/{conversation}/messages"
    async with clients(module_settings, edges[1], alice.user) as (elsewhere, _):
        await elsewhere.http.get(history, headers={"Chat-After": first["position"]})
        hers, his = await dial(edges[0], alice.user), await dial(edges[1], bert.user)
        gone = await dial(edges[0], bert.user)
        for line in (hers, his, gone):
            await line.until("online")  # the partners are loaded by then
        await cut(gone)
        for event in contradictions(alice.user, bert.user, conversation, first):
            last = await append_event(module_settings, event)
            for client in (alice, elsewhere):
                assert (await client.http.get(history, headers={"Chat-After": last})).json()["total"] == 1
    second = await alice.sent(conversation, "second")
    back = await dial(edges[0], bert.user, gone.given_back)
    for line in (hers, his, back):
        *before, message = await line.until("message")
        assert message["message_id"] == second["message_id"]
        assert {frame["type"] for frame in before} <= {"connected", "online", "heartbeat"}
    await his.tell("typing", conversation_id=conversation)
    await hers.until("typing")


async def test_what_the_client_has_seen_since_its_cursor_is_not_told_again(
    dial: Dial, edges: tuple[str, str], pair: Pair
) -> None:
    alice, bert, conversation = pair
    his = await dial(edges[0], bert.user)
    await his.frame()
    await alice.sent(conversation, "seen")
    await his.until("message")
    await cut(his)
    await alice.sent(conversation, "missed")
    again = await dial(edges[0], bert.user, his.given_back)
    frames = await again.until("heartbeat")
    assert [frame["content"] for frame in frames if frame["type"] == "message"] == ["missed"]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("&cursor=nonsense", "malformed_cursor"),
        ("&cursor=7.AQAAAAAAAAAA", "unknown_epoch"),
        ("&cursor={cursor}&positions=x", "malformed_cursor"),
        ("&cursor={cursor}&positions=0:999999999", "outside_log"),
    ],
)
async def test_a_cursor_that_is_no_good_is_told_so(
    dial: Dial, edges: tuple[str, str], pair: Pair, query: str, reason: str
) -> None:
    _, bert, _ = pair
    his = await dial(edges[0], bert.user)
    await his.frame()
    again = await dial(edges[0], bert.user, query.replace("{cursor}", his.cursor))
    connected, *_, resync = await again.until("resync")
    assert (connected["resumed"], resync["reason"]) == (False, reason)
    assert resync["cursor"]


async def test_a_socket_that_resumes_replaces_the_old_one_at_whichever_edge(
    dial: Dial, edges: tuple[str, str], pair: Pair
) -> None:
    _, bert, _ = pair
    wires = [await dial(edges[0], bert.user) for _ in range(5)]
    for wire in wires:
        await wire.frame()
    again = await dial(edges[1], bert.user, wires[0].given_back)
    assert (await again.frame())["resumed"] is True
    code, _ = await wires[0].closed()
    assert code == 1000


async def test_a_sixth_socket_is_told_why_and_closed(dial: Dial, edges: tuple[str, str], pair: Pair) -> None:
    _, bert, _ = pair
    wires = [await dial(edges[number % 2], bert.user) for number in range(5)]
    assert [(await wire.frame())["type"] for wire in wires] == ["connected"] * 5
    code, (error,) = await (await dial(edges[0], bert.user)).closed()
    assert (code, error["code"]) == (4429, "RATE_LIMITED")
    assert error["details"]["retry_after"] > 0


async def test_of_ten_that_come_at_once_to_two_edges_five_stay(dial: Dial, edges: tuple[str, str], pair: Pair) -> None:
    _, bert, _ = pair
    wires = await asyncio.gather(*(dial(edges[number % 2], bert.user) for number in range(10)))
    first = [(await wire.frame())["type"] for wire in wires]
    assert sorted(first) == ["connected"] * 5 + ["error"] * 5


async def test_partners_see_each_other_come_and_go_over_edges(dial: Dial, edges: tuple[str, str], pair: Pair) -> None:
    alice, bert, _ = pair
    hers = await dial(edges[0], alice.user)
    await hers.frame()
    his = await dial(edges[1], bert.user)
    assert (await hers.until("online"))[-1]["user_id"] == bert.user
    assert (await his.until("online"))[-1]["user_id"] == alice.user
    await his.connection.close()
    offline = (await hers.until("offline"))[-1]
    assert offline["user_id"] == bert.user
    assert offline["last_seen"]


async def test_the_end_of_the_token_closes_and_a_fresh_one_prolongs(
    dial: Dial, edges: tuple[str, str], pair: Pair, module_settings: Settings
) -> None:
    _, bert, _ = pair
    short, prolonged = [await dial(edges[0], bert.user, seconds=3) for _ in range(2)]
    await prolonged.tell("auth", token=sign_token(module_settings, bert.user, seconds=60))
    code, frames = await short.closed()
    assert (code, frames[-1]["code"]) == (4401, "TOKEN_EXPIRED")
    await prolonged.tell("ping", ref="still here")
    assert (await prolonged.until("pong"))[-1]["ref"] == "still here"


async def test_a_client_that_never_reads_is_closed_and_resumes_where_it_was(
    dial: Dial, edges: tuple[str, str], pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bert, conversation = pair
    # It takes more to fill this machine's buffers.
    monkeypatch.setattr("gateway.resuming.remembered.MOST_CHARACTERS", 10_000_000)
    his = await dial(edges[0], bert.user, max_queue=1, compression=None)
    his.connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1_024)
    await his.frame()
    hers = await dial(edges[0], alice.user)
    count, content = 1_500, "x" * 4_000
    for number in range(count):
        await hers.tell("message", conversation_id=conversation, content=content, client_id=str(number))
        if number >= 100:
            await hers.until("ack")
    for _ in range(100):
        await hers.until("ack")
    code, before = await his.closed()
    assert code in (4413, None), "whoever takes nothing at all does not get the close frame either"
    again = await dial(edges[0], bert.user, his.given_back)
    got = [frame["seq"] for frame in before if frame["type"] == "message"]
    while not got or got[-1] < count:
        frame = await again.frame()
        if frame["type"] == "message":
            got.append(frame["seq"])
    assert got == list(range(1, count + 1))


async def test_an_edge_that_stops_answers_what_is_under_way_and_says_going_away(
    dial: Dial, pair: Pair, module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bert, conversation = pair
    records = LogReader.records

    async def late(reader: LogReader, *, wait: float, most: int) -> Any:
        found = await records(reader, wait=wait, most=most)
        await asyncio.sleep(0.3)  # so that there is something under way
        return found

    def unheard(_: Tail, *__: Any) -> None:
        """Otherwise what this edge writes is answered as soon as it is acknowledged."""

    monkeypatch.setattr(LogReader, "records", late)
    monkeypatch.setattr(Tail, "written", unheard)
    async with edge_beside(replace(module_settings, messages_per_minute=0)) as leaving:
        hers = await dial(leaving, alice.user)
        await hers.frame()
        for number in range(50):
            await hers.tell("message", conversation_id=conversation, content="x", client_id=str(number))
        await hers.tell("ping")
        before = await hers.until("pong")  # by then all of them are in line
        assert not [frame for frame in before if frame["type"] == "ack"]
        ending = asyncio.ensure_future(hers.closed())
    code, frames = await ending
    assert code == 1001
    acked = {frame["message_id"] for frame in before + frames if frame["type"] == "ack"}
    assert len(acked) == 50, "what was under way is answered"
    assert acked == {message["id"] for message in (await bert.history(conversation, limit=200))["messages"]}


async def test_what_is_sent_once_the_handshake_is_over_arrives(dial: Dial, edges: tuple[str, str], pair: Pair) -> None:
    alice, bert, conversation = pair
    for number in range(10):
        his = await dial(edges[number % 2], bert.user)
        sent = await alice.sent(conversation, "at once")
        while (await his.until("message"))[-1]["message_id"] != sent["message_id"]:
            pass  # the one before, from an edge that is a little behind
        await his.connection.close()


async def test_of_blocks_and_reads_that_say_the_same_the_first_is_told(
    module_settings: Settings, dial: Dial, edges: tuple[str, str], pair: Pair
) -> None:
    """In the same instant, from two edges; live, and to whom they were missing."""
    alice, bert, conversation = pair
    hers, missing = [await dial(edges[0], alice.user) for _ in range(2)]
    for wire in (hers, missing):
        await wire.until("connected")
    async with clients(module_settings, edges[1], bert.user, alice.user) as (elsewhere, she_too, _):
        for _ in range(10):
            sent = await alice.sent(conversation, "hi")
            path = f"/chat/messages/{sent['message_id']}/read"
            reads = await asyncio.gather(*(client.http.put(path) for client in (bert, elsewhere, bert)))
            (read_at,) = {read.json()["read_at"] for read in reads}
            assert (await hers.until("read"))[-1]["read_at"] == read_at
            path = f"/chat/conversations/{conversation}/block"
            both = (alice, she_too)
            begins = await asyncio.gather(*(client.http.post(path) for client in both))
            (blocked_at,) = {begin.json()["blocked_at"] for begin in begins}
            assert (await hers.until("blocked"))[-1]["blocked_at"] == blocked_at
            ends = await asyncio.gather(*(client.http.delete(path) for client in both))
            (unblocked_at,) = {end.json()["unblocked_at"] for end in ends}
            told = await hers.until("unblocked")
            assert [frame["type"] for frame in told] == ["unblocked"]
            assert told[-1]["unblocked_at"] == unblocked_at
    await cut(missing)
    again = await dial(edges[1], alice.user, missing.given_back)
    kinds = [frame["type"] for frame in await again.until("heartbeat")]
    assert [kinds.count(kind) for kind in ("message", "read", "blocked", "unblocked")] == [10, 10, 10, 10]


async def test_batches_are_for_who_asked(dial: Dial, edges: tuple[str, str], pair: Pair) -> None:
    alice, bert, conversation = pair
    his = await dial(edges[0], bert.user, "&batch=1")
    hers = await dial(edges[0], alice.user)
    for number in range(50):
        await hers.tell("message", conversation_id=conversation, content="x", client_id=str(number))
    seqs: list[int] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(seqs) < 50:
            got = json.loads(await his.connection.recv())
            for frame in got if isinstance(got, list) else [got]:
                seqs += [frame["seq"]] if frame["type"] == "message" else []
    assert seqs == list(range(1, 51))


async def test_compression_is_used_when_it_is_offered(dial: Dial, edges: tuple[str, str], pair: Pair) -> None:
    alice, bert, conversation = pair
    compressed = await dial(edges[0], bert.user)
    plain = await dial(edges[0], bert.user, compression=None)
    assert compressed.connection.protocol.extensions
    assert not plain.connection.protocol.extensions
    await alice.sent(conversation, "y" * 2_000)
    for wire in (compressed, plain):
        assert (await wire.until("message"))[-1]["content"] == "y" * 2_000
