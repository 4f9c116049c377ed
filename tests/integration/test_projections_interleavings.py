"""Lanes that come and go, fail anywhere, are given any batches: the tables are always those of a prefix of the log."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from projections import database, lane
from projections.database import Session
from projections.lane import Lane
from projections.tables.positions import Fenced
from schemas.ids import Partition
from tests.histories import Entry, History
from tests.oracle import expected
from tests.projecting import assert_same, tables_at
from tests.support.lanes import PARTITIONS, Place, make_place, take_all

CHOICES = st.sampled_from([0, 1, 0, 1, 0, 1, 2, 4, 6])
"""Mostly the partitions of conversations."""


class Interleavings(RuleBasedStateMachine):
    """Workers that come and go, that are stopped and go on, that fail anywhere; records arrive in any batches."""

    place: Place
    runner: asyncio.Runner

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.run(self.place.empty())
        self.history = History(random.Random(seed), pairs=3)
        self.history.steps(60)
        self.lanes: dict[Partition, list[Lane]] = {}
        self.given: dict[int, int] = {}
        for choice in range(len(PARTITIONS)):
            self.start_another(choice)

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    @rule(count=st.integers(1, 40))
    def append(self, count: int) -> None:
        self.history.steps(count)

    @rule(choice=CHOICES)
    def rebalance(self, choice: int) -> None:
        """The earlier workers may not have noticed."""
        self.start_another(choice)

    def start_another(self, choice: int) -> None:
        partition = PARTITIONS[choice]
        lane = self.run(self.place.lane(partition))
        # What only warms its judge comes at once, so that its deliveries are of what it may write.
        warming = self.history.log[partition][lane.reads_from : lane.next_offset]
        if warming:
            self.run(lane.take(warming))
        self.given[id(lane)] = lane.next_offset
        self.lanes.setdefault(partition, []).append(lane)

    @rule(
        choice=CHOICES,
        which=st.integers(0, 1),
        size=st.integers(1, 30),
        fail_at=st.sampled_from([0, 0, 0, 1, 2, 3, 5, 9]),
    )
    def deliver(self, choice: int, which: int, size: int, fail_at: int) -> None:
        """Give some worker of a partition its next records; one that fails or is fenced is gone."""
        of_partition = self.lanes.get(PARTITIONS[choice], [])
        if not of_partition:
            return
        lane = of_partition[which % len(of_partition)]
        start = self.given[id(lane)]
        batch = self.history.log[lane.partition][start : start + size]
        if not batch:
            return
        self.given[id(lane)] = start + len(batch)
        try:
            self.run(_taken(lane, batch, fail_at))
        except (Fenced, Crash):
            of_partition.remove(lane)

    @invariant()
    def nothing_is_ahead(self) -> None:
        """The tables are always those of a prefix of each partition."""
        if not hasattr(self, "history"):
            return

        async def compare() -> None:
            stored = {p: (await self.place.stored(p)).next_offset for p in self.history.log}
            prefix = {p: entries[: stored[p]] for p, entries in self.history.log.items()}
            assert_same(await tables_at(self.place.url), expected(prefix))

        self.run(compare())

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.run(take_all(self.place, self.history))
            assert_same(self.run(tables_at(self.place.url)), expected(self.history.log))


class Crash(Exception):
    """What ends a worker in the middle of anything."""


async def _taken(lane: Lane, batch: Sequence[Entry], fail_at: int) -> None:
    """Let a lane take a batch; its `fail_at`-th statement fails, if it comes to that. 0: none does."""
    countdown = iter(range(fail_at - 1, -1, -1))

    def crashing(statement: Any) -> Any:
        async def run(*arguments: Any, **options: Any) -> Any:
            if next(countdown, 1) == 0:
                raise Crash
            return await statement(*arguments, **options)

        return run

    with pytest.MonkeyPatch.context() as patch:
        for statement in ("execute", "fetch", "run", "run_if"):
            patch.setattr(Session, statement, crashing(getattr(Session, statement)))
        await lane.take(batch)


def test_whatever_dies_when_the_tables_are_those_of_a_prefix(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Low enough that all three ways of writing a batch are taken.
    monkeypatch.setattr(lane, "AT_ONCE", 8)
    monkeypatch.setattr(database, "COPY_FROM", 3)
    with asyncio.Runner() as runner:
        Interleavings.runner = runner
        Interleavings.place = runner.run(make_place(database_url))
        run_state_machine_as_test(
            Interleavings,
            settings=settings(
                max_examples=15,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                # A shorter example is not worth the minutes that looking for one takes here.
                phases=(Phase.reuse, Phase.generate),
            ),
        )
        runner.run(Interleavings.place.database.close())
