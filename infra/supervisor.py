"""Keep parts running: start them, start again what crashes, give up on what keeps crashing, stop all in order.

Knows nothing of what the parts are (system.py) and little of processes (child.py).
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from infra import logfile
from infra.child import Child
from infra.part import Part, StartError
from infra.running import Process

STEADY_SECONDS = 5.0
"""A part that has served for so long has recovered; one that ends before counts as crashing again."""

CRASHES = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
BOUND_LOGS_SECONDS = 10.0
LAST_LINES = 5


class Supervisor:
    """The running parts. `say` gets a line for each event; `changed` is called when a process is another.

    An OSError of `changed` is said, and nothing else comes of it.
    """

    def __init__(self, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._say = say
        self._changed = changed
        self._children: dict[str, Child] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._bounding: asyncio.Task[None] | None = None

    @property
    def processes(self) -> Mapping[str, Process]:
        """Each part's process, by the part's name."""
        return {name: child.identity for name, child in self._children.items()}

    async def start(self, parts: Iterable[Part]) -> None:
        """Start these at once and return when all serve; StartError when one cannot."""
        children = [await self._launch(part) for part in parts]
        await asyncio.gather(*(child.ready() for child in children))
        for child in children:
            self._keepers[child.part.name] = asyncio.create_task(self._keep(child))
        if self._bounding is None:
            self._bounding = asyncio.create_task(self._bound_logs())

    async def failure(self) -> None:
        """Return never, or raise the StartError of a part that cannot be kept running."""
        await asyncio.gather(*self._keepers.values())

    async def stop(self, order: Iterable[Iterable[Part]]) -> None:
        """Stop the groups one after another, and the parts of a group at once; nothing is started again."""
        background = [task for task in (*self._keepers.values(), self._bounding) if task is not None]
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        for group in order:
            stopping = (self._children.pop(part.name) for part in group if part.name in self._children)
            await asyncio.gather(*(child.stop() for child in stopping))

    async def _launch(self, part: Part) -> Child:
        child = self._children[part.name] = await Child.start(part)
        try:
            self._changed()
        except OSError as error:
            self._say(f"other commands are not told of {part.name}: {error}")
        return child

    async def _keep(self, child: Child) -> None:
        """Start the part again whenever it ends; StartError after CRASHES in a row."""
        part, crashes = child.part, 0
        served, end = await _served(child)
        while True:
            crashes = 1 if served > STEADY_SECONDS else crashes + 1
            if crashes == CRASHES:
                raise StartError(_last_words(part, end))
            pause = min(FIRST_PAUSE * 2 ** (crashes - 1), LONGEST_PAUSE)
            self._say(f"{end}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            served, end = await self._once_more(part)

    async def _once_more(self, part: Part) -> tuple[float, str]:
        """Start it and wait for its end; return the seconds that it has served, and how it ended."""
        try:
            child = await self._launch(part)
        except StartError as error:
            return 0, str(error)
        try:
            await child.ready()
        except StartError as error:
            await child.stop()
            return 0, str(error)
        return await _served(child)

    async def _bound_logs(self) -> None:
        said: set[Path] = set()
        while True:
            await asyncio.sleep(BOUND_LOGS_SECONDS)
            for log in [child.part.log for child in self._children.values()]:
                try:
                    await asyncio.to_thread(logfile.bound, log)
                except OSError as error:
                    if log not in said:
                        self._say(f"{log} cannot be kept within bounds: {error}")
                    said.add(log)


async def _served(child: Child) -> tuple[float, str]:
    """Wait for the end of one that serves; return the seconds until then, and how it ended."""
    since = time.monotonic()
    await child.ended()
    return time.monotonic() - since, f"{child.part.name} {child.obituary()}"


def _last_words(part: Part, end: str) -> str:
    lines = "\n".join(f"    {line}" for line in logfile.last_lines(part.log, LAST_LINES))
    again = f"{part.name} keeps ending, {CRASHES} times in a row; at last {end}"
    return f"{again}; its last lines in {part.log}:\n{lines}"
