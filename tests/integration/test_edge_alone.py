"""An edge knows whether others write into the log: until then nothing in it but its own is in a hurry."""

import pytest

from command_api.service import WriteSide
from infra import edge
from infra.kafka import AT_ONCE
from infra.memory import Entry
from infra.settings import Settings
from infra.tail import ALONE, Stage
from schemas.events import MessageSent
from tests.support.write_sides import eventually, open_conversation, send, serving_tables, worker, write_side


def patience(side: WriteSide) -> tuple[int, int]:
    """Return what its reader of conversations asks of the broker from now on."""
    fetcher = side.edge._readers.conversations._consumer._fetcher
    return fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms


async def test_an_edge_knows_whether_it_is_alone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that was alone hears another that has just come."""
    monkeypatch.setattr(edge, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(edge, "SILENCE_SECONDS", 1.0)
    seen: list[Entry] = []
    async with write_side(settings, "edge-1") as first, worker(settings):

        async def alone() -> bool:
            return patience(first) == ALONE

        async def heard() -> bool:
            return bool(seen)

        await serving_tables(first)
        conversation = await open_conversation(first, 1, 2)
        await eventually(alone)
        first.edge.tail.follow(Stage.PUSH, seen.append, MessageSent)
        async with write_side(settings, "edge-2") as second:
            await serving_tables(second)
            sent = await send(second, conversation, 1, "x")
            await eventually(heard)
            assert [entry.position for entry in seen] == [sent.position]
            assert patience(first) == patience(second) == AT_ONCE
        await eventually(alone)
