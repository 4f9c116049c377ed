"""Bad input over sockets: each gets an error that says what is wrong, or the close code of the contract."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.support.clients import PATIENCE_SECONDS, Client, Socket, clients, new_user
from tests.support.system import System

UNKNOWN = 2**53 - 2


@pytest.fixture(scope="module")
async def alice(system: System) -> AsyncIterator[Client]:
    async with clients(system.settings, system.url, new_user()) as (alice, _):
        yield alice


@pytest.fixture(scope="module")
async def conversation(alice: Client, system: System) -> int:
    async with clients(system.settings, system.url) as (back_end,):
        return await back_end.open(alice.user, new_user())


@pytest.fixture(scope="module")
async def socket(alice: Client) -> AsyncIterator[Socket]:
    """One socket for all bad frames: it has to stay open."""
    async with alice.socket() as socket:
        yield socket
        await socket.tell("ping", ref="the end")
        await socket.until("pong", ref="the end")


async def error_for(socket: Socket, text: str) -> dict[str, Any]:
    seen = len(socket.of("error"))
    await socket.connection.send(text)
    [*_, error] = await socket.until("error", seen + 1)
    assert {"error", "code", "details", "timestamp"} <= error.keys()
    return error


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "body"),
        ("{", "body"),
        ("[]", "body"),
        ("null", "body"),
        ('{"type":NaN}', "body"),
        ("[" * 60_000, "body"),
        ('{"type":"ping","type":"ping"}', "type"),
    ],
)
async def test_a_frame_that_is_no_json_object(socket: Socket, text: str, field: str) -> None:
    error = await error_for(socket, text)
    assert (error["code"], list(error["details"])) == ("MALFORMED_JSON", [field])


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ({}, "type"),
        ({"type": "nothing"}, "type"),
        ({"type": 7}, "type"),
        ({"type": ["ping"]}, "type"),
        ({"type": "message", "content": "x"}, "conversation_id"),
        ({"type": "message", "conversation_id": True, "content": "x"}, "conversation_id"),
        ({"type": "message", "conversation_id": 1.5, "content": "x"}, "conversation_id"),
        ({"type": "message", "conversation_id": 2**53, "content": "x"}, "conversation_id"),
        ({"type": "message", "conversation_id": 1}, "content"),
        ({"type": "message", "conversation_id": 1, "content": " "}, "content"),
        ({"type": "message", "conversation_id": 1, "content": "x" * 4_001}, "content"),
        ({"type": "message", "conversation_id": 1, "content": "\ud800"}, "content"),
        ({"type": "message", "conversation_id": 1, "content": "x", "client_id": ""}, "client_id"),
        ({"type": "message", "conversation_id": 1, "content": "x", "content_type": "video"}, "content_type"),
        ({"type": "read"}, "message_id"),
        ({"type": "read", "message_id": "1"}, "message_id"),
        ({"type": "typing", "conversation_id": 0}, "conversation_id"),
        ({"type": "ping", "ref": 7}, "ref"),
        ({"type": "ping", "ref": "x" * 201}, "ref"),
        ({"type": "ping", "ref": "\ud800"}, "ref"),
        ({"type": "auth"}, "token"),
    ],
)
async def test_a_frame_with_a_wrong_field(socket: Socket, frame: dict[str, Any], field: str) -> None:
    error = await error_for(socket, json.dumps(frame))
    assert (error["code"], list(error["details"])) == ("VALIDATION_ERROR", [field])


@pytest.mark.parametrize(("client_id", "ref"), [("c-1", "r-1"), ("a\u00a0b", "a\nb")])
async def test_an_error_repeats_what_the_frame_named_itself_by(socket: Socket, client_id: str, ref: str) -> None:
    frame = {"type": "message", "conversation_id": UNKNOWN, "content": "x", "client_id": client_id, "ref": ref}
    error = await error_for(socket, json.dumps(frame))
    assert (error["code"], error["client_id"], error["ref"]) == ("CONVERSATION_NOT_FOUND", client_id, ref)


async def test_what_is_unknown_or_another_s(system: System, socket: Socket) -> None:
    async with clients(system.settings, system.url, new_user(), new_user()) as (bert, carl, back_end):
        theirs = await back_end.open(bert.user, carl.user)
        message = (await bert.sent(theirs, "hello"))["message_id"]
    for frame, code in (
        ({"type": "message", "conversation_id": theirs, "content": "x"}, "FORBIDDEN"),
        ({"type": "read", "message_id": message}, "FORBIDDEN"),
        ({"type": "typing", "conversation_id": theirs}, "FORBIDDEN"),
        ({"type": "read", "message_id": UNKNOWN}, "MESSAGE_NOT_FOUND"),
        ({"type": "typing", "conversation_id": UNKNOWN}, "CONVERSATION_NOT_FOUND"),
        ({"type": "auth", "token": system.token(bert.user)}, "FORBIDDEN"),
        ({"type": "auth", "token": "nonsense"}, "UNAUTHORIZED"),
    ):
        assert (await error_for(socket, json.dumps(frame)))["code"] == code


async def test_one_s_own_message_is_not_for_oneself_to_read(alice: Client, socket: Socket, conversation: int) -> None:
    sent = await alice.sent(conversation, "mine")
    error = await error_for(socket, json.dumps({"type": "read", "message_id": sent["message_id"]}))
    assert error["code"] == "FORBIDDEN"


async def closed_with(url: str, *sends: Any, **options: Any) -> tuple[int, list[dict[str, Any]]]:
    """Connect, send, and return the close code and the frames that came before; one comes before we send."""
    async with asyncio.timeout(PATIENCE_SECONDS), connect(url, **options) as connection:
        frames = [json.loads(await connection.recv())]
        with suppress(ConnectionClosed):
            for data in sends:
                await connection.send(data)
        with suppress(ConnectionClosed):
            while True:
                frames.append(json.loads(await connection.recv()))
    assert connection.close_code is not None
    return connection.close_code, frames


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "UNAUTHORIZED"),
        ("?token=", "UNAUTHORIZED"),
        ("?token=x", "UNAUTHORIZED"),
        ("?token={token}&token={token}", "UNAUTHORIZED"),
        ("?token={none}", "UNAUTHORIZED"),
        ("?token={expired}", "TOKEN_EXPIRED"),
        ("?token={nobody}", "UNAUTHORIZED"),
    ],
)
async def test_a_socket_without_a_good_token_is_told_and_closed(system: System, query: str, code: str) -> None:
    user = new_user()
    tokens = {
        "token": system.token(user),
        "expired": system.token(user, seconds=-1),
        "none": jwt.encode({"sub": str(user), "exp": 2**31}, "", "none"),
        "nobody": system.token(0, service=True),
    }
    ping = json.dumps({"type": "ping"})
    closed, frames = await closed_with(system.ws_url + query.format(**tokens), ping)
    assert closed == 4401
    assert [(frame["type"], frame["code"]) for frame in frames] == [("error", code)]


async def test_a_token_may_come_as_a_subprotocol(system: System) -> None:
    offered = [Subprotocol("chat.v1"), Subprotocol(f"bearer.{system.token(new_user())}")]
    async with connect(system.ws_url, subprotocols=offered) as connection:
        assert connection.subprotocol == "chat.v1"
        assert json.loads(await connection.recv())["type"] == "connected"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x00\x01", 1003, id="binary"),
        pytest.param("x" * 65_537, 1009, id="too big"),
        pytest.param(["x" * 40_000, "x" * 40_000], 1009, id="too big in fragments"),
    ],
)
async def test_a_frame_that_no_client_may_send_closes(system: System, data: Any, code: int) -> None:
    closed, frames = await closed_with(f"{system.ws_url}?token={system.token(new_user())}", data)
    assert closed == code
    assert frames[0]["type"] == "connected"


async def test_fragments_without_end_are_cut_off(system: System) -> None:
    async def endless() -> AsyncIterator[str]:
        while True:
            yield "x" * 1_000

    closed, _ = await closed_with(f"{system.ws_url}?token={system.token(new_user())}", endless())
    # Who goes on sending may lose the connection before the close frame is read.
    assert closed in {1009, 1006}


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_thousands_of_frames_in_one_piece_are_answered_in_their_order(
    system: System, compression: str | None
) -> None:
    url = f"{system.ws_url}?token={system.token(new_user())}"
    async with asyncio.timeout(PATIENCE_SECONDS), connect(url, compression=compression) as connection:
        assert json.loads(await connection.recv())["type"] == "connected"
        refs = [str(number) for number in range(5_000)]
        for ref in refs:
            connection.protocol.send_text(json.dumps({"type": "ping", "ref": ref}).encode())
        connection.transport.write(b"".join(connection.protocol.data_to_send()))
        assert [json.loads(await connection.recv())["ref"] for _ in refs] == refs


@pytest.mark.parametrize(
    ("path", "origin", "refusal"),
    [
        ("", "https://elsewhere.example", (403, "FORBIDDEN")),
        ("/nothing", None, (404, "NOT_FOUND")),
        ("/", None, (404, "NOT_FOUND")),
    ],
)
async def test_a_page_from_elsewhere_and_an_unknown_path_get_no_socket(
    system: System, path: str, origin: str | None, refusal: tuple[int, str]
) -> None:
    url = f"{system.ws_url}{path}?token={system.token(new_user())}"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, origin=Origin(origin) if origin else None):
            pass
    response = refused.value.response
    assert (response.status_code, json.loads(response.body or b"")["code"]) == refusal
    assert response.headers["content-type"] == "application/json"
    log = (system.home / "logs" / "edge-1.log").read_text(encoding="utf-8")
    assert "without completing handshake" not in log


async def test_a_sixth_socket_is_refused_and_the_five_stay(system: System) -> None:
    async with clients(system.settings, system.url, new_user()) as (alice, _):
        url = f"{system.ws_url}?token={alice.token}"
        async with alice.socket() as first, alice.socket(), alice.socket(), alice.socket(), alice.socket():
            closed, frames = await closed_with(url)
            assert closed == 4429
            assert [frame["code"] for frame in frames] == ["RATE_LIMITED"]
            assert frames[0]["details"]["retry_after"] >= 1
            await first.tell("ping", ref="still here")
            await first.until("pong", ref="still here")


async def test_a_cursor_that_names_the_socket_to_come_harms_nobody(system: System) -> None:
    url = f"{system.ws_url}?token={system.token(new_user())}"
    async with connect(url) as first:
        socket_id, _, positions = json.loads(await first.recv())["cursor"].partition(".")
        for _ in range(3):
            socket_id = f"{int(socket_id, 16) + 1:x}"
            async with connect(f"{url}&cursor={socket_id}.{positions}") as again:
                connected = json.loads(await again.recv())
                assert connected["resumed"] is True
                assert connected["cursor"].partition(".")[0] == socket_id, "it was not the next one"
        await first.send(json.dumps({"type": "ping", "ref": "still here"}))
        while json.loads(await first.recv()).get("ref") != "still here":
            pass


async def test_a_get_of_the_socket_s_path_is_no_page(system: System) -> None:
    async with httpx.AsyncClient(base_url=system.url) as http:
        response = await http.get("/chat/connect")
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")
