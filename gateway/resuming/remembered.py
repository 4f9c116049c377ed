"""What a user missed, out of the tail's memory: the records since a client's cursor, as durable frames."""

from collections.abc import Collection, Iterator

from gateway.resuming.missed import MOST_CHARACTERS, MOST_MESSAGES, TooMuch
from gateway.sockets import durable
from gateway.sockets.hub import Hub
from gateway.sockets.session import Given, Positions, Slot
from infra.memory import Entry, Memory
from infra.tail import Tail
from schemas.events import (
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
    key_of,
)
from schemas.topics import CONVERSATIONS


class NotRemembered(Exception):
    """The gap is longer than the memory, or nobody here knows whether what is in it may be told."""


class Remembered:
    """Short gaps, without Postgres."""

    def __init__(self, tail: Tail, hub: Hub) -> None:
        self._tail = tail
        self._hub = hub

    def since(self, user_id: int, start: Positions) -> list[Given]:
        """Return everything that concerns a user from these offsets on, in the order of each partition.

        NotRemembered or TooMuch when that cannot be done.
        """
        if not all(memory.covers(start[partition]) for partition, memory in self._memories()):
            raise NotRemembered
        found: list[Given] = []
        characters = 0
        for partition, memory in self._memories():
            for entry in memory.of_user(user_id, start[partition]):
                characters += len(entry.event.content) if isinstance(entry.event, MessageSent) else 0
                if len(found) >= MOST_MESSAGES or characters > MOST_CHARACTERS:
                    raise TooMuch
                frame = self._frame(entry, user_id)
                if frame is not None:
                    found.append(Given(partition, entry.offset, frame))
        return found

    def _memories(self) -> Iterator[tuple[int, Memory]]:
        for (topic, number), memory in self._tail.memories.items():
            if topic == CONVERSATIONS:
                yield number, memory

    def _frame(self, entry: Entry, user_id: int) -> bytes | Slot | None:
        if entry.repeats:
            return None
        position = str(entry.position)
        match entry.event:
            case MessageSent() as event:
                return durable.message(event, entry.judgement.seq, position, to_sender=event.sender_id == user_id)
            case MessageRead() as event:
                return self._read(entry, event, user_id)
            case ConversationOpened() as event:
                return self._hub.opening(event, position, [user_id])[user_id]
            case ConversationBlocked() | ConversationUnblocked() as event:
                return durable.block(event, position)
            case _:
                return None

    def _read(self, entry: Entry, event: MessageRead, user_id: int) -> bytes | None:
        """Tell of a read, unless it is the other's and a block that was there before it is still in force."""
        frame = durable.read(event, str(entry.position))
        if event.reader_id == user_id:
            return frame
        blockers = self._hub.blockers(event)
        if blockers is None:
            # It must not come later: by then the client's cursor would have passed it.
            raise NotRemembered
        since = self._tail.memories[entry.partition].of_key(key_of(event) or "", entry.offset + 1) if blockers else ()
        return None if blocked_before(event, since, blockers) else frame


def blocked_before(read: MessageRead, since: Collection[Entry], blockers: Collection[int]) -> bool:
    """Whether one of those who block a pair now did so before a read, not in the records of it `since` then.

    A block that was in force already is written again with its first time (command_api/blocks.py).
    """
    blocks = (entry.event for entry in since if isinstance(entry.event, ConversationBlocked) and not entry.repeats)
    later = {block.user_id for block in blocks if block.blocked_at > read.read_at}
    return any(blocker not in later for blocker in blockers)
