"""HTTP as both sides speak it: bodies, tokens, ids in paths, and an answer for every error."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from command_api.http import EXCEPTION_HANDLERS, acting, answer, body, identify, path_id
from command_api.tokens import Tokens
from infra.settings import Settings, load_settings
from infra.tokens import sign_token
from schemas.answers import Alive
from schemas.errors import ChatError, Code, Unavailable
from schemas.requests import SendMessage
from schemas.validation import MAX_BYTES

MESSAGE = {"conversation_id": 1, "user_id": 2, "content": "hi"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    given = {"CHAT_HOME": str(tmp_path_factory.mktemp("home")), "CHAT_JWT_SECRET": "s" * 32}
    return load_settings(given, discover=False)


@pytest.fixture(scope="module")
def client(settings: Settings) -> httpx.AsyncClient:
    tokens = Tokens(settings)

    async def send(request: Request) -> Response:
        return answer({"content": (await body(request, SendMessage)).content}, 201, {"Chat-Position": "0:1"})

    async def whoami(request: Request) -> Response:
        return answer({"user": acting(request, identify(request, tokens))})

    async def thing(request: Request) -> Response:
        return answer({"id": path_id(request, Code.MESSAGE_NOT_FOUND, "there is no such message")})

    async def failing(request: Request) -> Response:
        match request.path_params["how"]:
            case "limited":
                raise ChatError(Code.RATE_LIMITED, "slowly", retry_after=7)
            case "away":
                raise Unavailable("away", retry_after=2)
            case _:
                raise ZeroDivisionError("a bug")

    routes = [
        Route("/send", send, methods=["POST"]),
        Route("/send", whoami),
        Route("/whoami", whoami),
        Route("/things/{id}", thing),
        Route("/fail/{how}", failing),
    ]
    app = Starlette(routes=routes, exception_handlers=EXCEPTION_HANDLERS)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def code(response: httpx.Response) -> tuple[int, str]:
    failure = response.json()
    assert failure.keys() == {"error", "code", "details", "timestamp"}
    assert failure["timestamp"].endswith("Z")
    return response.status_code, failure["code"]


async def test_a_good_body_is_answered_with_json_and_headers(client: httpx.AsyncClient) -> None:
    response = await client.post("/send", json=MESSAGE)
    assert (response.status_code, response.json()) == (201, {"content": "hi"})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["chat-position"] == "0:1"


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/json "])
async def test_json_may_be_named_in_any_way(client: httpx.AsyncClient, media_type: str) -> None:
    response = await client.post(
        "/send", content=b'{"conversation_id":1,"user_id":2,"content":"x"}', headers={"content-type": media_type}
    )
    assert response.status_code == 201


@pytest.mark.parametrize(
    "media_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
async def test_another_media_type_is_refused(client: httpx.AsyncClient, media_type: str | None) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    response = await client.post("/send", content=b"{}", headers=headers)
    assert code(response) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert list(response.json()["details"]) == ["content-type"]


async def test_a_body_may_have_64_kib_and_not_one_byte_more(client: httpx.AsyncClient) -> None:
    start = b'{"conversation_id":1,"user_id":2,"content":"x","more":"'
    largest = start + b"x" * (MAX_BYTES - len(start) - 2) + b'"}'
    headers = {"content-type": "application/json"}
    assert (await client.post("/send", content=largest, headers=headers)).status_code == 201
    refused = await client.post("/send", content=largest + b" ", headers=headers)
    assert code(refused) == (413, "PAYLOAD_TOO_LARGE")
    assert refused.headers["connection"] == "close"


async def test_a_body_without_end_is_refused_as_soon_as_it_is_too_large(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 1_024

    response = await client.post("/send", content=endless(), headers={"content-type": "application/json"})
    assert code(response) == (413, "PAYLOAD_TOO_LARGE")
    assert sent < 200


async def never() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def test_a_body_that_is_announced_as_too_large_is_refused_before_it_comes(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json", "content-length": str(MAX_BYTES + 1)}
    async with asyncio.timeout(5):
        response = await client.post("/send", content=never(), headers=headers)
    assert code(response) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_body_that_does_not_come_is_given_up(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("command_api.http.BODY_SECONDS", 0.01)
    async with asyncio.timeout(5):
        response = await client.post("/send", content=never(), headers={"content-type": "application/json"})
    assert code(response) == (400, "VALIDATION_ERROR")
    assert response.json()["details"] == {"body": "must come within 0.01 s"}
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize(
    "given",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Basic dXNlcjpwYXNz"],
        ["{token}"],
        ["Bearer {token}", "Bearer {token}"],
        ["Bearer {token} {token}"],
        ["Bearer {token}, Bearer {token}"],
    ],
)
async def test_exactly_one_bearer_token_is_needed(
    client: httpx.AsyncClient, settings: Settings, given: list[str]
) -> None:
    token = sign_token(settings, 7)
    headers = [("authorization", value.replace("{token}", token)) for value in given]
    response = await client.get("/whoami", headers=headers)
    assert code(response) == (401, "UNAUTHORIZED")
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert token not in response.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_user_acts_for_themself(client: httpx.AsyncClient, settings: Settings, scheme: str) -> None:
    headers = {"authorization": f"{scheme} {sign_token(settings, 7)}"}
    for query in ("", "?user_id=7"):
        assert (await client.get(f"/whoami{query}", headers=headers)).json() == {"user": 7}
    assert code(await client.get("/whoami?user_id=8", headers=headers)) == (403, "FORBIDDEN")


async def test_a_back_end_says_for_whom_it_acts(client: httpx.AsyncClient, settings: Settings) -> None:
    headers = {"authorization": f"Bearer {sign_token(settings, 0, service=True)}"}
    assert (await client.get("/whoami?user_id=8", headers=headers)).json() == {"user": 8}
    response = await client.get("/whoami", headers=headers)
    assert code(response) == (400, "VALIDATION_ERROR")
    assert list(response.json()["details"]) == ["user_id"]


@pytest.mark.parametrize("user", ["", "x", "0", "-1", "1.5", "9007199254740992", "9" * 5_000])
async def test_a_wrong_user_in_the_query_is_named(client: httpx.AsyncClient, settings: Settings, user: str) -> None:
    headers = {"authorization": f"Bearer {sign_token(settings, 7)}"}
    response = await client.get("/whoami", params={"user_id": user}, headers=headers)
    assert code(response) == (400, "VALIDATION_ERROR")
    assert list(response.json()["details"]) == ["user_id"]


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "007x", "9007199254740992", "9" * 5_000, "%D9%A7", "%00"])
async def test_what_cannot_be_an_id_does_not_exist(client: httpx.AsyncClient, text: str) -> None:
    assert code(await client.get(f"/things/{text}")) == (404, "MESSAGE_NOT_FOUND")


async def test_an_unknown_path_and_a_wrong_method_are_told(client: httpx.AsyncClient) -> None:
    assert code(await client.get("/nowhere")) == (404, "NOT_FOUND")
    response = await client.delete("/send")
    assert code(response) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize(
    ("how", "expected", "after"), [("limited", (429, "RATE_LIMITED"), "7"), ("away", (503, "SERVICE_UNAVAILABLE"), "2")]
)
async def test_what_may_be_tried_again_says_when(
    client: httpx.AsyncClient, how: str, expected: tuple[int, str], after: str
) -> None:
    response = await client.get(f"/fail/{how}")
    assert code(response) == expected
    assert response.headers["retry-after"] == after


async def test_a_bug_is_a_500_with_a_trace_in_the_log_and_not_in_the_answer(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = await client.get("/fail/badly")
    assert code(response) == (500, "INTERNAL_ERROR")
    assert "ZeroDivisionError" not in response.text
    assert any(record.exc_info for record in caplog.records)


async def test_an_answer_may_be_a_type_of_the_contract() -> None:
    assert answer(Alive(status="ok")).body == b'{"status":"ok"}'
