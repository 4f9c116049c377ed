"""A part of the running system: one process, how to start it, when it serves, and how it ends.

Says what; child.py runs one, supervisor.py keeps several running.
"""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Progress = Callable[[str], None]


class StartError(Exception):
    """Something cannot start, or will not stay up: one line for the person at the terminal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The user that a process runs as when ours may not be used."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One process.

    ready: returns once the process serves; may fail or wait for ever, its caller bounds it by `ready_seconds`.
    environ: added to ours. cwd: where it runs; None: where we do.
    directory: state that only one process may hold; None: it has none.
    stop_signal: ends it in good order, within `stop_seconds`; afterwards it is killed.
    orphan_signal: what the kernel sends it when our own process dies.
    slice_ms: how long it runs before others have their turn (Linux 6.12 and later), None: as the system does. Who has
        little to do and is waited for asks for less and gets it sooner, who has much to do and is not, for more.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    ready: Callable[[], Awaitable[None]]
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    directory: Path | None = None
    account: Account | None = None
    ready_seconds: float = 60
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 20
    orphan_signal: signal.Signals = signal.SIGKILL
    slice_ms: float | None = None
