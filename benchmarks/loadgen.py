"""The load generator in loadgen/, a Go program: build it, run it with a time limit, and read its line of JSON."""

import json
import shutil
from pathlib import Path

from benchmarks.processes import output
from benchmarks.results import Trial, flat
from infra.part import StartError

SOURCE = Path(__file__).with_name("loadgen")
BUILD_SECONDS = 300
MARGIN_SECONDS = 120
"""For connecting, settling and draining, on top of the measured seconds."""


class LoadGenerator:
    """The built program."""

    def __init__(self, binary: Path) -> None:
        self.binary = binary

    async def run(self, command: str, url: str, seconds: float, **flags: object) -> Trial:
        """Run one load and return what it measured; `flags` are the program's own (loadgen/main.go)."""
        given = [f"-{name}={value}" for name, value in {"url": url, **flags}.items()]
        line = await output([str(self.binary), command, *given], seconds + MARGIN_SECONDS)
        return flat(json.loads(line))


async def build(directory: Path, source: Path = SOURCE) -> LoadGenerator:
    """Build the program into `directory`; StartError when there is no Go."""
    go = shutil.which("go")
    if go is None:
        raise StartError(
            "the load generator needs Go (1.25 or newer) to be built, and there is no `go` here: https://go.dev/dl"
        )
    directory.mkdir(parents=True, exist_ok=True)
    binary = directory / "loadgen"
    await output([go, "build", "-trimpath", "-o", str(binary), "."], BUILD_SECONDS, cwd=source)
    return LoadGenerator(binary)


def seconds(value: float) -> str:
    """Write seconds as Go's flags take them."""
    return f"{value:g}s"


def timing(warmup: float, measured: float) -> dict[str, str]:
    """Return the flags that say how long a load is."""
    return {"warmup": seconds(warmup), "duration": seconds(measured)}
