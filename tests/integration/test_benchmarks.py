"""benchmarks/stack.py against Postgres: what the benchmarks hold against what was sent."""

import random
from dataclasses import replace
from pathlib import Path

from benchmarks.stack import Stack
from infra.settings import load_settings
from tests.histories import History
from tests.oracle import expected
from tests.support.lanes import make_place, take_all


async def test_a_message_that_is_missing_under_a_right_count_is_not_stored(database_url: str, tmp_path: Path) -> None:
    place = await make_place(database_url)
    try:
        history = History(random.Random(5))
        history.steps(400)
        await take_all(place, history)
        settings = replace(load_settings({"CHAT_HOME": str(tmp_path)}), database_url=database_url)
        stack = Stack(tmp_path, {"url": "", "edges": []}, settings, 0)
        sent = len(expected(history.log)["messages"])
        assert await stack.stored() == sent > 2
        async with place.database.transaction() as session:
            await session.execute("DELETE FROM {schema}.messages WHERE seq = 1")
            lost = len(await session.fetch("SELECT FROM {schema}.conversations WHERE last_seq > 0"))
        assert await stack.stored() == sent - lost < sent
    finally:
        await place.database.close()
