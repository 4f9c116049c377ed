import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.cli import main

SERVICES = ("edge", "worker")


def chat(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_names_every_command_with_a_line() -> None:
    status, said = chat("--help")
    assert status == 0
    lines = said.partition("Commands:\n")[2].splitlines()
    for name in ("up", "demo", "token", "topics", "tail", "lag", "doctor", *SERVICES):
        assert any(line.split()[0] == name and len(line.split()) > 3 for line in lines if line.strip()), name


def test_help_imports_none_of_them() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from infra.cli import main\n"
        "CliRunner().invoke(main, ['--help'])\n"
        "print(*sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    commands = {entry.module for entry in entry_points(group="chat.commands")} | {"infra.commands.up"}
    assert not {*commands, "aiokafka", "asyncpg", "faust", "starlette", "uvicorn"} & set(said.split())


@pytest.mark.parametrize("arguments", [("nothing",), ("token",), ("token", "--user", "0"), ("up", "--edges", "x")])
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    status, said = chat(*arguments)
    assert status == 2
    assert "Error: " in said


def test_brokers_are_not_asked_for_where_there_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    status, said = chat("up", "--brokers", "3")
    assert status == 2
    assert "Error: --brokers is for the embedded Kafka, and KAFKA_BOOTSTRAP_SERVERS names another" in said


def test_a_wrong_setting_is_one_line_and_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_PORT", "abc")
    assert chat("token", "--user", "1") == (1, "Error: CHAT_PORT: must be a whole number, not 'abc'\n")


@pytest.mark.parametrize("command", ["topics", "lag", "tail"])
def test_without_servers_a_command_says_so_and_fails(command: str) -> None:
    status, said = chat(command)
    assert (status, said.count("\n")) == (1, 1)
    assert "no `chat up` runs in .chat" in said


@pytest.mark.parametrize("arguments", [("token", "--user", "1"), ("demo",), ("topics",), ("lag",), ("doctor",)])
def test_where_no_service_runs_nobody_makes_a_home(arguments: tuple[str, ...]) -> None:
    assert chat(*arguments)[0] in {0, 1}
    assert not Path(".chat").exists()


@pytest.mark.parametrize("arguments", [("token", "--user", "1"), ("demo",)])
def test_a_token_that_nobody_would_accept_is_not_signed(arguments: tuple[str, ...]) -> None:
    status, said = chat(*arguments)
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith(
        "Error: CHAT_JWT_SECRET: is not set, and none is kept in .chat: run this where `chat up` runs"
    )


def test_a_demonstration_without_a_service_says_how_to_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_PORT", "1")
    monkeypatch.setenv("CHAT_JWT_SECRET", "s" * 32)
    status, said = chat("demo")
    assert (status, said.count("\n")) == (1, 1)
    assert "start it with `chat up`" in said
