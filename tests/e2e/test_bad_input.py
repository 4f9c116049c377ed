"""Bad input over HTTP: each gets its status, its code and the field's name, is never a 500, and the process goes on."""

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest

from schemas.validation import MAX_BYTES
from tests.support.clients import Client, clients, new_user
from tests.support.system import System

UNKNOWN = 2**53 - 2
CONFLICT = "already-used"


class Place(NamedTuple):
    """A conversation with a message, its users, somebody else and a back end."""

    conversation: int
    message: int
    alice: Client
    bert: Client
    eve: Client
    back_end: Client


@pytest.fixture(scope="module")
async def place(system: System) -> AsyncIterator[Place]:
    users = new_user(), new_user(), new_user()
    async with clients(system.settings, system.url, *users) as (alice, bert, eve, back_end):
        conversation = await back_end.open(alice.user, bert.user)
        sent = await alice.sent(conversation, "hello", client_id=CONFLICT)
        yield Place(conversation, sent["message_id"], alice, bert, eve, back_end)
        # Whatever was tried: the edge still serves, and nothing of it was stored.
        assert (await alice.sent(conversation, "still here"))["seq"] == 2
        assert (await bert.history(conversation))["total"] == 2


def expect(response: httpx.Response, status: int, code: str, *fields: str) -> None:
    failure = response.json()
    assert (response.status_code, failure["code"]) == (status, code), response.text
    assert sorted(failure) == ["code", "details", "error", "timestamp"]
    if fields:
        assert sorted(failure["details"]) == sorted(fields)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            (field, value)
            for field in ("conversation_id", "user_id")
            for value in (True, 1.5, "1", -1, 0, 2**53, 2**70, None)
        ),
        *(("content", value) for value in (None, "", " \n", "x" * 4_001, "a\x00", "\ud800", 7)),
        *(("client_id", value) for value in ("", "x" * 65, "a\n", "\ud800", 7)),
        ("content_type", "image"),
    ],
)
async def test_a_message_with_a_wrong_field(place: Place, field: str, value: object) -> None:
    body = {"conversation_id": place.conversation, "user_id": place.alice.user, "content": "x", field: value}
    expect(await post(place, json.dumps(body).encode()), 400, "VALIDATION_ERROR", field)


@pytest.mark.parametrize("field", ["conversation_id", "user_id", "content"])
async def test_a_message_without_a_field(place: Place, field: str) -> None:
    body = {"conversation_id": place.conversation, "user_id": place.alice.user, "content": "x"}
    del body[field]
    expect(await post(place, json.dumps(body).encode()), 400, "VALIDATION_ERROR", field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b'{"content":NaN}', "body"),
        (b'{"content":Infinity}', "body"),
        (b'{"conversation_id":1e400,"user_id":1,"content":"x"}', "body"),
        (b'{"content":' + b"[" * 50_000, "body"),
        (b'{"content":"\xff"}', "body"),
        (b'{"content":"a","content":"b"}', "content"),
        (rb'{"\ud800":1,"\ud800":2}', r"\ud800"),
    ],
)
async def test_a_body_that_is_no_json_object(place: Place, body: bytes, field: str) -> None:
    expect(await post(place, body), 400, "MALFORMED_JSON", field)


async def test_a_body_that_is_too_large_of_another_type_or_with_two_keys(place: Place) -> None:
    expect(await post(place, b" " * 65_537), 413, "PAYLOAD_TOO_LARGE", "body")
    expect(await post(place, b"{}", "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE", "content-type")
    body = {"conversation_id": place.conversation, "user_id": place.alice.user, "content": "x", "client_id": "a"}
    differs = await place.alice.http.post("/chat/messages", json=body, headers={"Idempotency-Key": "b"})
    expect(differs, 400, "VALIDATION_ERROR", "client_id")
    del body["client_id"]
    latin = {b"Idempotency-Key": "é".encode("latin-1")}  # what browsers send; in a body it would be another text
    foreign = await place.alice.http.post("/chat/messages", json=body, headers=latin)
    assert (foreign.status_code, foreign.json()["details"].keys()) == (400, {"client_id"})
    wrong = await place.alice.http.post("/chat/messages", json=body, headers={"Idempotency-Key": "x" * 65})
    expect(wrong, 400, "VALIDATION_ERROR", "client_id")


async def post(place: Place, body: bytes, content_type: str = "application/json") -> httpx.Response:
    return await place.alice.http.post("/chat/messages", content=body, headers={"content-type": content_type})


async def test_what_belongs_to_others_is_forbidden(place: Place) -> None:
    conversation, eve = place.conversation, place.eve
    path = f"/chat/conversations/{conversation}"
    report = {"report_type": "spam", "reason": "x"}
    for response in (
        await eve.send(conversation, "x"),
        await eve.http.put(f"/chat/messages/{place.message}/read"),
        await place.alice.http.put(f"/chat/messages/{place.message}/read"),
        await eve.http.post(f"{path}/block"),
        await eve.http.delete(f"{path}/block"),
        await eve.http.post(f"{path}/report", json=report),
        await eve.http.get(f"{path}/messages"),
        await eve.http.post("/chat/conversations", json={"user_id": eve.user, "other_user_id": place.bert.user}),
        await eve.http.put(f"/chat/users/{eve.user}", json={"name": "Eve"}),
        await eve.http.get(f"/chat/users/{place.bert.user}/status"),
    ):
        expect(response, 403, "FORBIDDEN")
    for response in (
        await eve.http.get("/chat/conversations", params={"user_id": place.alice.user}),
        await eve.http.get("/chat/blocked", params={"user_id": place.alice.user}),
        await eve.http.get(f"{path}/messages", params={"user_id": place.alice.user}),
        await eve.http.post(f"{path}/block", params={"user_id": place.alice.user}),
        await eve.http.post(
            "/chat/messages", json={"conversation_id": conversation, "user_id": place.alice.user, "content": "x"}
        ),
        await eve.http.post(f"{path}/block", json={"user_id": place.alice.user}),
        await eve.http.request("DELETE", f"{path}/block", json={"user_id": place.alice.user}),
        await eve.http.put(f"/chat/messages/{place.message}/read", json={"user_id": place.bert.user}),
        await eve.http.post(f"{path}/report", json={**report, "user_id": place.alice.user}),
        await place.alice.http.post(
            "/chat/messages",
            params={"user_id": eve.user},
            json={"conversation_id": conversation, "user_id": place.alice.user, "content": "x"},
        ),
    ):
        expect(response, 403, "FORBIDDEN", "user_id")


async def test_the_body_of_a_command_that_needs_none(system: System, place: Place) -> None:
    path = f"/chat/conversations/{place.conversation}/block"
    expect(await place.alice.http.post(path, json={"user_id": 0}), 400, "VALIDATION_ERROR", "user_id")
    expect(await place.alice.http.post(path, content=b"{"), 415, "UNSUPPORTED_MEDIA_TYPE", "content-type")
    expect(await place.alice.http.post(path, content=b"x" * (MAX_BYTES + 1)), 413, "PAYLOAD_TOO_LARGE", "body")
    service = {"Authorization": f"Bearer {system.token(1, service=True)}"}
    differs = await place.alice.http.post(
        path, params={"user_id": place.eve.user}, json={"user_id": place.alice.user}, headers=service
    )
    expect(differs, 400, "VALIDATION_ERROR", "user_id")


@pytest.mark.parametrize("unknown", [str(UNKNOWN), "0", "-1", "x", "1.5", str(2**53), "9" * 300, "%00"])
async def test_what_is_unknown_is_not_found(place: Place, unknown: str) -> None:
    http, report = place.alice.http, {"report_type": "spam", "reason": "x"}
    path = f"/chat/conversations/{unknown}"
    for response in (
        await http.post(f"{path}/block"),
        await http.delete(f"{path}/block"),
        await http.post(f"{path}/report", json=report),
        await http.get(f"{path}/messages"),
    ):
        expect(response, 404, "CONVERSATION_NOT_FOUND")
    expect(await http.put(f"/chat/messages/{unknown}/read"), 404, "MESSAGE_NOT_FOUND")
    expect(await http.get(f"/chat/users/{unknown}/status"), 404, "USER_NOT_FOUND")


async def test_an_unknown_conversation_in_a_body_a_path_and_a_method(place: Place) -> None:
    expect(await place.alice.send(UNKNOWN, "x"), 404, "CONVERSATION_NOT_FOUND")
    expect(await place.alice.http.get("/chat/nothing"), 404, "NOT_FOUND")
    expect(await place.alice.http.get("/chat/conversations/"), 404, "NOT_FOUND")
    expect(await place.alice.http.patch("/chat/messages"), 405, "METHOD_NOT_ALLOWED")
    expect(await place.alice.http.delete("/chat/conversations"), 405, "METHOD_NOT_ALLOWED")


async def test_a_conversation_with_oneself(place: Place) -> None:
    both = {"user_id": place.alice.user, "other_user_id": place.alice.user}
    response = await place.back_end.http.post("/chat/conversations", json=both)
    expect(response, 400, "VALIDATION_ERROR", "other_user_id")


async def test_another_body_under_the_same_client_id(place: Place) -> None:
    response = await place.alice.send(place.conversation, "something else", client_id=CONFLICT)
    expect(response, 409, "CLIENT_ID_CONFLICT", "client_id")


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/chat/conversations", {}, "user_id"),
        ("/chat/blocked", {}, "user_id"),
        ("/chat/conversations", {"user_id": "x"}, "user_id"),
        ("/chat/blocked", {"user_id": "0"}, "user_id"),
        *(
            (path, {"user_id": "{user}", "limit": limit}, "limit")
            for path in ("/chat/conversations", "/chat/conversations/{conversation}/messages")
            for limit in ("0", "-1", "1000000000", "x", "", "1.5")
        ),
        *(
            (path, {"user_id": "{user}", "offset": offset}, "offset")
            for path in ("/chat/conversations", "/chat/conversations/{conversation}/messages")
            for offset in ("-1", "x", str(2**63), str(10**30))
        ),
        ("/chat/conversations/{conversation}/messages", {"before_seq": "-1"}, "before_seq"),
        ("/chat/conversations/{conversation}/messages", {"after_seq": "x"}, "after_seq"),
    ],
)
async def test_a_wrong_query(place: Place, path: str, query: dict[str, str], field: str) -> None:
    values = {"conversation": place.conversation, "user": place.alice.user}
    params = {name: value.format(**values) for name, value in query.items()}
    response = await place.alice.http.get(path.format(**values), params=params)
    expect(response, 400, "VALIDATION_ERROR", field)


@pytest.mark.parametrize(
    "after", ["", "x", "3", "99999:1", "presence/0:1", "ids/0:0", "nothing/0:1", "0:-1", "0:1,1:1"]
)
async def test_a_wrong_chat_after(place: Place, after: str) -> None:
    headers = {"Chat-After": after}
    for path in (
        f"/chat/conversations?user_id={place.alice.user}",
        f"/chat/conversations/{place.conversation}/messages",
    ):
        expect(await place.alice.http.get(path, headers=headers), 400, "VALIDATION_ERROR", "Chat-After")


async def test_a_page_past_the_end_is_empty(place: Place) -> None:
    for offset in (1_000, 2**53 - 1):
        page = await place.alice.history(place.conversation, offset=offset)
        assert (page["messages"], page["total"]) == ([], 1)
        assert (await place.alice.list(offset=offset)) == {"conversations": [], "total": 1}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer x"},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."},
        [("Authorization", "Bearer {token}"), ("Authorization", "Bearer {token}")],
    ],
)
async def test_no_good_token(system: System, place: Place, headers: Any) -> None:
    given = [(name, value.replace("{token}", place.alice.token)) for name, value in dict_items(headers)]
    async with httpx.AsyncClient(base_url=system.url) as http:
        for method, path in (
            ("GET", "/chat/conversations"),
            ("POST", "/chat/messages"),
            ("PUT", "/chat/messages/1/read"),
        ):
            response = await http.request(method, path, headers=given)
            expect(response, 401, "UNAUTHORIZED", "token")
            assert response.headers["www-authenticate"].startswith("Bearer")


def dict_items(headers: Any) -> list[tuple[str, str]]:
    return list(headers.items()) if isinstance(headers, dict) else headers


async def test_an_expired_token(system: System, place: Place) -> None:
    token = system.token(place.alice.user, seconds=-1)
    async with httpx.AsyncClient(base_url=system.url, headers={"Authorization": f"Bearer {token}"}) as http:
        expect(await http.get("/chat/conversations"), 401, "TOKEN_EXPIRED", "token")


async def test_no_token_is_in_any_log(system: System, place: Place) -> None:
    async with place.alice.socket():
        pass
    logs = [path.read_text(encoding="utf-8", errors="replace") for path in (system.home / "logs").glob("*.log")]
    assert logs
    for log in (*logs, system.output()):
        assert place.alice.token not in log
        assert place.alice.token.split(".")[2] not in log
