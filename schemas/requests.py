"""What clients ask for: the bodies and queries of HTTP, and the frames that a socket sends to us.

Limits are in the types; their descriptions are what an error tells the client and what the OpenAPI document shows.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.events import Content, Name, Photo
from schemas.ids import Id

_UNPRINTABLE = (
    r"\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\ud800-\uf8ff\ufeff\ufff0-\ufffb"
    # As themselves, since JSON Schema and Python have no escape in common for those past U+FFFF.
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001-\U000e007f"
    "\U000f0000-\U0010ffff"
)
"""Characters for control, format, lines and private use (Unicode's categories Cc, Cf, Zl, Zp, Co), and surrogates."""

ClientId = Annotated[
    str,
    Meta(max_length=64, pattern=rf"\A[^{_UNPRINTABLE}]+\Z", description="1 to 64 printable characters"),
]
"""As clients may write it; what is in the log is read more leniently (events.py)."""

ContentType = Annotated[Literal["text"], Meta(description="one of: text")]
ReportType = Annotated[
    Literal["spam", "harassment", "inappropriate", "scam", "underage", "other"],
    Meta(description="one of: spam, harassment, inappropriate, scam, underage, other"),
]
Reason = Annotated[
    str,
    Meta(
        max_length=2_000,
        pattern=r"\A(?=[\s\S]*?\S)[^\x00\ud800-\udfff]*\Z",
        description="1 to 2,000 characters, not only white space, without U+0000 and lone surrogates",
    ),
]
Ref = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=r"\A[^\ud800-\udfff]*\Z",
        description="a text of at most 200 characters, without lone surrogates",
    ),
]
Offset = Annotated[int, Meta(ge=0, le=2**53 - 1, description="an integer from 0 to 2^53-1")]
ConversationLimit = Annotated[int, Meta(ge=1, le=100, description="an integer from 1 to 100")]
MessageLimit = Annotated[int, Meta(ge=1, le=200, description="an integer from 1 to 200")]


class SendMessage(Struct, frozen=True, kw_only=True):
    """`POST /chat/messages`."""

    conversation_id: Id
    user_id: Id
    content: Content
    content_type: ContentType = "text"
    client_id: ClientId | None = None


class OnBehalf(Struct, frozen=True, kw_only=True):
    """The body that a command may have which needs none: a back end says for whom it asks."""

    user_id: Id | None = None


class FileReport(Struct, frozen=True, kw_only=True):
    """`POST /chat/conversations/{id}/report`; a back end says by `user_id` for whom it asks."""

    user_id: Id | None = None
    report_type: ReportType
    reason: Reason
    client_id: ClientId | None = None


class OpenConversation(Struct, frozen=True, kw_only=True):
    """`POST /chat/conversations`."""

    user_id: Id
    other_user_id: Id


class UpdateUser(Struct, frozen=True, kw_only=True):
    """`PUT /chat/users/{id}`: null is not known."""

    name: Name | None = None
    photo: Photo | None = None


class OfUser(Struct, frozen=True, kw_only=True):
    """A query for what belongs to one user."""

    user_id: Id


class ListConversations(Struct, frozen=True, kw_only=True):
    """`GET /chat/conversations`."""

    user_id: Id
    limit: ConversationLimit = 20
    offset: Offset = 0


class ListMessages(Struct, frozen=True, kw_only=True):
    """`GET /chat/conversations/{id}/messages`, latest first; `before_seq` and `after_seq` exclude that number."""

    limit: MessageLimit = 50
    offset: Offset = 0
    before_seq: Offset | None = None
    after_seq: Offset | None = None


class Frame(Struct, frozen=True, kw_only=True, tag_field="type"):
    """A frame from a client; `ref` is repeated by the answer or the error."""

    ref: Ref | None = None


class MessageFrame(Frame, frozen=True, kw_only=True, tag="message"):
    """Send a message."""

    conversation_id: Id
    content: Content
    content_type: ContentType = "text"
    client_id: ClientId | None = None


class ReadFrame(Frame, frozen=True, kw_only=True, tag="read"):
    """Mark this message and all earlier ones of the other as read."""

    message_id: Id


class TypingFrame(Frame, frozen=True, kw_only=True, tag="typing"):
    """Tell the other that something is being typed."""

    conversation_id: Id


class OnlineFrame(Frame, frozen=True, kw_only=True, tag="online"):
    """Be shown as online. Of several changes in a second the first and the last are told."""


class OfflineFrame(Frame, frozen=True, kw_only=True, tag="offline"):
    """Be shown as offline, without closing. Of several changes in a second the first and the last are told."""


class PingFrame(Frame, frozen=True, kw_only=True, tag="ping"):
    """Ask for a `pong`."""


class AuthFrame(Frame, frozen=True, kw_only=True, tag="auth"):
    """Give a fresh token for the same user."""

    token: str


ClientFrame = MessageFrame | ReadFrame | TypingFrame | OnlineFrame | OfflineFrame | PingFrame | AuthFrame
FRAME_TYPES: dict[str, type[Frame]] = {
    "message": MessageFrame,
    "read": ReadFrame,
    "typing": TypingFrame,
    "online": OnlineFrame,
    "offline": OfflineFrame,
    "ping": PingFrame,
    "auth": AuthFrame,
}
