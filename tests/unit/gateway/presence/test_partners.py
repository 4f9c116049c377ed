"""Who is in conversation with whom: rows, plus what the tail has seen since, however far the tables lag."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.presence import partners as module
from gateway.presence.partners import Change, Partners
from infra.background import Background
from infra.memory import Entry, Memory
from schemas.errors import Unavailable
from schemas.events import (
    AnyEvent,
    AsOf,
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
)
from schemas.ids import Partition
from tests.support.live_parts import PARTITION, TIME, Clock, Log, settle


class World:
    """A tail with its memory, and tables that are as far as a test says."""

    def __init__(self) -> None:
        self.log = Log(Clock())
        self.memories = {PARTITION: Memory(0, 1_000)}
        self.rows: list[dict[str, Any]] = []
        self.stored = 0
        self.away = False
        self.asked: list[list[int]] = []
        self.background = Background()
        self.partners = Partners(self, self, self.background)  # type: ignore[arg-type]
        self.changes: list[Change] = []
        self.loaded: list[set[int]] = []
        self.partners.on_change(self.changes.append)
        self.partners.on_load(lambda users: self.loaded.append(set(users)))

    def happens(self, event: AnyEvent) -> Entry:
        entry = self.log.entry(event)
        self.partners.fold(entry)
        self.memories[PARTITION].add(entry)
        return entry

    def row(self, user: int, other: int, *, blockers: tuple[int, ...] = ()) -> None:
        for one, two in ((user, other), (other, user)):
            lower, higher = sorted((user, other))
            self.rows.append(
                {
                    "user_id": one,
                    "other": two,
                    "conversation_id": 5,
                    "lower_user_id": lower,
                    "lower_blocks": lower in blockers,
                    "higher_blocks": higher in blockers,
                }
            )

    async def reach(self, _: Mapping[Partition, int]) -> None:
        pass

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["World"]:
        if self.away:
            raise Unavailable("Postgres is away")
        yield self

    async def positions(self) -> dict[Partition, int]:
        return {PARTITION: self.stored}

    async def fetch(self, _: str, users: list[int]) -> list[dict[str, Any]]:
        self.asked.append(sorted(users))
        return [row for row in self.rows if row["user_id"] in users]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.background.stop()


def opening(user: int, other: int, number: int = 5) -> ConversationOpened:
    return ConversationOpened(conversation_id=number, user_id=user, other_user_id=other, opened_at=TIME, as_of=AsOf(0))


def block(user: int, other: int, number: int = 5) -> ConversationBlocked:
    return ConversationBlocked(conversation_id=number, user_id=user, other_user_id=other, blocked_at=TIME)


def unblock(user: int, other: int, number: int = 5) -> ConversationUnblocked:
    return ConversationUnblocked(conversation_id=number, user_id=user, other_user_id=other, unblocked_at=TIME)


def message(user: int, other: int, number: int = 5) -> MessageSent:
    return MessageSent(
        message_id=9,
        conversation_id=number,
        sender_id=user,
        recipient_id=other,
        content="hi",
        content_type="text",
        client_id="c",
        sent_at=TIME,
        as_of=AsOf(0),
    )


def read(user: int, other: int, number: int = 5) -> MessageRead:
    return MessageRead(message_id=9, conversation_id=number, reader_id=user, sender_id=other, up_to_seq=1, read_at=TIME)


WITHIN = (message, read, block, unblock)
"""What needs a conversation."""


async def test_partners_are_loaded_with_the_first_socket(world: World) -> None:
    world.row(1, 2)
    assert not world.partners.watch(1)
    await settle()
    assert world.loaded == [{1}]
    assert world.partners.watch(1), "they are known by now"
    assert world.partners.seen_by(1) == [2]
    assert list(world.partners.watchers(2)) == [1]
    assert list(world.partners.watchers(1)) == [], "nobody else is connected here"


async def test_users_who_come_at_once_share_a_query(world: World) -> None:
    for user in (1, 2, 3):
        world.partners.watch(user)
    await settle()
    assert world.asked == [[1, 2, 3]]


async def test_what_the_tables_lack_is_added_from_the_tail(world: World) -> None:
    world.row(1, 2)
    world.happens(opening(1, 3))
    world.happens(block(2, 1))
    world.partners.watch(1)
    await settle()
    assert world.partners.seen_by(1) == [3]


async def test_what_comes_while_they_are_loaded_is_not_undone_by_older_rows(world: World) -> None:
    world.row(1, 2)
    world.partners.watch(1)
    world.happens(block(1, 2))
    await settle()
    assert world.partners.seen_by(1) == []
    assert world.partners.blockers(1, 2) == {1}


@pytest.mark.parametrize("blocker", [1, 2])
async def test_a_block_of_either_hides_both(world: World, blocker: int) -> None:
    world.row(1, 2, blockers=(blocker,))
    world.partners.watch(1)
    world.partners.watch(2)
    await settle()
    assert world.partners.sees(1, 2) is False
    assert world.partners.sees(2, 1) is False
    assert list(world.partners.watchers(1)) == list(world.partners.watchers(2)) == []
    assert world.partners.blockers(1, 2) == world.partners.blockers(2, 1) == {blocker}


async def test_both_blocks_have_to_be_taken_back(world: World) -> None:
    world.row(1, 2, blockers=(1, 2))
    world.partners.watch(1)
    await settle()
    world.happens(unblock(1, 2))
    assert world.partners.sees(1, 2) is False
    assert world.changes == []
    world.happens(unblock(2, 1))
    assert world.partners.sees(1, 2) is True
    assert world.changes == [Change((2, 1), see=True)]


async def test_a_change_is_told(world: World) -> None:
    world.partners.watch(1)
    await settle()
    world.happens(opening(1, 2))
    world.happens(block(2, 1))
    assert world.changes == [Change((1, 2), see=True), Change((2, 1), see=False)]


async def test_strangers_do_not_see_each_other(world: World) -> None:
    world.partners.watch(1)
    assert world.partners.sees(1, 9) is None, "that is not known yet"
    await settle()
    assert world.partners.sees(1, 9) is False
    assert world.partners.sees(9, 1) is None, "9 is not connected here"


async def test_a_block_alone_does_not_make_a_pair_known(world: World) -> None:
    world.away = True
    world.partners.watch(1)
    await settle()
    world.happens(block(1, 2))
    world.happens(unblock(1, 2))
    assert world.partners.sees(1, 2) is None, "the other may block too"


async def test_users_who_left_are_forgotten(world: World) -> None:
    world.row(1, 2)
    world.partners.watch(1)
    await settle()
    world.partners.forget(1)
    assert list(world.partners.watchers(2)) == []
    assert not world.partners.watch(1)


async def test_somebody_who_left_while_they_were_loaded_stays_forgotten(world: World) -> None:
    world.row(1, 2)
    world.partners.watch(1)
    world.partners.forget(1)
    await settle()
    assert list(world.partners.watchers(2)) == []
    assert all(1 not in users for users in world.loaded)


async def test_with_postgres_away_it_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0)
    world.row(1, 2)
    world.away = True
    world.partners.watch(1)
    await settle()
    assert world.loaded == []
    world.away = False
    await settle()
    assert world.loaded == [{1}]


async def test_tables_that_lag_beyond_the_memory_are_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0)
    world.memories[PARTITION] = Memory(10, 1_000)
    world.partners.watch(1)
    await settle()
    assert world.loaded == []
    world.stored = 10
    await settle()
    assert world.loaded == [{1}]


@pytest.mark.parametrize("local", [1, 2])
async def test_what_is_not_of_the_pairs_conversation_is_inapplicable(world: World, local: int) -> None:
    world.row(1, 2)
    world.partners.watch(local)
    await settle()
    for event in WITHIN:
        assert world.happens(event(1, 2, 6)).inapplicable
    for number in (5, 6):
        assert world.happens(opening(1, 2, number)).inapplicable
    assert world.changes == []
    assert world.partners.seen_by(local) == [3 - local]
    for event in WITHIN:
        assert not world.happens(event(1, 2)).inapplicable


@pytest.mark.parametrize("local", [1, 2])
async def test_strangers_can_only_begin_a_conversation(world: World, local: int) -> None:
    world.partners.watch(local)
    await settle()
    for event in WITHIN:
        assert world.happens(event(1, 2)).inapplicable
    assert not world.happens(opening(1, 2)).inapplicable
    for event in WITHIN:
        assert not world.happens(event(1, 2)).inapplicable


async def test_nothing_is_inapplicable_while_nobody_knows(world: World) -> None:
    world.away = True
    world.partners.watch(1)
    await settle()
    for event in (*WITHIN, opening):
        assert not world.happens(event(1, 2)).inapplicable
        assert not world.happens(event(3, 4)).inapplicable


async def test_what_others_know_to_be_inapplicable_changes_nothing(world: World) -> None:
    world.partners.watch(1)
    await settle()
    for event in (opening(1, 2), block(1, 2)):
        entry = world.log.entry(event)
        entry.inapplicable = True
        world.partners.fold(entry)
    assert world.partners.sees(1, 2) is False
    assert world.changes == []


async def test_a_second_opening_that_came_before_they_were_known_is_none(world: World) -> None:
    world.happens(opening(1, 2))
    world.partners.watch(1)
    world.happens(opening(1, 2, 6))
    world.happens(opening(1, 3))
    world.happens(block(3, 1, 6))
    await settle()
    assert world.partners.seen_by(1) == [2, 3]
    assert world.happens(message(1, 2, 6)).inapplicable
    assert not world.happens(message(1, 2)).inapplicable


async def test_what_contradicts_the_partners_has_them_looked_up_again(world: World) -> None:
    """What they were taken from may have been a dead letter."""
    world.partners.watch(1)
    await settle()
    world.row(1, 2)
    assert world.happens(message(2, 1)).inapplicable
    await settle()
    assert world.asked == [[1], [1]]
    assert not world.happens(message(2, 1)).inapplicable
