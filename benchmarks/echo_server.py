"""A bare socket server: our uvicorn, loop and protocol, and an app that hands each frame to the other of a pair.

Run as a process by bare_sockets.py. It checks and stores nothing, so it is what any socket service on this software
could do at most. The load generator's users are told by their tokens: bench00004 and bench00005 are a pair.
"""

import sys
from typing import Any
from urllib.parse import parse_qs

import uvicorn

_peers: dict[int, Any] = {}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve one socket; anything else is answered with 200, so that one can ask whether it is up."""
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
        return
    user = int(parse_qs(scope["query_string"])[b"token"][0].lstrip(b"bench"))
    await receive()
    await send({"type": "websocket.accept"})
    _peers[user] = send
    while (event := await receive())["type"] == "websocket.receive":
        other = _peers.get(user ^ 1)
        if other is not None:
            await other({"type": "websocket.send", "text": event["text"]})
    if _peers.get(user) is send:
        del _peers[user]


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        lifespan="off",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        log_level="warning",
        access_log=False,
    )
