"""One more edge beside a running system: in this process, on a port of its own, with settings of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from gateway.app import create_app
from gateway.doors import Door, bind, config
from infra.embedded.ports import LOOPBACK, free_ports
from infra.settings import Settings

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
