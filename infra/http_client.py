"""Ask our own edge over HTTP: what the command line and the supervisor need of a client, with the standard library."""

import asyncio
import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

SECONDS = 10.0


class Answer(NamedTuple):
    """A status, and the JSON that came with it (None: no JSON)."""

    status: int
    content: Any


async def ask(method: str, url: str, *, token: str | None = None, content: Any = None) -> Answer:
    """Send a request with a JSON body, if any; OSError when nobody answers."""
    return await asyncio.to_thread(_ask, method, url, token, content)


async def wait_until_ready(url: str) -> None:
    """Return when the edge at `url` says that it is ready for clients; unbounded."""
    while True:
        try:
            if (await ask("GET", f"{url}/readyz")).status == 200:
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)


def _ask(method: str, url: str, token: str | None, content: Any) -> Answer:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = None
    if content is not None:
        body, headers["Content-Type"] = json.dumps(content), "application/json"
    try:
        connection.request(method, parts._replace(scheme="", netloc="").geturl(), body, headers)
        response = connection.getresponse()
        return Answer(response.status, _decode(response.read()))
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
