"""What a client had, plus what a resume gives, plus what is live, is what the log says, wherever it was cut."""

import asyncio
import inspect
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.resuming.remembered import blocked_before
from infra.memory import Entry
from schemas.events import (
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
)
from schemas.ids import Partition
from schemas.judge import COUNTED
from schemas.topics import CONVERSATIONS
from tests.support.resuming import Client, Edge, ack
from tests.support.user_log import OTHERS, USER, World, in_force

WEIGHTS = {
    "open": 2, "send": 25, "void": 2, "read": 4, "my read": 2, "block": 1, "unblock": 2, "my block": 1,
    "my unblock": 2, "my send": 8, "retry": 3, "step": 30, "steps": 8, "project": 15, "connect": 10, "take": 25,
    "take all": 3, "cut": 4, "heartbeat": 2, "names known": 2, "names unknown": 1,
    "postgres away": 1, "postgres back": 3, "generation": 3, "edge dies": 1, "answer": 5, "wait": 5,
    "unload": 4, "load": 3,
}  # fmt: skip
STEPS = 400
Step = tuple[str, int, int]


def history(seed: int) -> list[Step]:
    """Return random steps; a step that cannot be taken when its turn comes does nothing."""
    pick = random.Random(seed)
    kinds = pick.choices(list(WEIGHTS), list(WEIGHTS.values()), k=STEPS)
    return [("open", which, 1) for which in range(3)] + [
        (kind, pick.randrange(6), pick.randint(1, 6)) for kind in kinds
    ]


class History:
    """One run: the steps, then everything settles, then the client's view is held against the log."""

    def __init__(self, partitions: int) -> None:
        self.world = World(partitions)
        self.world.names_known.set()
        self.world.answering.set()
        self.edges = [Edge(self.world), Edge(self.world)]
        self.at: Edge | None = None
        self.client = Client()
        self.since: dict[int, int] | None = None

    async def act(self, step: Step) -> None:
        what, which, count = step
        done = self.steps(which, count)[what]()
        if inspect.isawaitable(done):
            await done
        for _ in range(4):
            await asyncio.sleep(0)

    def steps(self, which: int, count: int) -> dict[str, Callable[[], object]]:
        """Return what can be done next; a step that makes no sense now does nothing."""
        world = self.world
        other, edge, number = OTHERS[which % 3], self.edges[which % 2], which % world.partitions
        return {
            "open": lambda: world.open(other),
            "send": lambda: world.send(other, by_user=False),
            "void": lambda: world.send(other, by_user=False, void=True),
            "my send": lambda: self.send(other),
            "retry": lambda: self.retry(count),
            "read": lambda: world.read(other, by_user=False),
            "my read": lambda: world.read(other, by_user=True),
            "block": lambda: world.block(other, by_user=False, blocks=True),
            "unblock": lambda: world.block(other, by_user=False, blocks=False),
            "my block": lambda: world.block(other, by_user=True, blocks=True),
            "my unblock": lambda: world.block(other, by_user=True, blocks=False),
            "step": lambda: edge.step(number),
            "steps": lambda: edge.step(number, count),
            "project": lambda: world.project(number, count),
            "connect": lambda: self.connect(edge),
            "take": lambda: self.take(count * 100),
            "take all": lambda: self.take(1_000_000),
            "cut": self.cut,
            "heartbeat": self.heartbeat,
            "names known": world.names_known.set,
            "names unknown": world.names_known.clear,
            "answer": world.answering.set,
            "wait": world.answering.clear,
            "postgres away": lambda: setattr(world, "postgres_away", True),
            "postgres back": lambda: setattr(world, "postgres_away", False),
            "generation": lambda: world.projected.update({number: max(0, world.projected[number] - count)}),
            "unload": lambda: edge.unloaded.add(other),
            "load": edge.load,
            "edge dies": lambda: self.die(which % 2),
        }

    async def connect(self, edge: Edge) -> None:
        if self.at is None:
            await edge.connect(*self.client.given_back())
            self.at = edge

    def cut(self) -> None:
        if self.at is not None:
            self.at.cut()
            self.at = None

    def die(self, which: int) -> None:
        if self.at is not self.edges[which]:
            self.edges[which] = Edge(self.world)

    def heartbeat(self) -> None:
        if self.at is not None and self.at.session is not None:
            self.at.session.tell(self.at.resume.heartbeat(self.at.session))

    def send(self, other: int) -> None:
        """Send over the socket: the ack comes when this edge's tail brings the message."""
        place = self.world.send(other, by_user=True)
        if place and self.at is not None and self.at.session is not None:
            self.at.waiting[place] = self.at.session

    def retry(self, back: int) -> None:
        """Send a message again that this edge has seen: the answer repeats the first record's place."""
        edge = self.at
        if edge is None or edge.session is None:
            return
        mine = [
            (number, entry)
            for number, entries in enumerate(self.world.log)
            for entry in entries[: edge.positions[entries[0].partition] if entries else 0]
            if entry.counted and isinstance(entry.event, MessageSent) and entry.event.sender_id == USER
        ]
        if mine:
            number, entry = mine[-min(back, len(mine))]
            edge.session.ack(number, entry.offset, ack(entry))

    def take(self, most: int) -> None:
        if self.at and self.at.session:
            resyncs = len(self.client.resyncs)
            for frame in self.at.session.take(most):
                self.client.take(frame)
                if self.since is None:
                    self.since = self.at.resume.parse(self.client.cursor or "", "").positions
            if len(self.client.resyncs) > resyncs:
                self.client.read_again(self.world)
                self.since = dict.fromkeys(range(self.world.partitions), 0)

    async def settle(self) -> None:
        """Let everything arrive at an edge that lives on."""
        world = self.world
        world.postgres_away = False
        world.names_known.set()
        world.answering.set()
        for number, entries in enumerate(world.log):
            world.project(number, len(entries))
            for edge in self.edges:
                for _ in entries:
                    edge.step(number)
        await self.connect(self.edges[0])
        for edge in self.edges:
            edge.load()
        for _ in range(50):
            await asyncio.sleep(0)
        self.take(1_000_000)

    def check(self) -> None:
        """Hold the client's view against a plain reading of the log since its first cursor."""
        client, since = self.client, self.since or {}
        facts = [
            entry for entry in self.world.facts(self.world.end()) if entry.offset >= since[entry.partition.partition]
        ]
        sent = [entry for entry in facts if isinstance(entry.event, MessageSent)]
        places = [(entry.partition.partition, entry.offset) for entry in sent]
        by_others = {
            place
            for place, entry in zip(places, sent, strict=True)
            if entry.event.sender_id != USER  # type: ignore[union-attr]
        }
        assert len(set(client.messages)) == len(client.messages), "a message came twice"
        for number in range(self.world.partitions):
            offsets = [offset for n, offset in client.messages if n == number]
            assert offsets == sorted(offsets), "messages came out of order"
        assert set(client.messages) <= set(places)
        assert by_others <= set(client.messages), "a message was missed"
        assert set(places) <= set(client.messages) | client.acked, "an own message was missed"
        self.check_states(facts)

    def check_states(self, facts: list[Entry]) -> None:
        """Reads and blocks: the latest state; a read under a block is nobody else's business."""
        client = self.client
        blocked: dict[int, set[int]] = defaultdict(set)
        own_blocks: dict[int, bool] = {}
        must, may = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
        for entry in self.world.facts(self.world.end()):
            event = entry.event
            match event:
                case ConversationBlocked() | ConversationUnblocked():
                    change = blocked[event.conversation_id]
                    (change.add if isinstance(event, ConversationBlocked) else change.discard)(event.user_id)
                    if event.user_id == USER and entry in facts:
                        own_blocks[event.conversation_id] = isinstance(event, ConversationBlocked)
                case MessageRead():
                    key = (event.conversation_id, event.reader_id)
                    may[key] = max(may[key], event.up_to_seq)
                    hidden = (entry.partition.partition, entry.offset) in self.world.hidden
                    open_to_all = not hidden and not blocked[event.conversation_id]
                    if entry in facts and (event.reader_id == USER or open_to_all):
                        must[key] = max(must[key], event.up_to_seq)
                case ConversationOpened() if entry in facts:
                    assert event.conversation_id in client.conversations
                case _:
                    pass
        assert client.blocks == own_blocks
        for key, seq in may.items():
            assert must[key] <= client.reads[key] <= seq
        self.check_privacy()

    def check_privacy(self) -> None:
        """No read was told that was made under a block which is in force to this day."""
        blocked = in_force(self.world.facts(self.world.end()))
        for number, offset in self.client.others_reads:
            event = self.world.log[number][offset].event
            assert isinstance(event, MessageRead)
            assert offset < blocked[event.conversation_id]


async def run(partitions: int, steps: list[Step]) -> History:
    run = History(partitions)
    with patch("gateway.resuming.resume.missed", run.world.missed):
        try:
            for step in steps:
                await run.act(step)
            await run.settle()
        finally:
            for edge in run.edges:
                await edge.background.stop()
    run.check()
    return run


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2**32))
def test_whatever_is_cut_the_view_in_the_end_is_the_log(partitions: int, seed: int) -> None:
    asyncio.run(run(partitions, history(seed)))


@pytest.mark.parametrize("bound", ["MOST_MESSAGES", "MOST_CHARACTERS"])
@pytest.mark.parametrize(("most", "reasons"), [(3, []), (2, ["too_much"])])
async def test_out_of_memory_no_more_is_told_again_than_there_may_be(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: int, reasons: list[str]
) -> None:
    monkeypatch.setattr(f"gateway.resuming.remembered.{bound}", most)
    run = History(partitions=1)
    for step in (("open", 0, 1), ("steps", 0, 1), ("connect", 0, 1), ("take all", 0, 1), ("cut", 0, 1)):
        await run.act(step)
    for _ in range(3):
        await run.act(("send", 0, 1))
    for step in (("steps", 0, 3), ("connect", 0, 1), ("take all", 0, 1)):
        await run.act(step)
    assert run.client.resyncs == reasons
    await run.act(("send", 0, 1))
    await run.settle()
    run.check()
    for edge in run.edges:
        await edge.background.stop()


async def test_while_slow_readers_are_owed_too_much_nobody_is_given_more_out_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.resuming.resume.MOST_OWED", 0)
    run = History(partitions=1)
    monkeypatch.setattr("gateway.resuming.resume.missed", run.world.missed)
    for what in ("open", "steps", "connect", "take all", "cut", "send", "steps", "project"):
        await run.act((what, 0, 6))
    edge = run.edges[0]
    slow, waiting = [await edge.connect(*run.client.given_back()) for _ in range(2)]
    await asyncio.sleep(0.1)
    assert (slow.catching_up, waiting.catching_up) == (False, True)
    slow.take(1_000_000)
    await asyncio.sleep(0.1)
    assert not waiting.catching_up
    for edge in run.edges:
        await edge.background.stop()


@pytest.mark.parametrize(("postgres", "told", "reasons"), [("back", 1, []), ("away", 0, ["unavailable"])])
async def test_a_cursor_passes_no_missed_read_before_it_is_known_whether_it_may_be_told(
    monkeypatch: pytest.MonkeyPatch, postgres: str, told: int, reasons: list[str]
) -> None:
    run = History(partitions=1)
    monkeypatch.setattr("gateway.resuming.resume.missed", run.world.missed)
    for what in ("open", "my send", "steps", "connect", "take all", "cut", "read", "steps", "project", "unload"):
        await run.act((what, 0, 6))
    for what in (f"postgres {postgres}", "connect", "take all"):
        await run.act((what, 0, 6))
    assert (len(run.client.others_reads), run.client.resyncs) == (told, reasons)
    await run.settle()
    run.check()
    for edge in run.edges:
        await edge.background.stop()


@pytest.mark.parametrize("blocker", ["my block", "block"])
async def test_out_of_memory_no_read_is_told_that_a_block_preceded(blocker: str) -> None:
    run = History(partitions=1)
    for what in ("open", "my send", "steps", "connect", "take all", "cut", "read", "my send", blocker, "read", "steps"):
        await run.act((what, 0, 6))
    for what in ("connect", "take all"):
        await run.act((what, 0, 6))
    assert [run.world.log[0][offset].event.up_to_seq for _, offset in run.client.others_reads] == [1]  # type: ignore[union-attr]
    await run.settle()
    run.check()
    for edge in run.edges:
        await edge.background.stop()


@pytest.mark.parametrize(
    ("blocks", "hidden"),
    [
        ([], True),
        ([("12:00:03", 2)], False),
        ([("12:00:01", 2)], True),
        ([("12:00:01", 2), ("12:00:03", 2)], False),
        ([("12:00:03", 1)], True),
    ],
    ids=["none", "later", "written again", "taken back and later", "the other's"],
)
def test_a_block_that_was_in_force_before_a_read_hides_it_however_often_it_is_written(
    blocks: list[tuple[str, int]], hidden: bool
) -> None:
    def time(text: str) -> str:
        return f"2026-01-31T{text}.000Z"

    read = MessageRead(message_id=1, conversation_id=5, reader_id=2, sender_id=1, up_to_seq=1, read_at=time("12:00:02"))
    since = [
        Entry(
            Partition(CONVERSATIONS, 0), offset, 0, None,
            ConversationBlocked(conversation_id=5, user_id=user, other_user_id=3 - user, blocked_at=time(at)), COUNTED,
        )
        for offset, (at, user) in enumerate(blocks)
    ]  # fmt: skip
    assert blocked_before(read, since, {2}) is hidden
