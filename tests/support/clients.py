"""Clients of a running edge: one user's HTTP and sockets, and a back end that brings users into conversation."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from infra.settings import Settings
from infra.tokens import sign_token

PATIENCE_SECONDS = 20
_users = itertools.count(1_000_000)

Frame = dict[str, Any]


def new_user() -> int:
    """Return a user that no other test has."""
    return next(_users)


class Client:
    """One user, or a back end, at one edge."""

    def __init__(self, settings: Settings, url: str, user: int, *, service: bool = False) -> None:
        self.user = user
        self.token = sign_token(settings, user, service=service, seconds=3_600)
        self._ws_url = f"{url.replace('http', 'ws', 1)}/chat/connect"
        # Without TLS: reading the machine's certificates for each client takes longer than most tests.
        self.http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=PATIENCE_SECONDS,
            verify=False,
            trust_env=False,
        )

    async def send(self, conversation: int, content: str, **more: Any) -> httpx.Response:
        """`POST /chat/messages`."""
        body = {"conversation_id": conversation, "user_id": self.user, "content": content, **more}
        return await self.http.post("/chat/messages", json=body)

    async def sent(self, conversation: int, content: str, **more: Any) -> Frame:
        """Send a message that has to be taken."""
        response = await self.send(conversation, content, **more)
        assert response.status_code == 201, response.text
        return dict(response.json())

    async def list(self, **query: int) -> Frame:
        """`GET /chat/conversations`."""
        response = await self.http.get("/chat/conversations", params={"user_id": self.user, **query})
        assert response.status_code == 200, response.text
        assert "chat-stale" not in response.headers
        return dict(response.json())

    async def history(self, conversation: int, **query: int) -> Frame:
        """`GET /chat/conversations/{id}/messages`."""
        response = await self.http.get(f"/chat/conversations/{conversation}/messages", params=query)
        assert response.status_code == 200, response.text
        assert "chat-stale" not in response.headers
        return dict(response.json())

    async def open(self, user: int, other: int) -> int:
        """`POST /chat/conversations`, as a back end."""
        response = await self.http.post("/chat/conversations", json={"user_id": user, "other_user_id": other})
        assert response.status_code in (200, 201), response.text
        return int(response.json()["id"])

    async def until_tables(self) -> None:
        """Wait until there are read tables, so that everything is answered."""
        async with asyncio.timeout(3 * PATIENCE_SECONDS):
            while (await self.http.get("/chat/blocked", params={"user_id": 1})).status_code == 503:
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator["Socket"]:
        """Connect, and wait until the server has said so."""
        async with connect(f"{self._ws_url}?token={self.token}", **options) as connection:
            socket = Socket(connection)
            reading = asyncio.ensure_future(socket.read())
            try:
                await socket.until("connected")
                yield socket
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)


class Socket:
    """A socket, and every frame that it was sent."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.frames: list[Frame] = []
        self._came = asyncio.Condition()

    async def read(self) -> None:
        """Collect frames until the socket is closed."""
        async for text in self.connection:
            async with self._came:
                self.frames.append(json.loads(text))
                self._came.notify_all()

    async def tell(self, kind: str, **members: Any) -> None:
        """Send a frame."""
        await self.connection.send(json.dumps({"type": kind, **members}))

    def of(self, kind: str, **members: Any) -> list[Frame]:
        """Return the frames of a type that have these members."""
        wanted = {"type": kind, **members}
        return [frame for frame in self.frames if wanted.items() <= frame.items()]

    async def until(self, kind: str, count: int = 1, **members: Any) -> list[Frame]:
        """Wait until that many such frames have come, and return them."""
        return await self.until_so(
            lambda: self.of(kind, **members)[:count] if len(self.of(kind, **members)) >= count else []
        )

    async def until_so(self, found: Callable[[], list[Frame]]) -> list[Frame]:
        """Wait until there is something in what has come."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._came:
            await self._came.wait_for(found)
        return found()


@asynccontextmanager
async def clients(settings: Settings, url: str, *users: int) -> AsyncIterator[list[Client]]:
    """Return a client for each user, and a back end as the last one."""
    made = [*(Client(settings, url, user) for user in users), Client(settings, url, 0, service=True)]
    try:
        yield made
    finally:
        for client in made:
            await client.http.aclose()
