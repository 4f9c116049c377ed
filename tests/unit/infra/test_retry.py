import asyncio

import pytest

from infra import retry


class Away(Exception):
    pass


async def test_it_tries_until_there_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.001)
    failures = [Away(), Away()]

    async def attempt() -> str:
        if failures:
            raise failures.pop()
        return "there"

    assert await retry.until_there(attempt, Away) == "there"


async def test_what_is_not_a_sign_of_being_away_is_raised() -> None:
    async def attempt() -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - bare, as it was raised
        await retry.until_there(attempt, Away)


async def test_its_caller_bounds_it() -> None:
    async def attempt() -> None:
        raise Away

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await retry.until_there(attempt, Away)
