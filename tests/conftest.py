"""Fixtures for all tests; they are defined in tests/support."""

import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Tests owe nothing to the environment they are started in; before anything reads it.
for name in list(os.environ):
    if name.startswith(("CHAT_", "KAFKA_")) or name == "DATABASE_URL":
        del os.environ[name]

from tests.support import containers  # noqa: E402
from tests.support.dialling import dial  # noqa: E402
from tests.support.edges import edges, pair  # noqa: E402
from tests.support.servers import database_url, home, module_settings, servers, settings  # noqa: E402
from tests.support.system import system  # noqa: E402

FAULTS = Path(__file__).with_name("faults")
THIRDS = (
    {"test_workers.py", "test_promotion.py"},
    {"test_sockets.py", "test_edges.py", "test_rebuild.py"},
    {"test_stores.py", "test_servers.py", "test_retries.py"},
)
"""Of the faults; each takes about as long as the others."""

__all__ = ["database_url", "dial", "edges", "home", "module_settings", "pair", "servers", "settings", "system"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the faults come first, all thirds of them at a time, and then the rest."""
    items.sort(key=lambda item: FAULTS not in item.path.parents)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Tests of a file share its servers, and those of a third of the faults do."""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.split("::", 1)[0])
        if path.parent.name != FAULTS.name:
            return str(path)
        return next((f"faults {number}" for number, third in enumerate(THIRDS) if path.name in third), str(path))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_report_header() -> str:
    """Say once where the servers come from."""
    if containers.engine_answers():
        return "servers: containers, from the Docker engine that answers here"
    return "servers: embedded; no Docker engine answers, so the path through testcontainers is skipped"
