"""A client of the chat service for asyncio: connects, resumes without gap or double, sends each message once.

    async with ChatClient("ws://127.0.0.1:8000", token) as chat:
        chat.on("message", lambda message: print(message["content"]))
        sent = await chat.send(conversation_id, "hello")

Needs the package `websockets` and nothing else of this project, so the file can be copied. What it must do is in the
contract of `/chat/connect` (the AsyncAPI document): keep the last cursor and of each partition the highest position,
give them back on reconnecting, send what was not acknowledged again under the same client_id.
"""

import asyncio
import base64
import functools
import inspect
import json
import logging
import random
import secrets
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.wire")
_quiet.setLevel(logging.WARNING)  # below that websockets would log the address, and the token with it

Frame = dict[str, Any]
Handler = Callable[[Frame], Awaitable[None] | None]
Token = str | Callable[[], str | Awaitable[str]]

FINAL_CODES = frozenset({1000, 4401, 4429})
"""After these a client does not come back by itself."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
CONNECT_SECONDS = 10.0
SILENCE = 2.5
"""Heartbeat intervals without a frame after which the server is taken for gone."""

RENEWED_AFTER = 0.8
"""Part of the time that is left to a token after which a fresh one is asked for."""

RETRIED = frozenset({"RATE_LIMITED", "SERVICE_UNAVAILABLE"})

MOST_BYTES = 65_536
"""Of a frame; the service ends the connection that brings a longer one."""

TOO_LARGE: Frame = {"error": f"a frame has at most {MOST_BYTES} bytes", "code": "PAYLOAD_TOO_LARGE", "details": {}}


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


class Place:
    """How far a client has got: the last cursor, and of each partition the highest position since."""

    def __init__(self, state: Frame | None) -> None:
        self._cursor: str | None = state["cursor"] if state else None
        self._positions: dict[str, int] = dict(state["positions"]) if state else {}

    @property
    def state(self) -> Frame:
        return {"cursor": self._cursor, "positions": dict(self._positions)}

    @property
    def query(self) -> dict[str, str]:
        """Return what is given back at reconnecting."""
        if self._cursor is None:
            return {}
        positions = ",".join(f"{number}:{offset}" for number, offset in self._positions.items())
        return {"cursor": self._cursor, "positions": positions}

    def count(self, frame: Frame) -> None:
        """Any cursor replaces the cursor and the positions kept."""
        if "cursor" in frame:
            self._cursor, self._positions = frame["cursor"], {}
        if "position" in frame:
            number, _, offset = frame["position"].partition(":")
            self._positions[number] = max(int(offset), self._positions.get(number, -1))


class _Pending(NamedTuple):
    """A message without an answer; `text` is its frame."""

    conversation_id: int
    content: str
    text: str
    outcome: asyncio.Future[Frame]


class Outbox:
    """Messages without an answer. Within a conversation they are written in the order of `put`.

    On each connection all of them are written again, since whether they arrived is not known; the service takes a
    client_id once.
    """

    def __init__(self) -> None:
        self._pending: dict[str, _Pending] = {}
        self._line: deque[_Pending] = deque()
        self._more = asyncio.Event()
        self._held: dict[int, asyncio.TimerHandle] = {}
        self._closed: ChatClosed | None = None

    def __contains__(self, client_id: object) -> bool:
        return client_id in self._pending

    def put(self, conversation_id: int, content: str, client_id: str) -> asyncio.Future[Frame]:
        """Put a message in line; the future gets its ack, Refused, or ChatClosed.

        Raises ChatClosed after the end, and Refused if no frame is long enough for the message.
        """
        if self._closed is not None:
            raise ChatClosed(self._closed.code)
        frame = {"type": "message", "conversation_id": conversation_id, "content": content, "client_id": client_id}
        text = json.dumps(frame)
        if len(text) > MOST_BYTES:  # it is ASCII
            raise Refused(TOO_LARGE)
        outcome: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._pending[client_id] = _Pending(conversation_id, content, text, outcome)
        self._line.append(self._pending[client_id])
        self._more.set()
        return outcome

    def forget(self, client_id: str) -> None:
        """Do not write a message any more: nobody waits for its answer."""
        self._pending.pop(client_id, None)

    async def write(self, write: Callable[[str], Awaitable[None]]) -> None:
        """Write to a new connection all that waits, and then what comes; to be cancelled when it is lost."""
        self._line = deque(self._pending.values())
        while True:
            while self._line:
                pending = self._line.popleft()
                if pending.conversation_id not in self._held and not pending.outcome.done():
                    await write(pending.text)
            self._more.clear()
            await self._more.wait()

    def answered(self, frame: Frame) -> Frame:
        """Take an ack, or the message itself, which a catch-up brings instead; return the ack, with the content."""
        pending = self._pending.pop(frame["client_id"])
        ack = {**frame, "type": "ack", "content": pending.content}
        _resolve(pending.outcome, ack)
        return ack

    def refused(self, frame: Frame) -> None:
        """Take an error. After one that passes the whole conversation waits, and is then written again, in order."""
        pending = self._pending[frame["client_id"]]
        if frame["code"] not in RETRIED:
            _resolve(pending.outcome, Refused(frame))
        elif pending.conversation_id not in self._held:
            seconds = frame["details"].get("retry_after", 1)
            self._held[pending.conversation_id] = asyncio.get_running_loop().call_later(
                seconds, self._release, pending.conversation_id
            )

    @property
    def closed(self) -> bool:
        return self._closed is not None

    def give_up(self, code: int | None) -> None:
        """Tell all who wait, and who come later, that the connection has ended for good."""
        self._closed = self._closed or ChatClosed(code)
        for timer in self._held.values():
            timer.cancel()
        self._held.clear()
        for pending in self._pending.values():
            _resolve(pending.outcome, ChatClosed(self._closed.code))

    def _release(self, conversation_id: int) -> None:
        del self._held[conversation_id]
        others = [pending for pending in self._line if pending.conversation_id != conversation_id]
        again = [pending for pending in self._pending.values() if pending.conversation_id == conversation_id]
        self._line = deque(others + again)
        self._more.set()


class ChatClient:
    """One user's connection. `token` is a JWT, or a function that returns a fresh one, which may be a coroutine.

    It is asked for each connection, and before the last token expires. Handlers are called one after the other, in the
    order of the frames, by type: message, ack (of one's own, with its content), read, typing, online, offline,
    conversation, blocked, unblocked, connected, resync (read the lists and histories again), disconnected, closed,
    error. They may be coroutines and may send; what one raises ends the client, and `wait_closed` raises it. `state`
    can be kept and given to a later client, which resumes there.
    """

    def __init__(self, url: str, token: Token, *, state: Frame | None = None) -> None:
        self._url = f"{url.rstrip('/')}/chat/connect"
        self._token = token
        self._handlers: defaultdict[str, list[Handler]] = defaultdict(list)
        self._received, self._handled = Place(state), Place(state)
        self._hidden: bool = state["hidden"] if state else False
        self._arrived: asyncio.Queue[Frame] = asyncio.Queue()
        self._outbox = Outbox()
        self._outbox.give_up(None)  # until it is started
        self._connection: ClientConnection | None = None
        self._running: asyncio.Task[None] | None = None
        self._again = False
        self._alongside: list[asyncio.Task[None]] = []
        self._since = 0.0
        self._silence = 50.0
        self._pause = FIRST_PAUSE
        self.online = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def state(self) -> Frame:
        """Return what a later client resumes from: the frames whose handlers are done, and what `show` was told."""
        return {**self._handled.state, "hidden": self._hidden}

    def on(self, kind: str, handler: Handler) -> None:
        """Call `handler` with every frame of a type, before the next frame's handlers."""
        self._handlers[kind].append(handler)

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection is lost.

        Also again, after it has ended for good. Within a handler that hears of the end: when all are done.
        """
        if self._running is None or self._running.done():
            self._again, self._outbox = False, Outbox()
            self._running = asyncio.get_running_loop().create_task(self._run())
            self._running.add_done_callback(functools.partial(self._ended, self._outbox))
        else:
            self._again = self._outbox.closed or self._running.cancelling() > 0

    def _ended(self, outbox: Outbox, run: asyncio.Task[None]) -> None:
        outbox.give_up(None)
        if self._again and (run.cancelled() or isinstance(run.exception(), ChatClosed)):
            self.start()

    async def close(self) -> None:
        """End the connection for good. Within a handler: as soon as it waits for something."""
        self._again = False
        if self._running is not None:
            self._running.cancel()
            if self._running is not asyncio.current_task():
                await asyncio.gather(self._running, return_exceptions=True)

    async def wait_closed(self) -> None:
        """Wait until the connection has ended for good; ChatClosed, or what a handler raised, says why."""
        if (running := self._running) is not None:
            await asyncio.wait([running])
            if running.cancelled():
                raise ChatClosed(None)
            running.result()

    async def send(self, conversation_id: int, content: str, *, client_id: str | None = None) -> Frame:
        """Send a message and wait until it is in the log, however often the connection is lost meanwhile.

        Returns its ack: message_id, seq, sent_at. Raises Refused, or ChatClosed when the outcome stays unknown.
        """
        client_id = client_id or secrets.token_hex(16)
        if client_id in self._outbox:
            raise ValueError(f"{client_id} is being sent already")
        try:
            return await self._outbox.put(conversation_id, content, client_id)
        finally:
            self._outbox.forget(client_id)

    async def read(self, message_id: int) -> None:
        """Mark a message, and all before it, as read."""
        await self._tell({"type": "read", "message_id": message_id})

    async def typing(self, conversation_id: int) -> None:
        """Tell the other that something is being typed."""
        await self._tell({"type": "typing", "conversation_id": conversation_id})

    async def show(self, *, online: bool) -> None:
        """Be seen as online or offline, on later connections too."""
        self._hidden = not online
        await self._tell({"type": "online" if online else "offline"})

    async def renew(self, token: str) -> None:
        """Go on with a fresh token of the same user, on later connections too; a function is asked by itself."""
        if isinstance(self._token, str):
            self._token = token
        await self._tell({"type": "auth", "token": token})

    async def _tell(self, frame: Frame) -> None:
        """Send a frame if there is a connection, and forget it otherwise."""
        await self._write(json.dumps(frame))

    async def _write(self, text: str) -> None:
        if self._connection is not None:
            try:
                await self._connection.send(text)
            except ConnectionClosed:
                log.debug("not sent, the connection is lost")

    async def _run(self) -> None:
        """Handle what arrives on one connection after the other; ends with ChatClosed, or what a handler raised."""
        self._arrived, self._received = asyncio.Queue(), Place(self.state)
        connecting = asyncio.get_running_loop().create_task(self._keep_connected())
        try:
            while (frame := await self._arrived.get())["type"] != "closed":
                await self._handle(frame)
            await self._handle(frame)
            await connecting
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
        raise ChatClosed(frame["code"])

    async def _handle(self, frame: Frame) -> None:
        """Let the application have a frame, and only then count it as handled."""
        for handler in self._handlers[frame["type"]]:
            done = handler(frame)
            if inspect.isawaitable(done):
                await done
        self._handled.count(frame)

    async def _keep_connected(self) -> None:
        final: int | None = None
        try:
            while (code := await self._connect_once()) not in FINAL_CODES:
                # Full jitter: the clients of an edge that went away do not come back all at once. The next pause is
                # longer, unless the connection then holds longer than that.
                await asyncio.sleep(random.uniform(0, self._pause))  # noqa: S311 - no secret
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
            final = code
        finally:
            self._outbox.give_up(final)  # at once: the handler that runs may be waiting for an answer
            self._arrived.put_nowait({"type": "closed", "code": final})

    async def _connect_once(self) -> int | None:
        """Connect, serve the connection until it is lost, and return its close code."""
        code = None
        if (token := await self._fresh_token()) is None:
            return code
        try:
            address = f"{self._url}?{urlencode({'token': token, 'batch': '1'} | self._received.query)}"
            async with connect(
                address, logger=_quiet, open_timeout=CONNECT_SECONDS, close_timeout=1, ping_interval=None
            ) as connection:
                self._connection = connection
                await self._serve(connection, token)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
        except (OSError, TimeoutError, InvalidHandshake) as error:
            log.debug("no connection: %r", error)
        finally:
            self._lost(code)
        return code

    async def _serve(self, connection: ClientConnection, token: str) -> None:
        while True:
            async with asyncio.timeout(self._silence):
                received = json.loads(await connection.recv())
            for frame in received if isinstance(received, list) else [received]:
                await self._take(frame, token)

    async def _take(self, frame: Frame, token: str) -> None:
        """Do what a frame wants of the client itself, and put it in line for the application."""
        self._received.count(frame)
        match frame:
            case {"type": "connected"}:
                await self._connected(frame, token)
            case {"type": "ack" | "message", "client_id": client_id} if client_id in self._outbox:
                frame = self._outbox.answered(frame)
            case {"type": "error", "client_id": client_id} if client_id in self._outbox:
                self._outbox.refused(frame)
                return
            case {"type": "ack"}:
                return  # a retry's, of what is known already
            case _:
                pass
        self._arrived.put_nowait(frame)

    async def _connected(self, frame: Frame, token: str) -> None:
        self._silence = SILENCE * frame["heartbeat_seconds"]
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        self.online.set()
        if self._hidden:
            await self.show(online=False)
        self._alongside.append(loop.create_task(self._outbox.write(self._write)))
        if not isinstance(self._token, str):
            ahead = datetime.fromisoformat(frame["server_time"]).timestamp() - loop.time()
            self._alongside.append(loop.create_task(self._keep_renewing(expiry(token), ahead)))

    def _lost(self, code: int | None) -> None:
        """Take note that a connection has ended, or that there was none."""
        self._connection = None
        for task in self._alongside:
            task.cancel()
        self._alongside.clear()
        if self.online.is_set():
            self.online.clear()
            self._arrived.put_nowait({"type": "disconnected", "code": code})
            if asyncio.get_running_loop().time() - self._since > self._pause:
                self._pause = FIRST_PAUSE

    async def _fresh_token(self) -> str | None:
        if isinstance(self._token, str):
            return self._token
        try:
            token = self._token()
            return await token if inspect.isawaitable(token) else token
        except Exception as error:  # noqa: BLE001 - whatever the application met, the next try may go well
            log.warning("no token: %r", error)
            return None

    async def _keep_renewing(self, expires: float | None, ahead: float) -> None:
        """Go on with a fresh token before one expires. `ahead`: of the server's time before our loop's, in seconds."""
        loop = asyncio.get_running_loop()
        while expires is not None:
            await asyncio.sleep(max(1.0, RENEWED_AFTER * (expires - ahead - loop.time())))
            if (token := await self._fresh_token()) is not None:
                await self.renew(token)
                expires = expiry(token)


def expiry(token: str) -> float | None:
    """Return when a JWT expires, in seconds since the epoch; None if it does not say."""
    try:
        payload = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def _resolve(outcome: asyncio.Future[Frame], result: Frame | Exception) -> None:
    """Tell who waits, unless that is done."""
    if not outcome.done():
        if isinstance(result, Exception):
            outcome.set_exception(result)
        else:
            outcome.set_result(result)
