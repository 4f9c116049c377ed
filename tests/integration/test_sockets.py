"""Sockets on real servers: places, presence, tokens, slow readers, what is told once, stops."""

import asyncio
import gc
import json
import socket
from dataclasses import replace
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from websockets.server import ServerProtocol

from gateway.sockets.connection import Connection
from gateway.sockets.handshakes import Handshakes
from gateway.sockets.session import Session
from gateway.sockets.wire import Wire
from infra.log_reader import LogReader
from infra.settings import Settings
from infra.tail import Tail
from infra.tokens import sign_token
from tests.support.clients import PATIENCE_SECONDS, clients
from tests.support.dialling import Dial, cut
from tests.support.edges import Pair, edge_beside


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
