"""uvicorn's WebSocket with our additions, on a transport that only notes what is written."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from gateway.sockets.connecting import accept
from gateway.sockets.wire import KEY, MOST_AFTER_CLOSE, MOST_FRAGMENTS, Wire
from schemas.validation import MAX_BYTES
from tests.support.live_parts import settle

HANDSHAKE = (
    b"GET /chat/connect?token=secret HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = False
        self.aborted = False
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += data

    def get_extra_info(self, _: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class World:
    """One open socket; `events` is what the application received."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        config = uvicorn.Config(
            self.app,
            interface="asgi3",
            proxy_headers=False,
            ws=Wire,
            ws_max_size=MAX_BYTES,
            ws_ping_interval=None,
            lifespan="off",
            log_config=None,
        )
        config.load()
        self.transport = Transport()
        self.wire = Wire(config, ServerState(), {})
        self.wire.connection_made(self.transport)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["extensions"][KEY]["wire"] is self.wire
        await receive()
        if not await accept(self.wire, scope, send):
            return
        while not self.events or self.events[-1]["type"] != "websocket.disconnect":
            self.events.append(await receive())

    async def open(self, *headers: bytes) -> None:
        self.wire.data_received(
            HANDSHAKE.replace(b"\r\n\r\n", b"".join(b"\r\n" + line for line in (*headers, b"\r\n")))
        )
        await settle()
        assert b"101 Switching Protocols" in self.transport.written
        self.transport.written = b""

    async def says(self, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
        self.wire.data_received(Frame(opcode, data, fin).serialize(mask=True))
        await settle()

    @property
    def waiting(self) -> list[Any]:
        """What is parsed and not taken yet."""
        return self.wire.queue._waiting  # type: ignore[attr-defined, no-any-return]

    def texts(self) -> list[str]:
        return [event["text"] for event in self.events if event["type"] == "websocket.receive"]

    def close_code(self) -> int:
        """Return the code of the close frame that was written."""
        at = self.transport.written.rindex(b"\x88") + 2
        return int.from_bytes(self.transport.written[at : at + 2], "big")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.open()
    yield world
    world.wire.connection_lost(None)
    await settle()


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536])
async def test_frames_of_every_length_are_framed_as_the_standard_says(world: World, length: int) -> None:
    payload = b"x" * length
    world.wire.write([payload])
    assert world.transport.written == Frame(Opcode.TEXT, payload).serialize(mask=False)


async def test_several_frames_are_one_write(world: World) -> None:
    world.wire.write([b"1", b"22"])
    assert world.transport.written == b"\x81\x011\x81\x0222"


async def test_every_byte_is_a_sign_of_life(world: World) -> None:
    world.wire.heard = 0
    world.wire.ping()
    assert world.transport.written == b"\x89\x00"
    await world.says(Opcode.PONG, b"")
    assert world.wire.heard > 0


async def test_whoever_waits_hears_when_the_peer_reads_again(world: World) -> None:
    heard: list[bool] = []
    world.wire.on_writable = lambda: heard.append(world.wire.congested)
    world.wire.pause_writing()
    assert world.wire.congested
    assert world.wire.stuck_since <= asyncio.get_running_loop().time()
    world.wire.resume_writing()
    assert heard == [False]
    assert world.wire.stuck_since == math.inf


async def test_pings_of_a_peer_that_does_not_read_are_answered_once_it_does(world: World) -> None:
    world.wire.pause_writing()
    for number in range(1_000):
        world.wire.data_received(Frame(Opcode.PING, str(number).encode()).serialize(mask=True))
    assert world.transport.written == b""
    world.wire.resume_writing()
    assert world.transport.written == Frame(Opcode.PONG, b"999").serialize(mask=False)
    await world.says(Opcode.PING, b"now")
    assert world.transport.written.endswith(Frame(Opcode.PONG, b"now").serialize(mask=False))


@pytest.mark.parametrize(
    ("handshake", "status"),
    [
        (HANDSHAKE.replace(b"secret", b"x" * 10_000), b"414"),
        (HANDSHAKE.replace(b"Host: x", b"Host: " + b"x" * 10_000), b"431"),
        (HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/9.9"), b""),
    ],
)
async def test_a_handshake_that_cannot_be_read_is_answered_and_hung_up(handshake: bytes, status: bytes) -> None:
    world = World()
    world.wire.data_received(handshake)
    assert world.transport.written[9:12] == status
    assert world.transport.closing
    world.wire.connection_lost(None)


async def test_a_close_ends_the_application_and_nothing_is_written_after_it(world: World) -> None:
    world.wire.close(4408)
    await settle()
    assert world.events[-1]["code"] == 4408
    assert world.close_code() == 4408
    written = world.transport.written
    world.wire.write([b"late"])
    world.wire.ping()
    world.wire.close(1000)
    assert world.transport.written == written


async def test_a_close_before_the_handshake_s_end_cuts_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.wire.data_received(HANDSHAKE)
    world.wire.close(1000)
    assert world.transport.aborted
    await settle()
    world.wire.connection_lost(None)
    assert (world.transport.written, world.events, caplog.text) == (b"", [], "")


async def test_nonsense_before_the_handshake_s_end_cuts_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.wire.data_received(HANDSHAKE)
    world.wire.data_received(b"\xff" * 10)
    assert world.transport.aborted
    await settle()
    world.wire.connection_lost(None)
    assert (world.transport.written, world.events, caplog.text) == (b"", [], "")


async def test_a_peer_that_does_not_answer_the_close_is_cut_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.sockets.wire.CLOSE_SECONDS", 0)
    world.wire.close(4413)
    await asyncio.sleep(0.01)
    assert world.transport.aborted


@pytest.mark.parametrize(
    ("opcode", "data"),
    [
        pytest.param(Opcode.CLOSE, b"", id="close"),
        pytest.param(Opcode.CONT, b"", id="out of order"),
        pytest.param(Opcode.TEXT, b"\xff", id="not UTF-8"),
        pytest.param(Opcode.TEXT, b"x" * (MAX_BYTES + 1), id="too big"),
    ],
)
async def test_a_peer_that_ends_it_and_does_not_read_is_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch, opcode: Opcode, data: bytes
) -> None:
    monkeypatch.setattr("gateway.sockets.wire.CLOSE_SECONDS", 0)
    await world.says(opcode, data)
    await asyncio.sleep(0.01)
    assert world.transport.aborted


async def test_a_peer_that_answers_the_close_and_does_not_read_is_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.wire.close(4413)
    monkeypatch.setattr("gateway.sockets.wire.CLOSE_SECONDS", 0)
    await world.says(Opcode.CLOSE, b"\x11\x3d")
    await asyncio.sleep(0.01)
    assert world.transport.aborted


async def test_once_the_connection_is_lost_there_is_nothing_to_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.sockets.wire.CLOSE_SECONDS", 0)
    world = World()
    await world.open()
    world.wire.data_received(Frame(Opcode.CLOSE, b"").serialize(mask=True))
    world.wire.connection_lost(None)
    await asyncio.sleep(0.01)
    assert not world.transport.aborted


async def test_a_stop_of_the_server_says_going_away(world: World) -> None:
    world.wire.shutdown()
    assert world.close_code() == 1001


async def test_what_is_not_utf8_closes_without_a_traceback(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.says(Opcode.TEXT, b"\xff\xfe")
    assert world.close_code() == 1007
    assert caplog.text == ""


async def test_the_largest_frame_passes_and_one_byte_more_closes(world: World) -> None:
    await world.says(Opcode.TEXT, b"x" * MAX_BYTES)
    assert len(world.events[-1]["text"]) == MAX_BYTES
    await world.says(Opcode.TEXT, b"x" * (MAX_BYTES + 1))
    assert world.close_code() == 1009


async def test_fragments_are_put_together_and_together_they_have_the_same_limit(world: World) -> None:
    await world.says(Opcode.TEXT, b"a", fin=False)
    await world.says(Opcode.CONT, b"b")
    assert world.events[-1]["text"] == "ab"
    await world.says(Opcode.TEXT, b"x" * MAX_BYTES, fin=False)
    await world.says(Opcode.CONT, b"x")
    assert world.close_code() == 1009


async def test_fragments_without_end_close(world: World) -> None:
    await world.says(Opcode.TEXT, b"", fin=False)
    for _ in range(MOST_FRAGMENTS):
        world.wire.data_received(Frame(Opcode.CONT, b"", False).serialize(mask=True))
    assert world.close_code() == 1009


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


async def test_what_is_small_only_as_long_as_it_is_compressed_is_not_inflated_before_it_is_taken() -> None:
    world = World()
    await world.open(b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover")
    deflate = PerMessageDeflate(True, True, 12, 12)
    world.wire.data_received(Frame(Opcode.TEXT, b"x" * MAX_BYTES).serialize(mask=True, extensions=[deflate]) * 300)
    assert sum(len(event["text"]) for event in world.waiting) < 4_000_000
    await settle()
    assert [len(text) for text in world.texts()] == [MAX_BYTES] * 300
    world.wire.connection_lost(None)
    await settle()


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


async def test_no_log_shows_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    world = World()
    await world.open()
    world.wire.connection_lost(None)
    await settle()
    assert "secret" not in caplog.text
