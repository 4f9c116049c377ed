"""The places that users' sockets hold, over all edges: a fold of `chat.presence`.

Pure: no clock and no I/O; times are the broker's, in milliseconds. A user may hold `limit` places, given out in the
order of the log: the record of one too many is refused at once by whoever reads it, and taken back by its edge. Who
is told of it is in presence.py.
"""

from typing import NamedTuple

from schemas.events import ConnectionClosed, ConnectionOpened, EdgeBeat

STATED_EVERY = 180_000
"""Edges state their sockets again this often, so that a reader who starts late knows them."""

STALE_AFTER = STATED_EVERY * 5 // 2


class Place:
    """One socket of a user; `since` is when it was last stated. One that was refused does not count."""

    __slots__ = ("admitted", "boot", "edge", "since", "socket_id", "user_id", "visible")

    def __init__(self, event: ConnectionOpened, since: int, *, admitted: bool) -> None:
        self.user_id = event.user_id
        self.socket_id = event.socket_id
        self.edge = event.edge
        self.boot = event.boot
        self.visible = event.visible
        self.since = since
        self.admitted = admitted


class Boot(NamedTuple):
    """One run of an edge's process, and when it was last heard."""

    edge: str
    heard: int


class Ended(NamedTuple):
    """A boot that is over: when it was last heard, and its places, which are void."""

    heard: int
    places: list[Place]


class Places:
    """All places in force. `limit` is per user; 0: none."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._of_user: dict[int, tuple[Place, ...]] = {}
        self._boots: dict[str, Boot] = {}
        self._retired: dict[str, int] = {}

    def visible(self, user_id: int) -> bool:
        """Whether a user is to be shown as online."""
        return any(place.visible and place.admitted for place in self._of_user.get(user_id, ()))

    def find(self, user_id: int, socket_id: int) -> Place | None:
        """Return a user's place."""
        return next((place for place in self._of_user.get(user_id, ()) if place.socket_id == socket_id), None)

    def only_at(self, user_id: int, edge: str) -> bool:
        """Whether a user is online, and by no other edge than this one."""
        return self.visible(user_id) and all(place.edge == edge for place in self._of_user[user_id])

    def alive(self, edge: str) -> bool:
        return any(boot.edge == edge for boot in self._boots.values())

    def heir(self) -> str | None:
        """Return the edge that speaks for those that died: the first of the living, by name."""
        return min((boot.edge for boot in self._boots.values()), default=None)

    def open(self, event: ConnectionOpened, time: int, *, limited: bool = True) -> Place | None:
        """Take a socket that was opened or is stated again; return the place that it took over, if any."""
        if event.boot in self._retired:
            return None
        self._hear(event.edge, event.boot, time)
        known = self.find(event.user_id, event.socket_id)
        if known is not None:
            known.since, known.visible, known.admitted = time, event.visible, known.admitted or event.restated
            return None
        replaced = self.find(event.user_id, event.replaces) if event.replaces else None
        if replaced is not None:
            self._remove(replaced)
        free = event.restated or not limited or self._has_room(event.user_id)
        place = Place(event, time, admitted=free or (replaced is not None and replaced.admitted))
        self._of_user[event.user_id] = (*self._of_user.get(event.user_id, ()), place)
        return replaced

    def close(self, event: ConnectionClosed) -> Place | None:
        """Take back the place of a socket that was closed, and return it."""
        place = self.find(event.user_id, event.socket_id)
        if place is not None:
            self._remove(place)
        return place

    def beat(self, event: EdgeBeat, time: int) -> list[Ended]:
        """Hear from an edge; return the boots that are over because it leaves or has started anew."""
        if event.boot in self._retired:
            return []
        self._hear(event.edge, event.boot, time)
        over = [
            name
            for name, boot in self._boots.items()
            if boot.edge == event.edge and (name != event.boot or event.leaving)
        ]
        self._retired.update(dict.fromkeys(over, time))
        return [self.end(name) for name in over]

    def silent(self, since: int) -> dict[str, Boot]:
        """Return the boots that nobody has heard of since then."""
        return {name: boot for name, boot in self._boots.items() if boot.heard < since}

    def end(self, name: str) -> Ended:
        """End a boot; one that was only silent may state its places again."""
        boot = self._boots.pop(name)
        return Ended(boot.heard, self._void([p for places in self._of_user.values() for p in places if p.boot == name]))

    def expire(self, now: int) -> list[Place]:
        """Void what was not stated again for too long, and return it."""
        for name in [name for name, retired in self._retired.items() if retired < now - STALE_AFTER * 2]:
            del self._retired[name]
        return self._void([p for places in self._of_user.values() for p in places if p.since < now - STALE_AFTER])

    def _has_room(self, user_id: int) -> bool:
        return not self._limit or sum(p.admitted for p in self._of_user.get(user_id, ())) < self._limit

    def _hear(self, edge: str, boot: str, time: int) -> None:
        known = self._boots.get(boot)
        if known is None or known.heard < time:
            self._boots[boot] = Boot(edge, time)

    def _void(self, places: list[Place]) -> list[Place]:
        for place in places:
            self._remove(place)
        return places

    def _remove(self, place: Place) -> None:
        left = tuple(other for other in self._of_user[place.user_id] if other is not place)
        if left:
            self._of_user[place.user_id] = left
        else:
            del self._of_user[place.user_id]
