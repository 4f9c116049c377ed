"""Which tables a conversation in memory comes from, and what cannot be its own.

How it is kept up to date is held where real servers run.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from command_api.conversations import Conversations
from command_api.loads import Loaded
from infra.background import Background
from infra.memory import Entry, Memory
from schemas.conversation import Conversation, Member
from schemas.errors import ChatError, Code
from schemas.events import AnyEvent, AsOf, ConversationBlocked, ConversationOpened
from schemas.ids import Partition
from schemas.judge import COUNTED
from tests.support.live_parts import PARTITION, TIME, settle


class World:
    """Two generations of the tables, a conversation that has another last_seq in each, and the tail."""

    def __init__(self) -> None:
        self.live = self.tables = self.tail = self
        self.schema = "first"
        self.appender = None
        self.background = Background()
        self.memories = {PARTITION: Memory(0, 10)}
        self.reached = asyncio.Event()
        self.read: Callable[[], object] = lambda: None
        self.changed: list[Callable[[], None]] = []

    def on_change(self, changed: Callable[[], None]) -> None:
        self.changed.append(changed)

    def promote(self) -> None:
        """Make the second generation live."""
        if self.schema == "first":
            self.schema = "second"
            for changed in self.changed:
                changed()

    async def reach(self, _: object) -> None:
        await self.reached.wait()

    async def conversation(self, conversation_id: int) -> Loaded:
        """Return the row that the live generation has."""
        members = (Member(user_id=1), Member(user_id=2))
        row = Conversation(
            id=conversation_id, members=members, opened_at=TIME, last_seq={"first": 1, "second": 2}[self.schema]
        )
        self.read()
        return Loaded(row, PARTITION, 0, [])


async def test_a_row_that_waited_for_the_tail_while_its_tables_were_replaced_is_loaded_again() -> None:
    world: Any = World()
    conversations = Conversations(world, world)
    getting = asyncio.ensure_future(conversations.get(5))
    await settle()
    world.promote()
    world.reached.set()
    known = await getting
    assert known.conversation.last_seq == 2
    assert conversations.kept(5) is known


async def test_one_that_is_forgotten_before_its_command_gets_it_is_loaded_again() -> None:
    """The tail would add nothing more to it."""
    world: Any = World()
    conversations = Conversations(world, world)
    world.reached.set()
    world.read = lambda: asyncio.get_running_loop().call_soon(world.promote)
    known = await conversations.get(5)
    assert known.conversation.last_seq == 2
    assert conversations.kept(5) is known


def entries(*events: AnyEvent) -> list[Entry]:
    """Return a partition's first records."""
    return [Entry(PARTITION, offset, 0, None, event, COUNTED) for offset, event in enumerate(events)]


def opening(number: int) -> ConversationOpened:
    return ConversationOpened(conversation_id=number, user_id=1, other_user_id=2, opened_at=TIME, as_of=AsOf(0))


def block(number: int) -> ConversationBlocked:
    return ConversationBlocked(conversation_id=number, user_id=1, other_user_id=2, blocked_at=TIME)


def test_an_event_that_a_conversation_in_memory_cannot_have_is_inapplicable() -> None:
    world: Any = World()
    conversations = Conversations(world, world)
    seen = entries(opening(5), opening(6), block(5))
    for entry in seen:
        conversations.fold(entry)
    assert [entry.inapplicable for entry in seen] == [False, True, False]
    known = conversations.kept(5)
    assert known is not None
    assert known.conversation.blocked


class Remembering(World):
    """Tables that have nothing yet, and a tail that has read three records of a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.positions: dict[Partition, int] = {}
        for entry in entries(block(5), opening(5), opening(6)):
            self.memories[PARTITION].add(entry)

    async def conversation(self, _: int) -> Any:
        return None

    async def ends(self, _: object) -> dict[Partition, int]:
        return {}

    async def passed(self, *_: object) -> bool:
        return True


async def test_of_what_is_remembered_of_a_pair_the_first_opening_counts() -> None:
    world: Any = Remembering()
    known = await Conversations(world, world).get(5)
    assert (known.conversation.id, known.conversation.blocked) == (5, False)
    with pytest.raises(ChatError) as refused:
        await asyncio.wait_for(Conversations(world, world).get(6), 1)
    assert refused.value.code is Code.CONVERSATION_NOT_FOUND
