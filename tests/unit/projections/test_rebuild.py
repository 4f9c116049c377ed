"""projections/rebuild.py: when the lanes of a filling are to look again."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from projections import rebuild

FILLING = [
    ("chat.users", 0, 5, None, True, None),
    ("chat.users", 0, 7, None, True, None),
    ("chat.users", 0, 7, None, True, 9),
    ("chat.users", 0, 8, None, True, 9),
    ("chat.users", 0, 9, None, True, 9),
    ("chat.users", 0, 9, None, False, None),
    ("chat.users", 0, 10, None, False, None),
]


class Fake:
    """Tables that are looked at again and again, and an app that is told to look, too."""

    def __init__(self) -> None:
        self.looks = iter(FILLING)
        self.at: Any = None
        self.told: list[Any] = []
        self.ended = asyncio.Event()

    @asynccontextmanager
    async def session(self) -> Any:
        yield self

    async def fetch(self, _: str) -> list[Any]:
        self.at = next(self.looks, None)
        if self.at is None:
            self.ended.set()
            await asyncio.Event().wait()
        return [self.at]

    def look_again(self) -> None:
        self.told.append(self.at)


async def test_the_lanes_look_again_when_the_end_is_set_when_it_is_reached_and_when_the_filling_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rebuild, "LOOK_SECONDS", 0)
    fake: Any = Fake()
    following = asyncio.ensure_future(rebuild._follow(fake, fake))
    async with asyncio.timeout(5):
        await fake.ended.wait()
    following.cancel()
    assert fake.told == [FILLING[2], FILLING[4], FILLING[5]]
