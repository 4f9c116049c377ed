"""One socket's session: what has been given out, what is held back, and one ordered queue of frames to send.

Pure: no socket, no clock, no log. Frames come in already encoded; connection.py takes them out and writes them. Durable
frames keep the order of the log; during a catch-up (resume.py) they are held back, and what is below the catch-up's
floor is dropped afterwards.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

MOST_WAITING = 256 * 1024
"""Bytes that may wait for a slow reader, beyond what it asked for by resuming."""

Positions = Mapping[int, int]
"""Of each partition of the log of conversations an offset: the first one not yet given, or not yet read."""


class Slot:
    """The place of a frame that is still being made; nothing behind it leaves before it is filled."""

    __slots__ = ("frame",)

    def __init__(self) -> None:
        self.frame: bytes | None = None

    def __len__(self) -> int:
        """What it adds to the bytes that wait."""
        return 0


class Given(NamedTuple):
    """A durable frame, or the ack of one's own message, and the place of its record."""

    partition: int
    offset: int
    frame: bytes | Slot
    ack: bool = False


class Session:
    """The state of one socket; `wake` is called when its empty queue gets a frame."""

    __slots__ = ("_acked", "_ahead", "_allowed", "_held", "_queue", "_waiting", "socket_id", "user_id", "wake")

    def __init__(self, user_id: int, socket_id: int, wake: Callable[[], None]) -> None:
        self.user_id = user_id
        self.socket_id = socket_id
        self.wake = wake
        self._queue: list[bytes | Slot] = []
        self._waiting = 0
        self._allowed = MOST_WAITING
        self._held: list[Given] | None = None
        self._ahead: dict[int, int] | None = None
        self._acked: tuple[int, int] | None = None

    @property
    def overflowing(self) -> bool:
        """Whether the reader is too slow to be kept."""
        return self._waiting > self._allowed

    @property
    def owed(self) -> int:
        """Bytes of a catch-up that may still be waiting."""
        return self._allowed - MOST_WAITING

    @property
    def catching_up(self) -> bool:
        return self._held is not None

    def tell(self, frame: bytes | Slot) -> None:
        """Queue a frame behind all that wait, whatever its place in the log."""
        queue = self._queue
        queue.append(frame)
        self._waiting += len(frame)
        if len(queue) == 1 or self._waiting > self._allowed:
            self.wake()

    def give(self, partition: int, offset: int, frame: bytes | Slot) -> None:
        """Queue the durable frame of a record that the tail has just brought, unless the client has it or an ack."""
        if self._acked == (partition, offset):
            return
        if self._held is not None:
            self._hold(self._held, Given(partition, offset, frame))
        elif self._ahead is None or offset >= self._ahead.get(partition, 0):
            self.tell(frame)

    def ack(self, partition: int, offset: int, frame: bytes) -> None:
        """Queue the answer to this client's own command; a retry's repeats an old place, and waits for a catch-up."""
        self._acked = (partition, offset)
        if self._held is not None:
            self._hold(self._held, Given(partition, offset, frame, ack=True))
        else:
            self.tell(frame)

    def hold(self) -> None:
        """Begin a catch-up: durable frames and acks are held back until `release`."""
        self._held = []

    def release(self, missed: Iterable[Given], floor: Positions, tail: Positions) -> None:
        """End a catch-up: queue what was missed, ordered within each partition, and what was held since.

        `floor`: up to where `missed` and the client's own cursor reach. It may be ahead of `tail`, the positions of
        this edge's tail; what is below it is dropped for good. The ack of a message takes the place of its frame.
        """
        held, self._held = self._held or [], None
        self._waiting -= sum(len(given.frame) for given in held)
        acks: defaultdict[tuple[int, int], list[bytes | Slot]] = defaultdict(list)
        for given in held:
            if given.ack:
                acks[given.partition, given.offset].append(given.frame)
        before = self._waiting
        for given in missed:
            for frame in acks.pop((given.partition, given.offset), None) or (given.frame,):
                self.tell(frame)
        self._allowed += self._waiting - before
        self._ahead = _beyond(floor, tail)
        late = []
        for given in held:
            if given.offset >= floor[given.partition]:
                self.tell(given.frame)
            elif given.ack and (given.partition, given.offset) in acks:
                late.append(given.frame)
        for frame in late:
            self.tell(frame)

    def positions(self, tail: Positions) -> Positions:
        """Return how far this client has been given everything: the tail's positions, but never below the floor."""
        if self._ahead is None:
            return tail
        self._ahead = _beyond(self._ahead, tail)
        return {**tail, **self._ahead} if self._ahead else tail

    def take(self, most: int) -> list[bytes]:
        """Return the next frames in order, about `most` bytes of them; none while the first one is not made yet."""
        queue = self._queue
        if not queue:
            return []
        taken: list[bytes] = []
        size = 0
        for item in queue:
            frame = item.frame if isinstance(item, Slot) else item
            if frame is None or size >= most:
                break
            taken.append(frame)
            size += len(frame)
            self._waiting -= len(item)
        del queue[: len(taken)]
        if self._allowed > MOST_WAITING and self._held is None:
            self._allowed = max(MOST_WAITING, min(self._allowed, self._waiting + MOST_WAITING))
        return taken

    def _hold(self, held: list[Given], given: Given) -> None:
        held.append(given)
        self._waiting += len(given.frame)
        if self.overflowing:
            self.wake()


def _beyond(some: Positions, tail: Positions) -> dict[int, int] | None:
    """Return those that are past the tail, or None: the rule, since a tail is rarely behind what a client has."""
    return {number: offset for number, offset in some.items() if offset > tail[number]} or None
