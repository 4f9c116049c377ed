"""What runs now under a home: `run.json`, which the supervisor writes and every other command reads.

A process is known by its pid and its start, since a pid alone is given out again; a file whose supervisor has died is
no more than a list of what to look for.
"""

import sys
from pathlib import Path

import msgspec
import psutil

FILE = "run.json"
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Process(msgspec.Struct, frozen=True):
    """A process: its pid, and its start, which no other with that pid has."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Process":
        """Return the process that has this pid now; one that has ended already has no start any more."""
        try:
            return cls(pid, _start(pid))
        except psutil.NoSuchProcess:
            return cls(pid, "")

    def alive(self) -> bool:
        """Tell whether this very process runs; one that has ended and waits to be reaped does not."""
        try:
            return _start(self.pid) == self.started and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def _start(pid: int) -> str:
    """Return when a process started; on Linux by a clock that nobody sets: ticks since which boot. NoSuchProcess."""
    if sys.platform != "linux":
        return str(psutil.Process(pid).create_time())
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    # proc_pid_stat(5), field 22; only the second, the name in brackets, may have spaces and brackets in it.
    ticks = stat.rpartition(")")[2].split()[19]
    return f"{ticks} {BOOT.read_text(encoding='ascii').strip()}"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses and processes of one `chat up`. `parts`: each supervised process by its name (kafka-1, edge-1, …)."""

    supervisor: Process
    kafka_bootstrap_servers: str
    database_url: str
    url: str
    edges: tuple[str, ...]
    parts: dict[str, Process]


def read_running(home: Path) -> Running | None:
    """Return what runs under `home`, or None when nothing does (or nothing that says so)."""
    running = read_last(home)
    return running if running is not None and running.supervisor.alive() else None


def read_last(home: Path) -> Running | None:
    """Return what was last started under `home`, whether or not it still runs; None if that cannot be read."""
    try:
        return msgspec.json.decode((home / FILE).read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None


def write_running(home: Path, running: Running) -> None:
    """Say what runs; readers see the old file or the new one, never half of it."""
    unfinished = home / f"{FILE}.new"
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(running), indent=2))
    unfinished.replace(home / FILE)


def forget_running(home: Path) -> None:
    (home / FILE).unlink(missing_ok=True)
