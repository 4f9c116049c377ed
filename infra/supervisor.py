"""Keep parts running: start them, start again what crashes, give up on what keeps crashing, stop all in order.

Knows nothing of what the parts are (system.py) and little of processes (child.py).
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

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
    """The running parts. `say` gets a line for each event; `changed` is called when a process is another."""

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
        self._changed()
        return child

    async def _keep(self, child: Child) -> None:
        """Start the part again whenever it ends; StartError after CRASHES in a row."""
        crashes, served_since = 0, time.monotonic()
        while True:
            await child.ended()
            steady = served_since > 0 and time.monotonic() - served_since > STEADY_SECONDS
            crashes = 1 if steady else crashes + 1
            if crashes == CRASHES:
                raise StartError(_last_words(child))
            pause = min(FIRST_PAUSE * 2 ** (crashes - 1), LONGEST_PAUSE)
            self._say(f"{child.part.name} {child.obituary()}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            child = await self._launch(child.part)
            served_since = await self._serves(child)

    async def _serves(self, child: Child) -> float:
        """Return the moment from which it serves; 0 if it does not, and then it has ended or is made to."""
        try:
            await child.ready()
        except StartError:
            await child.stop()
            return 0
        return time.monotonic()

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(BOUND_LOGS_SECONDS)
            for child in self._children.values():
                await asyncio.to_thread(logfile.bound, child.part.log)


def _last_words(child: Child) -> str:
    lines = "\n".join(f"    {line}" for line in logfile.last_lines(child.part.log, LAST_LINES))
    return f"{child.part.name} keeps ending, {CRASHES} times in a row; its last lines in {child.part.log}:\n{lines}"
