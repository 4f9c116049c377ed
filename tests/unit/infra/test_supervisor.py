import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra import logfile, supervisor
from infra.part import Part, StartError
from infra.supervisor import Supervisor
from tests.support.parts import shell_part

SERVES = 'touch "$READY"; exec sleep 60'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)


@asynccontextmanager
async def supervised(*parts: Part) -> AsyncIterator[tuple[Supervisor, list[str]]]:
    said: list[str] = []
    them = Supervisor(said.append, lambda: None)
    try:
        await them.start(parts)
        yield them, said
    finally:
        await them.stop([parts])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_killed_part_is_started_again_and_named_in_one_line(tmp_path: Path) -> None:
    async with supervised(shell_part(tmp_path, SERVES, name="edge-1")) as (them, said):
        first = them.processes["edge-1"]
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: them.processes["edge-1"] != first)
        assert said == ["edge-1 was killed by SIGKILL; starting it again in 0.01 s"]


async def test_a_part_that_ends_by_itself_is_started_again_with_its_last_words(tmp_path: Path) -> None:
    script = 'touch "$READY"; [ -e again ] && exec sleep 60; touch again; sleep 0.1; echo no memory; exit 9'
    async with supervised(shell_part(tmp_path, script, cwd=tmp_path)) as (_, said):
        await until(lambda: said == ["part ended with status 9: no memory; starting it again in 0.01 s"])


async def test_a_part_that_keeps_ending_ends_all_with_its_last_lines(tmp_path: Path) -> None:
    part = shell_part(tmp_path, 'touch "$READY"; sleep 0.05; echo one; echo two; exit 1')
    async with supervised(part) as (them, said):
        async with asyncio.timeout(10):
            with pytest.raises(StartError, match=r"part keeps ending, 5 times in a row; .*\n(.*\n)*.*one\n.*two"):
                await them.failure()
        assert len(said) == supervisor.CRASHES - 1


async def test_a_part_that_no_longer_comes_up_is_given_up_too(tmp_path: Path) -> None:
    script = '[ -e once ] && exit 1; touch once "$READY"; exec sleep 60'
    async with supervised(shell_part(tmp_path, script, cwd=tmp_path)) as (them, _):
        (tmp_path / "part.ready").unlink()
        os.kill(them.processes["part"].pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            with pytest.raises(StartError, match="keeps ending"):
                await them.failure()


async def test_a_part_that_cannot_be_started_again_is_tried_again(tmp_path: Path) -> None:
    part = shell_part(tmp_path, SERVES, cwd=tmp_path / "here")
    (tmp_path / "here").mkdir()
    async with supervised(part) as (them, said):
        first = them.processes["part"]
        (tmp_path / "here").rename(tmp_path / "away")
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: len(said) == 2)
        (tmp_path / "away").rename(tmp_path / "here")
        await until(lambda: them.processes["part"] != first)
    assert said[1].startswith("part cannot start: ")


async def test_a_part_that_can_never_be_started_again_ends_all_and_says_why(tmp_path: Path) -> None:
    part = shell_part(tmp_path, SERVES, cwd=tmp_path / "here")
    (tmp_path / "here").mkdir()
    async with supervised(part) as (them, _):
        (tmp_path / "here").rmdir()
        os.kill(them.processes["part"].pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            with pytest.raises(StartError, match=r"5 times in a row; at last part cannot start: .*No such file"):
                await them.failure()


async def test_whom_nobody_can_be_told_of_runs_all_the_same(tmp_path: Path) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    said: list[str] = []
    them = Supervisor(said.append, full)
    part = shell_part(tmp_path, SERVES)
    await them.start([part])
    assert them.processes["part"].alive()
    await them.stop([[part]])
    assert said == ["other commands are not told of part: [Errno 28] No space left on device"]


async def test_a_log_that_cannot_be_bounded_is_said_once_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BOUND_LOGS_SECONDS", 0.01)
    bounded: list[str] = []

    def bound(log: Path) -> None:
        if log.name == "bad.log":
            raise OSError(28, "No space left on device")
        bounded.append(log.name)

    bad, good = (shell_part(tmp_path, SERVES, name=name) for name in ("bad", "good"))
    async with supervised(bad, good) as (_, said):
        monkeypatch.setattr(logfile, "bound", bound)
        await until(lambda: len(bounded) >= 3)
    assert said == [f"{tmp_path / 'bad.log'} cannot be kept within bounds: [Errno 28] No space left on device"]


async def test_groups_are_stopped_one_after_another(tmp_path: Path) -> None:
    script = 'trap "sleep 0.1; echo $NAME >> stopped; exit" TERM; touch "$READY"; while :; do sleep 0.01; done'
    edges, workers, kafka = (
        tuple(shell_part(tmp_path, f"NAME={name}; {script}", name=f"{name}{i}", cwd=tmp_path) for i in range(count))
        for name, count in (("edge", 2), ("worker", 1), ("kafka", 1))
    )
    said: list[str] = []
    them = Supervisor(said.append, lambda: None)
    await them.start(edges + workers + kafka)
    await them.stop([edges, workers, kafka])
    assert (tmp_path / "stopped").read_text().split() == ["edge", "edge", "worker", "kafka"]
    # Being told to stop is no crash.
    assert said == []


async def test_one_that_cannot_start_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="part ended with status 2: taken"):
        async with supervised(shell_part(tmp_path, "echo taken; exit 2")):
            pytest.fail("it must not come to this")


async def test_who_wants_to_know_is_told_of_every_process(tmp_path: Path) -> None:
    seen: list[int] = []
    them = Supervisor(lambda _: None, lambda: seen.append(them.processes["part"].pid))
    part = shell_part(tmp_path, SERVES)
    await them.start([part])
    os.kill(seen[0], signal.SIGKILL)
    await until(lambda: len(seen) == 2)
    await them.stop([[part]])
    assert seen[0] != seen[1]
