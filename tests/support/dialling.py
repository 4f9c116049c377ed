"""Sockets at any edge, read frame by frame, that a test cuts and takes up again."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from infra.settings import Settings
from infra.tokens import sign_token
from tests.support.clients import PATIENCE_SECONDS, Frame


class Line:
    """A socket, frame by frame; keeps what a client must keep to resume."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.cursor = ""
        self.positions: dict[str, int] = {}

    async def frame(self) -> Frame:
        """Return the next frame."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            frame: Frame = json.loads(await self.connection.recv())
        if "cursor" in frame:
            self.cursor, self.positions = frame["cursor"], {}
        if "position" in frame:
            number, _, offset = frame["position"].partition(":")
            self.positions[number] = max(int(offset), self.positions.get(number, -1))
        return frame

    async def until(self, kind: str) -> list[Frame]:
        """Return the frames up to the next one of this type, and that one last."""
        frames = [await self.frame()]
        while frames[-1]["type"] != kind:
            frames.append(await self.frame())
        return frames

    async def closed(self) -> tuple[int | None, list[Frame]]:
        """Wait for the end; return its code, and what came before it."""
        frames = []
        try:
            while True:
                frames.append(await self.frame())
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None, frames

    async def tell(self, kind: str, **members: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, **members}))

    @property
    def given_back(self) -> str:
        return f"&cursor={self.cursor}&positions={','.join(f'{n}:{at}' for n, at in self.positions.items())}"


async def cut(line: Line) -> None:
    """Lose a connection as a phone does, without a word."""
    line.connection.transport.abort()
    await line.connection.wait_closed()


Dial = Callable[..., Awaitable[Line]]


@pytest.fixture
async def dial(module_settings: Settings) -> AsyncIterator[Dial]:
    """Connect a user at an edge, and disconnect at the end whoever is left."""
    async with AsyncExitStack() as stack:

        async def dialled(url: str, user: int, query: str = "", *, seconds: int = 3_600, **options: Any) -> Line:
            token = sign_token(module_settings, user, seconds=seconds)
            address = f"{url.replace('http', 'ws', 1)}/chat/connect?token={token}{query}"
            line = Line(await connect(address, **options))
            # Not in order: a client that has not read everything would wait for the close frame behind it.
            stack.push_async_callback(cut, line)
            return line

        yield dialled
