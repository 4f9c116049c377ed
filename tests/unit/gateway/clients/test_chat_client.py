"""The Python client against a server that says what each test wants: resumes, retries, pauses, handlers, ends."""

import asyncio
import random

import pytest
from websockets.exceptions import InvalidURI

from gateway.clients.chat_client import ChatClient, ChatClosed, Frame, Place
from infra.embedded.ports import free_ports
from tests.support.scripted import Server, until


def test_any_cursor_replaces_what_is_kept_and_of_each_partition_the_highest_position_counts() -> None:
    place = Place({"cursor": "a", "positions": {"0": 5}})
    for position in ("0:4", "1:7", "0:6"):
        place.count({"position": position})
    assert place.query == {"cursor": "a", "positions": "0:6,1:7"}
    place.count({"cursor": "b"})
    assert place.state == {"cursor": "b", "positions": {}}
    assert Place(None).query == {}


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


async def test_a_handler_may_close(server: Server, chat: ChatClient) -> None:
    async def close(_: Frame) -> None:
        await chat.close()

    chat.on("message", close)
    link = await server.link()
    await link.connected("first")
    await link.message(1)
    await link.connection.wait_closed()
    await until(lambda: chat._running is not None and chat._running.done())


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
