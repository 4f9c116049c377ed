"""The Python client against a server that says what each test wants: resumes, retries, order, pauses, tokens, ends."""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import InvalidURI

from gateway.clients import chat_client
from gateway.clients.chat_client import ChatClient, ChatClosed, Frame, Outbox, Place, Refused, expiry
from infra.embedded.ports import free_ports
from tests.support.scripted import PATIENCE_SECONDS, Server

SECRET = "a secret that only this test knows"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """Clients come back to it at once: pauses have a test of their own."""
    monkeypatch.setattr(chat_client, "FIRST_PAUSE", 0.01)
    (port,) = free_ports(1)
    scripted = Server(f"ws://127.0.0.1:{port}")
    async with serve(scripted.serve, "127.0.0.1", port):
        yield scripted


@pytest.fixture
async def chat(server: Server) -> AsyncIterator[ChatClient]:
    async with ChatClient(server.url, "a token") as client:
        yield client


async def until(holds: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.001)


def test_any_cursor_replaces_what_is_kept_and_of_each_partition_the_highest_position_counts() -> None:
    place = Place({"cursor": "a", "positions": {"0": 5}})
    for position in ("0:4", "1:7", "0:6"):
        place.count({"position": position})
    assert place.query == {"cursor": "a", "positions": "0:6,1:7"}
    place.count({"cursor": "b"})
    assert place.state == {"cursor": "b", "positions": {}}
    assert Place(None).query == {}


@pytest.mark.parametrize(
    ("token", "expires"),
    [
        (jwt.encode({"exp": 1_900_000_000}, SECRET), 1_900_000_000),
        (jwt.encode({"sub": "1"}, SECRET), None),
        ("no JWT", None),
        ("a.b.c", None),
    ],
)
def test_a_token_says_when_it_expires(token: str, expires: float | None) -> None:
    assert expiry(token) == expires


async def test_it_comes_back_with_what_it_has_and_sends_again_what_was_not_acknowledged(
    server: Server, chat: ChatClient
) -> None:
    link = await server.link()
    assert "cursor" not in link.query
    await link.connected("first")
    sending = [asyncio.ensure_future(chat.send(7, content)) for content in ("one", "two")]
    before = [await link.asked() for _ in sending]
    await link.message(3)
    await link.ack(before[0], 4)
    await sending[0]
    link.connection.transport.abort()
    link = await server.link()
    assert (link.query["cursor"], link.query["positions"]) == (["first"], ["0:4"])
    await link.connected("second")
    assert await link.asked() == before[1]
    await link.ack(before[1], 5)
    assert (await sending[1])["message_id"] == 5


async def test_what_had_arrived_before_the_connection_was_lost_is_known_by_its_own_message(
    server: Server, chat: ChatClient
) -> None:
    told: list[Frame] = []
    for kind in ("message", "ack"):
        chat.on(kind, told.append)
    link = await server.link()
    await link.connected("first")
    sending = asyncio.ensure_future(chat.send(7, "hello"))
    sent = await link.asked()
    link.connection.transport.abort()
    link = await server.link()
    await link.connected("second")
    await link.message(3, client_id=sent["client_id"])
    await link.ack(sent, 3)
    await link.message(4)
    await until(lambda: len(told) == 2)
    assert (await sending)["message_id"] == 3
    assert [(frame["type"], frame["message_id"], frame.get("content")) for frame in told] == [
        ("ack", 3, "hello"),
        ("message", 4, None),
    ]


@pytest.mark.parametrize("code", [1000, 4401, 4429])
async def test_after_these_codes_it_stays_away_and_says_so(server: Server, chat: ChatClient, code: int) -> None:
    closed: list[Frame] = []
    chat.on("closed", closed.append)
    link = await server.link()
    await link.connected("first")
    sending = asyncio.ensure_future(chat.send(7, "hello"))
    await link.asked()
    await link.close(code)
    for waiting in (chat.wait_closed(), sending, chat.send(7, "too late")):
        with pytest.raises(ChatClosed) as ended:
            await waiting
        assert ended.value.code == code
    assert closed == [{"type": "closed", "code": code}]
    chat.start()  # the application may still want to
    assert (await server.link()).query["cursor"] == ["first"]


async def test_a_handler_of_the_end_may_begin_again(server: Server, chat: ChatClient) -> None:
    chat.on("closed", lambda _: chat.start())
    link = await server.link()
    await link.connected("first")
    waiting = asyncio.ensure_future(chat.wait_closed())
    for cursor in ("second", "third"):
        await link.close(4401)
        link = await server.link()
        await link.connected(cursor)
    with pytest.raises(ChatClosed):
        await waiting
    await chat.online.wait()
    sending = asyncio.ensure_future(chat.send(7, "hello"))
    await link.ack(await link.asked(), 1)
    assert (await sending)["message_id"] == 1


async def test_a_handler_may_close_and_begin_again_and_who_closes_meanwhile_has_the_last_word(
    server: Server, chat: ChatClient
) -> None:
    at_it = asyncio.Event()

    async def again(_: Frame) -> None:
        await chat.close()
        chat.start()

    async def wait(_: Frame) -> None:
        chat.start()
        at_it.set()
        await asyncio.Event().wait()

    chat.on("message", again)
    chat.on("closed", wait)
    link = await server.link()
    await link.connected("first")
    await link.message(1)
    link = await server.link()
    await link.connected("second")
    await link.close(4401)
    await at_it.wait()
    await chat.close()
    with pytest.raises(ChatClosed):
        await chat.wait_closed()


@pytest.mark.parametrize("code", [1001, 1011, 4408, 4413])
async def test_after_any_other_it_comes_back(server: Server, chat: ChatClient, code: int) -> None:
    lost: list[Frame] = []
    chat.on("disconnected", lost.append)
    link = await server.link()
    await link.connected("first")
    await link.close(code)
    assert (await server.link()).query["cursor"] == ["first"]
    assert lost == [{"type": "disconnected", "code": code}]


@pytest.mark.usefixtures("chat")
async def test_silence_is_taken_for_a_dead_connection(server: Server) -> None:
    link = await server.link()
    await link.connected("first", beat=0.02)
    again = await server.link()
    assert again.query["cursor"] == ["first"]
    await link.connection.wait_closed()


async def test_pauses_grow_to_a_bound_and_are_drawn_by_lot(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        drawn.append((least, most))
        return 0

    monkeypatch.setattr(random, "uniform", uniform)
    (nobody,) = free_ports(1)
    async with ChatClient(f"ws://127.0.0.1:{nobody}", "a token"):
        await until(lambda: len(drawn) >= 7)
    assert drawn[:7] == [(0, 1), (0, 2), (0, 4), (0, 8), (0, 10), (0, 10), (0, 10)]


async def test_a_connection_that_held_makes_the_next_pause_short_again(server: Server, chat: ChatClient) -> None:
    link = await server.link()
    chat._pause = 10.0
    await link.connected("first")
    await chat.online.wait()
    chat._since -= 11
    await link.close(1001)
    await server.link()
    assert chat._pause < 1


async def test_what_has_to_wait_keeps_its_order(server: Server, chat: ChatClient) -> None:
    told: list[Frame] = []
    chat.on("typing", told.append)
    link = await server.link()
    await link.connected("first")
    sending = [asyncio.ensure_future(chat.send(7, "one"))]
    first = await link.asked()
    refusal = {"error": "too many", "code": "RATE_LIMITED", "details": {"retry_after": 0.3}}
    await link.tell("error", client_id=first["client_id"], **refusal)
    await link.tell("typing")
    await until(lambda: told)
    sending += [asyncio.ensure_future(chat.send(conversation, "two")) for conversation in (7, 8)]
    asked = [await link.asked() for _ in range(3)]
    assert [(frame["conversation_id"], frame["content"]) for frame in asked] == [(8, "two"), (7, "one"), (7, "two")]
    assert asked[1] == first
    for number, frame in enumerate(asked):
        await link.ack(frame, number)
    assert [(await one)["message_id"] for one in sending] == [1, 2, 0]


async def test_what_has_to_wait_is_written_in_order_even_by_a_writer_that_is_stuck() -> None:
    outbox, written = Outbox(), list[str]()
    stuck, goes_on = asyncio.Event(), asyncio.Event()

    async def write(text: str) -> None:
        written.append(json.loads(text)["content"])
        if written[-1] == "other":
            stuck.set()
            await goes_on.wait()

    writing = asyncio.ensure_future(outbox.write(write))
    sending = [outbox.put(7, "one", "1")]
    await until(lambda: written == ["one"])
    outbox.refused({"client_id": "1", "code": "RATE_LIMITED", "error": "", "details": {"retry_after": 0}})
    sending += [outbox.put(8, "other", "2"), outbox.put(7, "two", "3"), outbox.put(7, "three", "4")]
    await stuck.wait()
    await asyncio.sleep(0.01)  # the pause is over meanwhile
    goes_on.set()
    await until(lambda: len(written) == 5)
    assert written == ["one", "other", "one", "two", "three"]
    writing.cancel()
    outbox.give_up(None)
    assert {type(outcome.exception()) for outcome in sending} == {ChatClosed}


async def test_what_is_sent_while_it_comes_back_does_not_overtake_what_waits(server: Server, chat: ChatClient) -> None:
    sending: list[asyncio.Future[Frame]] = []
    contents = [str(number) for number in range(5)]

    def send(_: object) -> None:
        sending.append(asyncio.ensure_future(chat.send(7, contents[-1])))

    link = await server.link()
    await link.connected("first")
    await chat.show(online=False)  # which the client tells first of all when it is back
    sending += [asyncio.ensure_future(chat.send(7, content)) for content in contents[:-1]]
    for _ in range(len(contents)):
        await link.asked()
    link.connection.transport.abort()
    link = await server.link()
    arriving = asyncio.ensure_future(chat.online.wait())
    arriving.add_done_callback(send)
    await link.connected("second")
    asked = [await link.asked() for _ in range(len(contents) + 1)]
    assert [frame.get("content") for frame in asked] == [None, *contents]
    for number, frame in enumerate(asked[1:]):
        await link.ack(frame, number)
    assert [(await one)["message_id"] for one in sending] == [0, 1, 2, 3, 4]


async def test_who_does_not_wait_any_more_holds_nobody_up(server: Server, chat: ChatClient) -> None:
    first = asyncio.ensure_future(chat.send(7, "given up"))
    second = asyncio.ensure_future(chat.send(7, "hello"))
    await asyncio.sleep(0)
    first.cancel()
    link = await server.link()
    await link.connected("first")
    asked = await link.asked()
    assert asked["content"] == "hello"
    await link.ack(asked, 1)
    assert (await second)["message_id"] == 1


async def test_what_no_frame_can_hold_is_the_senders_fault(server: Server, chat: ChatClient) -> None:
    with pytest.raises(TypeError):
        await chat.send(7, b"bytes")  # type: ignore[arg-type]
    link = await server.link()
    await link.connected("first")
    sending = asyncio.ensure_future(chat.send(7, "hello"))
    await link.ack(await link.asked(), 1)
    assert (await sending)["message_id"] == 1


async def test_a_message_that_no_frame_is_long_enough_for_is_refused_and_not_kept() -> None:
    outbox = Outbox()
    around = {"type": "message", "conversation_id": 7, "content": "", "client_id": "c"}
    longest = "x" * (65_536 - len(json.dumps(around)))
    with pytest.raises(Refused) as refused:
        outbox.put(7, longest + "x", "c")
    assert refused.value.code == "PAYLOAD_TOO_LARGE"
    assert "c" not in outbox
    outbox.put(7, longest, "c")
    assert "c" in outbox


async def test_a_refusal_is_raised(server: Server, chat: ChatClient) -> None:
    link = await server.link()
    await link.connected("first")
    sending = asyncio.ensure_future(chat.send(7, "hello"))
    refusal = {"error": "no", "code": "CONVERSATION_BLOCKED", "details": {}}
    await link.tell("error", client_id=(await link.asked())["client_id"], **refusal)
    with pytest.raises(Refused) as refused:
        await sending
    assert refused.value.code == "CONVERSATION_BLOCKED"


async def test_a_handler_may_send_and_what_it_has_not_done_yet_is_not_in_the_state(
    server: Server, chat: ChatClient
) -> None:
    handled: list[int] = []

    async def answer(message: Frame) -> None:
        await chat.send(7, f"answer to {message['message_id']}")
        handled.append(message["message_id"])

    chat.on("message", answer)
    link = await server.link()
    await link.connected("first")
    await link.message(1)
    await link.message(2)
    sent = await link.asked()
    assert chat.state["positions"] == {}
    link.connection.transport.abort()
    link = await server.link()
    assert link.query["positions"] == ["0:2"], "both have arrived"
    await link.connected("second")
    assert await link.asked() == sent
    await link.ack(sent, 3)
    await link.ack(await link.asked(), 4)
    await until(lambda: chat.state == {"cursor": "second", "positions": {"0": 4}, "hidden": False})
    assert handled == [1, 2]


async def test_what_a_handler_raises_ends_the_client(server: Server, chat: ChatClient) -> None:
    def fail(_: Frame) -> None:
        raise ZeroDivisionError

    chat.on("message", fail)
    link = await server.link()
    await link.connected("first")
    await link.message(1)
    with pytest.raises(ZeroDivisionError):
        await chat.wait_closed()
    assert chat.state == {"cursor": "first", "positions": {}, "hidden": False}, "a later client is told it again"


@pytest.mark.parametrize("kind", ["message", "closed"])
async def test_a_handler_that_sends_hears_of_the_end(server: Server, chat: ChatClient, kind: str) -> None:
    ended: list[int | None] = []

    async def send(_: Frame) -> None:
        with pytest.raises(ChatClosed) as closed:
            await chat.send(7, "hello")
        ended.append(closed.value.code)

    chat.on(kind, send)
    link = await server.link()
    await link.connected("first")
    if kind == "message":
        await link.message(1)
        await link.asked()
    await link.close(4401)
    with pytest.raises(ChatClosed):
        await chat.wait_closed()
    assert ended == [4401]


async def test_an_address_that_is_none_ends_the_client() -> None:
    async with ChatClient("http://127.0.0.1:1", "a token") as chat:
        with pytest.raises(InvalidURI):
            await chat.wait_closed()
        with pytest.raises(ChatClosed):
            await chat.send(7, "hello")


async def test_what_is_sent_before_it_has_begun_hears_of_the_close(server: Server) -> None:
    chat = ChatClient(server.url, "a token")
    chat.start()
    sending = asyncio.ensure_future(chat.send(7, "hello"))
    closing = asyncio.ensure_future(chat.close())
    with pytest.raises(ChatClosed):
        await sending
    await closing
    with pytest.raises(ChatClosed):
        await chat.wait_closed()


async def test_a_handler_may_close(server: Server, chat: ChatClient) -> None:
    async def close(_: Frame) -> None:
        await chat.close()

    chat.on("message", close)
    link = await server.link()
    await link.connected("first")
    await link.message(1)
    await link.connection.wait_closed()
    await until(lambda: chat._running is not None and chat._running.done())


async def test_each_connection_gets_a_fresh_token_and_one_that_cannot_be_had_is_asked_for_again(
    server: Server,
) -> None:
    given = iter(("one", None, "two"))

    async def token() -> str:
        found = next(given)
        if found is None:
            raise OSError("the door of tokens is closed")
        return found

    async with ChatClient(server.url, token):
        link = await server.link()
        assert link.query["token"] == ["one"]
        await link.connected("first")
        await link.close(1001)
        assert (await server.link()).query["token"] == ["two"]


async def test_a_token_is_renewed_over_the_socket_before_it_expires(server: Server) -> None:
    now = time.time()
    given = [jwt.encode({"exp": now + seconds}, SECRET) for seconds in (2, 1_000)]
    tokens = iter(given)
    async with ChatClient(server.url, lambda: next(tokens)):
        link = await server.link()
        await link.connected("first")
        assert await link.asked() == {"type": "auth", "token": given[1]}
        assert link.query["token"] == [given[0]]


async def test_a_text_that_was_renewed_holds_for_later_connections_too(server: Server, chat: ChatClient) -> None:
    link = await server.link()
    await link.connected("first")
    await chat.online.wait()
    await chat.renew("a fresh token")
    assert await link.asked() == {"type": "auth", "token": "a fresh token"}
    await link.close(1001)
    assert (await server.link()).query["token"] == ["a fresh token"]


async def test_who_hides_stays_hidden_on_later_connections_and_in_later_clients(server: Server) -> None:
    async with ChatClient(server.url, "a token") as chat:
        link = await server.link()
        await link.connected("first")
        await chat.online.wait()
        await chat.show(online=False)
        assert await link.asked() == {"type": "offline"}
        await link.close(1001)
        link = await server.link()
        await link.connected("second")
        assert await link.asked() == {"type": "offline"}
    async with ChatClient(server.url, "a token", state=chat.state) as later:
        link = await server.link()
        await link.connected("third")
        assert await link.asked() == {"type": "offline"}
        await later.show(online=True)
        assert await link.asked() == {"type": "online"}
        assert not later.state["hidden"]


async def test_no_log_shows_the_token(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with ChatClient(server.url, "the-token"):
        link = await server.link()
        await link.connected("first")
        await link.close(1001)
        await server.link()
    assert [record for record in caplog.records if "the-token" in record.getMessage()] == [
        record for record in caplog.records if record.name == "websockets.server" and "GET" in record.getMessage()
    ], "only the test's own server shows it"


async def test_nothing_is_sent_before_the_start_or_after_the_end(server: Server) -> None:
    client = ChatClient(server.url, "a token")
    with pytest.raises(ChatClosed):
        await client.send(7, "too early")
    async with client:
        await (await server.link()).connected("first")
        sending = asyncio.ensure_future(client.send(7, "hello", client_id="the first"))
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="already"):
            await client.send(7, "hello", client_id="the first")
    with pytest.raises(ChatClosed):
        await sending
    with pytest.raises(ChatClosed):
        await client.send(7, "too late")
