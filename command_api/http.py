"""HTTP for both sides of the service: read bodies, find out who asks, answer with JSON, map errors to answers.

The errors themselves and their codes are in schemas/errors.py.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from command_api.tokens import Identity, Tokens
from infra.trace import bring
from schemas.errors import ChatError, Code, Failed, invalid
from schemas.ids import MAX_ID
from schemas.times import format_time
from schemas.validation import MAX_BYTES, parse

log = logging.getLogger(__name__)

T = TypeVar("T", bound=msgspec.Struct)

BODY_SECONDS = 30.0
"""How long a body may take to come."""

encode = msgspec.json.Encoder().encode
_OF_STATUS = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED, 413: Code.PAYLOAD_TOO_LARGE}


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer; `content` is mostly one of schemas/answers.py."""
    return encoded(encode(content), status, headers)


def encoded(content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer that is encoded already."""
    return Response(content, status, headers, media_type="application/json")


async def body(request: Request, kind: type[T]) -> T:
    """Read the request's JSON body; ChatError when it is too large or late, of another type, or not `kind`."""
    _check_media_type(request)
    return parse(await _read(request), kind)


async def optional_body(request: Request, kind: type[T]) -> T:
    """Read a JSON body that may be left out, as `body` does; then `kind` has its defaults."""
    read = await _read(request)
    if not read:
        return kind()
    _check_media_type(request)
    return parse(read, kind)


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ChatError(
            Code.UNSUPPORTED_MEDIA_TYPE, "the body must be JSON", {"content-type": "must be application/json"}
        )


async def _read(request: Request) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > MAX_BYTES:
        raise _too_large()
    read = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                read += chunk
                if len(read) > MAX_BYTES:
                    raise _too_large()
    except TimeoutError:
        late = f"must come within {BODY_SECONDS:g} s"
        raise _Unread(Code.VALIDATION_ERROR, f"body: {late}", {"body": late}) from None
    return bytes(read)


def _too_large() -> ChatError:
    return _Unread(Code.PAYLOAD_TOO_LARGE, "the body is too large", {"body": f"must be at most {MAX_BYTES} bytes"})


class _Unread(ChatError):
    """A body that was not read to its end: its connection cannot have another request."""


def identify(request: Request, tokens: Tokens) -> Identity:
    """Return who asks, by the one bearer token of the request; ChatError UNAUTHORIZED or TOKEN_EXPIRED."""
    given = request.headers.getlist("authorization")
    if len(given) != 1:
        raise ChatError(Code.UNAUTHORIZED, "exactly one Authorization header is needed", {"token": "is required"})
    scheme, _, token = given[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ChatError(Code.UNAUTHORIZED, "a bearer token is needed", {"token": "must be `Bearer <JWT>`"})
    bring(request.headers.get("traceparent"))
    return tokens.check(token.strip())


def acting(request: Request, identity: Identity, in_body: int | None = None) -> int:
    """Return the user for whom the request is: the token's, or for a back end the one named by `user_id`.

    It may be in the query and in the body, and is the token's user there too, unless a back end asks.
    """
    named = {number(text, "user_id") for text in request.query_params.getlist("user_id")}
    if in_body is not None:
        named.add(in_body)
    for user_id in named or (identity.user_id,):
        if user_id == 0:
            raise invalid("user_id", "is required: the token is no user's")
        identity.require(user_id)
    if len(named) > 1:
        raise invalid("user_id", "is given more than once, and differs")
    return user_id


def path_id(request: Request, unknown: Code, error: str) -> int:
    """Return the id in the path. What cannot be an id does not exist, so it is not found."""
    text: str = request.path_params["id"]
    if text.isascii() and text.isdigit() and len(text) <= 16 and 1 <= int(text) <= MAX_ID:
        return int(text)
    raise ChatError(unknown, error, {"id": "must be an integer from 1 to 2^53-1"})


def number(text: str, field: str) -> int:
    """Return an id that was written in decimal digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and 1 <= int(text) <= MAX_ID):
        raise invalid(field, "must be an integer from 1 to 2^53-1")
    return int(text)


def failure(error: ChatError) -> Response:
    """Return the answer for an error."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    if isinstance(error, _Unread):
        headers["Connection"] = "close"
    return answer(error.body(format_time(time.time_ns() // 1_000_000)), error.status, headers)


async def on_chat_error(_: Request, error: Exception) -> Response:
    """Answer a request that was refused."""
    if not isinstance(error, ChatError):
        raise error
    return failure(error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what Starlette refused: an unknown path, or a wrong method."""
    if not isinstance(error, HTTPException):
        raise error
    refused = failure(ChatError(_OF_STATUS.get(error.status_code, Code.VALIDATION_ERROR), error.detail))
    refused.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        refused.headers["Allow"] = ", ".join(sorted(_allowed(request)))
    return refused


def _allowed(request: Request) -> set[str]:
    """Return the methods of all routes to this path; Starlette itself names those of the first."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    return {
        method
        for route in routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }


async def on_disconnect(_: Request, __: Exception) -> Response:
    """Answer nobody: the client went away while its body was read."""
    return Response(status_code=400)


async def on_exception(request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw; the process goes on."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return failure(Failed())


EXCEPTION_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    ChatError: on_chat_error,
    HTTPException: on_http_exception,
    ClientDisconnect: on_disconnect,
    Exception: on_exception,
}
