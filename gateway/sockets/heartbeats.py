"""The beat of all sockets of this edge: one sweep each second, a share of them at a time, no task or timer for each.

At its turn a socket is told the cursor and asked for a sign of life; one that has been silent for too long is closed,
and so is one that has taken nothing for so long, whatever it says: a catch-up may be large, and others wait for it.
Tokens that have expired are found by the second.
"""

import asyncio
import time
from collections.abc import Callable

from gateway.sockets.connection import SILENT, SLOW, Connection
from gateway.sockets.session import Session
from schemas.errors import ChatError, Code

SECONDS = 20
"""How often each socket is told the cursor; `connected` says so."""

SILENCE = 2.5
"""Intervals without a sign of life after which a peer is taken for dead."""

NO_GOOD_TOKEN = 4401


class Heartbeats:
    """Sockets by the second of their turn. `heartbeat` makes a session's frame."""

    def __init__(self, heartbeat: Callable[[Session], bytes], seconds: int = SECONDS) -> None:
        self.seconds = seconds
        self._heartbeat = heartbeat
        self._turns: list[set[Connection]] = [set() for _ in range(seconds)]
        self._now = 0
        self._expiring: set[Connection] = set()

    def add(self, connection: Connection) -> None:
        """Take its turn, the first time one interval from now."""
        connection.turn = self._now
        self._turns[self._now].add(connection)
        self._look_ahead(connection, time.time())

    def remove(self, connection: Connection) -> None:
        self._turns[connection.turn].discard(connection)
        self._expiring.discard(connection)

    def tick(self) -> list[Connection]:
        """Do what a second brings; return the sockets that had their turn."""
        self._now = (self._now + 1) % self.seconds
        heard_since = asyncio.get_running_loop().time() - SILENCE * self.seconds
        now = time.time()
        turn = list(self._turns[self._now])
        for connection in turn:
            self._look_ahead(connection, now)
            if connection.wire.heard < heard_since:
                connection.end(SILENT)
            elif connection.wire.stuck_since < heard_since:
                connection.end(SLOW)
            else:
                connection.session.tell(self._heartbeat(connection.session))
                connection.wire.ping()
        self._expire(now)
        return turn

    def _look_ahead(self, connection: Connection, now: float) -> None:
        """Watch by the second whoever's token expires before their next turn."""
        if connection.expires_at <= now + self.seconds:
            self._expiring.add(connection)

    def _expire(self, now: float) -> None:
        for connection in [connection for connection in self._expiring if connection.expires_at <= now]:
            self._expiring.discard(connection)
            connection.end(NO_GOOD_TOKEN, ChatError(Code.TOKEN_EXPIRED, "the token has expired"))
