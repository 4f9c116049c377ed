"""What this edge states without being asked: appended in order, a few at a time, and again until it is in the log.

Sockets that closed or are stated again, and when users were last seen. To state the same twice does no harm, but for
when somebody was last seen: another edge may have stated a later time meanwhile, and the topic is compacted.
"""

import asyncio
import logging
from collections import deque

from infra.appender import Appender
from infra.background import Background
from schemas.errors import Unavailable
from schemas.events import ConnectionClosed, ConnectionOpened, LastSeen

log = logging.getLogger(__name__)

UNDER_WAY = 200
"""Statements under way at once: commands must not wait behind thousands of them."""

MOST_WAITING = 100_000
AGAIN_SECONDS = 0.5

Statement = ConnectionOpened | ConnectionClosed | LastSeen


class Statements:
    """An ordered queue into the log."""

    def __init__(self, appender: Appender, background: Background) -> None:
        self._appender = appender
        self._background = background
        self._waiting: deque[Statement] = deque(maxlen=MOST_WAITING)
        self._writing: asyncio.Task[None] | None = None

    def state(self, event: Statement) -> None:
        """Write an event soon."""
        self._waiting.append(event)
        if self._writing is None:
            self._writing = self._background.spawn(self._write(), "statements")

    async def written(self, within: float) -> None:
        """Wait until nothing is left to be written, or `within` seconds."""
        if self._writing is not None:
            _, pending = await asyncio.wait({self._writing}, timeout=within)
            if pending:
                log.warning("%d statements could not be written", len(self._waiting))

    async def _write(self) -> None:
        try:
            while self._waiting:
                some = [self._waiting.popleft() for _ in range(min(UNDER_WAY, len(self._waiting)))]
                outcomes = await asyncio.gather(*map(self._append, some))
                if not all(outcomes):
                    stated = zip(some, outcomes, strict=True)
                    again = [event for event, done in stated if not (done and isinstance(event, LastSeen))]
                    self._waiting.extendleft(reversed(again))
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            self._writing = None

    async def _append(self, event: Statement) -> bool:
        try:
            await self._appender.append_and_observe(event)
        except Unavailable:
            return False
        return True
