"""infra/read_tables.py: what Postgres has against a query, as a client is told."""

from collections.abc import Generator
from typing import Any

import asyncpg
import pytest

from infra.read_tables import ReadTables
from schemas.errors import Unavailable


class Refusing:
    """A pool and its connection, whose queries fail but for the one for the live generation."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_max_size(self) -> int:
        return 2

    def acquire(self, timeout: float | None = None) -> "Acquired":  # noqa: ARG002 - asyncpg names it
        return Acquired(self)

    async def release(self, connection: "Refusing") -> None:
        assert connection is self

    def terminate(self) -> None:
        raise AssertionError("nothing here takes so long")

    async def fetchrow(self, _: str) -> dict[str, Any]:
        return {"schema_name": "chat_g1", "epoch": "e", "reads": []}

    async def fetch(self, _: str) -> list[Any]:
        raise self.error


class Acquired:
    """What asyncpg returns: to be awaited, or entered."""

    def __init__(self, pool: Refusing) -> None:
        self.pool = pool

    def __await__(self) -> Generator[None, None, Refusing]:
        yield
        return self.pool

    async def __aenter__(self) -> Refusing:
        return self.pool

    async def __aexit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UndefinedTableError("dropped a moment ago"),
        asyncpg.UndefinedColumnError("of the generation that is built"),
        asyncpg.CannotConnectNowError("starting up"),
        OSError("away"),
    ],
)
async def test_what_another_generation_or_moment_may_answer_is_unavailable(error: Exception) -> None:
    tables = ReadTables(Refusing(error), "e")
    await tables.live.refresh()
    with pytest.raises(Unavailable, match="cannot be read right now"):
        await tables.fetch("SELECT pinned_at FROM {schema}.inbox")
