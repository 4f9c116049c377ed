import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra.running import Process, Running, forget_running, read_last, read_running, write_running


def running(supervisor: Process) -> Running:
    return Running(
        supervisor=supervisor,
        kafka_bootstrap_servers="127.0.0.1:1",
        database_url="postgresql://x",
        url="http://127.0.0.1:2",
        edges=("http://127.0.0.1:2",),
        parts={"edge-1": supervisor},
    )


def test_what_is_written_is_read_by_its_owner_only(tmp_path: Path) -> None:
    write_running(tmp_path, running(Process.of(os.getpid())))
    assert read_running(tmp_path) == running(Process.of(os.getpid()))
    # The database's password is in it.
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
    forget_running(tmp_path)
    assert read_running(tmp_path) is None


def test_a_dead_supervisors_file_tells_only_what_was(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        supervisor = Process.of(child.pid)
        child.kill()
    write_running(tmp_path, running(supervisor))
    assert read_running(tmp_path) is None
    assert read_last(tmp_path) == running(supervisor)


def test_a_pid_that_was_given_out_again_is_another_process() -> None:
    me = Process.of(os.getpid())
    assert me.alive()
    assert not Process(me.pid, f"1{me.started}").alive()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel keeps the time of the start itself")
def test_a_process_is_the_same_when_the_wall_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    me, then = Process.of(os.getpid()), psutil.Process().create_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: then + 3_600)
    assert me.alive()


@pytest.mark.skipif(sys.platform != "linux", reason="names are read from /proc there only")
def test_a_process_may_have_any_name(tmp_path: Path) -> None:
    program = tmp_path / "a) b (c"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as child:
        theirs, ours = (Process.of(pid).started.split() for pid in (child.pid, os.getpid()))
        child.kill()
    assert int(theirs[0]) >= int(ours[0])
    assert theirs[1] == ours[1]


def test_a_process_that_has_ended_is_not_alive_before_it_is_reaped() -> None:
    with subprocess.Popen(["true"]) as child:
        process = Process.of(child.pid)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not process.alive()


def test_a_broken_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    assert read_last(tmp_path) is None
