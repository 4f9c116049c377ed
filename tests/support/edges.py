"""Edges in this process, on ports of their own: one more beside a running system, or two that a module shares."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gateway.app import create_app
from gateway.doors import Door, bind, config
from infra.embedded.ports import LOOPBACK, free_ports
from infra.settings import Settings
from tests.support.clients import Client, clients, new_user
from tests.support.write_sides import worker

START_SECONDS = 60


@asynccontextmanager
async def edge_beside(settings: Settings, **changes: Any) -> AsyncIterator[str]:
    """Run an edge on the same log and tables; yield its address once it is ready."""
    (port,) = free_ports(1)
    changed = replace(settings, port=port, own_port=0, name=f"beside-{port}", **changes)
    app = create_app(changed)
    async with app.router.lifespan_context(app):
        service = app.state.service
        door = Door(config(app, changed), service.leave)
        serving = asyncio.ensure_future(door.serve([bind(LOOPBACK, port, shared=False)]))
        try:
            async with asyncio.timeout(START_SECONDS):
                await service.ready.wait()
            yield f"http://{LOOPBACK}:{port}"
        finally:
            door.should_exit = True
            await serving


Pair = tuple[Client, Client, int]


@pytest.fixture(scope="module")
async def edges(module_settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """Two edges and a worker."""
    unlimited = replace(module_settings, messages_per_minute=0)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(edge_beside(unlimited))
        second = await stack.enter_async_context(edge_beside(unlimited))
        await stack.enter_async_context(worker(module_settings))
        async with clients(module_settings, first) as (back_end,):
            await back_end.until_tables()
        yield first, second


@pytest.fixture
async def pair(module_settings: Settings, edges: tuple[str, str]) -> AsyncIterator[Pair]:
    """Two users in conversation."""
    ada, bob = new_user(), new_user()
    async with clients(module_settings, edges[0], ada, bob) as (alice, bert, back_end):
        yield alice, bert, await back_end.open(ada, bob)
