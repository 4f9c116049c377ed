"""A client of the chat service for asyncio: connects, resumes without gap or double, sends each message once.

    async with ChatClient("ws://127.0.0.1:8000", token) as chat:
        chat.on("message", lambda message: print(message["content"]))
        sent = await chat.send(conversation_id, "hello")

Needs the package `websockets` and nothing else of this project, so the file can be copied. What it must do is in the
contract of `/chat/connect` (the AsyncAPI document): keep the last cursor and of each partition the highest position,
give them back on reconnecting, send what was not acknowledged again under the same client_id.
"""

import asyncio
import inspect
import json
import logging
import random
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

log = logging.getLogger(__name__)

Frame = dict[str, Any]
Handler = Callable[[Frame], Awaitable[None] | None]
Token = str | Callable[[], str | Awaitable[str]]

FINAL_CODES = frozenset({1000, 4401, 4429})
"""After these a client does not come back by itself."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
CONNECT_SECONDS = 10.0
SILENCE = 2.5
"""Heartbeat intervals without a frame after which the server is taken for gone."""

RETRIED = frozenset({"RATE_LIMITED", "SERVICE_UNAVAILABLE"})


class ChatClosed(Exception):
    """The connection has ended for good; `code` is the server's close code, or None when the application closed it."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Refused(Exception):
    """The service refused a request; `frame` is its error, with `code` and `details`."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame["error"])
        self.frame = frame
        self.code: str = frame["code"]


class ChatClient:
    """One user's connection. `token` is a JWT, or a function that returns a fresh one for each connection.

    Handlers are called one after the other, in the order of the frames, by type: message, read, typing, online,
    offline, conversation, blocked, unblocked, connected, resync (read the lists and histories again), disconnected,
    error. `state` can be kept and given to a later client, which resumes there.
    """

    def __init__(self, url: str, token: Token, *, state: Frame | None = None) -> None:
        self._url = f"{url.rstrip('/')}/chat/connect"
        self._token = token
        self._handlers: defaultdict[str, list[Handler]] = defaultdict(list)
        self._cursor: str | None = state["cursor"] if state else None
        self._positions: dict[str, int] = dict(state["positions"]) if state else {}
        self._pending: dict[str, tuple[Frame, asyncio.Future[Frame]]] = {}
        self._connection: ClientConnection | None = None
        self._running: asyncio.Task[None] | None = None
        self._silence = 50.0
        self._pause = FIRST_PAUSE
        self._retries: set[asyncio.Task[None]] = set()
        self.online = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def state(self) -> Frame:
        """Return what a later client resumes from."""
        return {"cursor": self._cursor, "positions": dict(self._positions)}

    def on(self, kind: str, handler: Handler) -> None:
        """Call `handler` with every frame of a type, before the next frame is looked at."""
        self._handlers[kind].append(handler)

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection is lost."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End the connection for good."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()
        self._give_up(None)

    async def wait_closed(self) -> None:
        """Wait until the connection has ended for good; ChatClosed says why."""
        if self._running is not None:
            await asyncio.shield(self._running)

    async def send(self, conversation_id: int, content: str, *, client_id: str | None = None) -> Frame:
        """Send a message and wait until it is in the log, however often the connection is lost meanwhile.

        Returns its ack: message_id, seq, sent_at. Raises Refused, or ChatClosed when the outcome stays unknown.
        """
        client_id = client_id or secrets.token_hex(16)
        frame = {"type": "message", "conversation_id": conversation_id, "content": content, "client_id": client_id}
        outcome: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._pending[client_id] = (frame, outcome)
        if self.online.is_set():
            await self._tell(frame)
        try:
            return await outcome
        finally:
            self._pending.pop(client_id, None)

    async def read(self, message_id: int) -> None:
        """Mark a message, and all before it, as read."""
        await self._tell({"type": "read", "message_id": message_id})

    async def typing(self, conversation_id: int) -> None:
        """Tell the other that something is being typed."""
        await self._tell({"type": "typing", "conversation_id": conversation_id})

    async def show(self, *, online: bool) -> None:
        """Be seen as online or offline."""
        await self._tell({"type": "online" if online else "offline"})

    async def renew(self, token: str) -> None:
        """Go on with a fresh token of the same user, without a new connection."""
        await self._tell({"type": "auth", "token": token})

    async def _tell(self, frame: Frame) -> None:
        """Send a frame if there is a connection; what has to arrive is sent again when there is a new one."""
        if self._connection is not None:
            try:
                await self._connection.send(json.dumps(frame))
            except ConnectionClosed:
                log.debug("not sent, the connection is lost: %s", frame["type"])

    async def _run(self) -> None:
        """Keep connecting; ends with ChatClosed, or with what a handler raised."""
        code = None
        try:
            while (code := await self._connect_once()) not in FINAL_CODES:
                # Full jitter: the clients of an edge that went away do not come back all at once.
                await asyncio.sleep(random.uniform(0, self._pause))  # noqa: S311 - no secret
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
        finally:
            self._give_up(code)
        raise ChatClosed(code)

    async def _connect_once(self) -> int | None:
        """Connect, serve the connection until it is lost, and return its close code."""
        try:
            address = f"{self._url}?{urlencode(await self._query())}"
            async with connect(
                address, open_timeout=CONNECT_SECONDS, close_timeout=1, ping_interval=None
            ) as connection:
                self._connection = connection
                await self._serve(connection)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
        except (OSError, TimeoutError, InvalidHandshake) as error:
            log.debug("no connection: %r", error)
        finally:
            self._connection = None
            if self.online.is_set():
                self.online.clear()
                await self._call({"type": "disconnected"})
        return None

    async def _query(self) -> dict[str, str]:
        token = self._token if isinstance(self._token, str) else self._token()
        query = {"token": await token if inspect.isawaitable(token) else token, "batch": "1"}
        if self._cursor is not None:
            positions = ",".join(f"{number}:{offset}" for number, offset in self._positions.items())
            query |= {"cursor": self._cursor, "positions": positions}
        return query

    async def _serve(self, connection: ClientConnection) -> None:
        while True:
            async with asyncio.timeout(self._silence):
                received = json.loads(await connection.recv())
            for frame in received if isinstance(received, list) else [received]:
                await self._take(frame)

    async def _take(self, frame: Frame) -> None:
        """Handle one frame, and only then count it as seen."""
        match frame["type"]:
            case "connected":
                await self._connected(frame)
            case "ack":
                self._settle(frame)
            case "error":
                await self._refused(frame)
            case "message" if frame.get("client_id") in self._pending:
                self._settle(frame)  # it had arrived before the connection was lost
            case "heartbeat" | "pong":
                pass
            case _:
                await self._call(frame)
        self._count(frame)

    async def _connected(self, frame: Frame) -> None:
        self._silence = SILENCE * frame["heartbeat_seconds"]
        self._pause = FIRST_PAUSE
        await self._call(frame)
        self.online.set()
        for pending, _ in list(self._pending.values()):
            await self._tell(pending)

    def _count(self, frame: Frame) -> None:
        """Any cursor replaces the cursor and the positions kept; of each partition keep the highest since."""
        if "cursor" in frame:
            self._cursor, self._positions = frame["cursor"], {}
        if "position" in frame:
            number, _, offset = frame["position"].partition(":")
            self._positions[number] = max(int(offset), self._positions.get(number, -1))

    def _settle(self, frame: Frame) -> None:
        pending = self._pending.get(frame["client_id"])
        if pending is not None and not pending[1].done():
            pending[1].set_result(frame)

    async def _refused(self, frame: Frame) -> None:
        pending = self._pending.get(frame.get("client_id", ""))
        if pending is None:
            await self._call(frame)
        elif frame["code"] in RETRIED:
            task = asyncio.get_running_loop().create_task(self._retry(pending, frame["details"].get("retry_after", 1)))
            self._retries.add(task)
            task.add_done_callback(self._retries.discard)
        elif not pending[1].done():
            pending[1].set_exception(Refused(frame))

    async def _retry(self, pending: tuple[Frame, asyncio.Future[Frame]], after: float) -> None:
        await asyncio.sleep(after)
        if not pending[1].done() and self.online.is_set():
            await self._tell(pending[0])

    def _give_up(self, code: int | None) -> None:
        for task in self._retries:
            task.cancel()
        for _, outcome in self._pending.values():
            if not outcome.done():
                outcome.set_exception(ChatClosed(code))

    async def _call(self, frame: Frame) -> None:
        for handler in self._handlers[frame["type"]]:
            done = handler(frame)
            if inspect.isawaitable(done):
                await done
