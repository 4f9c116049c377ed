"""A client's frame: read it, run its command, and queue the answer or the error.

Frames of one socket are handled one after the other, each until its record is in line for the log, so that they are
appended in the order they came. Outcomes come later, in the order of the log.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, assert_never

from command_api.claims import Sent
from command_api.reads import ReadMarked
from command_api.service import WriteSide
from gateway.presence.admission import Admission
from gateway.sockets.session import Session
from infra.memory import Entry
from schemas import frames, requests
from schemas.errors import ChatError, Code, Failed, forbidden, invalid
from schemas.events import Typing
from schemas.requests import FRAME_TYPES, ClientFrame, SendMessage
from schemas.times import format_time
from schemas.validation import SURROGATE, check, decode_object

log = logging.getLogger(__name__)

TYPING_SECONDS = 2.0
"""One `typing` for each conversation in this time goes out, the others are dropped."""

SHOW_SECONDS = 1.0
"""One `online` or `offline` of each socket in this time goes out; of several the last."""

Rest = Callable[[], Awaitable[None]]
"""What is left to be done of a frame."""

_TYPES = ", ".join(FRAME_TYPES)


class Client(Protocol):
    """The socket that a frame came from."""

    session: Session
    user_id: int
    socket_id: int
    visible: bool
    shown_at: float
    to_be_shown: bool
    ended: bool
    expires_at: float
    typed: dict[int, float]

    def replaced(self) -> None: ...


class Commands:
    """What clients may ask for over a socket."""

    def __init__(self, write_side: WriteSide, admission: Admission) -> None:
        self._write = write_side
        self._admission = admission

    def handle(self, client: Client, text: str) -> Rest | None:
        """Take one frame; whatever is wrong with it is answered, and the socket stays open.

        What cannot be done at once is returned: call and await it before the next frame.
        """
        given: dict[str, Any] = {}
        try:
            given = decode_object(text)
            rest = self._run(client, _frame(given))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told, and the socket goes on
            _failed(client, given, error)
            return None
        return rest and partial(_finish, client, given, rest)

    def _run(self, client: Client, frame: ClientFrame) -> Rest | None:
        match frame:
            case requests.MessageFrame():
                return self._send(client, frame)
            case requests.ReadFrame():
                return partial(self._mark, client, frame)
            case requests.TypingFrame():
                return partial(self._type, client, frame)
            case requests.OnlineFrame():
                self._show(client, visible=True)
            case requests.OfflineFrame():
                self._show(client, visible=False)
            case requests.PingFrame():
                client.session.tell(frames.encode(frames.Pong(ref=frame.ref)))
            case requests.AuthFrame():
                self._prolong(client, frame)
            case _:
                assert_never(frame)
        return None

    def _send(self, client: Client, frame: requests.MessageFrame) -> Rest | None:
        session = client.session

        def deliver(outcome: Sent | ChatError) -> None:
            if isinstance(outcome, ChatError):
                session.tell(error_frame(outcome, frame.client_id, frame.ref))
                return
            ack = frames.Ack(
                client_id=outcome.client_id,
                ref=frame.ref,
                message_id=outcome.message_id,
                conversation_id=outcome.conversation_id,
                sent_at=outcome.sent_at,
                seq=outcome.seq,
                position=str(outcome.position),
            )
            session.ack(*outcome.position, frames.encode(ack))

        request = SendMessage(
            conversation_id=frame.conversation_id,
            user_id=client.user_id,
            content=frame.content,
            content_type=frame.content_type,
            client_id=frame.client_id,
        )
        messages = self._write.messages
        if messages.send_at_once(request, deliver, origin=session):
            return None
        return partial(messages.send, request, deliver, origin=session)

    async def _mark(self, client: Client, frame: requests.ReadFrame) -> None:
        """The answer is a `read` with the `ref`; without a position when the message was read before."""
        session = client.session

        def deliver(outcome: ReadMarked | ChatError) -> None:
            if isinstance(outcome, ChatError):
                session.tell(error_frame(outcome, None, frame.ref))
                return
            read = frames.encode(
                frames.Read(
                    message_id=outcome.message_id,
                    conversation_id=outcome.conversation_id,
                    reader_id=client.user_id,
                    seq=outcome.seq,
                    read_at=outcome.read_at,
                    position=None if outcome.position is None else str(outcome.position),
                    ref=frame.ref,
                )
            )
            if outcome.position is None:
                session.tell(read)
            else:
                session.ack(*outcome.position, read)

        await self._write.reads.mark(client.user_id, frame.message_id, deliver, origin=session)

    async def _type(self, client: Client, frame: requests.TypingFrame) -> None:
        """Tell the other, unless that was just done; never across a block."""
        since = time.monotonic() - TYPING_SECONDS
        client.typed = {conversation_id: at for conversation_id, at in client.typed.items() if at > since}
        if frame.conversation_id in client.typed:
            return
        known = await self._write.conversations.get(frame.conversation_id)
        known.member(client.user_id)
        if known.conversation.blocked:
            raise ChatError(Code.CONVERSATION_BLOCKED, "the conversation is blocked")
        client.typed[frame.conversation_id] = time.monotonic()
        event = Typing(
            conversation_id=frame.conversation_id,
            user_id=client.user_id,
            other_user_id=known.conversation.other(client.user_id).user_id,
        )
        self._write.edge.appender.append(event, _whatever)

    def _show(self, client: Client, *, visible: bool) -> None:
        if client.visible is visible:
            return
        client.visible = visible
        loop = asyncio.get_running_loop()
        again_at = client.shown_at + SHOW_SECONDS
        if loop.time() >= again_at:
            self._tell_visible(client)
        elif not client.to_be_shown:
            client.to_be_shown = True
            loop.call_at(again_at, self._tell_visible, client)

    def _tell_visible(self, client: Client) -> None:
        client.to_be_shown = False
        if not client.ended:
            client.shown_at = asyncio.get_running_loop().time()
            self._admission.restate(client)

    def _prolong(self, client: Client, frame: requests.AuthFrame) -> None:
        """Go on until the new token expires. No answer but an error: the old one is good for as long as it was."""
        identity = self._write.tokens.check(frame.token)
        if identity.user_id != client.user_id:
            raise forbidden("the token is another user's")
        client.expires_at = max(client.expires_at, identity.expires_at)


async def _finish(client: Client, given: dict[str, Any], rest: Rest) -> None:
    try:
        await rest()
    except Exception as error:  # noqa: BLE001 - as above
        _failed(client, given, error)


def _failed(client: Client, given: dict[str, Any], error: Exception) -> None:
    if not isinstance(error, ChatError):
        log.error("a frame of type %s failed", given.get("type"), exc_info=error)
        error = Failed()
    client.session.tell(error_frame(error, _text(given, "client_id"), _text(given, "ref")))


def error_frame(error: ChatError, client_id: str | None = None, ref: str | None = None) -> bytes:
    """Encode an error; it names the frame that it answers as far as that named itself."""
    return frames.encode(
        frames.Error(
            error=error.error,
            code=error.code.value,
            details=error.details,
            timestamp=format_time(time.time_ns() // 1_000_000),
            client_id=client_id,
            ref=ref,
        )
    )


def _frame(given: dict[str, Any]) -> ClientFrame:
    kind = FRAME_TYPES.get(given["type"]) if isinstance(given.get("type"), str) else None
    if kind is None:
        raise invalid("type", f"must be one of: {_TYPES}" if "type" in given else "is required")
    return check(given, kind)  # type: ignore[return-value]  # the table has no other types


def _text(given: dict[str, Any], name: str) -> str | None:
    """Return what a frame named itself by, if it can be repeated."""
    value = given.get(name)
    return value if isinstance(value, str) and len(value) <= 200 and not SURROGATE.search(value) else None


def _whatever(_: Entry | None) -> None:
    """Typing needs no answer."""
