"""Resuming a socket: what its client missed, out of the tail's memory or out of the read tables, and then live.

A short gap is in memory (remembered.py). Where that does not do, it is read in one snapshot (missed.py), once the
projections have passed the position at which the session was registered; what is live meanwhile is held back. The rules
about floors and cursors are session.py's.
"""

import asyncio
import logging

from gateway.resuming.cursor import Cursor, Cursors
from gateway.resuming.missed import TooMuch, missed
from gateway.resuming.remembered import NotRemembered, Remembered
from gateway.sockets.session import Given, Positions, Session
from infra.background import Background
from infra.edge import Edge
from schemas import frames
from schemas.errors import Unavailable
from schemas.ids import Partition
from schemas.topics import CONVERSATIONS

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Catch-ups that read Postgres at once; their rows are in memory until they are written."""

MOST_OWED = 64 * 1024 * 1024
"""Bytes of catch-ups that wait for slow readers, over all sockets; more are read when some of it was written."""

PATIENCE_SECONDS = 10.0
"""How long a catch-up waits for its turn and for the projections."""


class Resume:
    """Begins the sessions of one edge, and catches up those that resume."""

    def __init__(self, edge: Edge, remembered: Remembered, background: Background, *, heartbeat_seconds: int) -> None:
        self._edge = edge
        self._remembered = remembered
        self._background = background
        self._heartbeat_seconds = heartbeat_seconds
        self._cursors = Cursors(edge.epoch, edge.partitions)
        self._partitions = [Partition(CONVERSATIONS, number) for number in range(edge.partitions)]
        self._reading = asyncio.Semaphore(AT_ONCE)
        self._catching_up: dict[Session, asyncio.Task[None]] = {}
        self._owed: set[Session] = set()

    def parse(self, cursor: str, positions: str) -> Cursor:
        """Read what a client gave back; BadCursor."""
        return self._cursors.read(cursor, positions)

    def tail(self) -> Positions:
        """Return the positions of this edge's tail."""
        positions = self._edge.tail.positions
        return {partition.partition: positions[partition] for partition in self._partitions}

    def heartbeat(self, session: Session) -> bytes:
        """Return a heartbeat with the session's cursor as of now; without one during a catch-up."""
        cursor = None if session.catching_up else self._cursor(session, session.positions(self.tail()))
        return frames.encode(frames.Heartbeat(cursor=cursor))

    async def prepare(self, cursor: Cursor | None) -> str | None:
        """Tell why a cursor cannot be resumed from, if it names what the log does not have; Unavailable.

        Another edge may have given it out that is ahead of this one's tail.
        """
        tail = self.tail()
        if cursor is None or all(offset <= tail[number] for number, offset in cursor.positions.items()):
            return None
        ends = await self._edge.tail.ends(self._partitions)
        known = all(offset <= ends[self._partitions[number]] for number, offset in cursor.positions.items())
        return None if known else "outside_log"

    def begin(self, session: Session, cursor: Cursor | None, reason: str | None) -> None:
        """Say `connected` and give what was missed, or why that cannot be done (`reason`).

        Nothing here waits: the caller registers the session with the hub in the same breath.
        """
        tail = self.tail()
        if cursor is None or reason is not None:
            session.tell(self._connected(session, tail, resumed=False))
            if reason is not None:
                session.tell(self._resync(session, reason, tail))
            return
        session.tell(self._connected(session, cursor.positions, resumed=True))
        session.hold()
        try:
            given = self._at_once(session.user_id, cursor.positions)
        except NotRemembered:
            task = self._background.spawn(self._catch_up(session, cursor.positions, tail), "a catch-up")
            self._catching_up[session] = task
        except TooMuch:
            self._fail(session, "too_much", later(cursor.positions, tail))
        else:
            self._release(session, given, later(cursor.positions, tail))

    def abandon(self, session: Session) -> None:
        """Stop catching up a session whose socket is gone."""
        self._owed.discard(session)
        task = self._catching_up.pop(session, None)
        if task is not None:
            task.cancel()

    def _at_once(self, user_id: int, start: Positions) -> list[Given]:
        """Return what was missed, out of memory; NotRemembered also when it has to wait for its turn, or TooMuch."""
        if self._crowded():
            raise NotRemembered
        return self._remembered.since(user_id, start)

    async def _catch_up(self, session: Session, start: Positions, registered: Positions) -> None:
        """Read what was missed, and release the session; or tell it that this cannot be done."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._turn()
                given, positions = await self._missed(session.user_id, start, registered)
        except TooMuch:
            self._fail(session, "too_much", later(start, registered))
        except (Unavailable, TimeoutError) as away:
            log.warning("a catch-up failed: %r", away)
            self._fail(session, "unavailable", later(start, registered))
        else:
            self._release(session, given, later(start, positions))
        finally:
            self._catching_up.pop(session, None)

    async def _turn(self) -> None:
        """Wait until others have taken enough of what they were given."""
        while self._crowded():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)

    def _crowded(self) -> bool:
        """Whether readers have to take so much of what they were given that nobody is given more."""
        self._owed = {session for session in self._owed if session.owed}
        return sum(session.owed for session in self._owed) > MOST_OWED

    async def _missed(self, user_id: int, start: Positions, registered: Positions) -> tuple[list[Given], Positions]:
        """Return what was missed and the positions up to which it was; these have passed `registered`."""
        tables = self._edge.tables
        wanted = {self._partitions[number]: offset for number, offset in registered.items()}
        while True:
            if not await tables.passed(wanted, PATIENCE_SECONDS):
                raise Unavailable("the read tables are behind the log")
            async with self._reading, tables.snapshot() as snapshot:
                stored = await snapshot.positions()
                if all(stored.get(partition, 0) >= offset for partition, offset in wanted.items()):
                    given = await missed(snapshot, user_id, start)
                    return given, {number: stored[partition] for number, partition in enumerate(self._partitions)}
            # Another generation became live in between, and is not as far.
            await tables.positions()

    def _release(self, session: Session, given: list[Given], floor: Positions) -> None:
        session.release(given, floor, self.tail())
        if session.owed:
            self._owed.add(session)
        session.tell(self.heartbeat(session))

    def _fail(self, session: Session, reason: str, floor: Positions) -> None:
        """Tell the client to read the lists and histories; what came since it was registered follows."""
        session.tell(self._resync(session, reason, floor))
        session.release((), floor, self.tail())

    def _connected(self, session: Session, positions: Positions, *, resumed: bool) -> bytes:
        return frames.encode(
            frames.Connected(
                user_id=session.user_id,
                server_time=self._edge.clock.now_text(),
                heartbeat_seconds=self._heartbeat_seconds,
                cursor=self._cursor(session, positions),
                resumed=resumed,
            )
        )

    def _resync(self, session: Session, reason: str, positions: Positions) -> bytes:
        return frames.encode(frames.Resync(reason=reason, cursor=self._cursor(session, positions)))

    def _cursor(self, session: Session, positions: Positions) -> str:
        return self._cursors.write(session.socket_id, positions)


def later(some: Positions, others: Positions) -> Positions:
    """Return the later of the two offsets of each partition."""
    return {number: max(offset, others[number]) for number, offset in some.items()}
