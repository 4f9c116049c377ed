"""uvicorn's WebSocket, with what ASGI has no word for: many frames in one write, and when the peer was last heard.

It overrides uvicorn's protocol class, as handshakes.py does, so the pinned version matters. Start the server with
`uvicorn_options`; what is sent and why is in connection.py.
"""

import logging
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from gateway.sockets.handshakes import Handshakes
from gateway.sockets.inbox import Inbox
from infra.settings import Settings
from schemas.validation import MAX_BYTES

KEY = "chat.wire"
"""Where the connection finds its wire: among the scope's extensions."""

CLOSE_SECONDS = 5.0
"""How long a peer may take to answer a close frame, and to read it; then it is cut off."""

MOST_FRAGMENTS = 1_000
MOST_UNTAKEN = 16
"""Frames of one client that may wait to be handled; then we stop parsing what it sent, and reading from it."""

SLICE = 2 * 1024
"""Bytes that are parsed at once; a read may bring a hundred times as many, and each may be inflated to a thousand."""

MOST_AFTER_CLOSE = 256 * 1024
"""Bytes that may still be on their way when we close; who sends more is cut off."""

GOING_AWAY = 1001
"""The edge stops; clients connect again with their cursor."""

_PING = b"\x89\x00"
_quiet = logging.getLogger("gateway.sockets.wire")
_quiet.setLevel(logging.WARNING)  # one line for each connection would be the most of the log


def uvicorn_options(settings: Settings) -> dict[str, Any]:
    """Return what uvicorn has to be told for sockets: these classes, the largest frame, that we ping by ourselves."""
    return {
        "http": Handshakes,
        "ws": Wire,
        "ws_max_size": MAX_BYTES,
        "ws_ping_interval": None,
        "ws_per_message_deflate": settings.compression,
    }


class Wire(WebSocketsSansIOProtocol):
    """One client's WebSocket. `heard` is the loop's time when its last bytes came in.

    `stuck_since`: since when it has not taken what was written; infinity while it does. `on_text` is called with a text
    frame while the application waits for one; what it returns comes to the application, unless it is None.

    Nothing that is left of a socket points back at itself, so that it is freed when it ends, and not when somebody
    looks for circles: that stops all others meanwhile.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # uvicorn and websockets name the path with its query at INFO and DEBUG, and a token may be in it.
        self.logger = _quiet
        self.conn.logger = _quiet
        self.conn.debug = False
        self.queue = Inbox(self.loop)  # type: ignore[assignment]  # all of a queue that uvicorn uses
        self.heard = self.loop.time()
        self.stuck_since = math.inf
        self.on_writable: Callable[[], None] | None = None
        self.on_text: Callable[[str], object] | None = None
        self._handled = 0
        self._unparsed = b""
        self._grace = MOST_AFTER_CLOSE
        self._pong = b""

    @property
    def congested(self) -> bool:
        """Whether the peer reads more slowly than we write; `on_writable` is called when that is over."""
        return self.stuck_since < math.inf

    @property
    def gone(self) -> bool:
        """Whether nothing can be written any more."""
        return self.disconnected or self.close_sent or self.transport.is_closing()

    def ping(self) -> None:
        """Ask for a sign of life; every client's WebSocket answers by itself."""
        if not self.gone:
            self.transport.write(_PING)

    def write(self, payloads: Sequence[bytes]) -> None:
        """Write text frames, all in one piece."""
        if self.gone:
            return
        if self.conn.extensions:
            for payload in payloads:
                self.conn.send_text(payload)
            pieces = self.conn.data_to_send()
        else:
            pieces = []
            for payload in payloads:
                pieces += (_header(len(payload)), payload)
        self.transport.write(b"".join(pieces))

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye; the connection ends when the peer answers, or is cut off. Before it is open it is only cut."""
        if self.gone:
            return
        if not self.handshake_complete:
            self._answered()
            self.transport.abort()
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._cut_off_later()
        if self.read_paused:
            self._parse()

    def forget_handshake(self) -> None:
        """Let go of what only the handshake needed: a third of what an idle socket holds."""
        self.scope["headers"] = []
        del self.request, self.response

    async def run_asgi(self) -> None:
        self.scope["extensions"][KEY] = {"wire": self}
        try:
            await super().run_asgi()
        finally:
            del self.scope["extensions"][KEY]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unparsed = b""
        self.conn.parser.close()  # a generator, whose frame holds `conn` in turn

    def data_received(self, data: bytes) -> None:
        self.heard = self.loop.time()
        if self.close_sent:
            self._grace -= len(data)
            if self._grace < 0:
                self.transport.abort()
                return
        self._unparsed += data
        self._parse()
        if not self.handshake_initiated:
            self._refuse_handshake()

    async def receive(self) -> Any:
        # uvicorn would read on, though not all is parsed that was read.
        event = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self._parse()
        return event

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self._answered()  # which uvicorn itself forgets

    def handle_ping(self) -> None:
        # While the peer does not read, answers would pile up; the last one will do (RFC 6455, section 5.5.3).
        pong = b"".join(self.conn.data_to_send())
        if self.congested:
            self._pong = pong
        else:
            self.transport.write(pong)

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._cut_off_later()

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:  # the handshake is not over, and uvicorn takes it to be
            self.close(1002)
            return
        super().handle_parser_exception()
        self._cut_off_later()

    def handle_cont(self, event: Frame) -> None:
        # Their sizes are bounded, their number is not: empty ones could come without end.
        if len(self.frames) >= MOST_FRAGMENTS:
            self.conn.fail(1009, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        # uvicorn would log a traceback for what any client can send, and stop and start to read for each frame.
        data, self.frames = b"".join(self.frames), []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "bytes":
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
        else:
            try:
                text = data.decode()
            except UnicodeDecodeError:
                self.conn.fail(1007, "not UTF-8")
                self.handle_parser_exception()
                return
            self._hand_over(text)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stuck_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stuck_since = math.inf
        if self._pong:
            pong, self._pong = self._pong, b""
            if not self.gone:
                self.transport.write(pong)
        if self.on_writable is not None:
            self.on_writable()

    def shutdown(self) -> None:
        # uvicorn would say 1012 and cut at once.
        if self.handshake_complete:
            self.close(GOING_AWAY)
        else:
            super().shutdown()
            self._answered()

    def _hand_over(self, text: str) -> None:
        """Have a text frame handled now, if all before it are; of those that come together only so many as one turn."""
        queue: Any = self.queue
        if self.on_text is None or not queue.taker_waits or self._handled >= MOST_UNTAKEN:
            queue.put_nowait({"type": "websocket.receive", "text": text})
            return
        self._handled += 1
        if (rest := self.on_text(text)) is not None:
            queue.put_nowait({"type": "websocket.receive", "rest": rest})

    def _parse(self) -> None:
        """Parse what was read until enough frames have come of it; when all is parsed, read on."""
        data, self._unparsed = self._unparsed, b""
        at = frames = self._handled = 0
        while at < len(data) and frames < MOST_UNTAKEN:
            self.conn.receive_data(data[at : at + SLICE])
            at += SLICE
            frames += len(self.conn.events)
            if self.conn.parser_exc is None:
                self.handle_events()
            else:
                self.handle_parser_exception()
            if self.transport.is_closing():
                return
        self._unparsed = data[at:]
        self._pace()

    def _pace(self) -> None:
        """Stop reading while enough frames wait. What is not parsed yet is, once they are taken: see `receive`."""
        waiting = 0 if self.close_sent else len(self.queue)  # type: ignore[arg-type]
        if self._unparsed or waiting >= MOST_UNTAKEN:
            if not self.read_paused:
                self.read_paused = True
                self.transport.pause_reading()
            if not waiting:
                self.loop.call_soon(self._parse)
        elif self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def _answered(self) -> None:
        """Take note that the handshake is over without a socket."""
        self.handshake_complete = True

    def _cut_off_later(self) -> None:
        """End it some time, though a transport that is closed waits for the peer to read what was written."""
        if self.close_timer is None:
            self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def _refuse_handshake(self) -> None:
        """Say why a request cannot be read, such as one that is too long, and hang up; uvicorn would leave it open."""
        if self.conn.handshake_exc is None or self.gone:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self._answered()
        self.transport.close()


@lru_cache(maxsize=1_000)
def _header(length: int) -> bytes:
    """Return the head of an unmasked, unfragmented text frame (RFC 6455, section 5.2)."""
    if length < 126:
        return bytes((0x81, length))
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")
