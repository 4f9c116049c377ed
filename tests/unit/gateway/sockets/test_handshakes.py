"""What becomes of a request whose head cannot be read, is too long, or does not come."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway.sockets import handshakes as module
from gateway.sockets.handshakes import MOST_HEAD, Handshakes
from gateway.sockets.wire import Wire
from tests.support.live_parts import settle
from tests.support.wires import HANDSHAKE, Transport

LINE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


class Connection:
    """A client's connection, whose application answers every request with 204, and a handshake not at all."""

    def __init__(self) -> None:
        config = uvicorn.Config(self.app, interface="asgi3", http=Handshakes, ws=Wire, lifespan="off", log_config=None)
        config.load()
        self.http, self.transport = Handshakes(config, ServerState(), {}), Transport()
        self.http.connection_made(self.transport)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            while True:
                await receive()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def says(self, data: bytes) -> bytes:
        """Return the answer to what this client sends, or nothing."""
        self.transport.written = b""
        self.http.data_received(data)
        await settle()
        return self.transport.written


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    connection = Connection()
    yield connection
    connection.http.connection_lost(None)


def refused(answer: bytes) -> dict[str, object]:
    """Return what a refusal says, which is in the service's words."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    assert status == b"HTTP/1.1 400 Bad Request"
    assert {b"content-type: application/json", b"content-length: %d" % len(body), b"connection: close"} <= {*headers}
    said: dict[str, object] = json.loads(body)
    assert said.keys() == {"error", "code", "details", "timestamp"}
    assert said["code"] == "VALIDATION_ERROR"
    return said


@pytest.mark.parametrize(
    "request_line",
    [
        pytest.param(b"FOO /chat HTTP/1.1", id="a method that nobody knows"),
        pytest.param(b"GET /chat HTTP/1.1\r\nX: \x01", id="a control character in a header"),
        pytest.param(b"GET /" + b"x" * 70_000 + b" HTTP/1.1", id="too long a path"),
        pytest.param(b"\xff\xff", id="no HTTP"),
    ],
)
async def test_a_request_that_cannot_be_read_is_refused_as_any_other(
    connection: Connection, request_line: bytes
) -> None:
    refused(await connection.says(request_line + b"\r\nHost: x\r\n\r\n"))
    assert connection.transport.closing


@pytest.mark.parametrize("before", [b"", LINE + b"\r\n"], ids=["first", "later"])
async def test_a_head_without_end_is_refused(connection: Connection, before: bytes) -> None:
    await connection.says(before + LINE)
    field = b"X: " + b"x" * 1_000 + b"\r\n"
    for _ in range(MOST_HEAD // len(field)):
        assert await connection.says(field) == b""
    assert not connection.transport.closing
    said = refused(await connection.says(field * 2))
    assert said["error"] == f"the head of a request must be at most {MOST_HEAD} bytes"
    assert connection.transport.closing


@pytest.mark.parametrize("begun", [b"", LINE, LINE + b"\r\n" + LINE], ids=["silent", "in a head", "in a later head"])
async def test_who_does_not_finish_a_head_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.01)
    connection = Connection()
    await connection.says(begun)
    async with asyncio.timeout(30):
        while not connection.transport.closing:
            await asyncio.sleep(0.01)
    connection.http.connection_lost(None)


async def test_between_requests_and_in_a_socket_no_head_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.01)
    connection, socket = Connection(), Connection()
    assert (await connection.says(LINE + b"\r\n")).startswith(b"HTTP/1.1 204")
    await socket.says(HANDSHAKE)
    await asyncio.sleep(0.05)
    assert not connection.transport.closing
    assert not socket.transport.closing
    connection.http.connection_lost(None)
