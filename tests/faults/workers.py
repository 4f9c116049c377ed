"""Workers as processes of their own, to be killed and stopped; and the load that runs meanwhile."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

from infra.child import Child
from infra.part import Part
from infra.settings import Settings
from tests.histories import History
from tests.projecting import append

_numbers = count(1)


class Worker:
    """`chat worker`, which can be started again and again; with a name that stays, or without one.

    Started again without a name it is another member of its group, which shares the partitions out anew.
    """

    def __init__(self, settings: Settings, name: str, *, stays: bool = True) -> None:
        assert settings.kafka_bootstrap_servers
        self._child: Child | None = None
        self._part = Part(
            name=name,
            command=(sys.executable, "-m", "infra.cli", "worker", *(("--instance", name) if stays else ())),
            environ={
                "CHAT_HOME": str(settings.home),
                "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
                "DATABASE_URL": settings.database(),
            },
            # No developer's .env here.
            cwd=settings.home,
            log=settings.home / "logs" / f"{name}-{next(_numbers)}.log",
            ready=_at_once,
        )

    async def start(self) -> None:
        self._child = await Child.start(self._part)

    def kill(self) -> None:
        """End it as a power cut would, if it has not ended by itself."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.kill()

    def signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end and return its exit status."""
        assert self._child is not None
        return await self._child.ended()

    @property
    def runs(self) -> bool:
        return self._child is not None and self._child.status is None

    def said(self) -> str:
        """Return what it has written since it was first started."""
        return self._part.log.read_text(encoding="utf-8")

    async def stop(self) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGCONT)
            await self._child.stop()


async def _at_once() -> None:
    return


@asynccontextmanager
async def workers(settings: Settings, *names: str, nameless: int = 0) -> AsyncIterator[list[Worker]]:
    """Run workers, all of them gone at the end."""
    (settings.home / "logs").mkdir(exist_ok=True)
    made = [Worker(settings, name) for name in names]
    made += [Worker(settings, "nameless", stays=False) for _ in range(nameless)]
    try:
        for worker in made:
            await worker.start()
        yield made
    finally:
        await asyncio.gather(*(worker.stop() for worker in made))


@asynccontextmanager
async def supervised(worker: Worker) -> AsyncIterator[None]:
    """Start a worker again whenever it has ended, as `chat up` does."""

    async def supervise() -> None:
        while True:
            await worker.ended()
            await asyncio.sleep(0.3)
            await worker.start()

    task = asyncio.ensure_future(supervise())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def load(settings: Settings, history: History, *, records: int, seconds: float) -> AsyncIterator[None]:
    """Append so many records, spread over about so many seconds; at the end of the block all of them are in the log."""
    pieces = max(1, int(seconds / 0.2))

    async def run() -> None:
        for _ in range(pieces):
            await append(settings, history.steps(max(1, records // pieces)))
            await asyncio.sleep(0.2)

    task = asyncio.ensure_future(run())
    try:
        yield
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
