"""The Python client's tokens: asked for, renewed before they expire, and shown to nobody."""

import logging
import time

import jwt
import pytest

from gateway.clients.chat_client import ChatClient, expiry
from tests.support.scripted import Server

SECRET = "a secret that only this test knows"


@pytest.mark.parametrize(
    ("token", "expires"),
    [
        (jwt.encode({"exp": 1_900_000_000}, SECRET), 1_900_000_000),
        (jwt.encode({"sub": "1"}, SECRET), None),
        ("no JWT", None),
        ("a.b.c", None),
    ],
)
def test_a_token_says_when_it_expires(token: str, expires: float | None) -> None:
    assert expiry(token) == expires


async def test_each_connection_gets_a_fresh_token_and_one_that_cannot_be_had_is_asked_for_again(
    server: Server,
) -> None:
    given = iter(("one", None, "two"))

    async def token() -> str:
        found = next(given)
        if found is None:
            raise OSError("the door of tokens is closed")
        return found

    async with ChatClient(server.url, token):
        link = await server.link()
        assert link.query["token"] == ["one"]
        await link.connected("first")
        await link.close(1001)
        assert (await server.link()).query["token"] == ["two"]


async def test_a_token_is_renewed_over_the_socket_before_it_expires(server: Server) -> None:
    now = time.time()
    given = [jwt.encode({"exp": now + seconds}, SECRET) for seconds in (2, 1_000)]
    tokens = iter(given)
    async with ChatClient(server.url, lambda: next(tokens)):
        link = await server.link()
        await link.connected("first")
        assert await link.asked() == {"type": "auth", "token": given[1]}
        assert link.query["token"] == [given[0]]


async def test_a_text_that_was_renewed_holds_for_later_connections_too(server: Server, chat: ChatClient) -> None:
    link = await server.link()
    await link.connected("first")
    await chat.online.wait()
    await chat.renew("a fresh token")
    assert await link.asked() == {"type": "auth", "token": "a fresh token"}
    await link.close(1001)
    assert (await server.link()).query["token"] == ["a fresh token"]


async def test_no_log_shows_the_token(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with ChatClient(server.url, "the-token"):
        link = await server.link()
        await link.connected("first")
        await link.close(1001)
        await server.link()
    assert [record for record in caplog.records if "the-token" in record.getMessage()] == [
        record for record in caplog.records if record.name == "websockets.server" and "GET" in record.getMessage()
    ], "only the test's own server shows it"
