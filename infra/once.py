"""Write what is written once, at a first start: the file is there whole, on the disk, or not at all."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_once(path: Path, text: str) -> None:
    """Write a file for its owner only, unless it is there; of those who write at once the first is right. OSError."""
    if path.exists():
        return
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    beside.touch(mode=0o600)
    try:
        with beside.open("w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link, which takes nobody's place, where a rename would.
        with suppress(FileExistsError):
            path.hardlink_to(beside)
    finally:
        beside.unlink()
    _flush(path.parent)


def _flush(directory: Path) -> None:
    """Have the names in a directory survive a power cut, too."""
    there = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(there)
    finally:
        os.close(there)
