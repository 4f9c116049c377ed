"""The write side's HTTP: one route for each command."""

from functools import partial
from typing import Any

from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from command_api.deliver import outcome
from command_api.http import acting, answer, body, identify, optional_body, path_id
from command_api.listing import Listing
from command_api.service import WriteSide
from infra.memory import Entry
from schemas.answers import BlockedConversation, FiledReport, MarkedRead, SentMessage, UnblockedConversation, User
from schemas.errors import Code, invalid
from schemas.ids import Partition, Position, write_position
from schemas.requests import FileReport, OnBehalf, OpenConversation, SendMessage, UpdateUser
from schemas.validation import check


class WriteRoutes:
    """The routes of one write side."""

    def __init__(self, write_side: WriteSide) -> None:
        self._write = write_side
        self._listing = Listing(write_side.edge)

    def routes(self) -> list[Route]:
        """Return the routes, ready to be mounted."""
        return [
            Route("/chat/messages", self.send, methods=["POST"]),
            Route("/chat/messages/{id}/read", self.read, methods=["PUT"]),
            Route("/chat/conversations", self.open, methods=["POST"]),
            Route("/chat/conversations/{id}/block", self.block, methods=["POST"]),
            Route("/chat/conversations/{id}/block", self.unblock, methods=["DELETE"]),
            Route("/chat/conversations/{id}/report", self.report, methods=["POST"]),
            Route("/chat/users/{id}", self.update_user, methods=["PUT"]),
        ]

    async def send(self, request: Request) -> Response:
        """`POST /chat/messages`."""
        identity = identify(request, self._write.tokens)
        asked = await body(request, SendMessage)
        acting(request, identity, asked.user_id)
        client_id = _client_id(request, asked.client_id)
        if client_id != asked.client_id:
            asked = check({**_fields(asked), "client_id": client_id}, SendMessage)

        sent = await outcome(partial(self._write.messages.send, asked))
        content = SentMessage(**{**asdict(sent), "position": str(sent.position)})
        return answer(content, 201, _position(sent.position))

    async def read(self, request: Request) -> Response:
        """`PUT /chat/messages/{id}/read`."""
        user_id = await self._acting(request)
        message_id = path_id(request, Code.MESSAGE_NOT_FOUND, "there is no such message")
        marked = await outcome(partial(self._write.reads.mark, user_id, message_id))
        position = self._as_of(marked.partition) if marked.position is None else _position(marked.position)
        return answer(MarkedRead(success=True, read_at=marked.read_at), headers=position)

    async def block(self, request: Request) -> Response:
        """`POST /chat/conversations/{id}/block`."""
        user_id = await self._acting(request)
        changed = await self._write.blocks.block(user_id, _conversation_id(request))
        return answer(BlockedConversation(success=True, blocked_at=changed.at), headers=_position(changed.position))

    async def unblock(self, request: Request) -> Response:
        """`DELETE /chat/conversations/{id}/block`."""
        user_id = await self._acting(request)
        changed = await self._write.blocks.unblock(user_id, _conversation_id(request))
        return answer(UnblockedConversation(success=True, unblocked_at=changed.at), headers=_position(changed.position))

    async def report(self, request: Request) -> Response:
        """`POST /chat/conversations/{id}/report`."""
        identity = identify(request, self._write.tokens)
        asked = await body(request, FileReport)
        user_id = acting(request, identity, asked.user_id)
        client_id = _client_id(request, asked.client_id)
        if client_id != asked.client_id:
            asked = check({**_fields(asked), "client_id": client_id}, FileReport)
        reported = await self._write.reports.file(user_id, _conversation_id(request), asked)
        entry = reported.entry
        position = self._as_of(reported.partition) if entry is None else _place(entry)
        content = FiledReport(success=True, report_id=f"report_{reported.report_id}", reported_at=reported.reported_at)
        return answer(content, 201, position)

    async def open(self, request: Request) -> Response:
        """`POST /chat/conversations`."""
        identity = identify(request, self._write.tokens)
        asked = await body(request, OpenConversation)
        if not identity.service and not self._write.edge.settings.open_by_users:
            identity.require_service()
        acting(request, identity, asked.user_id)
        opened = await self._write.openings.open(asked)
        known = opened.known
        if opened.entry is None:
            there, stale = await self._listing.found(known, asked.user_id)
            return answer(there, headers={**self._as_of(known.partition), **stale})
        content = await self._listing.seen(known, asked.user_id)
        return answer(content, 201, _position(opened.entry.position))

    async def update_user(self, request: Request) -> Response:
        """`PUT /chat/users/{id}`."""
        identify(request, self._write.tokens).require_service()
        user_id = path_id(request, Code.USER_NOT_FOUND, "there is no such user")
        asked = await body(request, UpdateUser)
        entry = await self._write.users.update(user_id, asked)
        return answer(
            User(user_id=user_id, name=asked.name, photo=asked.photo),
            headers=_place(entry),
        )

    async def _acting(self, request: Request) -> int:
        """Return the user for whom a command is that needs no body."""
        identity = identify(request, self._write.tokens)
        return acting(request, identity, (await optional_body(request, OnBehalf)).user_id)

    def _as_of(self, partition: Partition) -> dict[str, str]:
        """Return a position that has all that was answered, where nothing was written for it."""
        return {"Chat-Position": write_position(partition, self._write.edge.tail.positions[partition] - 1)}


def _conversation_id(request: Request) -> int:
    return path_id(request, Code.CONVERSATION_NOT_FOUND, "there is no such conversation")


def _client_id(request: Request, in_body: str | None) -> str | None:
    """Return the client_id of the body or of `Idempotency-Key`; both and different is an error."""
    in_header = request.headers.get("idempotency-key")
    if in_header is not None and not in_header.isascii():
        raise invalid("client_id", "must be ASCII in the header Idempotency-Key")
    if in_header is not None and in_body is not None and in_header != in_body:
        raise invalid("client_id", "differs from the header Idempotency-Key")
    return in_body if in_header is None else in_header


def _fields(asked: Any) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in asked.__struct_fields__}


def _position(position: Position) -> dict[str, str]:
    return {"Chat-Position": str(position)}


def _place(entry: Entry) -> dict[str, str]:
    return {"Chat-Position": write_position(entry.partition, entry.offset)}
