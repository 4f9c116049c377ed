"""Everything live of one edge, put together: the hub, presence, and the sockets of `/chat/connect`.

Make it before the edge starts, since it follows the tail; `start` it when the edge has caught up, `stop` it while the
edge still runs.
"""

import asyncio
import logging
from typing import NamedTuple

from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from command_api.http import failure
from command_api.service import WriteSide
from command_api.tokens import Identity
from gateway.presence.admission import Admission
from gateway.presence.partners import Partners
from gateway.presence.places import STATED_EVERY, Places
from gateway.presence.presence import Presence
from gateway.presence.statements import Statements
from gateway.resuming.cursor import BadCursor, Cursor
from gateway.resuming.remembered import Remembered
from gateway.resuming.resume import Resume
from gateway.sockets import connecting
from gateway.sockets.commands import Commands, error_frame
from gateway.sockets.connection import Connection, Writer
from gateway.sockets.heartbeats import SECONDS, Heartbeats
from gateway.sockets.hub import Hub
from gateway.sockets.wire import GOING_AWAY, Wire
from infra.tail import Stage
from schemas.errors import ChatError, Code, Failed, forbidden
from schemas.events import (
    CONVERSATION_EVENTS,
    PRESENCE_EVENTS,
    ConnectionOpened,
    EdgeBeat,
    LastSeen,
)

log = logging.getLogger(__name__)

DRAIN_SECONDS = 2.0
"""How long a stop waits for answers that are under way, and for what is left to be written down."""


class Admitted(NamedTuple):
    """A socket that may stay, what it resumes from, and why it cannot resume (`resync`), if so."""

    connection: Connection
    cursor: Cursor | None
    reason: str | None


class Live:
    """The live side of an edge. `presence` tells who is online."""

    def __init__(self, write_side: WriteSide, *, heartbeat_seconds: int = SECONDS) -> None:
        edge, tail = write_side.edge, write_side.edge.tail
        settings = edge.settings
        self._write = write_side
        self._edge = edge
        self._background = edge.background
        self._writer = Writer()
        places = Places(settings.connections_per_user)
        statements = Statements(edge.appender, self._background)
        self._statements = statements
        self._partners = Partners(tail, edge.tables, self._background)
        self._hub = Hub(write_side.conversations, self._partners, edge.tables, self._background)
        self.presence = Presence(edge.name, places, self._partners, self._hub, statements, edge.clock)
        self._admission = Admission(edge, places, statements, settings.connections_per_user)
        self._commands = Commands(write_side, self._admission)
        remembered = Remembered(tail, self._hub)
        self._resume = Resume(edge, remembered, self._background, heartbeat_seconds=heartbeat_seconds)
        self._heartbeats = Heartbeats(self._resume.heartbeat, heartbeat_seconds)
        self._connections: set[Connection] = set()
        self._stopping = False
        tail.follow(Stage.APPLY, self._partners.fold, *CONVERSATION_EVENTS)
        tail.follow(Stage.FOLD, self.presence.fold, *PRESENCE_EVENTS, LastSeen)
        tail.follow(Stage.ANSWER, self._admission.fold, ConnectionOpened, EdgeBeat)
        tail.follow(Stage.PUSH, self._hub.push, *CONVERSATION_EVENTS)

    def routes(self) -> list[WebSocketRoute]:
        """Return the route of sockets."""
        return [WebSocketRoute("/chat/connect", self)]

    def start(self) -> None:
        """Begin to act on what was read; the edge has caught up."""
        self.presence.start()
        self._background.spawn(self._keep_time(), "the beat of the sockets")

    async def stop(self) -> None:
        """Say good-bye to everybody: nothing new is taken, what is under way is answered, then the sockets close."""
        self._stopping = self._admission.leaving = True
        deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while self._edge.appender.under_way and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self.presence.leave({connection.user_id for connection in self._connections})
        for count, connection in enumerate(list(self._connections)):
            connection.end(GOING_AWAY)
            if count % 200 == 199:
                await asyncio.sleep(0)
        await self._statements.written(DRAIN_SECONDS)
        await self._background.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket from its handshake to its end."""
        wire = connecting.wire_of(scope)
        asked = _asked(scope)
        scope["query_string"] = b""  # a token may be in it, and servers log what they accept
        await receive()
        if connecting.comes_from_afar(scope, self._edge.settings.allowed_origins):
            await failure(forbidden("this Origin may not connect"))(scope, receive, send)
            return
        try:
            admitted = None if self._stopping else await self._admit(wire, asked)
        except ChatError as error:
            if await connecting.accept(wire, scope, send):
                wire.write([error_frame(error)])
                wire.close(connecting.close_code(error))
            return
        if admitted is not None:
            await self._serve(*admitted, scope, receive, send)
        elif await connecting.accept(wire, scope, send):
            wire.close(GOING_AWAY)

    async def _admit(self, wire: Wire, asked: connecting.Asked | ChatError) -> Admitted:
        """Find out who it is, and take a place; ChatError when the socket cannot stay."""
        if isinstance(asked, ChatError):
            raise asked
        identity = self._identify(asked.token)
        cursor, reason = self._cursor(asked)
        reason = reason or await self._resume.prepare(cursor)
        ids = self._write.ids
        await ids.ready()
        connection = Connection(
            wire, self._writer, identity.user_id, ids.take(), expires_at=identity.expires_at, batch=asked.batch
        )
        try:
            await self._admission.open(connection, cursor.socket_id if cursor else None)
        except BaseException:
            connection.gone()
            raise
        return Admitted(connection, cursor, reason)

    async def _serve(
        self,
        connection: Connection,
        cursor: Cursor | None,
        reason: str | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        session = connection.session
        self._connections.add(connection)
        try:
            # Not earlier: once the handshake is over, whatever is appended is pushed.
            if not await connecting.accept(connection.wire, scope, send):
                return
            self._resume.begin(session, cursor, reason)
            self._hub.add(session)
            self._heartbeats.add(connection)
            self.presence.greet([session], connection.user_id)
            # In a task of its own: each frame would otherwise come down through all that is around this call.
            await asyncio.create_task(connection.serve(receive, self._commands))
        except ChatError as error:
            connection.end(connecting.close_code(error), error)
        except Exception as error:
            log.exception("a socket failed", exc_info=error)
            connection.end(1011, Failed())
        finally:
            self._gone(connection)

    def _gone(self, connection: Connection) -> None:
        connection.gone()
        self._connections.discard(connection)
        self._heartbeats.remove(connection)
        self._resume.abandon(connection.session)
        if self._hub.remove(connection.session):
            self._partners.forget(connection.user_id)
        self._admission.close(connection)

    def _identify(self, token: str) -> Identity:
        identity = self._write.tokens.check(token)
        if identity.user_id == 0:
            raise ChatError(Code.UNAUTHORIZED, "the token is no user's", {"sub": "must be a user id"})
        return identity

    def _cursor(self, asked: connecting.Asked) -> tuple[Cursor | None, str | None]:
        """Return what to resume from, or why it is not good for that."""
        if asked.cursor is None:
            return None, None
        try:
            return self._resume.parse(asked.cursor, asked.positions), None
        except BadCursor as bad:
            return None, str(bad)

    async def _keep_time(self) -> None:
        restated_after = STATED_EVERY // 1_000 // self._heartbeats.seconds
        while True:
            await asyncio.sleep(1)
            self.presence.sweep(unheard=self._edge.unheard)
            for connection in self._heartbeats.tick():
                connection.beats += 1
                if connection.beats % restated_after == 0 and not connection.ended:
                    self._admission.restate(connection)


def _asked(scope: Scope) -> connecting.Asked | ChatError:
    """Return what the client asks for, or what is wrong with it, which it is told once it is accepted."""
    try:
        return connecting.asked(scope)
    except ChatError as error:
        return error
