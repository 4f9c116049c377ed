"""Two edges with the real hub and the real resume on the log of user_log.py, and a client that follows the contract.

tests/unit/gateway/resuming/test_resume.py drives them.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

from gateway.resuming.cursor import BadCursor, Cursor
from gateway.resuming.remembered import Remembered
from gateway.resuming.resume import Resume
from gateway.sockets.hub import Hub
from gateway.sockets.session import Session
from infra.background import Background
from infra.memory import Entry, Memory
from schemas import frames
from schemas.conversation import Conversation, apply
from schemas.events import ConversationBlocked, MessageRead, MessageSent
from schemas.ids import Partition
from tests.support.user_log import TIME, USER, Place, World, own_blocks, partition, visible_reads

REMEMBERED = 5


class Edge:
    """One edge: its tail at its own pace, the real hub and resume, and at most one session of the user's."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.partitions = world.partitions
        self.epoch = "the log"
        self.clock = SimpleNamespace(now_text=lambda: TIME)
        self.tables = world
        self.tail = self
        self.positions = {partition(n): offset for n, offset in world.projected.items()}
        self.memories = {p: Memory(offset, REMEMBERED) for p, offset in self.positions.items()}
        self.known: dict[int, Conversation] = {}
        for entry in world.facts({p.partition: offset for p, offset in self.positions.items()}):
            self.fold(entry)
        self.unloaded = set(self.known)
        self.background = Background()
        self.tell_loaded: Callable[[Collection[int]], None]
        self.hub = Hub(self, self, world, self.background)  # type: ignore[arg-type]
        remembered = Remembered(self, self.hub)  # type: ignore[arg-type]
        self.resume = Resume(self, remembered, self.background, heartbeat_seconds=20)  # type: ignore[arg-type]
        self.session: Session | None = None
        self.waiting: dict[Place, Session] = {}
        self.late: dict[Place, int] = {}

    def kept(self, conversation_id: int) -> Conversation | None:
        """Return what the write side would have in memory, in its shape."""
        conversation = None if conversation_id in self.unloaded else self.known.get(conversation_id)
        return SimpleNamespace(conversation=conversation) if conversation else None  # type: ignore[return-value]

    def blockers(self, *_: int) -> None:
        """Return what the partners would know of blocks: less than the write side, here."""

    def on_load(self, loaded: Callable[[Collection[int]], None]) -> None:
        self.tell_loaded = loaded

    def load(self) -> None:
        """Know everything that the read tables tell, if Postgres answers; what a block hides by then stays hidden."""
        if not self.world.postgres_away:
            self.world.hidden |= {place for place, number in self.late.items() if self.known[number].blocked}
            self.unloaded.clear()
            self.tell_loaded({USER})

    async def ends(self, partitions: list[Partition]) -> dict[Partition, int]:
        await asyncio.sleep(0)
        return {p: self.world.end()[p.partition] for p in partitions}

    def fold(self, entry: Entry) -> None:
        event: Any = entry.event
        before = self.known.get(event.conversation_id)
        self.known[event.conversation_id] = apply(before, event)

    def step(self, number: int, most: int = 1) -> None:
        """Read the next records of a partition."""
        for _ in range(most):
            self.read(number)

    def read(self, number: int) -> None:
        """Read one record, as a tail does: remember, fold, answer, push."""
        at = self.positions[partition(number)]
        if at >= len(self.world.log[number]):
            return
        seen = self.world.log[number][at]
        entry = Entry(seen.partition, seen.offset, 0, None, seen.event, seen.judgement)
        self.positions[entry.partition] = at + 1
        self.memories[entry.partition].add(entry)
        if entry.counted:
            self.fold(entry)
        origin = self.waiting.pop((number, at), None)
        if origin is not None:
            entry.origin = origin
            origin.ack(number, at, ack(entry))
        if entry.counted:
            self.push(entry)

    def push(self, entry: Entry) -> None:
        """Note which reads come late: those of conversations that have to be loaded first."""
        event = entry.event
        if self.session is not None and isinstance(event, MessageRead) and event.conversation_id in self.unloaded:
            self.late[entry.partition.partition, entry.offset] = event.conversation_id
        self.hub.push(entry)

    async def connect(self, cursor: str | None, positions: str) -> Session:
        """Begin a session as the door does (gateway/sockets/live.py)."""
        session = Session(USER, 7, lambda: None)
        given: Cursor | None = None
        reason = None
        if cursor is not None:
            try:
                given = self.resume.parse(cursor, positions)
            except BadCursor as bad:
                reason = str(bad)
        reason = reason or await self.resume.prepare(given)
        self.resume.begin(session, given, reason)
        self.hub.add(session)
        self.session = session
        return session

    def cut(self) -> None:
        """Lose the connection, with everything that was not taken; reads that come late may be lost for good."""
        self.world.hidden |= self.late.keys()
        self.late.clear()
        if self.session is not None:
            self.resume.abandon(self.session)
            self.hub.remove(self.session)
            self.session = None


def ack(entry: Entry) -> bytes:
    event: Any = entry.event
    return frames.encode(
        frames.Ack(
            client_id=event.client_id,
            message_id=event.message_id,
            conversation_id=event.conversation_id,
            sent_at=TIME,
            seq=entry.judgement.seq,
            position=str(entry.position),
        )
    )


class Client:
    """Somebody who follows the contract; `messages` counts what came, in order, since the first cursor."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.positions: dict[int, int] = {}
        self.messages: list[Place] = []
        self.acked: set[Place] = set()
        self.reads: Counter[Place] = Counter()
        self.others_reads: set[Place] = set()
        self.blocks: dict[int, bool] = {}
        self.conversations: set[int] = set()
        self.known: dict[int, int] = {}
        self.resyncs: list[str] = []

    def given_back(self) -> tuple[str | None, str]:
        return self.cursor, ",".join(f"{number}:{offset}" for number, offset in self.positions.items())

    def take(self, raw: bytes) -> None:
        frame: dict[str, Any] = json.loads(raw)
        if "cursor" in frame:
            self.cursor, self.positions = frame["cursor"], {}
        place = number, offset = place_of(frame)
        if "position" in frame:
            self.positions[number] = max(offset, self.positions.get(number, -1))
        if frame["type"] == "message" and offset < self.known.get(number, 0):
            return  # what a fresh read has told may come again
        self.note(frame, place)

    def note(self, frame: dict[str, Any], place: Place) -> None:
        match frame["type"]:
            case "message":
                self.messages.append(place)
            case "ack":
                self.acked.add(place)
            case "read":
                key = (frame["conversation_id"], frame["reader_id"])
                self.reads[key] = max(self.reads[key], frame["seq"])
                if frame["reader_id"] != USER:
                    self.others_reads.add(place)
            case "conversation":
                self.conversations.add(frame["id"])
            case "blocked" | "unblocked":
                self.blocks[frame["conversation_id"]] = frame["type"] == "blocked"
            case "resync":
                self.resyncs.append(frame["reason"])
            case kind:
                assert kind in ("connected", "heartbeat")

    def read_again(self, world: World) -> None:
        """Read the lists and histories, as of the end of the log."""
        self.known = world.end()
        facts = world.facts(self.known)
        messages = [entry for entry in facts if isinstance(entry.event, MessageSent)]
        self.messages = [(entry.partition.partition, entry.offset) for entry in messages]
        self.acked, self.others_reads = set(), set()
        self.conversations = set(world.conversations)
        self.reads = Counter()
        for entry in visible_reads(facts, USER):
            event: Any = entry.event
            key = (event.conversation_id, event.reader_id)
            self.reads[key] = max(self.reads[key], event.up_to_seq)
        self.blocks = {
            conversation_id: isinstance(entry.event, ConversationBlocked)
            for conversation_id, entry in own_blocks(facts, USER).items()
        }


def place_of(frame: dict[str, Any]) -> Place:
    """Return where a frame's record lies; nowhere in particular for those that have none."""
    number, _, offset = frame.get("position", "0:0").partition(":")
    return int(number), int(offset)
