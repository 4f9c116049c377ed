"""The sockets of one edge take places, state them again, and give them back."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.presence.admission import Admission
from gateway.presence.places import Places
from gateway.presence.statements import Statements
from infra.background import Background
from infra.memory import Entry
from schemas.errors import ChatError, Code, Unavailable
from schemas.events import ConnectionClosed, ConnectionOpened, EdgeBeat
from tests.support.live_parts import Clock, Log, settle


class Client:
    def __init__(self, socket_id: int, user_id: int = 1) -> None:
        self.user_id = user_id
        self.socket_id = socket_id
        self.visible = True
        self.was_replaced = False

    def replaced(self) -> None:
        self.was_replaced = True


class World:
    """One edge's admission, on a log that another edge writes to as well."""

    def __init__(self) -> None:
        self.log = Log(Clock())
        self.places = Places(limit=2)
        self.background = Background()
        statements = Statements(self.log, self.background)  # type: ignore[arg-type]
        edge: Any = SimpleNamespace(name="a", boot="a1", appender=self.log)
        self.admission = Admission(edge, self.places, statements, 2)
        self.log.followers += [self.fold, self.admission.fold]

    def fold(self, entry: Entry) -> None:
        match entry.event:
            case ConnectionOpened() as event:
                self.places.open(event, entry.timestamp)
            case ConnectionClosed() as event:
                self.places.close(event)
            case _:
                pass

    def elsewhere(self, socket_id: int, *, user_id: int = 1, replaces: int | None = None) -> None:
        self.log.read(ConnectionOpened(user_id=user_id, socket_id=socket_id, edge="b", boot="b1", replaces=replaces))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.background.stop()


async def test_a_socket_takes_a_place(world: World) -> None:
    await world.admission.open(Client(10), None)
    assert world.log.appended == [ConnectionOpened(user_id=1, socket_id=10, edge="a", boot="a1")]


async def test_one_too_many_over_all_edges_is_refused_and_gives_its_place_back(world: World) -> None:
    world.elsewhere(20)
    world.elsewhere(21)
    with pytest.raises(ChatError) as refused:
        await world.admission.open(Client(10), None)
    assert refused.value.code is Code.RATE_LIMITED
    assert refused.value.details["retry_after"] > 0
    await settle()
    assert world.places.find(1, 10) is None


async def test_a_place_that_is_given_back_is_free(world: World) -> None:
    clients = [Client(10), Client(11)]
    for client in clients:
        await world.admission.open(client, None)
    world.admission.close(clients[0])
    await settle()
    await world.admission.open(Client(12), None)


async def test_whoever_resumes_replaces_the_old_socket_wherever_it_is(world: World) -> None:
    old = Client(10)
    await world.admission.open(old, None)
    world.elsewhere(20, replaces=10)
    assert old.was_replaced


async def test_nobody_replaces_the_socket_of_another_user(world: World) -> None:
    old = Client(10)
    await world.admission.open(old, None)
    world.elsewhere(20, user_id=2, replaces=10)
    assert not old.was_replaced


async def test_a_socket_does_not_replace_itself(world: World) -> None:
    client = Client(10)
    await world.admission.open(client, 10)
    assert not client.was_replaced


async def test_without_the_log_nobody_is_admitted(world: World) -> None:
    world.log.away = True
    with pytest.raises(Unavailable):
        await world.admission.open(Client(10), None)


async def test_a_socket_is_stated_again_with_what_its_user_wants(world: World) -> None:
    client = Client(10)
    await world.admission.open(client, None)
    client.visible = False
    world.admission.restate(client)
    await settle()
    assert world.log.appended[-1] == ConnectionOpened(
        user_id=1, socket_id=10, edge="a", boot="a1", visible=False, restated=True
    )


async def test_after_a_silence_that_others_took_for_death_everything_is_stated_again(world: World) -> None:
    await world.admission.open(Client(10), None)
    world.log.read(EdgeBeat(edge="a", boot="a1"))
    world.log.clock.milliseconds += 14_000
    world.log.read(EdgeBeat(edge="a", boot="a1"))
    await settle()
    assert len(world.log.appended) == 1
    world.log.clock.milliseconds += 16_000
    world.log.read(EdgeBeat(edge="a", boot="a1"))
    await settle()
    assert len(world.log.appended) == 2


async def test_an_edge_that_leaves_says_so_once_for_all(world: World) -> None:
    client = Client(10)
    await world.admission.open(client, None)
    world.admission.leaving = True
    world.admission.close(client)
    await settle()
    assert len(world.log.appended) == 1
