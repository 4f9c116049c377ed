"""The Python client's messages: their order, what has to wait, and what nobody may send."""

import asyncio
import json

import pytest

from gateway.clients.chat_client import ChatClient, ChatClosed, Frame, Outbox, Refused
from tests.support.scripted import Server, until


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
