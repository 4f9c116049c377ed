"""Run a program to its end, within a time; whatever happens, it and what it started are gone afterwards."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

TERM_SECONDS = 30


class Failed(RuntimeError):
    """A program that ended badly or took too long; the text has its last words."""


async def output(
    command: Sequence[str], within: float, *, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> str:
    """Return what a program prints; Failed when its status is not 0 or it is not done `within` seconds."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        cwd=cwd,
        env={**os.environ, **(environ or {})},
        start_new_session=True,
    )
    name = Path(command[0]).name
    try:
        async with asyncio.timeout(within):
            printed, complained = await process.communicate()
    except TimeoutError:
        raise Failed(f"{name} was not done after {within:g} s") from None
    finally:
        await asyncio.shield(_end(process))
    if process.returncode:
        last = complained.decode(errors="replace").strip().splitlines()[-1:] or ["it says nothing"]
        raise Failed(f"{name} ended with status {process.returncode}: {last[0]}")
    return printed.decode()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program that still runs: asked first, so that it can take down what it started."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), TERM_SECONDS)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
