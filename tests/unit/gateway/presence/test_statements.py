"""What an edge states without being asked is in the log in the end, in order."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.presence import statements as module
from gateway.presence.statements import UNDER_WAY, Statements
from infra.background import Background
from schemas.errors import Unavailable
from schemas.events import AnyEvent, LastSeen
from tests.support.live_parts import TIME, Clock, Log, settle


@pytest.fixture
def log() -> Log:
    return Log(Clock())


@pytest.fixture
async def statements(log: Log) -> AsyncIterator[Statements]:
    background = Background()
    yield Statements(log, background)  # type: ignore[arg-type]
    await background.stop()


def seen(user_id: int) -> LastSeen:
    return LastSeen(user_id=user_id, last_seen=TIME)


async def test_they_are_appended_in_the_order_they_were_made(log: Log, statements: Statements) -> None:
    made = [seen(user) for user in range(1, UNDER_WAY + 10)]
    for event in made:
        statements.state(event)
    await statements.written(5)
    assert log.appended == made


async def test_they_are_tried_again_until_the_log_is_back(
    log: Log, statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0)
    log.away = True
    statements.state(seen(1))
    await settle()
    assert log.appended == []
    log.away = False
    await statements.written(5)
    assert log.appended == [seen(1)]


async def test_nobody_waits_for_a_log_that_stays_away(log: Log, statements: Statements) -> None:
    log.away = True
    statements.state(seen(1))
    await statements.written(0.01)
    assert log.appended == []


async def test_with_nothing_to_state_there_is_nothing_to_wait_for(statements: Statements) -> None:
    await statements.written(5)


async def test_a_last_seen_that_is_in_the_log_is_not_stated_again_with_what_is_not(
    log: Log, statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0)
    append, refused = log.append, [seen(2)]

    def once(event: AnyEvent, observed: Any) -> None:
        if event in refused:
            refused.remove(event)
            raise Unavailable("once")
        append(event, observed)

    monkeypatch.setattr(log, "append", once)
    for user in (1, 2, 3):
        statements.state(seen(user))
    await statements.written(5)
    assert log.appended == [seen(1), seen(3), seen(2)]
