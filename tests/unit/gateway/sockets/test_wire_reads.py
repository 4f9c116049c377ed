"""A long read of a socket: it is parsed as its frames are taken, and whatever it is, it comes to its end."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from gateway.sockets.connecting import accept
from gateway.sockets.wire import MOST_AFTER_CLOSE, MOST_UNTAKEN
from schemas.validation import MAX_BYTES
from tests.support.live_parts import settle
from tests.support.wires import HANDSHAKE, World, opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


def many(count: int, *after: Frame) -> bytes:
    """Return as many text frames, and what comes in the same read."""
    frames = [Frame(Opcode.TEXT, str(number).encode()) for number in range(count)]
    return b"".join(frame.serialize(mask=True) for frame in (*frames, *after))


async def test_a_read_is_parsed_as_its_frames_are_taken(world: World) -> None:
    world.wire.data_received(many(10_000))
    assert len(world.waiting) < 500
    assert not world.transport.reading
    await settle()
    assert world.texts() == [str(number) for number in range(10_000)]
    assert world.transport.reading


async def test_frames_are_handled_at_once_as_many_as_one_turn_has_until_something_is_left_of_one(world: World) -> None:
    handled: list[str] = []

    def handle(text: str) -> str | None:
        handled.append(text)
        return f"the rest of {text}" if text == "3" else None

    world.wire.on_text = handle
    world.wire.data_received(many(100))
    assert handled == ["0", "1", "2", "3"]
    await settle()
    assert [event.get("rest") or event["text"] for event in world.events] == [
        "the rest of 3",
        *(str(number) for number in range(4, 100)),
    ]
    world.events.clear()
    world.wire.on_text = handled.append
    world.wire.data_received(many(100))
    await settle()
    assert handled[4:] == [str(number) for number in range(MOST_UNTAKEN)]
    assert world.texts() == [str(number) for number in range(MOST_UNTAKEN, 100)]


async def test_what_is_small_only_as_long_as_it_is_compressed_is_not_inflated_before_it_is_taken() -> None:
    deflate = PerMessageDeflate(True, True, 12, 12)
    async with opened(b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover") as world:
        world.wire.data_received(Frame(Opcode.TEXT, b"x" * MAX_BYTES).serialize(mask=True, extensions=[deflate]) * 300)
        assert sum(len(event["text"]) for event in world.waiting) < 4_000_000
        await settle()
        assert [len(text) for text in world.texts()] == [MAX_BYTES] * 300


async def test_a_read_that_nobody_has_to_take_is_parsed_a_little_in_each_turn(world: World) -> None:
    pong = Frame(Opcode.PONG, b"now").serialize(mask=False)
    world.wire.data_received(Frame(Opcode.PING, b"now").serialize(mask=True) * 2_000)
    assert 0 < world.transport.written.count(pong) < 500
    assert not world.transport.reading
    await settle()
    assert world.transport.written == pong * 2_000
    assert world.transport.reading


async def test_fragments_of_a_long_read_are_put_together_whatever_comes_between_them(world: World) -> None:
    head, middle, tail = (
        Frame(Opcode.TEXT, b"x" * 30_000, False),
        Frame(Opcode.PING, b"now"),
        Frame(Opcode.CONT, b"y" * 9),
    )
    world.wire.data_received(many(500, head, middle, tail) + many(1))
    await settle()
    assert world.texts()[500:] == ["x" * 30_000 + "y" * 9, "0"]
    assert world.transport.written == Frame(Opcode.PONG, b"now").serialize(mask=False)


async def test_a_close_at_the_end_of_a_long_read_comes_after_all_else(world: World) -> None:
    world.wire.data_received(many(1_000, Frame(Opcode.CLOSE, b"\x03\xe8")))
    assert not world.transport.closing
    await settle()
    assert len(world.texts()) == 1_000
    assert (world.events[-1]["code"], world.close_code()) == (1000, 1000)
    assert world.transport.closing


async def test_what_is_not_parsed_when_a_connection_is_lost_never_is(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    await world.open()
    world.wire.data_received(Frame(Opcode.PING, b"").serialize(mask=True) * 1_000)
    world.wire.connection_lost(OSError())
    written = world.transport.written
    await settle()
    assert world.events[-1]["type"] == "websocket.disconnect"
    assert (world.transport.written, caplog.text) == (written, "")


async def test_the_answer_to_a_close_is_found_behind_a_long_read_that_nobody_takes_any_more(world: World) -> None:
    world.wire.data_received(many(1_000, Frame(Opcode.CLOSE, b"\x11\x31")))
    world.wire.close(4401)
    await settle()
    assert world.events[-1]["code"] == 4401
    assert len(world.texts()) < 500
    assert (world.transport.closing, world.transport.aborted) == (True, False)


async def test_the_answer_to_a_close_is_found_where_nobody_has_taken_anything() -> None:
    class Refusing(World):
        async def app(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await accept(self.wire, scope, send)
            self.wire.close(4401)

    world = Refusing()
    world.wire.data_received(HANDSHAKE)
    world.wire.data_received(many(1_000, Frame(Opcode.CLOSE, b"\x11\x31")))
    assert not world.transport.reading
    await settle()
    assert world.close_code() == 4401
    assert (world.transport.closing, world.transport.aborted) == (True, False)
    world.wire.connection_lost(None)


async def test_nothing_is_made_of_what_comes_behind_a_frame_that_ends_it_all(world: World) -> None:
    world.wire.data_received(b"\xff" * 100_000)
    assert [event["type"] for event in world.waiting] == ["websocket.disconnect"]
    assert world.close_code() == 1002


async def test_who_goes_on_sending_after_the_close_is_cut_off(world: World) -> None:
    world.wire.close(4401)
    for _ in range(MOST_AFTER_CLOSE // 16_008):
        await world.says(Opcode.TEXT, b"x" * 16_000)
    assert not world.transport.closing
    await world.says(Opcode.TEXT, b"x" * 16_000)
    assert world.transport.aborted
