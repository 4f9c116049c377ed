"""Fixtures for all tests; they are defined in tests/support."""

import os
from pathlib import Path

import pytest

# Tests owe nothing to the environment they are started in; before anything reads it.
for name in list(os.environ):
    if name.startswith(("CHAT_", "KAFKA_")) or name == "DATABASE_URL":
        del os.environ[name]

from tests.support import containers  # noqa: E402
from tests.support.servers import database_url, home, module_settings, servers, settings  # noqa: E402
from tests.support.system import system  # noqa: E402

FAULTS = Path(__file__).with_name("faults")

__all__ = ["database_url", "home", "module_settings", "servers", "settings", "system"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of a file share its servers; the faults come first, one after the other, the rest beside them."""
    items.sort(key=lambda item: FAULTS not in item.path.parents)
    for item in items:
        group = "faults" if FAULTS in item.path.parents else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_report_header() -> str:
    """Say once where the servers come from."""
    if containers.engine_answers():
        return "servers: containers, from the Docker engine that answers here"
    return "servers: embedded; no Docker engine answers, so the path through testcontainers is skipped"
