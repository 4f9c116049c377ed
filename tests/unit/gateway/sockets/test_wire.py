"""What a socket writes, and how it ends."""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest
from websockets.frames import Frame, Opcode

from gateway.sockets.wire import MOST_FRAGMENTS
from schemas.validation import MAX_BYTES
from tests.support.live_parts import settle
from tests.support.wires import HANDSHAKE, World, opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


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


async def test_no_log_shows_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    world = World()
    await world.open()
    world.wire.connection_lost(None)
    await settle()
    assert "secret" not in caplog.text
