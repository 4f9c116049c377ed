"""Make users and conversations by the service's own HTTP, and write the load generator's state file."""

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.stack import Stack

PAIRS_FROM, IDLE_FROM = 100_001, 500_001
"""First user ids of those who talk, and of those who only wait."""

AT_ONCE = 8
SECONDS = 30


def open_pairs(stack: Stack, pairs: int) -> list[int]:
    """Bring users PAIRS_FROM and the next one, and so on, into conversation; return the conversations' ids."""
    token, local = stack.token(1, service=True), threading.local()

    def one(number: int) -> int:
        first = PAIRS_FROM + 2 * number
        answer = _post(local, stack, token, {"user_id": first, "other_user_id": first + 1})
        found: int = answer["id"]
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(pairs)))


def _post(local: threading.local, stack: Stack, token: str, content: dict[str, int]) -> Any:
    """Ask on this thread's own connection."""
    if not hasattr(local, "connection"):
        local.connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=SECONDS)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    local.connection.request("POST", "/chat/conversations", json.dumps(content), headers)
    response = local.connection.getresponse()
    body = response.read()
    if response.status not in {200, 201}:
        raise RuntimeError(f"a conversation cannot be opened: {response.status} {body[:300]!r}")
    return json.loads(body)


def write_pairs(file: Path, stack: Stack, conversations: list[int]) -> Path:
    """Write the state of a load on pairs: pair i is accounts 2i and 2i + 1."""
    users = range(PAIRS_FROM, PAIRS_FROM + 2 * len(conversations))
    return _write(file, [stack.token(user) for user in users], [str(one) for one in conversations])


def write_idle(file: Path, stack: Stack, sockets: int) -> Path:
    """Write the state of users who only wait."""
    return _write(file, [stack.token(user) for user in range(IDLE_FROM, IDLE_FROM + sockets)], [])


def write_nobodies(file: Path, pairs: int) -> Path:
    """Write the state for a null server: names are tokens, and pair i talks in conversation i."""
    names = [f"bench{number:05}" for number in range(2 * pairs)]
    return _write(file, names, [str(number) for number in range(pairs)])


def _write(file: Path, tokens: list[str], conversations: list[str]) -> Path:
    accounts = [{"name": f"bench{number:05}", "token": token} for number, token in enumerate(tokens)]
    file.touch(mode=0o600)
    file.write_text(json.dumps({"accounts": accounts, "pairs": [{"conv": one} for one in conversations]}), "utf-8")
    return file
