"""`chat edge` as a process: how it serves at two addresses, how it ends, and what it says then."""

import asyncio
import gc
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.cli import serve
from infra.child import Child
from infra.embedded.ports import LOOPBACK, free_ports
from infra.http_client import wait_until_ready
from infra.part import Part
from infra.settings import Settings
from infra.tail import Tail
from infra.tokens import sign_token

PATIENCE_SECONDS = 30


@asynccontextmanager
async def edge(settings: Settings, tmp_path: Path, port: int, own_port: int = 0) -> AsyncIterator[Child]:
    """Run `chat edge`, until the block ends."""
    part = Part(
        name="edge",
        command=(sys.executable, "-m", "infra.cli", "edge"),
        log=tmp_path / f"edge-{own_port or port}.log",
        ready=partial(wait_until_ready, f"http://{LOOPBACK}:{own_port or port}"),
        cwd=tmp_path,
        environ={
            "CHAT_HOME": str(tmp_path),
            "CHAT_JWT_SECRET": settings.secret(),
            "CHAT_PORT": str(port),
            "CHAT_OWN_PORT": str(own_port),
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
            "DATABASE_URL": settings.database_url or "",
        },
    )
    child = await Child.start(part)
    try:
        yield child
    finally:
        await child.stop()


async def test_told_to_stop_it_says_good_bye_and_ends_in_order(settings: Settings, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with edge(settings, tmp_path, port) as child:
        await child.ready()
        token = sign_token(settings, 7)
        async with connect(f"ws://{LOOPBACK}:{port}/chat/connect?token={token}") as connection:
            assert json.loads(await connection.recv())["type"] == "connected"
            stopping = asyncio.ensure_future(child.stop())
            with suppress(ConnectionClosed):
                while True:
                    await connection.recv()
            assert connection.close_code == 1001
        await stopping
        assert child.status == 0
        said = child.part.log.read_text(encoding="utf-8")
        assert token not in said
        assert "Traceback" not in said


async def test_an_address_that_is_taken_is_one_line_and_status_1(settings: Settings, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with socket.socket() as taken:
        taken.bind((LOOPBACK, port))
        taken.listen()
        async with edge(settings, tmp_path, port) as child:
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await child.ended() == 1
            lines = child.part.log.read_text(encoding="utf-8").splitlines()
            assert len(lines) == 1
            assert lines[0].endswith(f"cannot listen on {LOOPBACK}:{port}: Address already in use")


async def test_edges_share_an_address_and_have_one_each(settings: Settings, tmp_path: Path) -> None:
    shared, first, second = free_ports(3)
    async with edge(settings, tmp_path, shared, first) as one:
        await one.ready()
        async with edge(settings, tmp_path, shared, second) as other:
            await other.ready()
            async with httpx.AsyncClient() as http:
                for port in (shared, first, second):
                    assert (await http.get(f"http://{LOOPBACK}:{port}/healthz")).status_code == 200
        async with httpx.AsyncClient() as http:
            for _ in range(20):
                assert (
                    await http.get(f"http://{LOOPBACK}:{shared}/readyz", headers={"connection": "close"})
                ).status_code == 200
            with pytest.raises(httpx.ConnectError):
                await http.get(f"http://{LOOPBACK}:{second}/healthz")


@pytest.fixture
async def process_of_its_own() -> AsyncIterator[None]:
    """Take back what `serve` does to the process that it runs in."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


@pytest.mark.usefixtures("process_of_its_own")
async def test_a_tail_that_fails_ends_the_process_with_its_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, broken = Tail.run, asyncio.Event()

    async def breaking(tail: Tail) -> None:
        following = asyncio.ensure_future(run(tail))
        await broken.wait()
        following.cancel()
        await asyncio.wait([following])
        raise RuntimeError("the log was cut")

    monkeypatch.setattr(Tail, "run", breaking)
    (port,) = free_ports(1)
    serving = asyncio.ensure_future(serve(replace(settings, port=port)))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await wait_until_ready(f"http://{LOOPBACK}:{port}")
        broken.set()
        with pytest.raises(RuntimeError, match="the log was cut"):
            await serving
