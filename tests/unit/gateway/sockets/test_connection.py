"""The shell around a session: reads frames, writes what waits, ends with the right code."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.sockets.commands import Rest
from gateway.sockets.connection import CHUNK, TURN, Connection, Writer
from gateway.sockets.session import MOST_WAITING
from schemas.errors import ChatError, Code


class Wire:
    """Takes what is written; `congested` is a test's to say."""

    def __init__(self) -> None:
        self.congested = False
        self.writes: list[list[bytes]] = []
        self.closed: int | None = None
        self.aborted = False
        self.transport = self
        self.on_writable: Any = None
        self.on_text: Any = None

    def write(self, payloads: Sequence[bytes]) -> None:
        self.writes.append(list(payloads))

    def close(self, code: int) -> None:
        self.closed = code

    def abort(self) -> None:
        self.aborted = True


class Commands:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def handle(self, _: Connection, text: str) -> Rest | None:
        """A text in capitals has to be waited for."""

        async def rest() -> None:
            await asyncio.sleep(0)
            self.texts.append(text)

        if text.isupper():
            return rest
        self.texts.append(text)
        return None


@pytest.fixture
def wire() -> Wire:
    return Wire()


def connect(wire: Wire, *, batch: bool = False) -> Connection:
    return Connection(wire, Writer(), 1, 7, expires_at=100, batch=batch)  # type: ignore[arg-type]


async def serve(connection: Connection, *events: dict[str, Any]) -> list[str]:
    commands = Commands()
    coming = iter([*events, {"type": "websocket.disconnect", "code": 1000}])

    async def receive() -> dict[str, Any]:
        return next(coming)

    await connection.serve(receive, commands)  # type: ignore[arg-type]
    return commands.texts


def text(data: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": data}


async def test_frames_that_come_in_one_turn_are_written_at_once(wire: Wire) -> None:
    connection = connect(wire)
    for frame in (b"1", b"2", b"3"):
        connection.session.tell(frame)
    assert wire.writes == []
    await asyncio.sleep(0)
    assert wire.writes == [[b"1", b"2", b"3"]]


async def test_who_asked_for_batches_gets_arrays(wire: Wire) -> None:
    connection = connect(wire, batch=True)
    connection.session.tell(b'{"a":1}')
    await asyncio.sleep(0)
    connection.session.tell(b'{"b":2}')
    connection.session.tell(b'{"c":3}')
    await asyncio.sleep(0)
    assert wire.writes[0] == [b'{"a":1}']
    assert json.loads(wire.writes[1][0]) == [{"b": 2}, {"c": 3}]


async def test_a_peer_that_does_not_read_is_written_to_when_it_does(wire: Wire) -> None:
    connection = connect(wire)
    wire.congested = True
    connection.session.tell(b"1")
    await asyncio.sleep(0)
    assert wire.writes == []
    wire.congested = False
    wire.on_writable()
    assert wire.writes == [[b"1"]]


async def test_much_is_written_in_pieces(wire: Wire) -> None:
    connection = connect(wire)
    for _ in range(4):
        connection.session.tell(b"x" * (CHUNK // 2))
    await asyncio.sleep(0)
    assert [len(frames) for frames in wire.writes] == [2, 2]


async def test_a_peer_that_is_too_slow_is_closed(wire: Wire) -> None:
    connection = connect(wire)
    wire.congested = True
    connection.session.tell(b"x" * (MOST_WAITING + 1))
    await asyncio.sleep(0)
    assert (wire.closed, connection.ended) == (4413, True)
    assert wire.writes == []


async def test_frames_are_taken_one_after_the_other(wire: Wire) -> None:
    assert await serve(connect(wire), text("a"), text("B"), text("c")) == ["a", "B", "c"]


async def test_a_frame_is_handled_where_it_is_read_and_what_is_left_of_it_when_it_is_received(wire: Wire) -> None:
    connection, commands = connect(wire), Commands()

    async def receive() -> dict[str, Any]:
        if commands.texts:
            return {"type": "websocket.disconnect", "code": 1000}
        assert wire.on_text("a") is None
        assert commands.texts == ["a"]
        return {"type": "websocket.receive", "rest": wire.on_text("B")}

    await connection.serve(receive, commands)  # type: ignore[arg-type]
    assert commands.texts == ["a", "B"]


async def test_others_get_a_turn_while_many_frames_wait(wire: Wire) -> None:
    connection, commands, seen = connect(wire), Commands(), []

    async def receive() -> dict[str, Any]:
        return text("x") if len(commands.texts) < 100 else {"type": "websocket.disconnect", "code": 1000}

    async def look() -> None:
        while not connection.ended:
            seen.append(len(commands.texts))
            await asyncio.sleep(0)

    await asyncio.gather(connection.serve(receive, commands), look())  # type: ignore[arg-type]
    assert seen == [TURN * number for number in range(1, 100 // TURN + 1)]


async def test_a_binary_frame_closes(wire: Wire) -> None:
    connection = connect(wire)
    assert await serve(connection, text("1"), {"type": "websocket.receive", "bytes": b"x"}, text("2")) == ["1"]
    assert wire.closed == 1003


async def test_what_waits_goes_out_before_the_reason_and_the_close(wire: Wire) -> None:
    connection = connect(wire)
    connection.session.tell(b'{"type":"ack"}')
    connection.end(4401, ChatError(Code.TOKEN_EXPIRED, "the token has expired"))
    assert [json.loads(frame)["type"] for frame in wire.writes[0]] == ["ack", "error"]
    assert wire.closed == 4401


async def test_the_first_reason_stands(wire: Wire) -> None:
    connection = connect(wire)
    connection.end(1000)
    connection.end(4408)
    assert wire.closed == 1000


async def test_a_socket_that_was_replaced_closes_in_order(wire: Wire) -> None:
    connect(wire).replaced()
    assert wire.closed == 1000


async def test_one_socket_that_fails_does_not_hold_up_the_others(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Wire):
        def write(self, payloads: Sequence[bytes]) -> None:
            raise OSError(f"no {len(payloads)}")

    writer, broken = Writer(), Broken()
    connections = [
        Connection(one, writer, 1, 7, expires_at=100, batch=False)  # type: ignore[arg-type]
        for one in (broken, wire)
    ]
    for connection in connections:
        connection.session.tell(b"1")
    await asyncio.sleep(0)
    assert broken.aborted
    assert wire.writes == [[b"1"]]
    assert "could not be written" in caplog.text
