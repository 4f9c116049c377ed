"""One client's connection: the thin shell around a session. Reads frames, writes what is queued, and ends.

Knows neither the log nor presence: what a frame does is in commands.py, what is queued in session.py, how it is written
in wire.py.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from itertools import count
from typing import Any

from gateway.sockets.commands import Commands, error_frame
from gateway.sockets.session import Session
from gateway.sockets.wire import Wire
from schemas.errors import ChatError

log = logging.getLogger(__name__)

CHUNK = 64 * 1024
"""Bytes that are written at once: what a peer that does not read can make us buffer."""

TURN = 16
"""Frames that are taken before others get a turn: where many wait, nothing else may make us stop."""

BINARY, SILENT, SLOW = 1003, 4408, 4413

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Writer:
    """Writes the queues that are not empty, all of them in the next turn of the loop."""

    def __init__(self) -> None:
        self._due: list[Connection] = []

    def soon(self, connection: "Connection") -> None:
        """Write this one's queue; whatever is queued until then goes along."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._write)
        self._due.append(connection)

    def _write(self) -> None:
        due, self._due = self._due, []
        for connection in due:
            try:
                connection.flush()
            except Exception as error:
                log.exception("a socket could not be written to", exc_info=error)
                connection.cut()


class Connection:
    """A socket from its admission to its end. `expires_at`: of its token, in seconds since the epoch.

    `visible`: its user wants to be shown as online; `shown_at`: when that last went out, by the loop's time, and
    `to_be_shown`: it will again. `typed`: the conversations lately typed in, and when.
    """

    __slots__ = (
        "_batch",
        "beats",
        "ended",
        "expires_at",
        "session",
        "shown_at",
        "socket_id",
        "to_be_shown",
        "turn",
        "typed",
        "user_id",
        "visible",
        "wire",
    )

    def __init__(
        self, wire: Wire, writer: Writer, user_id: int, socket_id: int, *, expires_at: float, batch: bool
    ) -> None:
        self.wire = wire
        self.user_id = user_id
        self.socket_id = socket_id
        self.expires_at = expires_at
        self.visible = True
        self.shown_at = -math.inf
        self.to_be_shown = False
        self.typed: dict[int, float] = {}
        self.turn = 0
        self.beats = 0
        self.ended = False
        self.session = Session(user_id, socket_id, partial(writer.soon, self))
        self._batch = batch
        wire.on_writable = self.flush

    async def serve(self, receive: Receive, commands: Commands) -> None:
        """Take the client's frames, one after the other, until the connection is gone.

        Those that come while none is under way are handled where they are read, which saves the loop a turn.
        """
        self.wire.on_text = partial(commands.handle, self)
        for number in count(1):
            event = await receive()
            if event["type"] == "websocket.disconnect":
                self.ended = True
                return
            if self.ended:
                continue
            if "bytes" in event:
                self.end(BINARY)
            elif (rest := event.get("rest") or commands.handle(self, event["text"])) is not None:
                await rest()
            if number % TURN == 0:
                await asyncio.sleep(0)

    def flush(self) -> None:
        """Write what is queued, as far as the peer takes it."""
        wire, session = self.wire, self.session
        while not wire.congested and (frames := session.take(CHUNK)):
            wire.write([b"[" + b",".join(frames) + b"]"] if self._batch and len(frames) > 1 else frames)
        if session.overflowing:
            self.end(SLOW)

    def end(self, code: int, error: ChatError | None = None) -> None:
        """Say why, and close; what was queued before goes out first, unless the peer is too slow for it."""
        if self.ended:
            return
        self.ended = True
        if error is not None:
            self.session.tell(error_frame(error))
        if code != SLOW:
            self.flush()
        self.wire.close(code)

    def replaced(self) -> None:
        """Another socket of the same client took this one's place."""
        self.end(1000)

    def gone(self) -> None:
        """Break the circles: what is gone is freed at once, and not when the garbage collector looks for circles."""
        self.ended = True
        self.wire.on_writable = self.wire.on_text = None
        self.session.wake = _nobody

    def cut(self) -> None:
        """End it without a word."""
        self.ended = True
        self.wire.transport.abort()


def _nobody() -> None:
    """Nobody writes any more."""
