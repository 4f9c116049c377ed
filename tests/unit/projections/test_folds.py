"""projections/folds: whatever the batches, the rows are those of one record at a time, and of an independent reader."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.changes import Changes
from projections.folds import conversations, last_seen, moderation, users
from projections.records import Record, judged
from projections.tables.messages import Sent
from schemas import topics
from schemas.ids import Partition
from schemas.judge import Judge
from schemas.times import write_time
from tests.histories import Entry, History, in_batches
from tests.oracle import Tables, expected


class Memory:
    """The tables as dictionaries: what `Changes` do to them, without Postgres."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Any, Any]] = {name: {} for name in expected({})}
        self._known: defaultdict[bytes, conversations.Known] = defaultdict(conversations.Known)
        self._sent: dict[tuple[int, int], Sent] = {}

    def fold(self, partition: Partition, records: Sequence[Record]) -> None:
        folds: dict[str, Callable[[], Changes]] = {
            topics.CONVERSATIONS: lambda: conversations.fold(partition.partition, records, self._known, self._sent),
            topics.MODERATION: lambda: moderation.fold(partition.partition, records),
            topics.USERS: lambda: users.fold(partition.partition, records),
            topics.LAST_SEEN: lambda: last_seen.fold(partition.partition, records),
        }
        self._write(partition.partition, folds[partition.topic]())

    def _write(self, partition: int, changes: Changes) -> None:
        self._insert("conversations", 1, changes.new_conversations)
        self._update("conversations", 1, changes.changed_conversations)
        self._insert("messages", 2, changes.new_messages)
        self._insert("reads", 3, changes.new_reads)
        self._upsert("blocked_users", 2, changes.changed_blocks.values())
        self._insert("inbox", 2, changes.new_in_inbox)
        self._update("inbox", 2, changes.moved_in_inbox)
        self._insert("reports", 1, changes.new_reports)
        self._insert("dead_letters", 3, [row[:3] for row in changes.new_dead_letters])
        self._insert("differences", 3, changes.new_differences)
        for erased in changes.erased_users:
            self.tables["users"].pop(erased, None)
        self._upsert("users", 1, changes.changed_users.values())
        for forgotten in changes.erased_last_seen:
            self.tables["last_seen"].pop(forgotten, None)
        later = [
            row
            for row in changes.changed_last_seen.values()
            if (known := self.tables["last_seen"].get(row[:1])) is None or row.last_seen >= known[1]
        ]
        self._upsert("last_seen", 1, later)
        for user, added in changes.totals.items():
            before = self.tables["inbox_totals"].get((user, partition), (0, 0, 0))[2]
            self.tables["inbox_totals"][user, partition] = (user, partition, before + added)

    def _insert(self, table: str, key: int, rows: Any) -> None:
        for row in rows:
            assert row[:key] not in self.tables[table], f"{table} has {row[:key]} already"
        self._upsert(table, key, rows)

    def _update(self, table: str, key: int, rows: Any) -> None:
        for row in rows:
            assert row[:key] in self.tables[table], f"{table} has no {row[:key]} to update"
        self._upsert(table, key, [(*row, *self.tables[table][row[:key]][len(row) :]) for row in rows])

    def _upsert(self, table: str, key: int, rows: Any) -> None:
        self.tables[table].update({row[:key]: row for row in rows})

    def rows(self) -> Tables:
        return {
            name: {tuple(write_time(v) if hasattr(v, "isoformat") else v for v in row) for row in rows.values()}
            for name, rows in self.tables.items()
        }


def folded(log: dict[Partition, list[Entry]], size: Callable[[], int]) -> Tables:
    """Fold a log in batches of these sizes."""
    memory = Memory()
    for partition, entries in log.items():
        judge = Judge()
        for batch in in_batches(entries, size):
            memory.fold(partition, judged(batch, judge, 2))
    return memory.rows()


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 300))
def test_any_batches_give_the_rows_that_the_log_says(seed: int, steps: int) -> None:
    chance = random.Random(seed)
    history = History(chance, refused=False)
    history.steps(steps)

    one_at_a_time = folded(history.log, lambda: 1)
    assert folded(history.log, lambda: chance.choice([1, 2, 5, 30])) == one_at_a_time
    wanted = expected(history.log)
    wanted["positions"] = set()
    assert one_at_a_time == wanted
