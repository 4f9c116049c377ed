"""projections/priority.py: a worker stands back while it keeps up, and not when it falls behind."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from projections.priority import AUTOGROUP, BEHIND_MS, KEPT_UP_SECONDS, Priority

ROOT = Path(__file__).parents[3]
FIRST = 1_000_000
"""The broker's time when a test begins, in milliseconds since the epoch."""


class Timed(NamedTuple):
    """A record of which only the broker's timestamp counts."""

    timestamp: int


class Worker:
    """A worker that leads its session; the group's rank lies in a file."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "getsid", lambda _: os.getpid())
        self._patch, self._begun = monkeypatch, time.monotonic()
        self._now = 0.0
        self.file = directory / "autogroup"
        self.wait(0)
        self.priority = Priority(self.file)

    @property
    def rank(self) -> str | None:
        return self.file.read_text() if self.file.exists() else None

    def wait(self, seconds: float) -> None:
        self._now += seconds
        self._patch.setattr(time, "monotonic", lambda: self._begun + self._now)

    def take(self, *, age: int) -> None:
        """Take a batch with a record of now, and one that is so many milliseconds older."""
        batch: list[Any] = [Timed(FIRST + round(1_000 * self._now) - old) for old in (age, 0)]
        self.priority.rank(batch)

    def keep_up(self) -> None:
        self.take(age=BEHIND_MS)
        self.wait(KEPT_UP_SECONDS + 0.1)
        self.take(age=BEHIND_MS)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(tmp_path, monkeypatch)


def test_who_keeps_up_for_a_second_stands_back(worker: Worker) -> None:
    worker.take(age=0)
    worker.wait(KEPT_UP_SECONDS - 0.1)
    worker.take(age=0)
    assert worker.rank is None
    worker.wait(0.2)
    worker.take(age=0)
    assert worker.rank == "10"


def test_who_is_behind_takes_back_what_he_gave_up_until_he_has_kept_up_again(worker: Worker) -> None:
    worker.keep_up()
    worker.take(age=BEHIND_MS + 1)
    assert worker.rank == "0"
    worker.wait(KEPT_UP_SECONDS - 0.1)
    worker.take(age=0)
    assert worker.rank == "0"
    worker.keep_up()
    assert worker.rank == "10"


def test_what_the_system_does_not_take_is_tried_again_with_the_next_batch(worker: Worker) -> None:
    worker.file.mkdir()
    worker.keep_up()
    worker.file.rmdir()
    worker.take(age=0)
    assert worker.rank == "10"


def test_what_is_done_already_is_not_done_again(worker: Worker) -> None:
    worker.keep_up()
    worker.file.unlink()
    worker.keep_up()
    assert worker.rank is None


def test_a_worker_in_the_session_of_others_decides_nothing_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(tmp_path, monkeypatch)
    monkeypatch.setattr(os, "getsid", lambda _: os.getppid())
    worker.priority = Priority(worker.file)
    worker.keep_up()
    assert worker.rank is None


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this system does not weigh sessions")
def test_linux_takes_it_and_gives_it_back() -> None:
    steps = """
import time
from projections.priority import AS_OTHERS, AUTOGROUP, STANDS_BACK, Priority
from tests.unit.projections.test_priority import Timed

priority = Priority()


def take_until(rank, age):
    for _ in range(100):  # others may have changed theirs just now
        now = time.time_ns() // 1_000_000
        priority.rank([Timed(now - age), Timed(now)])
        time.sleep(0.1)
        if AUTOGROUP.read_text().endswith(f"nice {rank}\\n"):
            return
    raise SystemExit(f"it does not rank {rank}")


take_until(STANDS_BACK, age=0)
take_until(AS_OTHERS, age=10_000)
"""
    ran = subprocess.run(
        [sys.executable, "-c", steps], cwd=ROOT, start_new_session=True, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
