"""infra/live_generation.py: the change from one generation to another, between reads and never back in time."""

import asyncio
from typing import Any, Self

import asyncpg
import pytest

from infra import live_generation
from infra.live_generation import LiveGeneration


class Postgres:
    """A pool with one connection; `positions` are the stored ones, by schema."""

    def __init__(self) -> None:
        self.live: str | None = "chat_g1"
        self.positions = {"chat_g1": 10, "chat_g2": 10}

    def acquire(self, timeout: float) -> "Postgres":
        assert timeout
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def fetchrow(self, _: str) -> dict[str, Any] | None:
        return None if self.live is None else {"schema_name": self.live, "epoch": "e", "reads": []}

    async def fetch(self, sql: str) -> list[dict[str, Any]]:
        schema = sql.split(" FROM ")[1].split(".", maxsplit=1)[0]
        if schema not in self.positions:
            raise asyncpg.UndefinedTableError("gone")
        return [{"topic": "chat.conversations", "partition": 0, "next_offset": self.positions[schema]}]


@pytest.fixture
def postgres() -> Postgres:
    return Postgres()


@pytest.fixture
async def live(postgres: Postgres) -> LiveGeneration:
    generation = LiveGeneration(postgres, "e")
    await generation.refresh()
    return generation


async def settle() -> None:
    await asyncio.sleep(4 * live_generation.LEVEL_LOOK_SECONDS)


async def test_a_read_keeps_its_generation_and_the_next_has_the_other(postgres: Postgres, live: LiveGeneration) -> None:
    changes: list[str | None] = []
    live.on_change(lambda: changes.append(live.schema))
    postgres.live = "chat_g2"
    async with live.reading() as schema:
        changing = asyncio.ensure_future(live.refresh())
        await settle()
        assert (schema, live.schema, changes) == ("chat_g1", "chat_g1", [])
    async with live.reading() as schema:
        assert schema == "chat_g2"
    await changing
    assert changes == ["chat_g2"]


async def test_reads_wait_for_tables_that_hold_what_was_read(postgres: Postgres, live: LiveGeneration) -> None:
    postgres.live = "chat_g2"
    postgres.positions["chat_g2"] = 9
    changing = asyncio.ensure_future(live.refresh())
    await settle()
    # The old ones go on meanwhile; what nobody has read from them is not waited for.
    postgres.positions["chat_g1"] = 11
    reading = asyncio.ensure_future(read(live))
    await settle()
    assert not reading.done()
    postgres.positions["chat_g2"] = 10
    assert await reading == "chat_g2"
    await changing


async def test_tables_that_do_not_draw_level_are_read_after_a_while(
    postgres: Postgres, live: LiveGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_generation, "LEVEL_SECONDS", 0.02)
    postgres.live = "chat_g2"
    postgres.positions["chat_g2"] = 9
    await live.refresh()
    assert await read(live) == "chat_g2"


@pytest.mark.parametrize("now", ["chat_g2", None])
async def test_tables_that_are_gone_hold_nobody_up(postgres: Postgres, live: LiveGeneration, now: str | None) -> None:
    postgres.live = now
    del postgres.positions["chat_g1"]
    await live.refresh()
    assert await read(live) == now


async def read(live: LiveGeneration) -> str | None:
    async with live.reading() as schema:
        return schema
