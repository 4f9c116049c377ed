"""uvicorn's WebSocket with our additions, on a transport that only notes what is written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from gateway.sockets.connecting import accept
from gateway.sockets.wire import KEY, Wire
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

    def set_protocol(self, _: asyncio.BaseProtocol) -> None:
        """Whoever takes over is told what comes by the test."""

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


@asynccontextmanager
async def opened(*headers: bytes) -> AsyncIterator[World]:
    """Open one with these lines in its handshake, and lose the connection in the end."""
    world = World()
    await world.open(*headers)
    yield world
    world.wire.connection_lost(None)
    await settle()
