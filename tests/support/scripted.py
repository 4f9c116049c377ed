"""A server of sockets that says what each test wants."""

import asyncio
import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection

from gateway.clients.chat_client import Frame
from schemas.times import format_time

PATIENCE_SECONDS = 20


class Link:
    """The server's end of one connection."""

    def __init__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.connection = connection
        self.query = parse_qs(urlsplit(connection.request.path).query, keep_blank_values=True)

    async def tell(self, kind: str, **members: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, **members}))

    async def connected(self, cursor: str, *, beat: float = 20) -> None:
        now = format_time(time.time_ns() // 1_000_000)
        await self.tell("connected", cursor=cursor, heartbeat_seconds=beat, server_time=now, resumed=False)

    async def message(self, offset: int, **members: Any) -> None:
        await self.tell("message", message_id=offset, position=f"0:{offset}", **members)

    async def ack(self, sent: Frame, offset: int) -> None:
        await self.tell("ack", client_id=sent["client_id"], message_id=offset, position=f"0:{offset}")

    async def asked(self) -> Frame:
        """Return the next frame of the client."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            frame: Frame = json.loads(await self.connection.recv())
        return frame

    async def close(self, code: int) -> None:
        await self.connection.close(code)


class Server:
    """Waits for clients; a test takes their connections one after the other."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._links: asyncio.Queue[Link] = asyncio.Queue()

    async def serve(self, connection: ServerConnection) -> None:
        self._links.put_nowait(Link(connection))
        await connection.wait_closed()

    async def link(self) -> Link:
        """Wait for the next connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._links.get()


async def until(holds: Any) -> None:
    """Wait until `holds()` is true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.001)
