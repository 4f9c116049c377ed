"""The index over the tail's memory: what it lately brought for each user, and no longer than that."""

import pytest

from gateway.resuming.recent import Recent
from infra.memory import Memory
from schemas.events import AsOf, ConversationBlocked, ConversationEvent, MessageSent
from schemas.judge import COUNTED, Judgement
from tests.support.live_parts import PARTITION, TIME, Clock, Log

REMEMBERED = 3


class World:
    def __init__(self) -> None:
        self.log = Log(Clock())
        self.memory = Memory(0, REMEMBERED)
        self.recent = Recent({PARTITION: self.memory})

    def happens(self, event: ConversationEvent, judgement: Judgement = COUNTED) -> None:
        entry = self.log.entry(event, judgement)
        self.memory.add(entry)
        self.recent.fold(entry)

    def sends(self, sender: int = 1, recipient: int = 2, judgement: Judgement = COUNTED) -> None:
        message = MessageSent(
            message_id=1,
            conversation_id=5,
            sender_id=sender,
            recipient_id=recipient,
            content="x",
            content_type="text",
            client_id="c",
            sent_at=TIME,
            as_of=AsOf(0),
        )
        self.happens(message, judgement)

    def offsets(self, user: int, start: int = 0) -> list[int]:
        return [entry.offset for entry in self.recent.since(user, {0: start})]


@pytest.fixture
def world() -> World:
    return World()


def test_both_users_find_a_message(world: World) -> None:
    world.sends(1, 2)
    world.sends(3, 1)
    assert (world.offsets(1), world.offsets(2), world.offsets(3), world.offsets(4)) == ([0, 1], [0], [1], [])


def test_only_what_is_asked_for_is_found(world: World) -> None:
    for _ in range(REMEMBERED):
        world.sends()
    assert world.offsets(1, start=1) == [1, 2]


def test_a_block_is_the_blockers_own(world: World) -> None:
    world.happens(ConversationBlocked(conversation_id=5, user_id=1, other_user_id=2, blocked_at=TIME))
    assert (world.offsets(1), world.offsets(2)) == ([0], [])


def test_it_covers_what_the_memory_does(world: World) -> None:
    for _ in range(REMEMBERED + 2):
        world.sends()
    assert world.recent.covers({0: 2})
    assert not world.recent.covers({0: 1})


def test_what_the_memory_forgot_is_let_go(world: World) -> None:
    world.sends(8, 9)
    world.sends(8, 1)
    for _ in range(REMEMBERED):
        world.sends()
    assert (world.offsets(1), world.offsets(8), world.offsets(9)) == ([2, 3, 4], [], [])
    assert {user: len(entries) for user, entries in world.recent._of_user.items()} == {1: REMEMBERED, 2: REMEMBERED}
