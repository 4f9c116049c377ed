"""Run one part as a child process that does not outlive us.

In a session of its own, so that Ctrl-C in the terminal reaches only us and the children are stopped in order; bound
to our life by the kernel (Linux: PR_SET_PDEATHSIG), so that nothing is left when we are killed.
"""

import asyncio
import contextlib
import ctypes
import os
import platform
import signal
import struct
import sys
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path

import msgspec

from infra import logfile, running
from infra.part import Part, StartError

PR_SET_PDEATHSIG = 1
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}.get(platform.machine())
SCHED_ATTR = struct.Struct("IIQiIQQQ")
"""size, policy, flags, nice, priority, runtime, deadline, period: sched_setattr(2)."""

PID_FILE = "chat.pid"
LEFTOVER_SECONDS = 20
LIBC = ctypes.CDLL(None, use_errno=True)


class Child:
    """A running part. Its main thread has to start it: the kernel takes that thread's death for ours."""

    def __init__(self, part: Part, process: Process) -> None:
        self.part = part
        self.identity = running.Process.of(process.pid)
        self._process = process

    @classmethod
    async def start(cls, part: Part) -> "Child":
        """Start the process, without waiting until it serves; raises StartError."""
        await _wait_for_leftover(part)
        try:
            with logfile.appending(part.log) as log:
                process = await asyncio.create_subprocess_exec(
                    *part.command,
                    stdin=DEVNULL,
                    stdout=log,
                    stderr=STDOUT,
                    env={**os.environ, **part.environ},
                    cwd=part.cwd,
                    start_new_session=True,
                    user=part.account.uid if part.account else None,
                    group=part.account.gid if part.account else None,
                    extra_groups=[] if part.account else None,
                    preexec_fn=partial(_begin, os.getpid(), part),
                )
            child = cls(part, process)
            await child._take_directory()
        except OSError as error:
            raise StartError(f"{part.name} cannot start: {error}") from error
        return child

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal's number, or None while it runs."""
        return self._process.returncode

    async def ended(self) -> int:
        """Wait for the end and return the exit status."""
        return await self._process.wait()

    async def _take_directory(self) -> None:
        """Write down who holds the directory, for later runs; when that cannot be, nobody does: OSError."""
        if self.part.directory is None:
            return
        try:
            (self.part.directory / PID_FILE).write_bytes(msgspec.json.encode(self.identity))
        except OSError:
            if self.status is None:
                self.kill()
                await self.ended()
            raise

    async def ready(self) -> None:
        """Wait until the part serves; raises StartError if it ends before, or takes too long."""
        serving = asyncio.ensure_future(self.part.ready())
        ended = asyncio.ensure_future(self.ended())
        try:
            await asyncio.wait({serving, ended}, timeout=self.part.ready_seconds, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                return serving.result()
            if ended.done():
                raise StartError(f"{self.part.name} {self.obituary()}")
            late = f"does not serve after {self.part.ready_seconds:g} s"
            raise StartError(f"{self.part.name} {late}; see {self.part.log}")
        finally:
            for task in (serving, ended):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    def obituary(self) -> str:
        """Say how it ended; if by itself, with the last words of its log, where a server says what was wrong."""
        status = self.status or 0
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        last = logfile.last_words(self.part.log)
        return f"ended with status {status}{f': {last}' if last else ''}"

    async def stop(self) -> None:
        """End it in good order, or kill it when that takes too long; returns when it is gone."""
        if self.status is None:
            self._process.send_signal(self.part.stop_signal)
            try:
                await asyncio.wait_for(self.ended(), self.part.stop_seconds)
            except TimeoutError:
                self.kill()
                await self.ended()
        if self.part.directory is not None:
            # One that stays names a process that is gone, which is as good.
            with contextlib.suppress(OSError):
                (self.part.directory / PID_FILE).unlink()

    def kill(self) -> None:
        """End it and what it started as a power cut would."""
        os.killpg(self._process.pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def serving(parts: Iterable[Part]) -> AsyncIterator[list[Child]]:
    """Run parts that need nothing of each other, from all of them serving to all of them stopped."""
    children: list[Child] = []
    try:
        for part in parts:
            child = await Child.start(part)
            children.append(child)
        await asyncio.gather(*(child.ready() for child in children))
        yield children
    finally:
        await asyncio.gather(*(child.stop() for child in children))


async def _wait_for_leftover(part: Part) -> None:
    """Give a process of an earlier run time to end; whoever killed that run may start again at once."""
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while (leftover := leftover_of(part.directory)) is not None:
        if time.monotonic() > deadline:
            holds = f"{part.name} of an earlier run still holds {part.directory}"
            raise StartError(f"{holds}: end process {leftover.pid} first")
        await asyncio.sleep(0.1)


def leftover_of(directory: Path | None) -> running.Process | None:
    """Return the process that holds a part's directory since an earlier run, known by pid and start time."""
    if directory is None or not (directory / PID_FILE).exists():
        return None
    with contextlib.suppress(msgspec.DecodeError):
        process = msgspec.json.decode((directory / PID_FILE).read_bytes(), type=running.Process)
        return process if process.alive() else None
    return None


def _begin(parent: int, part: Part) -> None:
    """Run by the child before its program, and after the change of user, which would undo it."""
    die_with(parent, part.orphan_signal)
    if part.slice_ms is not None:
        _ask_for_slice(part.slice_ms)


def _ask_for_slice(milliseconds: float) -> None:
    """Say how long this process, and all that it starts, runs before others have their turn, if the system lets it."""
    if sys.platform != "linux" or SCHED_SETATTR is None:
        return
    policy, nice = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    LIBC.syscall(
        SCHED_SETATTR, 0, SCHED_ATTR.pack(SCHED_ATTR.size, policy, 0, nice, 0, int(milliseconds * 1e6), 0, 0), 0
    )


def die_with(parent: int, orphan_signal: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies (Linux; elsewhere nothing)."""
    if sys.platform != "linux":
        return
    LIBC.prctl(PR_SET_PDEATHSIG, orphan_signal)
    # The parent may have died between the fork and here.
    if os.getppid() != parent:
        os._exit(1)
