"""The beat of all sockets: a turn for each, signs of life, and tokens that expire."""

import asyncio
import math
import time
from typing import Any

import pytest

from gateway.sockets.heartbeats import SILENCE, Heartbeats
from gateway.sockets.session import Session
from schemas.errors import ChatError, Code

SECONDS = 4


class Wire:
    def __init__(self) -> None:
        self.heard = asyncio.get_running_loop().time()
        self.stuck_since = math.inf
        self.pings = 0

    def ping(self) -> None:
        self.pings += 1


class Connection:
    def __init__(self, *, expires_in: float = 1_000) -> None:
        self.wire = Wire()
        self.session = Session(1, 7, lambda: None)
        self.expires_at = time.time() + expires_in
        self.turn = 0
        self.ended: tuple[int, ChatError | None] | None = None

    def end(self, code: int, error: ChatError | None = None) -> None:
        self.ended = (code, error)


@pytest.fixture
def heartbeats() -> Heartbeats:
    return Heartbeats(lambda _: b"beat", SECONDS)


def add(heartbeats: Heartbeats, connection: Connection) -> Connection:
    some: Any = connection
    heartbeats.add(some)
    return connection


async def test_every_socket_has_its_turn_once_in_an_interval(heartbeats: Heartbeats) -> None:
    connection = add(heartbeats, Connection())
    turns = [len(heartbeats.tick()) for _ in range(2 * SECONDS)]
    assert turns == [0, 0, 0, 1] * 2
    assert connection.session.take(1_000) == [b"beat", b"beat"]
    assert connection.wire.pings == 2


async def test_the_first_beat_is_one_interval_away_whenever_it_comes(heartbeats: Heartbeats) -> None:
    heartbeats.tick()
    add(heartbeats, Connection())
    assert [len(heartbeats.tick()) for _ in range(SECONDS)] == [0, 0, 0, 1]


async def test_a_peer_without_a_sign_of_life_is_closed(heartbeats: Heartbeats) -> None:
    connection = add(heartbeats, Connection())
    connection.wire.heard -= SILENCE * SECONDS + 1
    for _ in range(SECONDS):
        heartbeats.tick()
    assert connection.ended == (4408, None)
    assert connection.wire.pings == 0


async def test_a_peer_that_was_just_heard_is_not(heartbeats: Heartbeats) -> None:
    connection = add(heartbeats, Connection())
    connection.wire.heard -= SILENCE * SECONDS - 1
    for _ in range(SECONDS):
        heartbeats.tick()
    assert connection.ended is None


@pytest.mark.parametrize(("stuck_for", "ended"), [(SILENCE * SECONDS + 1, (4413, None)), (1, None)])
async def test_a_peer_that_takes_nothing_is_closed_whatever_it_says(
    heartbeats: Heartbeats, stuck_for: float, ended: tuple[int, None] | None
) -> None:
    connection = add(heartbeats, Connection())
    connection.wire.stuck_since = connection.wire.heard - stuck_for
    for _ in range(SECONDS):
        heartbeats.tick()
    assert connection.ended == ended


async def test_a_token_that_expires_closes_by_the_second(heartbeats: Heartbeats) -> None:
    connection = add(heartbeats, Connection(expires_in=0.5))
    heartbeats.tick()
    assert connection.ended is None
    connection.expires_at = time.time()
    heartbeats.tick()
    assert connection.ended is not None
    code, error = connection.ended
    assert code == 4401
    assert error is not None
    assert error.code is Code.TOKEN_EXPIRED


async def test_a_token_that_expires_much_later_is_found_in_time(heartbeats: Heartbeats) -> None:
    connection = add(heartbeats, Connection(expires_in=1_000))
    connection.expires_at = time.time() + SECONDS - 1
    for _ in range(SECONDS):
        heartbeats.tick()
    connection.expires_at = time.time()
    heartbeats.tick()
    assert connection.ended is not None


async def test_a_fresh_token_that_came_in_time_prolongs(heartbeats: Heartbeats) -> None:
    connection = add(heartbeats, Connection(expires_in=0.5))
    connection.expires_at = time.time() + 1_000
    for _ in range(SECONDS):
        heartbeats.tick()
    assert connection.ended is None


async def test_a_socket_that_is_gone_has_no_turn(heartbeats: Heartbeats) -> None:
    connection: Any = add(heartbeats, Connection(expires_in=0.5))
    heartbeats.remove(connection)
    connection.expires_at = 0
    assert [len(heartbeats.tick()) for _ in range(SECONDS)] == [0] * SECONDS
    assert connection.ended is None
