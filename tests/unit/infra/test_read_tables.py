"""infra/read_tables.py: what Postgres has against a query, as a client is told."""

from typing import Any

import asyncpg
import pytest

from infra.read_tables import ReadTables
from schemas.errors import Unavailable


class Refusing:
    """A pool with one connection, whose queries fail but for the one for the live generation."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def acquire(self, timeout: float) -> "Refusing":  # noqa: ARG002, ASYNC109 - asyncpg names it
        return self

    async def release(self, connection: "Refusing") -> None:
        assert connection is self

    def terminate(self) -> None:
        raise AssertionError("nothing here takes so long")

    async def fetchrow(self, _: str) -> dict[str, Any]:
        return {"schema_name": "chat_g1", "epoch": "e", "reads": []}

    async def fetch(self, _: str) -> list[Any]:
        raise self.error


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
