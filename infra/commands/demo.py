"""`chat demo`: two users talk over the running service, by HTTP and by socket, and every step is shown."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import click
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from infra.http_client import ask
from infra.part import StartError
from infra.running import read_running
from infra.settings import Settings, load_settings
from infra.tokens import sign_token

STEP_SECONDS = 10.0
ADDRESS = re.compile(r"https?://(\[[^\]\s]+\]|[^/:\s]+)(:[0-9]{1,5})?(/\S*)?")


class User(NamedTuple):
    """Who talks, and with which token."""

    name: str
    id: int
    token: str


class Talk:
    """One conversation, step by step. Each step checks what it shows, and raises StartError when it is not so."""

    def __init__(self, url: str, settings: Settings) -> None:
        self._url = url
        self._service = sign_token(settings, 1, service=True)
        # New every time, so that each run tells the same story.
        first = secrets.randbelow(10**12) + 10**6
        self.ada, self.ben = (
            User(name, user, sign_token(settings, user)) for name, user in (("Ada", first), ("Ben", first + 1))
        )
        self._began = time.monotonic()

    async def run(self) -> None:
        """Open, send, acknowledge, deliver, read, answer, list."""
        opened = await self._ask(
            201, "POST", "/chat/conversations", self._service, user_id=self.ada.id, other_user_id=self.ben.id
        )
        conversation: int = opened["id"]
        self._show("opened", f"conversation {conversation} of Ada ({self.ada.id}) and Ben ({self.ben.id})")
        async with self._socket(self.ada) as adas, self._socket(self.ben) as bens:
            self._show("connected", "a socket each")
            await self._message_by_socket(conversation, adas, bens)
            await self._message_by_http(conversation, adas)
        await self._lists(conversation)

    async def _message_by_socket(self, conversation: int, adas: ClientConnection, bens: ClientConnection) -> None:
        client_id = secrets.token_hex(8)
        frame = {"type": "message", "conversation_id": conversation, "content": "Hello Ben!", "client_id": client_id}
        await adas.send(json.dumps(frame))
        self._show("sent", "Ada, by socket: Hello Ben!")
        ack = await _next(adas, "ack", client_id=client_id)
        self._show("acknowledged", f"message {ack['message_id']}, number {ack['seq']}, at {ack['position']} in the log")
        got = await _next(bens, "message", message_id=ack["message_id"])
        self._show("delivered", f"to Ben's socket: {got['content']}")
        await bens.send(json.dumps({"type": "read", "message_id": ack["message_id"]}))
        read = await _next(adas, "read", reader_id=self.ben.id)
        self._show("read", f"by Ben at {read['read_at']}, as Ada's socket tells")

    async def _message_by_http(self, conversation: int, adas: ClientConnection) -> None:
        body = {"conversation_id": conversation, "user_id": self.ben.id, "content": "Hello Ada!"}
        sent = await self._ask(201, "POST", "/chat/messages", self.ben.token, **body)
        self._show("sent", f"Ben, by HTTP: Hello Ada! (message {sent['message_id']}, number {sent['seq']})")
        got = await _next(adas, "message", message_id=sent["message_id"])
        self._show("delivered", f"to Ada's socket: {got['content']}")

    async def _lists(self, conversation: int) -> None:
        listed = await self._ask(200, "GET", f"/chat/conversations?user_id={self.ada.id}", self.ada.token)
        newest: dict[str, Any] = next(iter(listed["conversations"]), {})
        if newest.get("last_message") != "Hello Ada!":
            raise StartError("the lists do not know yet what was said: the projections are behind, see `chat lag`")
        self._show("listed", f"Ada's conversations: {newest['last_message']!r}, {newest['unread_count']} unread")
        history = await self._ask(200, "GET", f"/chat/conversations/{conversation}/messages", self.ben.token)
        for message in reversed(history["messages"]):
            state = "read" if message["read_at"] else "not read yet"
            self._show("history", f"{message['seq']}. {message['content']} ({state})")
        if [message["seq"] for message in history["messages"]] != [2, 1]:
            raise StartError("the history is not what was said")

    async def _ask(self, status: int, method: str, path: str, token: str, **content: object) -> Any:
        answer = await ask(method, f"{self._url}{path}", token=token, content=content or None)
        if answer.status != status:
            raise StartError(f"{method} {path} answered {answer.status}: {answer.content}")
        return answer.content

    @asynccontextmanager
    async def _socket(self, user: User) -> AsyncIterator[ClientConnection]:
        address = f"{self._url.replace('http', 'ws', 1)}/chat/connect"
        async with connect(address, subprotocols=["chat.v1", f"bearer.{user.token}"]) as socket:  # type: ignore[list-item]
            await _next(socket, "connected")
            yield socket

    def _show(self, step: str, what: str) -> None:
        click.echo(f"{(time.monotonic() - self._began) * 1000:7.0f} ms  {click.style(f'{step:<13}', bold=True)}{what}")


def _address(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    """Take `--url` as people write it; what is no address of a service is wrong usage."""
    if url and not ADDRESS.fullmatch(url):
        raise click.BadParameter("must be http://host:port")
    return url and url.rstrip("/")


@click.command()
@click.option("--url", callback=_address, help="The service's address; without it, the one that runs here.")
def demo(url: str | None) -> None:
    """Let two users talk over the running service, and show each step."""
    settings = load_settings()
    running = read_running(settings.home)
    address = url or (running.url if running else f"http://{settings.host}:{settings.port}")
    try:
        asyncio.run(Talk(address, settings).run())
    except (OSError, WebSocketException) as error:
        raise StartError(f"the service at {address} does not answer ({error}); start it with `chat up`") from error


async def _next(socket: ClientConnection, kind: str, **members: object) -> dict[str, Any]:
    """Wait for a frame of this kind with these members, past others; StartError when it does not come."""
    try:
        async with asyncio.timeout(STEP_SECONDS):
            async for text in socket:
                frame: dict[str, Any] = json.loads(text)
                if frame["type"] == "error":
                    raise StartError(f"an error instead of {kind}: {frame['error']}")
                if frame["type"] == kind and members.items() <= frame.items():
                    return frame
    except TimeoutError:
        raise StartError(f"no {kind} came within {STEP_SECONDS:g} s") from None
    raise StartError(f"the socket was closed before {kind} came: {socket.close_code} {socket.close_reason}")
