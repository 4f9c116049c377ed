"""The tail hands each record to whom it is for: in stages, by kind, void ones only to those who asked for them."""

from dataclasses import replace
from typing import Any

import pytest

from infra.clock import BrokerClock
from infra.memory import Entry
from infra.tail import Follower, Readers, Stage, Start, Tail
from schemas import topics
from schemas.envelope import seal
from schemas.events import AnyEvent, AsOf, ConversationBlocked, MessageSent
from schemas.ids import Partition
from schemas.judge import Verdict
from tests import histories

PARTITION = Partition(topics.CONVERSATIONS, 0)
TIME = "2026-01-31T12:00:00.000Z"
BLOCK = ConversationBlocked(conversation_id=5, user_id=2, other_user_id=1, blocked_at=TIME)


class Reader:
    """Is told where to read."""

    def read_from(self, _: Any) -> None:
        pass


def record(offset: int, event: AnyEvent) -> histories.Entry:
    sealed = seal(event, ce_id=f"id-{offset}", source="/chat/edges/e", time=TIME)
    return histories.Entry(*PARTITION, offset, 0, sealed.key, sealed.value, tuple(sealed.headers))


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
def tail() -> Tail:
    reader: Any = Reader()
    tail = Tail(Readers(reader, reader, reader), BrokerClock())
    tail.begin({PARTITION: Start(0, 0)})
    return tail


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
    tail._take(PARTITION, RECORDS)
    assert [entry.offset for entry in counted] == [0, 1]
    assert [entry.offset for entry in everything] == [0, 1, 2, 3]
    assert everything[2].judgement.verdict is Verdict.BLOCKED
    assert everything[3].event is None


def test_kinds_are_for_those_who_name_them(tail: Tail) -> None:
    messages: list[Entry] = []
    blocks: list[Entry] = []
    tail.follow(Stage.FOLD, messages.append, MessageSent, void=True)
    tail.follow(Stage.FOLD, blocks.append, ConversationBlocked)
    tail._take(PARTITION, RECORDS)
    assert [entry.offset for entry in messages] == [0, 2]
    assert [entry.offset for entry in blocks] == [1]


def test_state_is_folded_then_commands_are_answered_then_all_is_pushed(tail: Tail) -> None:
    seen: list[tuple[Stage, int]] = []

    def follower(stage: Stage) -> Follower:
        return lambda entry: seen.append((stage, entry.offset))

    for stage in reversed(Stage):
        tail.follow(stage, follower(stage))
    tail._take(PARTITION, RECORDS)
    assert seen == [(stage, offset) for offset in (0, 1) for stage in Stage]


def test_what_a_record_was_appended_for_is_forgotten_once_all_have_seen_it(tail: Tail) -> None:
    socket = object()
    pushed: list[object] = []

    def answer(entry: Entry) -> None:
        entry.origin = socket

    tail.follow(Stage.ANSWER, answer, void=True)
    tail.follow(Stage.PUSH, lambda entry: pushed.append(entry.origin))
    tail._take(PARTITION, RECORDS)
    assert pushed == [socket, socket]
    assert [entry.origin for entry in tail.memories[PARTITION].since(0)] == [None] * 4, "it would keep the socket"
