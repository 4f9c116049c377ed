"""uvicorn's HTTP up to the end of a request's head, from where the application or a socket takes over (wire.py).

A head has bounds of size and time, as a body has, and what cannot be read is refused in the service's own words.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from command_api.http import failure
from schemas.errors import ChatError, Code

HEAD_SECONDS = 30.0
"""How long a head may take, from its first byte or from when its client connected; then we hang up."""

MOST_HEAD = 64 * 1024
"""Bytes of a head; what came in one read with the end of the request before is not counted."""


class Handshakes(HttpToolsProtocol):
    """One client's connection; it and its parser hold each other, and it forgets that where a socket takes over."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._late: asyncio.TimerHandle | None = None
        self._head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        awaited = self._late
        super().data_received(data)
        if awaited is None or self._late is not awaited or self.transport.is_closing():
            return
        self._head += len(data)
        if self._head > MOST_HEAD:
            self.send_400_response(f"the head of a request must be at most {MOST_HEAD} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._late is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._have_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        refusal = failure(ChatError(Code.VALIDATION_ERROR, msg))
        headers = (*self.server_state.default_headers, *refusal.raw_headers, (b"connection", b"close"))
        lines = [STATUS_LINE[400], *(b"%b: %b\r\n" % header for header in headers), b"\r\n"]
        self.transport.write(b"".join((*lines, refusal.body)))
        self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # as uvicorn does when a connection ends

    def _await_head(self) -> None:
        self._head = 0
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _have_head(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
