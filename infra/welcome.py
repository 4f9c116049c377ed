"""What a newcomer finds: two users who may talk, their tokens, and one screen that says where everything is.

Only on embedded servers; in a log that is somebody's own nothing is written that nobody asked for.
"""

import asyncio
import json
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

from infra.http_client import Answer, ask
from infra.part import Progress
from infra.settings import Settings
from infra.system import System
from infra.tokens import sign_token

USERS = {1: "Ada", 2: "Ben"}
SECONDS = 60.0
"""How long the screen waits for the read tables: from a long log they take longer to make."""


class Welcome(NamedTuple):
    """The users' tokens, and their conversation where there is one."""

    tokens: dict[int, str]
    conversation_id: int | None


async def welcome(settings: Settings, system: System, say: Progress) -> Welcome:
    """Wait until the read tables answer, and let the users meet; say so, and go without, when that takes long."""
    tokens = {user: sign_token(settings, user) for user in USERS}
    try:
        async with asyncio.timeout(SECONDS):
            return Welcome(tokens, await _meet(settings, system, tokens[1]))
    except TimeoutError:
        worker = f"{settings.home}/logs/worker-1.log"
        say("the read tables do not answer yet, and reads get 503; if they are made from a long log, that takes time")
        say(f"`chat lag` shows how far they are, {worker} what the worker says")
        return Welcome(tokens, None)


async def _meet(settings: Settings, system: System, token: str) -> int | None:
    """Return the users' conversation, opened if need be; None on servers that are not ours."""
    await _eventually("GET", f"{system.url}/chat/conversations?user_id=1", token)
    if not system.servers.kafka:
        return None
    service = sign_token(settings, 1, service=True)
    pair = dict(zip(("user_id", "other_user_id"), USERS, strict=True))
    opened = await _eventually("POST", f"{system.url}/chat/conversations", service, pair)
    if opened.status == 201:
        for user, name in USERS.items():
            await _eventually("PUT", f"{system.url}/chat/users/{user}", service, {"name": name, "photo": None})
    conversation: int = opened.content["id"]
    return conversation


async def _eventually(method: str, url: str, token: str, content: Any = None) -> Answer:
    """Ask until the answer is not that the service is still coming up."""
    while True:
        try:
            answer = await ask(method, url, token=token, content=content)
        except OSError:
            answer = None
        if answer is not None and answer.status != 503:
            return answer
        await asyncio.sleep(0.1)


def screen(settings: Settings, system: System, found: Welcome) -> str:
    """Return the addresses, the tokens, and commands to try; fits on one screen."""
    lines = ["", f"  Chat is running; Ctrl-C stops it, and {settings.home} keeps everything.", ""]
    lines += [f"  {name:<9} {address}" for name, address in _addresses(settings, system)]
    conversation = found.conversation_id
    if conversation is not None or system.servers.kafka:
        names = " and ".join(f"{name} (user {user})" for user, name in USERS.items())
        share = "" if conversation is None else f" share conversation {conversation}"
        lines += ["", f"  {names}{share}. Their tokens, good for a day:", ""]
        lines += [f"export {name.upper()}={found.tokens[user]}" for user, name in USERS.items()]
    if conversation is not None:
        message = json.dumps({"conversation_id": conversation, "user_id": 1, "content": "Hello"})
        sending = f"-H 'Content-Type: application/json' -d '{message}'"
        lines += ["", "  Try in another terminal, with these two lines first:", ""]
        lines += [
            f'curl -sS {system.url}/chat/messages -H "Authorization: Bearer $ADA" {sending}',
            f"curl -sS '{system.url}/chat/conversations?user_id=2' -H \"Authorization: Bearer $BEN\"",
        ]
    lines += ["" if conversation is not None else "\n  Try in another terminal:\n", *_commands(), ""]
    return "\n".join(lines)


def as_json(system: System, found: Welcome) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "url": system.url,
        "edges": list(system.edge_urls),
        "kafka_bootstrap_servers": system.servers.kafka_bootstrap_servers,
        "database_url": system.servers.database_url,
        "tokens": {str(user): token for user, token in found.tokens.items()},
        "conversation_id": found.conversation_id,
    }


def _addresses(settings: Settings, system: System) -> list[tuple[str, str]]:
    sockets = system.url.replace("http", "ws", 1)
    edges = [("edges", "  ".join(system.edge_urls))] if len(system.edge_urls) > 1 else []
    database = system.servers.database_url.rpartition("@")[2]
    return [
        ("HTTP", system.url),
        ("sockets", f"{sockets}/chat/connect?token=..."),
        *edges,
        ("Kafka", system.servers.kafka_bootstrap_servers),
        ("Postgres", f"{database}  (the whole address: {settings.home}/run.json)"),
        ("logs", f"{settings.home}/logs"),
    ]


def _commands() -> list[str]:
    called = Path(sys.argv[0])
    with_path = called if called.name == "chat" else Path("chat")
    if with_path.is_absolute() and with_path.is_relative_to(Path.cwd()):
        with_path = with_path.relative_to(Path.cwd())
    chat = shlex.quote(str(with_path))
    return [f"{chat} demo", f"{chat} tail", f"{chat} --help"]
