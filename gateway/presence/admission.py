"""The own sockets of an edge in `chat.presence`: each takes a place there, states it now and then, and gives it back.

Whether there is room is decided by the order of the log (places.py), so a socket waits until its own record has come
back. A socket that resumes takes over the place of the one it had; that one is closed wherever it is.
"""

import logging
from typing import Protocol

from gateway.presence.places import Places
from gateway.presence.statements import Statements
from infra.appender import Appender
from infra.edge import SILENCE_SECONDS, Edge
from infra.memory import Entry
from schemas.errors import ChatError, Code
from schemas.events import ConnectionClosed, ConnectionOpened, EdgeBeat

log = logging.getLogger(__name__)

RETRY_SECONDS = 60
"""What somebody with too many sockets is told to wait: none may close, so no time is the right one."""


class Client(Protocol):
    """A socket of this edge."""

    user_id: int
    socket_id: int
    visible: bool

    def replaced(self) -> None:
        """Another socket took this one's place."""


class Admission:
    """The places of this edge's sockets. `limit` is per user; 0: none."""

    def __init__(self, edge: Edge, places: Places, statements: Statements, limit: int) -> None:
        self._edge = edge
        self._appender: Appender = edge.appender
        self._places = places
        self._statements = statements
        self._limit = limit
        self._clients: dict[int, Client] = {}
        self._heard: int | None = None
        self.leaving = False

    async def open(self, client: Client, replaces: int | None) -> None:
        """Take a place; ChatError RATE_LIMITED when the user has too many, Unavailable when that cannot be known."""
        self._clients[client.socket_id] = client
        try:
            await self._appender.append_and_observe(self._opened(client, replaces=replaces))
            self._require(client)
        except BaseException:
            self.close(client)
            raise

    def close(self, client: Client) -> None:
        """Give the place back; also when it was refused, for readers who could not tell.

        Not when the whole edge is leaving: its last heartbeat says that for all.
        """
        self._clients.pop(client.socket_id, None)
        if self.leaving:
            return
        self._statements.state(
            ConnectionClosed(
                user_id=client.user_id, socket_id=client.socket_id, edge=self._edge.name, boot=self._edge.boot
            )
        )

    def restate(self, client: Client) -> None:
        """Say that the socket is still there, and whether its user wants to be seen."""
        self._statements.state(self._opened(client, restated=True))

    def fold(self, entry: Entry) -> None:
        """Take the next record of the tail, after places.py has."""
        match entry.event:
            case ConnectionOpened(replaces=int(replaced)) as event:
                client = self._clients.get(replaced)
                # What is replaced comes from the client, who may name the very socket that it is about to get.
                if client is not None and client.user_id == event.user_id and replaced != event.socket_id:
                    client.replaced()
            case EdgeBeat(boot=self._edge.boot):
                if self._heard is not None and entry.timestamp - self._heard > SILENCE_SECONDS * 1_000:
                    log.warning("this edge was silent for long: its %d sockets are stated again", len(self._clients))
                    for client in self._clients.values():
                        self.restate(client)
                self._heard = entry.timestamp
            case _:
                pass

    def _require(self, client: Client) -> None:
        place = self._places.find(client.user_id, client.socket_id)
        if place is not None and not place.admitted:
            too_many = f"at most {self._limit} sockets for each user"
            raise ChatError(Code.RATE_LIMITED, too_many, retry_after=RETRY_SECONDS)

    def _opened(self, client: Client, *, replaces: int | None = None, restated: bool = False) -> ConnectionOpened:
        return ConnectionOpened(
            user_id=client.user_id,
            socket_id=client.socket_id,
            edge=self._edge.name,
            boot=self._edge.boot,
            visible=client.visible,
            replaces=replaces,
            restated=restated,
        )
