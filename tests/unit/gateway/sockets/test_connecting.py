"""The handshake: tokens, Origins, what to resume from."""

from typing import Any

import pytest

from gateway.sockets.connecting import asked, close_code, comes_from_afar, subprotocol, wire_of
from schemas.errors import ChatError, Code, Unavailable


def scope(query: str = "", *, subprotocols: tuple[str, ...] = (), **headers: str) -> dict[str, Any]:
    return {
        "query_string": query.encode(),
        "subprotocols": list(subprotocols),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


def test_a_token_comes_in_the_query() -> None:
    assert asked(scope("token=abc")) == ("abc", None, "", False)


def test_a_token_comes_as_a_subprotocol() -> None:
    offered = scope(subprotocols=("chat.v1", "bearer.abc"))
    assert asked(offered).token == "abc"
    assert subprotocol(offered) == "chat.v1"


def test_nothing_is_selected_that_was_not_offered() -> None:
    assert subprotocol(scope(subprotocols=("bearer.abc",))) is None


@pytest.mark.parametrize(
    "given",
    [
        scope(),
        scope("token="),
        scope("token=a&token=b"),
        scope("token=a", subprotocols=("bearer.b",)),
        scope(subprotocols=("bearer.",)),
    ],
)
def test_there_must_be_one_token(given: dict[str, Any]) -> None:
    with pytest.raises(ChatError) as refused:
        asked(given)
    assert refused.value.code is Code.UNAUTHORIZED


def test_what_to_resume_from_and_batches_come_in_the_query() -> None:
    assert asked(scope("token=t&cursor=7.abc&positions=3:1042,7:99&batch=1")) == ("t", "7.abc", "3:1042,7:99", True)
    assert not asked(scope("token=t&batch=0")).batch


@pytest.mark.parametrize(
    ("origin", "allowed", "afar"),
    [
        (None, (), False),
        ("https://chat.example", (), False),
        ("http://chat.example", (), False),
        ("https://evil.example", (), True),
        ("https://evil.example", ("https://good.example",), True),
        ("https://good.example", ("https://good.example",), False),
        ("https://good.example.evil.example", ("https://good.example",), True),
        ("https://evil.example", ("*",), False),
        ("null", (), True),
        ("http://[", (), True),
    ],
)
def test_only_pages_of_ours_and_those_listed_may_connect(
    origin: str | None, allowed: tuple[str, ...], afar: bool
) -> None:
    given = scope(host="chat.example", origin=origin) if origin else scope(host="chat.example")
    assert comes_from_afar(given, allowed) is afar


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ChatError(Code.UNAUTHORIZED, "x"), 4401),
        (ChatError(Code.TOKEN_EXPIRED, "x"), 4401),
        (ChatError(Code.RATE_LIMITED, "x"), 4429),
        (Unavailable("x"), 1011),
    ],
)
def test_the_close_code_says_whether_to_try_again(error: ChatError, code: int) -> None:
    assert close_code(error) == code


def test_another_server_class_is_named_as_the_mistake() -> None:
    with pytest.raises(RuntimeError, match="uvicorn_options"):
        wire_of({"extensions": {}})
