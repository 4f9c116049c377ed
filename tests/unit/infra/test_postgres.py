import asyncio
from typing import Any

import asyncpg
import pytest

from infra import postgres


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
