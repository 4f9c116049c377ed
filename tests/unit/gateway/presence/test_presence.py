"""Who is online: told to partners on this edge, never across a block, whichever edge the user is at."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.presence.partners import Change
from gateway.presence.places import STALE_AFTER, Places
from gateway.presence.presence import GRACE, ROLL_GRACE, TYPING_EXPIRES, Presence
from gateway.presence.statements import Statements
from gateway.sockets.hub import Hub
from gateway.sockets.session import Session
from infra.background import Background
from schemas.events import ConnectionClosed, ConnectionOpened, EdgeBeat, LastSeen, Typing
from schemas.times import format_time
from tests.support.live_parts import Clock, Log, frames_of, kinds_of, settle


class Partners:
    """Everybody of `pairs` sees each other; others do not."""

    def __init__(self) -> None:
        self.pairs = {frozenset({1, 2})}
        self.known = True

    def on_change(self, _: Any) -> None: ...

    def on_load(self, _: Any) -> None: ...

    def watch(self, _: int) -> bool:
        return self.known

    def seen_by(self, user: int) -> list[int]:
        return [other for pair in self.pairs if user in pair for other in pair - {user}]

    def watchers(self, user: int) -> list[int]:
        return self.seen_by(user)

    def sees(self, local: int, other: int) -> bool:
        return frozenset({local, other}) in self.pairs


class World:
    """The presence of edge `a`, where user 1 is connected; user 2 is wherever a test puts them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.log = Log(self.clock)
        self.partners = Partners()
        partners: Any = self.partners
        unused: Any = SimpleNamespace()
        self.background = Background()
        self.hub = Hub(unused, partners, unused, self.background)
        statements = Statements(self.log, self.background)  # type: ignore[arg-type]
        self.presence = Presence("a", Places(5), partners, self.hub, statements, self.clock)  # type: ignore[arg-type]
        self.log.followers.append(self.presence.fold)
        self.session = Session(1, 7, lambda: None)
        self.hub.add(self.session)
        self.beat("a")
        self.presence.start()

    def beat(self, edge: str, boot: str = "", *, leaving: bool = False) -> None:
        self.log.read(EdgeBeat(edge=edge, boot=boot or f"{edge}1", leaving=leaving))

    def opens(self, socket_id: int = 20, *, edge: str = "b", visible: bool = True, restated: bool = False) -> None:
        self.log.read(
            ConnectionOpened(
                user_id=2, socket_id=socket_id, edge=edge, boot=f"{edge}1", visible=visible, restated=restated
            )
        )

    def closes(self, socket_id: int = 20, *, edge: str = "b") -> None:
        self.log.read(ConnectionClosed(user_id=2, socket_id=socket_id, edge=edge, boot=f"{edge}1"))

    def after(self, milliseconds: int, *, unheard: float = 0) -> None:
        self.clock.milliseconds += milliseconds
        self.presence.sweep(unheard=unheard)

    def told(self) -> list[dict[str, Any]]:
        return frames_of(self.session)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.background.stop()


ONLINE = {"type": "online", "user_id": 2}


async def test_a_partner_who_comes_is_told(world: World) -> None:
    world.opens()
    assert world.told() == [ONLINE]
    assert world.presence.status(2).online


async def test_a_second_socket_is_not_news(world: World) -> None:
    world.opens(20)
    world.opens(21)
    world.closes(20)
    world.after(GRACE)
    assert world.told() == [ONLINE]


async def test_a_partner_who_leaves_is_told_after_the_grace_with_the_time_they_left(world: World) -> None:
    world.opens()
    left_at = world.clock.now()
    world.closes()
    world.after(GRACE - 1)
    assert world.told() == [ONLINE]
    assert world.presence.status(2).online
    world.after(1)
    assert world.told() == [{"type": "offline", "user_id": 2, "last_seen": format_time(left_at)}]
    assert world.presence.status(2) == (False, format_time(left_at))


async def test_a_reconnect_within_the_grace_does_not_flicker(world: World) -> None:
    world.opens(20)
    world.closes(20)
    world.opens(21)
    world.after(GRACE * 2)
    assert world.told() == [ONLINE]


async def test_who_hides_is_gone_at_once_and_who_shows_up_is_back(world: World) -> None:
    world.opens()
    world.opens(visible=False, restated=True)
    assert [frame["type"] for frame in world.told()] == ["online", "offline"]
    world.opens(restated=True)
    assert world.told() == [ONLINE]


async def test_strangers_are_not_told(world: World) -> None:
    world.partners.pairs = set()
    world.opens()
    world.closes()
    world.after(GRACE)
    assert world.told() == []


async def test_somebody_who_connects_is_told_who_is_online(world: World) -> None:
    world.opens()
    world.told()
    world.presence.greet([world.session], 1)
    assert world.told() == [ONLINE]


async def test_nobody_is_named_before_the_partners_are_known(world: World) -> None:
    world.partners.known = False
    world.opens()
    world.told()
    world.presence.greet([world.session], 1)
    assert world.told() == []


async def test_a_block_makes_both_look_gone_and_its_end_brings_them_back(world: World) -> None:
    world.opens()
    world.told()
    world.presence._partners_changed(Change((1, 2), see=False))
    assert world.told() == [{"type": "offline", "user_id": 2, "last_seen": None}]
    world.presence._partners_changed(Change((2, 1), see=True))
    assert world.told() == [ONLINE]


async def test_typing_goes_to_the_other_and_not_across_a_block(world: World) -> None:
    typing = Typing(conversation_id=5, user_id=2, other_user_id=1)
    world.log.read(typing)
    assert world.told() == [{"type": "typing", "conversation_id": 5, "user_id": 2}]
    world.partners.pairs = set()
    world.log.read(typing)
    assert world.told() == []


async def test_typing_that_comes_late_is_over(world: World) -> None:
    typing = world.log.entry(Typing(conversation_id=5, user_id=2, other_user_id=1))
    world.clock.milliseconds += TYPING_EXPIRES
    world.presence.fold(typing)
    assert len(world.told()) == 1
    world.clock.milliseconds += 1
    world.presence.fold(typing)
    assert world.told() == []


async def test_an_edge_that_dies_without_a_word_takes_its_users_offline_within_twenty_seconds(world: World) -> None:
    world.beat("b")
    world.opens()
    died_at = world.clock.now()
    world.told()
    world.after(15_000)
    assert world.told() == []
    world.after(1_000)
    assert world.told() == [{"type": "offline", "user_id": 2, "last_seen": format_time(died_at)}]


async def test_an_edge_that_is_cut_off_takes_nobody_for_dead(world: World) -> None:
    world.beat("b")
    world.opens()
    world.told()
    world.clock.milliseconds += 5_000
    for second in range(60):
        world.after(1_000, unheard=second + 1)
    for _ in range(14):
        world.after(1_000)
    assert world.told() == []
    world.after(1_000)
    assert [frame["type"] for frame in world.told()] == ["offline"], "they had the time to be heard again"


async def test_users_of_an_edge_that_leaves_have_time_to_come_back(world: World) -> None:
    world.opens(20, edge="b")
    world.beat("b", leaving=True)
    world.after(ROLL_GRACE - 1)
    world.opens(21, edge="a")
    world.after(ROLL_GRACE)
    assert world.told() == [ONLINE]


async def test_the_edge_of_the_last_socket_writes_down_when_it_closed(world: World) -> None:
    world.opens(edge="a")
    left_at = world.clock.now()
    world.closes(edge="a")
    world.after(GRACE)
    await settle()
    assert world.log.appended == [LastSeen(user_id=2, last_seen=format_time(left_at))]


async def test_other_edges_leave_that_to_it(world: World) -> None:
    world.opens(edge="b")
    world.closes(edge="b")
    world.after(GRACE)
    await settle()
    assert world.log.appended == []


async def test_for_a_dead_edge_the_first_of_the_living_does(world: World) -> None:
    world.beat("b")
    world.opens(edge="b")
    died_at = world.clock.now()
    world.after(16_000)
    await settle()
    assert world.log.appended == [LastSeen(user_id=2, last_seen=format_time(died_at))]


async def test_an_edge_that_was_away_writes_down_when_it_was_last_heard_itself(world: World) -> None:
    world.opens(edge="a")
    heard_at = world.clock.now()
    world.clock.milliseconds += 8 * 60_000
    world.beat("a", "a2")
    world.after(ROLL_GRACE)
    await settle()
    assert world.log.appended == [LastSeen(user_id=2, last_seen=format_time(heard_at))]


async def test_a_place_that_nobody_states_again_is_given_up(world: World) -> None:
    world.opens(edge="b")
    world.clock.milliseconds += STALE_AFTER + 1
    world.beat("b")
    world.after(0)
    assert [frame["type"] for frame in world.told()] == ["online", "offline"]


async def test_an_edge_that_stops_writes_down_who_was_only_there(world: World) -> None:
    world.opens(edge="a")
    world.presence.leave([2])
    await settle()
    assert [type(event) for event in world.log.appended] == [LastSeen]


async def test_an_edge_that_stops_leaves_those_alone_who_are_elsewhere_too(world: World) -> None:
    world.opens(20, edge="a")
    world.opens(21, edge="b")
    world.presence.leave([2])
    await settle()
    assert world.log.appended == []


async def test_the_latest_time_counts_whatever_order_the_records_have(world: World) -> None:
    for moment in (5_000, 9_000, 7_000):
        world.log.read(LastSeen(user_id=2, last_seen=format_time(moment)))
    assert world.presence.status(2).last_seen == format_time(9_000)


async def test_somebody_who_is_online_has_no_last_seen(world: World) -> None:
    world.opens()
    assert world.presence.status(2) == (True, None)
    assert kinds_of(world.session) == ["online"]
