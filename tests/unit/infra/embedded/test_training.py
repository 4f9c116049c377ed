import asyncio
import dataclasses
import errno
import fcntl
from pathlib import Path

import pytest
from aiokafka.errors import KafkaTimeoutError

from infra.embedded import training
from infra.embedded.aot import aot_cache
from infra.embedded.java import Java
from infra.embedded.kafka import Kafka
from infra.part import StartError
from tests.support.parts import shell_part

# Its first argument is -XX:AOTCacheOutput=<file>; it writes that when it is stopped, as Java does.
BROKER = """#!/bin/sh
trap 'echo learnt > "${1#*=}"; exit' TERM
touch "$READY"
while :; do sleep 0.01; done
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cache will be, of a Java that is a script and a Kafka that is nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    path = tmp_path / "java"
    path.write_text(BROKER)
    path.chmod(0o755)
    java = Java(path, keeps_starts=True)

    async def used(_home: Path, _bootstrap_servers: str) -> None:
        pass

    def prepare(directory: Path, logs: Path, **_: object) -> Kafka:  # noqa: ARG001 - theirs
        part = dataclasses.replace(shell_part(directory, "", name="kafka-1"), command=(str(path), "kafka.Kafka"))
        return Kafka(bootstrap_servers="", parts=(part,))

    monkeypatch.setattr(training, "find_java", lambda: java)
    monkeypatch.setattr(training, "class_path", lambda _: str(path))
    monkeypatch.setattr(training, "prepare_kafka", prepare)
    monkeypatch.setattr(training, "use", used)
    cache = aot_cache(java, str(path))
    cache.parent.mkdir(parents=True)
    return cache


async def test_it_is_made_once_and_takes_the_place_of_older_ones(kept: Path, tmp_path: Path) -> None:
    (kept.parent / "older.aot").touch()
    (kept.parent / "training-broken-off").mkdir()
    said: list[str] = []
    await training.train(tmp_path / "logs", said.append)
    await training.train(tmp_path / "logs", said.append)
    assert kept.read_text() == "learnt\n"
    assert len(said) == 1
    assert {path.name for path in kept.parent.iterdir()} == {kept.name, "training.lock"}


async def test_only_one_makes_it_at_a_time(kept: Path, tmp_path: Path) -> None:
    with (kept.parent / "training.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        await training.train(tmp_path / "logs", lambda _: pytest.fail("somebody else is at it"))
    assert not kept.exists()


@pytest.mark.parametrize("failure", [KafkaTimeoutError(), TimeoutError()])
async def test_a_broker_that_does_not_answer_ends_nothing_but_this(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    async def unanswered(_home: Path, _bootstrap_servers: str) -> None:
        raise failure

    monkeypatch.setattr(training, "use", unanswered)
    with pytest.raises(StartError, match="does not answer"):
        await training.train(tmp_path / "logs", lambda _: None)
    assert {path.name for path in kept.parent.iterdir()} == {"training.lock"}


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("exit 143", "kept nothing; it ended with status 143"),
        ('echo half > "${1#*=}"; kill -9 $$', "kept nothing; it was killed by SIGKILL"),
    ],
)
async def test_a_broker_that_keeps_nothing_or_a_part_leaves_what_there_is(
    kept: Path, tmp_path: Path, end: str, said: str
) -> None:
    (kept.parent / "older.aot").touch()
    (tmp_path / "java").write_text(BROKER.replace('echo learnt > "${1#*=}"; exit', end))
    with pytest.raises(StartError, match=said):
        await training.train(tmp_path / "logs", lambda _: None)
    assert {path.name for path in kept.parent.iterdir()} == {"older.aot", "training.lock"}


async def test_a_cache_that_cannot_be_written_is_said(kept: Path, tmp_path: Path) -> None:
    (kept.parent / "training.lock").mkdir()
    with pytest.raises(StartError, match=r"Java was not taught: .*training\.lock"):
        await training.train(tmp_path / "logs", lambda _: None)


async def test_a_disk_that_is_full_is_said(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Kafka:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training, "prepare_kafka", full)
    with pytest.raises(StartError, match=r"Java was not taught: .*No space left on device"):
        await training.train(tmp_path / "logs", lambda _: None)
    assert {path.name for path in kept.parent.iterdir()} == {"training.lock"}


async def test_one_that_is_broken_off_leaves_nothing(kept: Path, tmp_path: Path) -> None:
    begun = asyncio.Event()
    training_run = asyncio.ensure_future(training.train(tmp_path / "logs", lambda _: begun.set()))
    await begun.wait()
    training_run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await training_run
    assert {path.name for path in kept.parent.iterdir()} == {"training.lock"}
