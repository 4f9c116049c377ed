"""Ask Kafka and Postgres from a command: a server that does not answer in time is one line."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

import asyncpg
import click
from aiokafka.errors import KafkaError

from infra.log_reader import LogReader
from infra.log_start import ForeignLog
from infra.part import StartError
from infra.settings import Settings

SECONDS = 5.0
PAUSE = 1.0

Answer = TypeVar("Answer")
Reached = AbstractAsyncContextManager[object]


def run(asking: Coroutine[Any, Any, Answer]) -> Answer:
    """Return what a command asks for."""
    with quiet():
        return asyncio.run(asking)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' complaints from coming beside a command's own line."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@asynccontextmanager
async def kafka(settings: Settings, seconds: float = SECONDS) -> AsyncIterator[None]:
    """Bound what asks Kafka; StartError names it when it does not answer, or says why its log is not ours."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except ForeignLog as error:
        raise StartError(str(error)) from error
    except (KafkaError, TimeoutError) as error:
        raise StartError(f"Kafka at {settings.kafka_bootstrap_servers} does not answer") from error


@asynccontextmanager
async def postgres(settings: Settings, seconds: float = SECONDS) -> AsyncIterator[Any]:
    """Connect to Postgres, and bound what asks it; StartError when it does not answer."""
    url = settings.database()
    try:
        async with asyncio.timeout(seconds):
            connection = await _connect(url)
            try:
                yield connection
            finally:
                await connection.close()
    except (OSError, asyncpg.PostgresConnectionError) as error:
        raise _no_answer(url, error) from error


async def _connect(url: str) -> Any:
    """Connect; whatever the server or the address has against it is StartError."""
    try:
        return await asyncpg.connect(url)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _no_answer(url, error) from error


def _no_answer(url: str, error: Exception) -> StartError:
    return StartError(f"Postgres at {url.rpartition('@')[2]} does not answer: {error}".rstrip(": "))


@asynccontextmanager
async def log_reader(settings: Settings) -> AsyncIterator[LogReader]:
    """A reader that is connected, until the block ends."""
    reader = LogReader(settings)
    try:
        async with kafka(settings):
            await reader.start()
        yield reader
    finally:
        await reader.stop()


async def wait_for(settings: Settings, seconds: float, say: Callable[[str], None]) -> None:
    """Wait for the servers that are given, and say for which; StartError when one of them does not answer in time."""
    with quiet():
        if settings.kafka_bootstrap_servers:
            await _reach_in_time(partial(log_reader, settings), seconds, say)
        if settings.database_url:
            await _reach_in_time(partial(postgres, settings), seconds, say)


async def _reach_in_time(server: Callable[[], Reached], seconds: float, say: Callable[[str], None]) -> None:
    deadline, said = time.monotonic() + seconds, ""
    while True:
        try:
            async with server():
                return
        except StartError as error:
            if str(error) != said:
                said = str(error)
                say(f"{said}; waiting for it")
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(PAUSE)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print columns; numbers to the right."""
    cells = [header, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        pieces = (
            cell.rjust(width) if cell.lstrip("-").isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        )
        click.echo("  ".join(pieces).rstrip())


def as_json(content: object) -> None:
    """Print for a program."""
    click.echo(json.dumps(content))
