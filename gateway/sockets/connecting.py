"""From a handshake to a session: who is asking, from where, and whether there is a place.

The door of `/chat/connect`. A socket is accepted, told why it cannot stay, and closed with a code, so that browsers see
it; only a foreign Origin is refused by HTTP. Resuming is in resume.py, places in admission.py.
"""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from starlette.types import Scope, Send

from gateway.sockets.wire import KEY, Wire
from schemas.errors import ChatError, Code

SUBPROTOCOL = "chat.v1"
BEARER = "bearer."

CLOSE_CODES = {
    Code.UNAUTHORIZED: 4401,
    Code.TOKEN_EXPIRED: 4401,
    Code.FORBIDDEN: 4401,
    Code.RATE_LIMITED: 4429,
}
"""How a socket is closed that cannot stay; 1011 for everything else."""


class Asked(NamedTuple):
    """What a client gave at connecting; a `cursor` and the `positions` since are resumed from."""

    token: str
    cursor: str | None
    positions: str
    batch: bool


def close_code(error: ChatError) -> int:
    """Return the code that tells a client whether to try again."""
    return CLOSE_CODES.get(error.code, 1011)


def wire_of(scope: Scope) -> Wire:
    """Return the connection itself, which only our own WebSocket class gives (gateway.sockets.wire.uvicorn_options)."""
    extension = scope.get("extensions", {}).get(KEY)
    if extension is None:
        raise RuntimeError("sockets need uvicorn with gateway.sockets.wire.uvicorn_options")
    wire: Wire = extension["wire"]
    return wire


async def accept(wire: Wire, scope: Scope, send: Send) -> bool:
    """End the handshake; False when the client did not wait for it."""
    if wire.gone:
        return False
    await send({"type": "websocket.accept", "subprotocol": subprotocol(scope)})
    wire.forget_handshake()
    return True


def subprotocol(scope: Scope) -> str | None:
    """Return what the server selects: ours if it was offered."""
    return SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None


def asked(scope: Scope) -> Asked:
    """Read the query and the offered subprotocols; ChatError UNAUTHORIZED unless there is exactly one token."""
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    tokens = query.get("token", []) + [
        offered.removeprefix(BEARER) for offered in scope.get("subprotocols", ()) if offered.startswith(BEARER)
    ]
    if len(tokens) != 1 or not tokens[0]:
        raise ChatError(Code.UNAUTHORIZED, "exactly one token is needed", {"token": "is required, once"})
    return Asked(
        token=tokens[0],
        cursor=_last(query, "cursor"),
        positions=_last(query, "positions") or "",
        batch=_last(query, "batch") == "1",
    )


def comes_from_afar(scope: Scope, allowed: Sequence[str]) -> bool:
    """Whether a browser comes from a page that may not connect, neither ours nor listed (RFC 6455, section 10.2)."""
    headers: dict[bytes, str] = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    origin = headers.get(b"origin")
    if origin is None or "*" in allowed or origin in allowed:
        return False
    try:
        return urlsplit(origin).netloc != headers.get(b"host")
    except ValueError:
        return True


def _last(query: dict[str, list[str]], name: str) -> str | None:
    values = query.get(name)
    return values[-1] if values else None
