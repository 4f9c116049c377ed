"""The write side's HTTP: one route for each command."""

from functools import partial
from typing import Any

from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from command_api.deliver import outcome
from command_api.http import acting, answer, body, identify, path_id
from command_api.listing import Listing
from command_api.service import WriteSide
from schemas.answers import BlockedConversation, FiledReport, MarkedRead, SentMessage, UnblockedConversation, User
from schemas.errors import Code, invalid
from schemas.ids import Position, write_position
from schemas.requests import FileReport, OpenConversation, SendMessage, UpdateUser
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
        identity.require(asked.user_id)
        client_id = _client_id(request, asked.client_id)
        if client_id != asked.client_id:
            asked = check({**_fields(asked), "client_id": client_id}, SendMessage)

        sent = await outcome(partial(self._write.messages.send, asked))
        content = SentMessage(**{**asdict(sent), "position": str(sent.position)})
        return answer(content, 201, {"Chat-Position": str(sent.position)})

    async def read(self, request: Request) -> Response:
        """`PUT /chat/messages/{id}/read`."""
        user_id = acting(request, identify(request, self._write.tokens))
        message_id = path_id(request, Code.MESSAGE_NOT_FOUND, "there is no such message")
        marked = await outcome(partial(self._write.reads.mark, user_id, message_id))
        return answer(MarkedRead(success=True, read_at=marked.read_at), headers=_position(marked.position))

    async def block(self, request: Request) -> Response:
        """`POST /chat/conversations/{id}/block`."""
        user_id = acting(request, identify(request, self._write.tokens))
        changed = await self._write.blocks.block(user_id, _conversation_id(request))
        return answer(BlockedConversation(success=True, blocked_at=changed.at), headers=_position(changed.position))

    async def unblock(self, request: Request) -> Response:
        """`DELETE /chat/conversations/{id}/block`."""
        user_id = acting(request, identify(request, self._write.tokens))
        changed = await self._write.blocks.unblock(user_id, _conversation_id(request))
        return answer(UnblockedConversation(success=True, unblocked_at=changed.at), headers=_position(changed.position))

    async def report(self, request: Request) -> Response:
        """`POST /chat/conversations/{id}/report`."""
        user_id = acting(request, identify(request, self._write.tokens))
        asked = await body(request, FileReport)
        client_id = _client_id(request, asked.client_id)
        if client_id != asked.client_id:
            asked = check({**_fields(asked), "client_id": client_id}, FileReport)
        reported = await self._write.reports.file(user_id, _conversation_id(request), asked)
        entry = reported.entry
        headers = {} if entry is None else {"Chat-Position": write_position(entry.partition, entry.offset)}
        content = FiledReport(success=True, report_id=f"report_{reported.report_id}", reported_at=reported.reported_at)
        return answer(content, 201, headers)

    async def open(self, request: Request) -> Response:
        """`POST /chat/conversations`."""
        identity = identify(request, self._write.tokens)
        asked = await body(request, OpenConversation)
        if not identity.service:
            if not self._write.edge.settings.open_by_users:
                identity.require_service()
            identity.require(asked.user_id)
        opened = await self._write.openings.open(asked)
        known = opened.known
        if opened.entry is None:
            return answer(await self._listing.found(known.conversation.id, known.partition, asked.user_id))
        content = await self._listing.opened(known.conversation, asked.user_id)
        return answer(content, 201, _position(opened.entry.position))

    async def update_user(self, request: Request) -> Response:
        """`PUT /chat/users/{id}`."""
        identify(request, self._write.tokens).require_service()
        user_id = path_id(request, Code.USER_NOT_FOUND, "there is no such user")
        asked = await body(request, UpdateUser)
        entry = await self._write.users.update(user_id, asked)
        return answer(
            User(user_id=user_id, name=asked.name, photo=asked.photo),
            headers={"Chat-Position": write_position(entry.partition, entry.offset)},
        )


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


def _position(position: Position | None) -> dict[str, str]:
    return {} if position is None else {"Chat-Position": str(position)}
