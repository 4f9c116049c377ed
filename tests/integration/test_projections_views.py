"""projections/tables/views.py: what lists and histories read, and that each page is a range of an index."""

import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from projections import generations
from projections.database import Database
from projections.lane import Lane
from projections.log import PROJECTED, Log
from projections.tables import positions
from schemas import topics
from schemas.ids import Partition
from tests.histories import History

PARTITIONS = [Partition(topic, number) for topic in PROJECTED for number in range(2)]
MANY = """
INSERT INTO chat_g1.conversations
SELECT 10^12 + g, 0, 1, 10^6 + g, 'epoch', 0, 0, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, 'hi', 1, 'epoch', 0
FROM generate_series(1, 5000) AS g;
INSERT INTO chat_g1.inbox
SELECT 1, 10^12 + g, 'epoch'::timestamptz + g * interval '1 s', 0 FROM generate_series(1, 5000) AS g;
INSERT INTO chat_g1.messages
SELECT 10^12 + 1, g, 10^9 + g, 1 + (g % 2) * 10^6, g / 2, 'hi', 'text', 'c' || g, 'epoch', g
FROM generate_series(1, 50000) AS g;
INSERT INTO chat_g1.reads SELECT 10^12 + 1, 1, g * 9, g * 4, g, 'epoch', g FROM generate_series(1, 5000) g;
INSERT INTO chat_g1.users SELECT 10^6 + g, 'name', NULL, 0 FROM generate_series(1, 5000) g;
ANALYZE;
"""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    begins = dict.fromkeys(PARTITIONS, 0)
    await generations.join(database_url, Log("an epoch", begins, begins))
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_unread_counts_and_read_times_are_those_of_the_history(connection: Any, database_url: str) -> None:
    history = History(random.Random(3), bad=False)
    history.steps(600)
    database = Database(database_url, "chat_g1")
    for partition, entries in history.log.items():
        async with database.transaction() as session:
            stored = (await positions.load(session))[partition]
        await Lane(partition, 2, database, stored, 0).take(entries)
    await database.close()

    lists = await connection.fetch("SELECT * FROM chat_g1.conversation_list")
    assert len(lists) == 2 * await connection.fetchval("SELECT count(*) FROM chat_g1.conversations")
    for row in lists:
        messages = await connection.fetch(
            "SELECT * FROM chat_g1.message_list WHERE conversation_id = $1 ORDER BY seq", row["id"]
        )
        assert [message["seq"] for message in messages] == list(range(1, row["last_seq"] + 1))
        unread = [m for m in messages if m["sender_id"] == row["other_user_id"] and m["read_at"] is None]
        assert row["unread_count"] == len(unread)
        if messages:
            assert (row["last_message"], row["updated_at"]) == (messages[-1]["content"], messages[-1]["created_at"])


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM chat_g1.conversation_list WHERE user_id = 1 ORDER BY updated_at DESC, id DESC LIMIT 20",
        """
        SELECT * FROM chat_g1.message_list
        WHERE conversation_id = 1000000000001 AND seq BETWEEN 25000 AND 25050 ORDER BY seq DESC
        """,
        "SELECT sum(total) FROM chat_g1.inbox_totals WHERE user_id = 1",
        """
        SELECT * FROM chat_g1.blocked_users WHERE user_id = 1 AND unblocked_at IS NULL
        ORDER BY blocked_at DESC, conversation_id DESC LIMIT 20
        """,
    ],
)
async def test_a_page_is_a_range_of_an_index(connection: Any, query: str) -> None:
    await connection.execute(MANY)
    # Tables without rows would be read whole, and rightly.
    await connection.execute("SET enable_seqscan = off")
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, COSTS off, TIMING off) {query}"))

    assert "Index" in plan
    for wrong in ("Seq Scan", "Sort", "Rows Removed"):
        assert wrong not in plan, plan


def test_every_topic_is_here() -> None:
    assert {partition.topic for partition in PARTITIONS} == {topic.name for topic in topics.TOPICS if topic.projected}
