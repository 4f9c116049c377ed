import asyncio
from typing import Any

import asyncpg
import pytest

from infra import postgres
from infra.settings import Settings


class Connection:
    """A connection to a server that is killed while it is asked, or not."""

    def __init__(self, end: BaseException | None) -> None:
        self._end = end

    async def fetchval(self, _: str, *, timeout: float) -> int:  # noqa: ASYNC109 - asyncpg's
        assert timeout
        if self._end is not None:
            raise self._end
        return 1

    def terminate(self) -> None:
        pass


@pytest.mark.parametrize(
    "end",
    [
        asyncpg.AdminShutdownError("terminating connection due to unexpected postmaster exit"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        TimeoutError(),
    ],
)
async def test_a_server_that_goes_while_it_is_asked_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    answers = iter((ConnectionRefusedError(), Connection(end), Connection(None)))

    async def connect(_: str, **__: Any) -> Connection:
        answer = next(answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(asyncpg, "connect", connect)
    async with asyncio.timeout(10):
        await postgres.wait_for_database("postgresql://somewhere/chat")
    assert next(answers, None) is None


async def test_who_stops_waiting_does_not_wait_for_a_server_that_has_stopped(settings: Settings) -> None:
    connections = await postgres.lazy_pool(settings, most=1)
    asked: list[Any] = []

    async def ask() -> None:
        async with postgres.lent(connections, 30) as connection:
            asked.append(connection._con)
            await connection.execute("SELECT pg_sleep(30)")

    asking = asyncio.ensure_future(ask())
    while not asked:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert asked[0].is_closed(), "it would have been asked to cancel the question, and been waited for"
    assert await connections.fetchval("SELECT 1") == 1
    await connections.close()
