"""The tail hands each record to whom it is for: in stages, by kind, void ones only to those who asked for them.

What this process has written itself is handed on when it is acknowledged, without waiting for the reader.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from infra.clock import BrokerClock
from infra.kafka import AT_ONCE, Patience
from infra.memory import Entry
from infra.tail import ALONE, Follower, Readers, Stage, Start, Tail
from schemas import topics
from schemas.envelope import Sealed, seal
from schemas.events import AnyEvent, AsOf, ConversationBlocked, MessageSent
from schemas.ids import Partition
from schemas.judge import Verdict
from tests import histories
from tests.support.live_parts import settle

PARTITION = Partition(topics.CONVERSATIONS, 0)
TIME = "2026-01-31T12:00:00.000Z"
BLOCK = ConversationBlocked(conversation_id=5, user_id=2, other_user_id=1, blocked_at=TIME)


class Reader:
    """Brings what a test puts into `brings`."""

    def __init__(self) -> None:
        self.brings: asyncio.Queue[list[histories.Entry]] = asyncio.Queue()
        self.patience: Patience | None = None

    def read_from(self, _: Any) -> None:
        pass

    def be_patient(self, patience: Patience) -> None:
        self.patience = patience

    async def records(self, **_: Any) -> dict[Partition, list[histories.Entry]]:
        return {PARTITION: await self.brings.get()}


def sealed(offset: int, event: AnyEvent) -> Sealed:
    return seal(event, ce_id=f"id-{offset}", source="/chat/edges/e", time=TIME)


def record(offset: int, event: AnyEvent) -> histories.Entry:
    key, value, headers, *_ = sealed(offset, event)
    return histories.Entry(*PARTITION, offset, 0, key, value, tuple(headers))


def message(number: int, as_of: int) -> MessageSent:
    return MessageSent(
        message_id=number,
        conversation_id=5,
        sender_id=1,
        recipient_id=2,
        content="x",
        content_type="text",
        client_id=f"c{number}",
        sent_at=TIME,
        as_of=AsOf(as_of),
    )


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def tail(reader: Any) -> Tail:
    other: Any = Reader()
    tail = Tail(Readers(reader, other, other), BrokerClock())
    tail.begin({PARTITION: Start(0, 0)})
    return tail


class Connecting:
    """A reader that takes a moment to connect, or cannot."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.connected = False

    async def start(self) -> None:
        if self.away:
            raise KafkaConnectionError
        for _ in range(5):
            await asyncio.sleep(0)
        self.connected = True

    async def stop(self) -> None:
        self.connected = False


async def test_readers_of_which_one_cannot_connect_are_all_disconnected() -> None:
    readers: Any = [Connecting(), Connecting(away=True), Connecting()]
    with pytest.raises(KafkaConnectionError):
        await Readers(*readers).start()
    await settle()
    assert not any(reader.connected for reader in readers)


RECORDS = [
    record(0, message(1, as_of=0)),
    record(1, BLOCK),
    record(2, message(2, as_of=1)),  # void: its writer had not seen the block
    replace(record(3, message(3, as_of=2)), value=b"{"),
]


def test_void_records_are_for_those_who_ask_for_them(tail: Tail) -> None:
    counted: list[Entry] = []
    everything: list[Entry] = []
    tail.follow(Stage.FOLD, counted.append)
    tail.follow(Stage.FOLD, everything.append, void=True)
    tail._take_read(PARTITION, RECORDS)
    assert [entry.offset for entry in counted] == [0, 1]
    assert [entry.offset for entry in everything] == [0, 1, 2, 3]
    assert everything[2].judgement.verdict is Verdict.BLOCKED
    assert everything[3].event is None


def test_kinds_are_for_those_who_name_them(tail: Tail) -> None:
    messages: list[Entry] = []
    blocks: list[Entry] = []
    tail.follow(Stage.FOLD, messages.append, MessageSent, void=True)
    tail.follow(Stage.FOLD, blocks.append, ConversationBlocked)
    tail._take_read(PARTITION, RECORDS)
    assert [entry.offset for entry in messages] == [0, 2]
    assert [entry.offset for entry in blocks] == [1]


def test_a_record_is_applied_and_folded_then_commands_are_answered_then_it_is_pushed(tail: Tail) -> None:
    seen: list[tuple[Stage, int]] = []

    def follower(stage: Stage) -> Follower:
        return lambda entry: seen.append((stage, entry.offset))

    for stage in reversed(Stage):
        tail.follow(stage, follower(stage))
    tail._take_read(PARTITION, RECORDS)
    assert seen == [(stage, offset) for offset in (0, 1) for stage in Stage]


def test_what_is_found_inapplicable_counts_no_longer(tail: Tail) -> None:
    applied: list[int] = []
    counted: list[int] = []
    everything: list[int] = []

    def apply(entry: Entry) -> None:
        applied.append(entry.offset)
        entry.inapplicable = entry.offset == 0

    tail.follow(Stage.APPLY, apply)
    tail.follow(Stage.FOLD, lambda entry: counted.append(entry.offset))
    tail.follow(Stage.ANSWER, lambda entry: everything.append(entry.offset), void=True)
    tail._take_read(PARTITION, RECORDS)
    assert (applied, counted, everything) == ([0, 1], [1], [0, 1, 2, 3])
    memory = tail.memories[PARTITION]
    assert [entry.offset for entry in memory.since(0)] == [0, 1, 2, 3]
    assert [entry.offset for entry in memory.of_user(2, 0)] == [1], "nobody who comes back is told of the other"


def test_what_a_record_was_appended_for_is_forgotten_once_all_have_seen_it(tail: Tail) -> None:
    socket = object()
    pushed: list[object] = []

    def answer(entry: Entry) -> None:
        entry.origin = socket

    tail.follow(Stage.ANSWER, answer, void=True)
    tail.follow(Stage.PUSH, lambda entry: pushed.append(entry.origin))
    tail._take_read(PARTITION, RECORDS)
    assert pushed == [socket, socket]
    assert [entry.origin for entry in tail.memories[PARTITION].since(0)] == [None] * 4, "it would keep the socket"


@asynccontextmanager
async def running(tail: Tail) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(tail.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, ExceptionGroup):
            await task


EVENTS = [message(number, as_of=0) for number in range(1, 5)]


async def test_what_was_acknowledged_is_handed_on_once_and_before_the_reader_brings_it(
    tail: Tail, reader: Reader
) -> None:
    seen: list[Entry] = []
    tail.follow(Stage.FOLD, seen.append)
    async with running(tail):
        tail.written(PARTITION, 0, 7, [sealed(0, EVENTS[0]), sealed(1, EVENTS[1])])
        passed = asyncio.create_task(tail.passed({PARTITION: 2}, within=5))
        await settle()
        assert [(entry.offset, entry.timestamp, entry.ce_id, entry.event) for entry in seen] == [
            (0, 7, "id-0", EVENTS[0]),
            (1, 7, "id-1", EVENTS[1]),
        ]
        assert passed.done()
        assert await passed
        reader.brings.put_nowait([replace(record(offset, EVENTS[offset]), timestamp=7) for offset in range(3)])
        await settle()
    assert [entry.offset for entry in seen] == [0, 1, 2]


async def test_what_was_acknowledged_behind_others_waits_for_them(tail: Tail, reader: Reader) -> None:
    seen: list[Entry] = []
    tail.follow(Stage.FOLD, seen.append)
    async with running(tail):
        tail.written(PARTITION, 1, 0, [sealed(1, EVENTS[1])])
        await settle()
        assert seen == []
        reader.brings.put_nowait([record(0, EVENTS[0])])
        await settle()
    assert [entry.offset for entry in seen] == [0, 1]


async def test_other_topics_are_only_read(tail: Tail) -> None:
    """Their records may be deleted before they are read, and none of them is in a hurry."""
    partition = Partition(topics.PRESENCE, 0)
    tail.begin({partition: Start(0, 0)})
    async with running(tail):
        tail.written(partition, 0, 0, [sealed(0, EVENTS[0])])
        await settle()
    assert tail.positions[partition] == 0


async def test_another_record_than_was_acknowledged_ends_the_tail(tail: Tail, reader: Reader) -> None:
    async with running(tail) as task:
        tail.written(PARTITION, 0, 0, [sealed(0, EVENTS[0])])
        await settle()
        reader.brings.put_nowait([record(0, EVENTS[1])])
        await asyncio.wait([task], timeout=5)
    assert isinstance(task.exception(), ExceptionGroup)


async def test_a_follower_that_raises_on_what_was_acknowledged_ends_the_tail(tail: Tail) -> None:
    def follower(_: Entry) -> None:
        raise ValueError

    tail.follow(Stage.FOLD, follower)
    async with running(tail) as task:
        tail.written(PARTITION, 0, 0, [sealed(0, EVENTS[0])])
        await asyncio.wait([task], timeout=5)
    assert isinstance(task.exception(), ExceptionGroup)


async def test_what_lies_before_the_start_only_warms_the_judge(tail: Tail, reader: Reader) -> None:
    tail.begin({PARTITION: Start(0, 2)})
    seen: list[Entry] = []
    tail.follow(Stage.FOLD, seen.append)
    async with running(tail):
        tail.written(PARTITION, 2, 0, [sealed(2, EVENTS[2])])
        reader.brings.put_nowait([record(offset, EVENTS[offset]) for offset in range(2)])
        await settle()
    assert [(entry.offset, entry.judgement.seq) for entry in seen] == [(2, 3)]


def test_only_an_edge_that_is_alone_lets_the_broker_keep_its_fetches(tail: Tail, reader: Reader) -> None:
    tail.be_alone(alone=True)
    assert reader.patience == ALONE
    tail.be_alone(alone=False)
    assert reader.patience == AT_ONCE
