"""Small parts for tests of what runs parts: shell scripts instead of servers."""

import asyncio
from pathlib import Path
from typing import Any

from infra.part import Part


def shell_part(where: Path, script: str, **options: Any) -> Part:
    """Return a part that runs a shell script, and serves once its file `<name>.ready` is there.

    The script finds the file's name in $READY.
    """
    name = options.pop("name", "part")
    ready = where / f"{name}.ready"

    async def is_there() -> None:
        while not ready.exists():
            await asyncio.sleep(0.01)

    return Part(
        name=name,
        command=("sh", "-c", script),
        environ={"READY": str(ready)},
        log=where / f"{name}.log",
        ready=is_there,
        **options,
    )
