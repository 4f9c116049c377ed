"""Presence: who is online over all edges, told to the people in conversation with them, never across a block.

Stands on the fold of `chat.presence` (places.py) and on partners.py. A user is online from the first visible socket to
the last; the end is told after a short grace, so that a reconnect does not flicker. Sockets ask for their places in
admission.py.
"""

import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import NamedTuple

from gateway.presence.partners import Change, Partners
from gateway.presence.places import Ended, Places
from gateway.presence.statements import Statements
from gateway.sockets.hub import Hub
from gateway.sockets.session import Session
from infra.clock import BrokerClock
from infra.edge import BEAT_SECONDS, SILENCE_SECONDS
from infra.memory import Entry
from schemas import frames
from schemas.events import ConnectionClosed, ConnectionOpened, EdgeBeat, LastSeen, Typing
from schemas.times import Time, format_time

log = logging.getLogger(__name__)

GRACE = 2_000
"""Milliseconds in which a user whose last socket closed may come back unnoticed."""

ROLL_GRACE = 5_000
"""The same when an edge goes away: its clients spread their reconnects."""

TYPING_EXPIRES = 5_000
"""Milliseconds after which `typing` is over if nothing follows; what comes later is not told."""

TRUST_SECONDS = SILENCE_SECONDS - BEAT_SECONDS - 2
"""Without an own heartbeat for so long, an edge may be cut off, and another's silence tells it nothing.

By then nobody has been silent for too long who was heard until the cut; two seconds are for what was on its way.
"""

MOST_REMEMBERED = 50_000


class Status(NamedTuple):
    """Whether a user is online, and else when the last socket closed, as far as this edge has seen it."""

    online: bool
    last_seen: Time | None


class _Leaving(NamedTuple):
    """A user whose last visible socket is gone; `until` the grace is over, and who writes down when it went."""

    until: int
    last_seen: int
    edge: str


class Presence:
    """What this edge knows of who is online, and what it tells its own users. `edge` is its name."""

    def __init__(
        self, edge: str, places: Places, partners: Partners, hub: Hub, statements: Statements, clock: BrokerClock
    ) -> None:
        self._edge = edge
        self._places = places
        self._partners = partners
        self._hub = hub
        self._statements = statements
        self._clock = clock
        self._leaving: dict[int, _Leaving] = {}
        self._last_seen: OrderedDict[int, Time] = OrderedDict()
        self._live = False
        self._trusted_from = 0
        partners.on_change(self._partners_changed)
        partners.on_load(self._partners_known)

    def status(self, user_id: int) -> Status:
        """Return how a user is to be shown; `last_seen` is None where the read tables have to be asked."""
        if self._online(user_id):
            return Status(online=True, last_seen=None)
        return Status(online=False, last_seen=self._last_seen.get(user_id))

    def start(self) -> None:
        """Begin to act: the log was read to its end."""
        self._live = True
        self._end_silent(self._clock.now())

    def greet(self, sessions: Iterable[Session], user_id: int) -> None:
        """Name everybody who is online to a user's new sockets, once that can be known."""
        if not self._partners.watch(user_id):
            return
        online = [other for other in self._partners.seen_by(user_id) if self._online(other)]
        told = [frames.encode(frames.Online(user_id=other)) for other in online]
        for session in sessions:
            for frame in told:
                session.tell(frame)

    def fold(self, entry: Entry) -> None:
        """Take the next record of the tail."""
        match entry.event:
            case ConnectionOpened(user_id=user_id) as event:
                before = self._places.visible(user_id)
                self._places.open(event, entry.timestamp, limited=self._live)
                self._moved(user_id, before, entry.timestamp, 0 if event.restated else GRACE, event.edge)
            case ConnectionClosed(user_id=user_id) as event:
                before = self._places.visible(user_id)
                self._places.close(event)
                self._moved(user_id, before, entry.timestamp, GRACE, event.edge)
            case EdgeBeat() as event:
                for ended in self._places.beat(event, entry.timestamp):
                    self._ended(ended, ROLL_GRACE)
            case Typing() as event:
                late = entry.timestamp < self._clock.now() - TYPING_EXPIRES
                if not late and self._partners.sees(event.other_user_id, event.user_id):
                    typing = frames.Typing(conversation_id=event.conversation_id, user_id=event.user_id)
                    self._hub.tell((event.other_user_id,), frames.encode(typing))
            case LastSeen() as event:
                self._seen(event.user_id, event.last_seen)
            case _:
                pass

    def sweep(self, *, unheard: float) -> None:
        """Do what time brings. `unheard`: the seconds since this edge heard itself.

        Once it does again, others have the time to be heard that they always have.
        """
        now = self._clock.now()
        if unheard > TRUST_SECONDS:
            self._trusted_from = now + int(SILENCE_SECONDS * 1_000)
        if now >= self._trusted_from:
            self._end_silent(now)
            self._ended(Ended(now, self._places.expire(now)), 0)
        for user_id in [user_id for user_id, leaving in self._leaving.items() if leaving.until <= now]:
            self._left(user_id, self._leaving.pop(user_id))

    def leave(self, users: Iterable[int]) -> None:
        """Write down when those were last seen who have no place but at this edge, which goes away with them."""
        now = self._clock.now()
        gone = {user: now for user in users if self._places.only_at(user, self._edge)}
        gone |= {user: leaving.last_seen for user, leaving in self._leaving.items() if leaving.edge == self._edge}
        for user, last_seen in gone.items():
            self._statements.state(LastSeen(user_id=user, last_seen=format_time(last_seen)))

    def _partners_known(self, users: Collection[int]) -> None:
        for user_id in users:
            self.greet(self._hub.of(user_id), user_id)

    def _partners_changed(self, change: Change) -> None:
        """Let two users see each other from now on, or look as if the other had gone."""
        for viewer, other in (change.users, change.users[::-1]):
            if self._online(other):
                frame: frames.ServerFrame = frames.Online(user_id=other)
                if not change.see:
                    frame = frames.Offline(user_id=other, last_seen=None)
                self._hub.tell((viewer,), frames.encode(frame))

    def _online(self, user_id: int) -> bool:
        return self._places.visible(user_id) or user_id in self._leaving

    def _end_silent(self, now: int) -> None:
        """Void the places of edges that died without a word."""
        for name, boot in self._places.silent(now - int(SILENCE_SECONDS * 1_000)).items():
            if boot.edge != self._edge:
                log.warning("edge %s has been silent for %d s: its sockets are void", boot.edge, SILENCE_SECONDS)
                self._ended(self._places.end(name), 0)

    def _ended(self, ended: Ended, grace: int) -> None:
        """Take note of places that are void, and of when their users were last seen; they are gone from the fold."""
        for user_id, edge in {
            place.user_id: place.edge for place in ended.places if place.visible and place.admitted
        }.items():
            self._moved(user_id, True, ended.heard, grace, edge)

    def _moved(self, user_id: int, before: bool, time: int, grace: int, edge: str) -> None:
        """Tell the user's partners if this changed how the user is shown."""
        after = self._places.visible(user_id)
        if after and not before:
            if self._leaving.pop(user_id, None) is None:
                self._tell(user_id, frames.Online(user_id=user_id))
        elif before and not after:
            leaving = _Leaving(self._clock.now() + grace, time, edge)
            if grace:
                self._leaving[user_id] = leaving
            else:
                self._left(user_id, leaving)

    def _left(self, user_id: int, leaving: _Leaving) -> None:
        last_seen = format_time(leaving.last_seen)
        self._seen(user_id, last_seen)
        self._tell(user_id, frames.Offline(user_id=user_id, last_seen=last_seen))
        if self._live and (leaving.edge == self._edge or self._speaks_for(leaving.edge)):
            self._statements.state(LastSeen(user_id=user_id, last_seen=last_seen))

    def _speaks_for(self, edge: str) -> bool:
        """Whether it falls to this edge to write down when the users of a dead one were last seen."""
        return not self._places.alive(edge) and self._places.heir() == self._edge

    def _tell(self, user_id: int, frame: frames.ServerFrame) -> None:
        if watchers := self._partners.watchers(user_id):
            self._hub.tell(watchers, frames.encode(frame))

    def _seen(self, user_id: int, last_seen: Time) -> None:
        """Keep the latest; times in this form sort as text."""
        self._last_seen[user_id] = max(last_seen, self._last_seen.get(user_id, ""))
        self._last_seen.move_to_end(user_id)
        if len(self._last_seen) > MOST_REMEMBERED:
            self._last_seen.popitem(last=False)
