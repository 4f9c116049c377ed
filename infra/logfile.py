"""The log file of a child process: appended to by the child itself, kept within bounds by its parent.

The child holds the file open, so it is shortened in place: what it held is copied to `<name>.1` first.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LIMIT = 4 * 1024 * 1024
TAIL = 64 * 1024
STACK_LINES = 200


@contextmanager
def appending(path: Path) -> Iterator[BinaryIO]:
    """Open the file for a child that is about to start; its directory is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bound(path)
    # Appending, so that what is written after a shortening lands at the new end.
    with path.open("ab") as file:
        yield file


def bound(path: Path, limit: int = LIMIT) -> None:
    """Shorten the file if it has passed `limit` bytes; lines written in the same instant may be lost.

    OSError when it cannot be kept; it is shortened nevertheless, as logs are not to fill the disk.
    """
    if path.exists() and path.stat().st_size > limit:
        try:
            shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        finally:
            with path.open("r+b") as file:
                file.truncate(0)


def last_words(path: Path) -> str | None:
    """Return the last line that says something: those of a Java stack trace only say where."""
    said = [line.strip() for line in last_lines(path, STACK_LINES)]
    return next((line for line in reversed(said) if not line.startswith(("at ", "... "))), None)


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines that are not blank, oldest first."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        lines = file.read().decode(errors="replace").splitlines()
    return [line for line in lines if line.strip()][-count:]
