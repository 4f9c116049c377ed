import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from infra import child
from infra.child import LIBC, SCHED_ATTR, SCHED_SETATTR, Child, serving
from infra.part import StartError
from infra.running import Process
from tests.support.parts import shell_part

SERVES = ': > "$READY"; exec sleep 60'


async def test_a_part_serves_until_it_is_stopped(tmp_path: Path) -> None:
    async with serving([shell_part(tmp_path, SERVES)]) as (running,):
        assert running.identity.alive()
        # Ctrl-C in the terminal must not reach it.
        assert os.getsid(running.identity.pid) == running.identity.pid
    assert running.status == -signal.SIGTERM
    assert not running.identity.alive()


async def test_a_part_that_ends_before_it_serves_says_why(tmp_path: Path) -> None:
    running = await Child.start(shell_part(tmp_path, "echo starting; echo no room >&2; exit 3"))
    with pytest.raises(StartError, match=r"^part ended with status 3: no room$"):
        await running.ready()


async def test_of_a_stack_trace_it_says_the_cause(tmp_path: Path) -> None:
    trace = r"printf 'java.io.IOException: no\n\tat a.B(C:1)\nCaused by: taken\n\tat d.E(F:2)\n\t... 9 more\n'; exit 1"
    running = await Child.start(shell_part(tmp_path, trace))
    await running.ended()
    assert running.obituary() == "ended with status 1: Caused by: taken"


async def test_a_part_that_never_serves_is_not_waited_for_without_end(tmp_path: Path) -> None:
    running = await Child.start(shell_part(tmp_path, "exec sleep 60", ready_seconds=0.1))
    with pytest.raises(StartError, match=r"^part does not serve after 0\.1 s; see "):
        await running.ready()
    await running.stop()


async def test_a_part_that_does_not_stop_is_killed_with_all_it_started(tmp_path: Path) -> None:
    stubborn = shell_part(tmp_path, "trap '' TERM; sleep 60 & : > \"$READY\"; wait; wait", stop_seconds=0.2)
    async with serving([stubborn]) as (running,):
        (started,) = psutil.Process(running.identity.pid).children()
        grandchild = Process.of(started.pid)
    assert running.status == -signal.SIGKILL
    async with asyncio.timeout(5):
        while grandchild.alive():
            await asyncio.sleep(0.01)


def slice_of(pid: int) -> float:
    """Ask the system how many milliseconds a process runs before others have their turn; 0: it has no such thing."""
    attributes = ctypes.create_string_buffer(SCHED_ATTR.size)
    if SCHED_SETATTR is None or LIBC.syscall(SCHED_SETATTR + 1, pid, attributes, SCHED_ATTR.size, 0):
        return 0
    return SCHED_ATTR.unpack(attributes.raw)[5] / 1e6  # type: ignore[no-any-return]


@pytest.mark.skipif(not slice_of(0), reason="this system has no slices")
async def test_a_part_and_what_it_starts_have_the_slice_that_it_asks_for(tmp_path: Path) -> None:
    usual = slice_of(0)
    asking = shell_part(tmp_path, 'sleep 60 & : > "$READY"; wait', slice_ms=2 * usual)
    async with serving([asking]) as (running,):
        (started,) = psutil.Process(running.identity.pid).children()
        assert slice_of(running.identity.pid) == slice_of(started.pid) == 2 * usual
    async with serving([shell_part(tmp_path, SERVES, name="another")]) as (running,):
        assert slice_of(running.identity.pid) == slice_of(0) == usual


async def test_one_that_cannot_start_stops_the_others(tmp_path: Path) -> None:
    good = shell_part(tmp_path, SERVES, name="good", directory=tmp_path)
    with pytest.raises(StartError, match="bad ended with status 1"):
        async with serving([good, shell_part(tmp_path, "exit 1", name="bad")]):
            pytest.fail("it must not come to this")
    assert child.leftover_of(tmp_path) is None


async def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    missing = shell_part(tmp_path, "", cwd=tmp_path / "nowhere")
    with pytest.raises(StartError, match=r"^part cannot start: "):
        await Child.start(missing)


async def test_a_process_that_cannot_be_written_down_is_not_left(tmp_path: Path) -> None:
    before = psutil.Process().children()
    with pytest.raises(StartError, match=r"^part cannot start: .*No such file"):
        await Child.start(shell_part(tmp_path, "exec sleep 60", directory=tmp_path / "nowhere"))
    assert psutil.Process().children() == before


async def test_the_process_that_holds_a_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "LEFTOVER_SECONDS", 0.2)
    part = shell_part(tmp_path, SERVES, directory=tmp_path)
    first = await Child.start(part)
    with pytest.raises(StartError, match=f"still holds {tmp_path}: end process {first.identity.pid} first"):
        await Child.start(part)
    await first.stop()
    second = await Child.start(part)
    await second.stop()


async def test_a_directory_whose_process_has_died_is_free(tmp_path: Path) -> None:
    part = shell_part(tmp_path, SERVES, directory=tmp_path)
    first = await Child.start(part)
    first.kill()
    await first.ended()
    assert child.leftover_of(tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's tie between a child and its parent is Linux's")
async def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, pathlib\n"
        "from infra.child import Child\n"
        "from tests.support.parts import shell_part\n"
        "async def main():\n"
        f"    child = await Child.start(shell_part(pathlib.Path({str(tmp_path)!r}), 'exec sleep 60'))\n"
        "    print(child.identity.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert parent.stdout is not None
    orphan = Process.of(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(5):
        while orphan.alive():
            await asyncio.sleep(0.01)
