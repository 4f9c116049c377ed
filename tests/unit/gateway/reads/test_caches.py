"""A cached answer is given again until something in the log concerns it."""

from contextlib import suppress

import pytest

from gateway.reads.caches import Caches, Key, Kind
from infra.memory import Entry
from schemas.events import (
    AsOf,
    ConversationBlocked,
    ConversationOpened,
    Fact,
    LastSeen,
    MessageRead,
    MessageSent,
    UserUpdated,
)
from schemas.ids import Partition
from schemas.judge import COUNTED, Judgement

TIME = "2026-01-01T00:00:00.000Z"
PARTITION = Partition("chat.conversations", 0)

LIST = Key(Kind.CONVERSATIONS, 1, 1, (20, 0))
OTHERS_LIST = Key(Kind.CONVERSATIONS, 2, 2, (20, 0))
STRANGERS_LIST = Key(Kind.CONVERSATIONS, 9, 9, (20, 0))
HISTORY = Key(Kind.HISTORY, 10, 1)
OTHER_HISTORY = Key(Kind.HISTORY, 11, 1)
BLOCKS = Key(Kind.BLOCKED, 1, 1)
STATUS = Key(Kind.USER, 2, 2)
ALL = (LIST, OTHERS_LIST, STRANGERS_LIST, HISTORY, OTHER_HISTORY, BLOCKS, STATUS)

SENT = MessageSent(
    message_id=5,
    conversation_id=10,
    sender_id=1,
    recipient_id=2,
    content="x",
    content_type="text",
    client_id="c",
    sent_at=TIME,
    as_of=AsOf(0),
)
READ = MessageRead(message_id=5, conversation_id=10, reader_id=2, sender_id=1, up_to_seq=1, read_at=TIME)
OPENED = ConversationOpened(conversation_id=12, user_id=2, other_user_id=1, opened_at=TIME, as_of=AsOf(0))
BLOCKED = ConversationBlocked(conversation_id=10, user_id=1, other_user_id=2, blocked_at=TIME)
RENAMED = UserUpdated(user_id=2, name="Ben")
SEEN = LastSeen(user_id=2, last_seen=TIME)


def entry(event: Fact, judgement: Judgement = COUNTED) -> Entry:
    return Entry(PARTITION, 0, 0, "id", event, judgement)


def keep(caches: Caches, key: Key, content: bytes, users: tuple[int, ...] = ()) -> None:
    with caches.filling(key) as filling:
        caches.keep(filling, content, users)


@pytest.fixture
def caches() -> Caches:
    """Everything in `ALL` is cached; the first user's list shows the second user."""
    caches = Caches(on=True)
    for key in ALL:
        keep(caches, key, b"answer", users=(2,) if key == LIST else ())
    return caches


@pytest.mark.parametrize(
    ("event", "outdated"),
    [
        (SENT, {LIST, OTHERS_LIST, HISTORY}),
        (READ, {OTHERS_LIST, HISTORY}),
        (OPENED, {LIST, OTHERS_LIST}),
        (BLOCKED, {BLOCKS}),
        (RENAMED, {LIST, STATUS}),
        (SEEN, {LIST, STATUS}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_event_takes_with_it_what_it_concerns_and_nothing_else(
    caches: Caches, event: Fact, outdated: set[Key]
) -> None:
    caches.fold(entry(event))
    assert {key for key in ALL if caches.get(key) is None} == outdated


@pytest.mark.parametrize("event", [SENT, RENAMED])
def test_an_answer_that_was_being_made_when_something_came_is_not_kept(event: Fact) -> None:
    caches = Caches(on=True)
    with caches.filling(LIST) as filling:
        caches.fold(entry(event))
        caches.keep(filling, b"too old")
    assert caches.get(LIST) is None


def test_what_could_not_be_made_leaves_no_trace() -> None:
    caches = Caches(on=True)
    with suppress(ZeroDivisionError), caches.filling(LIST):
        raise ZeroDivisionError
    assert not caches._filling
    keep(caches, LIST, b"answer")
    assert caches.get(LIST) == b"answer"
    assert not caches._filling


def test_its_time_is_an_upper_bound(caches: Caches, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("gateway.reads.caches.time.monotonic", lambda: clock[0])
    caches.clear()
    keep(caches, STATUS, b"answer")
    clock[0] = 299
    assert caches.get(STATUS) == b"answer"
    clock[0] = 301
    assert caches.get(STATUS) is None


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    caches = Caches(on=True, most_bytes=3_000)
    for number in range(10):
        keep(caches, Key(Kind.HISTORY, number, 1), b"x" * 1_000)
    assert [number for number in range(10) if caches.get(Key(Kind.HISTORY, number, 1))] == [8, 9]


def test_switched_off_nothing_is_kept() -> None:
    caches = Caches(on=False)
    keep(caches, LIST, b"answer")
    assert caches.get(LIST) is None


def test_another_generation_starts_with_nothing(caches: Caches) -> None:
    with caches.filling(LIST) as filling:
        caches.clear()
        caches.keep(filling, b"of the old one")
    assert not any(caches.get(key) for key in ALL)
