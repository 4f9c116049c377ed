"""The log of one user's three conversations, and plain readings of it: what must be known of it at the end.

Also stands in for the read tables, at whatever pace a test likes. Edges and a client on it are in resuming.py.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from gateway.sockets.durable import Profile, block, message, opened, read
from gateway.sockets.session import Given
from infra.memory import Entry
from infra.placing import place
from schemas.conversation import Conversation, apply
from schemas.errors import Unavailable
from schemas.events import (
    AsOf,
    ConversationBlocked,
    ConversationEvent,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
)
from schemas.ids import MAX_ID, Partition, pair_key
from schemas.judge import COUNTED, Judgement, Verdict
from schemas.times import Time, read_time, write_time
from schemas.topics import CONVERSATIONS

TIME = "2026-01-31T12:00:00.000Z"
USER = 1
OTHERS = (2, 3, 5)
"""Their conversations with the user lie in different partitions, whether there are two, three or four."""

Place = tuple[int, int]


def partition(number: int) -> Partition:
    return Partition(CONVERSATIONS, number)


def in_force(facts: list[Entry]) -> defaultdict[int, int]:
    """Return of each conversation the offset since which a block has been there that is still in force."""
    since: dict[Place, int] = {}
    for entry in facts:
        match entry.event:
            case ConversationBlocked() as event:
                since.setdefault((event.conversation_id, event.user_id), entry.offset)
            case ConversationUnblocked() as event:
                since.pop((event.conversation_id, event.user_id), None)
            case _:
                pass
    first: defaultdict[int, int] = defaultdict(lambda: MAX_ID)
    for (conversation_id, _), offset in since.items():
        first[conversation_id] = min(first[conversation_id], offset)
    return first


def visible_reads(facts: list[Entry], user_id: int) -> list[Entry]:
    """Return the reads that this user may know of."""
    blocked = in_force(facts)
    return [
        entry
        for entry in facts
        if isinstance(entry.event, MessageRead)
        and (entry.event.reader_id == user_id or entry.offset < blocked[entry.event.conversation_id])
    ]


def own_blocks(facts: list[Entry], user_id: int) -> dict[int, Entry]:
    """Return this user's latest block or unblock of each conversation."""
    return {
        entry.event.conversation_id: entry
        for entry in facts
        if isinstance(entry.event, ConversationBlocked | ConversationUnblocked) and entry.event.user_id == user_id
    }


def told(entry: Entry, user_id: int) -> Given:
    """Return the frame of a record."""
    position = str(entry.position)
    match entry.event:
        case MessageSent() as event:
            frame = message(event, entry.judgement.seq, position, to_sender=event.sender_id == user_id)
        case ConversationOpened() as event:
            frame = opened(event, user_id, Profile(), position)
        case MessageRead() as event:
            frame = read(event, position)
        case ConversationBlocked() | ConversationUnblocked() as event:
            frame = block(event, position)
        case event:
            raise TypeError(f"nobody is told of {event!r}")
    return Given(entry.partition.partition, entry.offset, frame)


class World:
    """The log, each conversation in its partition, and how far the projections are."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.log: list[list[Entry]] = [[] for _ in range(partitions)]
        self.conversations: dict[int, Conversation] = {}
        self.seqs: Counter[int] = Counter()
        self.projected = dict.fromkeys(range(partitions), 0)
        self.postgres_away = False
        self.hidden: set[Place] = set()
        self.names_known = asyncio.Event()
        self.answering = asyncio.Event()
        self.moved = asyncio.Event()

    def now(self) -> Time:
        """Return a time of its own for each record."""
        return write_time(read_time(TIME) + timedelta(seconds=sum(map(len, self.log))))

    def number(self, other: int) -> int:
        """Return the partition of the conversation with this user, which has the other's id."""
        return place(pair_key(USER, other).encode(), self.partitions)

    def append(self, event: ConversationEvent, *, void: bool = False) -> Place:
        """Write a record; what is void changes nothing."""
        number = self.number(event.conversation_id)
        offset = len(self.log[number])
        judgement = COUNTED
        if void:
            judgement = Judgement(Verdict.DUPLICATE, first=1)
        else:
            self.conversations[event.conversation_id] = apply(self.conversations.get(event.conversation_id), event)
            if isinstance(event, MessageSent):
                self.seqs[event.conversation_id] += 1
                judgement = Judgement(Verdict.COUNTED, self.seqs[event.conversation_id])
        self.log[number].append(Entry(partition(number), offset, 0, None, event, judgement))
        return number, offset

    def send(self, other: int, *, by_user: bool, void: bool = False) -> Place | None:
        """Write a message, if the conversation is open."""
        conversation = self.conversations.get(other)
        if conversation is None or conversation.blocked:
            return None
        sender, recipient = (USER, other) if by_user else (other, USER)
        number = 1_000 * other + len(self.log[self.number(other)])
        return self.append(
            MessageSent(
                message_id=number,
                conversation_id=other,
                sender_id=sender,
                recipient_id=recipient,
                content="x",
                content_type="text",
                client_id=str(number),
                sent_at=self.now(),
                as_of=AsOf(0),
            ),
            void=void,
        )

    def open(self, other: int) -> None:
        if other not in self.conversations:
            opening = ConversationOpened(
                conversation_id=other, user_id=USER, other_user_id=other, opened_at=self.now(), as_of=AsOf(0)
            )
            self.append(opening)

    def read(self, other: int, *, by_user: bool) -> None:
        """Mark the last message of the other side as read, if it is not."""
        reader, sender = (USER, other) if by_user else (other, USER)
        conversation = self.conversations.get(other)
        member = conversation.member(reader) if conversation else None
        for entry in reversed(self.log[self.number(other)]):
            event = entry.event
            if entry.counted and isinstance(event, MessageSent) and event.conversation_id == other:
                if event.sender_id == sender and member and member.read_seq < entry.judgement.seq:
                    self.append(
                        MessageRead(
                            message_id=event.message_id,
                            conversation_id=other,
                            reader_id=reader,
                            sender_id=sender,
                            up_to_seq=entry.judgement.seq,
                            read_at=self.now(),
                        )
                    )
                return

    def block(self, other: int, *, by_user: bool, blocks: bool) -> None:
        """Block or unblock, if that changes something."""
        conversation = self.conversations.get(other)
        user, whom = (USER, other) if by_user else (other, USER)
        member = conversation.member(user) if conversation else None
        if member is None or member.blocks is blocks:
            return
        if blocks:
            self.append(
                ConversationBlocked(conversation_id=other, user_id=user, other_user_id=whom, blocked_at=self.now())
            )
        else:
            self.append(
                ConversationUnblocked(conversation_id=other, user_id=user, other_user_id=whom, unblocked_at=self.now())
            )

    def project(self, number: int, most: int) -> None:
        self.projected[number] = min(self.projected[number] + most, len(self.log[number]))
        self.moved.set()

    def facts(self, until: Mapping[int, int]) -> list[Entry]:
        """Return the counted records before these offsets, in the order of each partition."""
        return [entry for n, entries in enumerate(self.log) for entry in entries[: until[n]] if entry.counted]

    def end(self) -> dict[int, int]:
        return {number: len(entries) for number, entries in enumerate(self.log)}

    async def missed(self, until: Mapping[int, int], user_id: int, start: Mapping[int, int]) -> list[Given]:
        """Stand in for the queries of gateway/resuming/missed.py: the same, out of a plain reading of the log."""
        await asyncio.sleep(0)
        facts = self.facts(until)
        events = [entry for entry in facts if isinstance(entry.event, MessageSent | ConversationOpened)]
        events += [*visible_reads(facts, user_id), *own_blocks(facts, user_id).values()]
        found = [told(entry, user_id) for entry in events if entry.offset >= start[entry.partition.partition]]
        return sorted(found, key=lambda given: (given.partition, given.offset))

    # What resume and hub ask of the read tables.

    async def passed(self, positions: Mapping[Partition, int], _: float) -> bool:
        while any(self.projected[p.partition] < offset for p, offset in positions.items()):
            self.moved.clear()
            await self.moved.wait()
        return True

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Any]:
        await self.answering.wait()
        if self.postgres_away:
            raise Unavailable("Postgres is away")
        yield Snapshot(dict(self.projected))

    async def positions(self) -> None:
        await asyncio.sleep(0)

    async def fetch(self, *_: object) -> list[Any]:
        await self.names_known.wait()
        return []


class Snapshot(dict[int, int]):
    """The positions of one snapshot."""

    async def positions(self) -> dict[Partition, int]:
        return {partition(number): offset for number, offset in self.items()}
