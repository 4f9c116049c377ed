import shlex
from pathlib import Path
from typing import Any

import pytest

from infra import welcome
from infra.http_client import Answer
from infra.part import Part
from infra.settings import Settings, load_settings
from infra.system import Servers, System
from infra.welcome import Welcome, as_json, screen


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"CHAT_HOME": str(tmp_path), "CHAT_JWT_SECRET": "s" * 32})


def running(*edge_urls: str, kafka: tuple[Part, ...] = ()) -> System:
    servers = Servers(
        kafka_bootstrap_servers="127.0.0.1:1",
        database_url="postgresql://chat:pw@127.0.0.1:2/chat",
        kafka=kafka,
        postgres=(),
    )
    nothing: tuple[Part, ...] = ()
    return System(servers=servers, workers=nothing, edges=nothing, url="http://127.0.0.1:8000", edge_urls=edge_urls)


FOUND = Welcome({1: "token-of-ada", 2: "token-of-ben"}, 1000)


def test_it_is_one_screen(settings: Settings) -> None:
    assert len(screen(settings, running("http://127.0.0.1:8000"), FOUND).splitlines()) <= 24


def test_its_commands_can_be_pasted(settings: Settings) -> None:
    lines = screen(settings, running(), FOUND).splitlines()
    assert "export ADA=token-of-ada" in lines
    curl = shlex.split(next(line for line in lines if line.startswith("curl") and "messages" in line))
    assert curl[curl.index("-d") + 1] == '{"conversation_id": 1000, "user_id": 1, "content": "Hello"}'


def test_it_tells_each_edge_of_several_but_no_password(settings: Settings) -> None:
    shown = screen(settings, running("http://127.0.0.1:8010", "http://127.0.0.1:8011"), FOUND)
    assert "http://127.0.0.1:8010  http://127.0.0.1:8011" in shown
    assert "127.0.0.1:2/chat" in shown
    assert "pw@" not in shown


def test_on_somebody_elses_log_it_promises_no_users(settings: Settings) -> None:
    shown = screen(settings, running(), Welcome(FOUND.tokens, None))
    assert "conversation" not in shown
    assert "demo" in shown


def test_on_a_log_of_ours_it_has_tokens_before_there_is_a_conversation(settings: Settings) -> None:
    ours: Any = (None,)
    lines = screen(settings, running(kafka=ours), Welcome(FOUND.tokens, None)).splitlines()
    assert "export ADA=token-of-ada" in lines
    assert not any("curl" in line for line in lines)


def test_programs_get_the_same() -> None:
    told = as_json(running("http://127.0.0.1:8000"), FOUND)
    assert (told["url"], told["edges"]) == ("http://127.0.0.1:8000", ["http://127.0.0.1:8000"])
    assert told["tokens"]["2"] == "token-of-ben"


async def test_tables_that_are_still_being_made_are_said_and_not_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_yet(*_: Any, **__: Any) -> Answer:
        return Answer(503, None)

    monkeypatch.setattr(welcome, "ask", not_yet)
    monkeypatch.setattr(welcome, "SECONDS", 0.2)
    said: list[str] = []
    found = await welcome.welcome(settings, running(), said.append)
    assert set(found.tokens) == {1, 2}
    assert found.conversation_id is None
    assert said[0].startswith("the read tables do not answer yet")
