"""Fill the log quickly: append conversations and messages as a writer who vouches for them, past the edges.

The records are the service's own events (schemas/), so that judge, projections and edges take them as any others. Only
for a system that nobody writes to meanwhile: `as_of` is right only while all new records are ours.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import count, islice
from typing import Any, NamedTuple

from aiokafka.partitioner import murmur2

from infra import kafka
from infra.kafka_topics import describe_topics, log_partitions
from infra.log_reader import LogReader
from infra.settings import Settings
from schemas.envelope import seal
from schemas.events import AnyEvent, AsOf, ConversationOpened, IdsLeased, MessageSent
from schemas.ids import BLOCK_SIZE, Partition, pair_key
from schemas.times import format_time
from schemas.topics import CONVERSATIONS, IDS

UNDER_WAY = 2_000
SOURCE = "/chat/edges/bench"
TEXT = "the quick brown fox jumps over the lazy dog and then some more text follows; it has a hundred bytes "


class Conversation(NamedTuple):
    """A conversation that was opened here."""

    id: int
    user_id: int
    other_user_id: int


class Filler:
    """Appends with exact knowledge of every partition's end. Made by `filling`."""

    def __init__(self, producer: Any, ends: dict[Partition, int]) -> None:
        self._producer = producer
        self._next = ends
        self._seqs: Counter[int] = Counter()
        self._ids: list[int] = []
        self._numbers = count()
        self._prefix = secrets.token_hex(9)
        self._time = format_time(time.time_ns() // 10**6)
        self._room = asyncio.Semaphore(UNDER_WAY)
        self._failed: list[BaseException] = []

    async def open(self, pairs: Iterable[tuple[int, int]]) -> list[Conversation]:
        """Bring pairs into conversation that never were."""
        opened = []
        for user_id, other_user_id in pairs:
            found = Conversation(await self._id(), user_id, other_user_id)
            partition = self._partition((user_id, other_user_id))
            event = ConversationOpened(
                conversation_id=found.id,
                user_id=user_id,
                other_user_id=other_user_id,
                opened_at=self._time,
                as_of=AsOf(self._next[partition]),
            )
            await self._append(partition, event)
            opened.append(found)
        return opened

    async def send(self, conversation: Conversation, messages: int) -> None:
        """Append messages of both users in turn."""
        ends = (conversation.user_id, conversation.other_user_id)
        partition = self._partition(ends)
        for _ in range(messages):
            seq = self._seqs[conversation.id]
            sender, recipient = ends if seq % 2 == 0 else ends[::-1]
            event = MessageSent(
                message_id=await self._id(),
                conversation_id=conversation.id,
                sender_id=sender,
                recipient_id=recipient,
                content=TEXT,
                content_type="text",
                client_id=f"filled-{seq}",
                sent_at=self._time,
                as_of=AsOf(self._next[partition], seq),
            )
            self._seqs[conversation.id] += 1
            await self._append(partition, event)

    async def finish(self) -> None:
        """Wait until all is in the log; raises what an append raised."""
        await self._producer.flush()
        if self._failed:
            raise self._failed[0]

    def _partition(self, pair: tuple[int, int]) -> Partition:
        return Partition(CONVERSATIONS, (murmur2(pair_key(*pair).encode()) & 0x7FFFFFFF) % len(self._next))

    async def _append(self, partition: Partition, event: AnyEvent) -> None:
        sealed = seal(event, ce_id=self._ce_id(), source=SOURCE, time=self._time)
        self._next[partition] += 1
        await self._room.acquire()
        written = await self._producer.send(
            CONVERSATIONS, sealed.value, key=sealed.key, partition=partition.partition, headers=sealed.headers
        )
        written.add_done_callback(self._written)

    def _written(self, done: "asyncio.Future[Any]") -> None:
        self._room.release()
        if not done.cancelled() and (error := done.exception()) is not None:
            self._failed.append(error)

    def _ce_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    async def _id(self) -> int:
        """Return an id of a block that is leased as edges lease theirs."""
        if not self._ids:
            sealed = seal(IdsLeased(edge="bench"), ce_id=self._ce_id(), source=SOURCE, time=self._time)
            written = await self._producer.send_and_wait(IDS, sealed.value, partition=0, headers=sealed.headers)
            self._ids = list(range((written.offset + 1) * BLOCK_SIZE - 1, written.offset * BLOCK_SIZE - 1, -1))
        return self._ids.pop()


@asynccontextmanager
async def filling(settings: Settings) -> AsyncIterator[Filler]:
    """Offer a filler; at the end of the block all that it appended is in the log."""
    reader, producer = LogReader(settings), kafka.producer(settings)
    try:
        partitions = log_partitions(await describe_topics(settings))
        await reader.start()
        ends = await reader.ends([Partition(CONVERSATIONS, number) for number in range(partitions)])
        await producer.start()
        filler = Filler(producer, ends)
        yield filler
        await filler.finish()
    finally:
        await reader.stop()
        await producer.stop()


def acquainted(conversations: int, each: int, first_user: int) -> list[tuple[int, int]]:
    """Return that many different pairs, so that every user is in `each` conversations (an even number).

    ValueError when there are too few: an opening that vouches for a pair that has a conversation would be a lie.
    """
    users = 2 * conversations // each
    if users <= each:
        raise ValueError(f"{conversations} conversations are too few for users with {each} each")
    pairs = (
        (first_user + user, first_user + (user + apart) % users)
        for apart in range(1, each // 2 + 1)
        for user in range(users)
    )
    return list(islice(pairs, conversations))
