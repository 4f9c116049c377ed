import json
import logging
import sys
from collections.abc import Iterator
from typing import NoReturn

import jwt
import pytest

from infra.logs import ConsoleFormatter, JsonFormatter, configure_logs, redact

TOKEN = jwt.encode({"sub": "1"}, "x" * 32, "HS256")


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('"GET /chat/connect?token={} HTTP/1.1" 101', '"GET /chat/connect?token=[hidden] HTTP/1.1" 101'),
        ("/chat/connect?cursor=a&token={}&batch=1", "/chat/connect?cursor=a&token=[hidden]&batch=1"),
        ("/x?next=%2Fchat%3Ftoken%3D{}", "/x?next=%2Fchat%3Ftoken%3D[hidden]"),
        ("Authorization: Bearer {}", "Authorization: Bearer [hidden]"),
        ("[(b'authorization', b'Bearer {}'), (b'a', b'b')]", "[(b'authorization', b'Bearer [hidden]'), (b'a', b'b')]"),
        ("Sec-WebSocket-Protocol: chat.v1, bearer.{}", "Sec-WebSocket-Protocol: chat.v1, bearer.[hidden]"),
        ("['chat.v1', 'bearer.{}']", "['chat.v1', 'bearer.[hidden]']"),
    ],
)
@pytest.mark.parametrize("token", [TOKEN, "not-even.a-token"])
def test_a_token_is_hidden_wherever_it_stands(line: str, shown: str, token: str) -> None:
    assert redact(line.replace("{}", token)) == shown


def test_a_token_in_a_frame_is_hidden() -> None:
    assert redact(f'{{"type":"auth","token":"{TOKEN}"}}') == '{"type":"auth","token":"[hidden]"}'


def test_a_password_in_an_address_is_hidden() -> None:
    assert redact("connecting to postgresql://chat:secret@db:5432/chat") == (
        "connecting to postgresql://chat:[hidden]@db:5432/chat"
    )


def test_what_is_no_secret_is_left_alone() -> None:
    for line in ("http://127.0.0.1:8000/readyz 200", "the token has expired", "authorization is checked first"):
        assert redact(line) == line


def fail() -> NoReturn:
    raise ValueError(f"no good: ?token={TOKEN}")


def record(message: str, *arguments: object) -> logging.LogRecord:
    try:
        fail()
    except ValueError:
        return logging.LogRecord("gateway", logging.ERROR, "x.py", 1, message, arguments, sys.exc_info())


def test_arguments_and_tracebacks_are_hidden_too() -> None:
    for line in (
        ConsoleFormatter().format(record("with %s", f"?token={TOKEN}")),
        JsonFormatter().format(record("with %s", f"?token={TOKEN}")),
    ):
        assert TOKEN not in line
        assert "ValueError" in line


def test_json_lines_have_time_level_logger_and_message() -> None:
    line = json.loads(JsonFormatter().format(record("hello %s", "you")))
    assert (line["level"], line["logger"], line["message"]) == ("ERROR", "gateway", "hello you")
    assert line["time"].endswith("Z")


def test_every_logger_writes_through_the_one_handler(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    logging.getLogger("uvicorn.error").warning('"GET /chat/connect?token=%s" 101', TOKEN)
    written = capsys.readouterr().err
    assert json.loads(written)["message"] == '"GET /chat/connect?token=[hidden]" 101'


def test_an_uncaught_exception_is_a_line_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    try:
        fail()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    written = capsys.readouterr().err
    assert json.loads(written)["level"] == "CRITICAL"
    assert TOKEN not in written
