"""What clients are told over HTTP: the bodies of answers, as types, so that the OpenAPI document is what is sent.

Requests are in requests.py, frames in frames.py, errors in errors.py.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.errors import Code
from schemas.events import Seq
from schemas.ids import Id
from schemas.times import Time

WrittenPosition = Annotated[
    str, Meta(description="where the record lies in the log, `partition:offset`, as sockets give it too")
]
Total = Annotated[int, Meta(ge=0, description="how many there are in all, whatever the page")]


class Answer(Struct, frozen=True, kw_only=True):
    """An answer's body."""


class SentMessage(Answer, frozen=True, kw_only=True):
    """The message is in the log and counts; a retry gets the same again."""

    message_id: Id
    sent_at: Time
    conversation_id: Id
    client_id: str
    seq: Seq
    position: WrittenPosition


class MarkedRead(Answer, frozen=True, kw_only=True):
    """The message is read since `read_at`."""

    success: Literal[True]
    read_at: Time


class BlockedConversation(Answer, frozen=True, kw_only=True):
    """The asker blocks the conversation since `blocked_at`."""

    success: Literal[True]
    blocked_at: Time


class UnblockedConversation(Answer, frozen=True, kw_only=True):
    """The asker's block was taken back at `unblocked_at`."""

    success: Literal[True]
    unblocked_at: Time


class FiledReport(Answer, frozen=True, kw_only=True):
    """The report is in the log and counts; a retry gets the same again."""

    success: Literal[True]
    report_id: Annotated[str, Meta(pattern=r"\Areport_[0-9]+\Z")]
    reported_at: Time


class User(Answer, frozen=True, kw_only=True):
    """How a user is shown; null is not known."""

    user_id: Id
    name: str | None
    photo: str | None


class ListedConversation(Answer, frozen=True, kw_only=True):
    """A conversation as `user_id` sees it. `updated_at` moves with messages, not with reads."""

    id: Id
    user_id: Id
    other_user_id: Id
    other_user_name: str | None
    other_user_photo: str | None
    last_message: str | None
    last_message_sender: Id | None
    unread_count: Annotated[int, Meta(ge=0)]
    updated_at: Time
    created_at: Time


class ConversationList(Answer, frozen=True, kw_only=True):
    """A page of a user's conversations, latest first."""

    conversations: list[ListedConversation]
    total: Total


class ListedMessage(Answer, frozen=True, kw_only=True):
    """A message of a history. `client_id` is there for its sender only; `read_at` is when the other first read it."""

    id: Id
    conversation_id: Id
    sender_id: Id
    content: str
    content_type: str
    created_at: Time
    read_at: Time | None
    seq: Seq
    position: WrittenPosition
    client_id: str | UnsetType = UNSET


class MessageList(Answer, frozen=True, kw_only=True):
    """A page of a history, latest first."""

    messages: list[ListedMessage]
    total: Total


class Block(Answer, frozen=True, kw_only=True):
    """A block in force."""

    user_id: Annotated[Id, Meta(description="who blocks: the user whose list it is, not the one who is blocked")]
    conversation_id: Id
    blocked_at: Time


class BlockList(Answer, frozen=True, kw_only=True):
    """All blocks of a user that are in force, latest first."""

    blocked: list[Block]
    total: Total


class UserStatus(Answer, frozen=True, kw_only=True):
    """Whether somebody is online; if not, when their last socket closed. Across a block: offline and null."""

    user_id: Id
    status: Literal["online", "offline"]
    last_seen: Time | None


class Failure(Answer, frozen=True, kw_only=True):
    """Every error: a sentence for people, a code for programs, and what is wrong with each field."""

    error: str
    code: Code
    details: dict[str, Any]
    timestamp: Time


class Alive(Answer, frozen=True, kw_only=True):
    """The process answers."""

    status: Literal["ok"]


class ReadTablesState(Answer, frozen=True, kw_only=True):
    """How the read tables are, and how many records they are behind the log; sends go on without them."""

    state: Literal["ok", "away", "unknown"]
    generation: str | None
    records_behind: int | None


class Readiness(Answer, frozen=True, kw_only=True):
    """Whether clients should come here; `log` says how this edge stands to the log."""

    ready: bool
    log: Literal["ok", "starting", "away", "leaving"]
    read_tables: ReadTablesState
