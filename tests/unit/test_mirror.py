"""The unit tests mirror the source: who looks for a module's tests finds them at its place, or here.

What only speaks with servers is held where real ones run; each such module is named with the tests that hold it.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "infra", "command_api", "gateway")
HELD_BY = {
    "tests/integration/test_commands.py": (
        *("infra/commands/demo.py", "infra/commands/doctor.py", "infra/commands/lag.py"),
        *("infra/commands/tail.py", "infra/commands/token.py", "infra/commands/topics.py"),
    ),
    "tests/integration/test_edges.py": (
        *("command_api/claims.py", "command_api/loads.py", "command_api/messages.py", "command_api/openings.py"),
        *("command_api/reads.py", "command_api/service.py"),
        *("infra/appender.py", "infra/edge.py", "infra/log_reader.py", "infra/log_start.py"),
    ),
    "tests/integration/test_edge_process.py": ("gateway/cli.py", "gateway/service.py"),
    "tests/integration/test_embedded.py": ("infra/embedded/postgres.py",),
    "tests/integration/test_missed.py": ("gateway/resuming/missed.py", "gateway/resuming/told_rows.py"),
    "tests/integration/test_producer.py": ("infra/producer.py",),
    "tests/integration/test_projections_commands.py": ("infra/commands/agreement.py",),
    "tests/integration/test_queries.py": ("gateway/reads/queries.py",),
    "tests/integration/test_servers.py": ("infra/kafka_topics.py",),
    "tests/integration/test_up.py": ("infra/commands/up.py", "infra/embedded/lock.py"),
    "tests/integration/test_write_side.py": ("command_api/app.py",),
    "tests/e2e/test_bad_input.py": ("command_api/routes.py", "gateway/reads/read_routes.py"),
    "tests/e2e/test_reading.py": ("gateway/health.py",),
    "tests/e2e/test_staleness.py": ("gateway/reads/waiting.py", "infra/staleness.py"),
    "tests/e2e/test_user_flow.py": (
        *("command_api/blocks.py", "command_api/reports.py", "command_api/users.py", "gateway/sockets/live.py"),
    ),
    "tests/unit/gateway/sockets/test_hub.py": ("gateway/sockets/durable.py",),
    "tests/unit/gateway/resuming/test_resume.py": ("gateway/resuming/remembered.py",),
    "tests/unit/infra/test_child.py": ("infra/part.py",),
}
MODULES = [
    str(path.relative_to(ROOT))
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.name != "__init__.py"
]
ELSEWHERE = {module: tests for tests, modules in HELD_BY.items() for module in modules}


def mirror_of(module: str) -> Path:
    path = Path(module)
    return ROOT / "tests" / "unit" / path.with_name(f"test_{path.name}")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_its_tests(module: str) -> None:
    assert mirror_of(module).exists() or module in ELSEWHERE, f"{mirror_of(module)} is missing"


@pytest.mark.parametrize("module", ELSEWHERE)
def test_what_is_held_elsewhere_is_a_module_without_tests_at_its_place(module: str) -> None:
    assert (ROOT / module).exists()
    assert (ROOT / ELSEWHERE[module]).exists()
    assert not mirror_of(module).exists(), f"take {module} off the list"
