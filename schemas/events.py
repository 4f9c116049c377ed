"""The events of the log, as they are written: past tense, frozen, versioned.

A value gains optional fields only; any other change is a new version (docs/add-an-event.md). Every event carries the
ids its readers need, so that nobody needs a look-up to know whom it concerns.
"""

from typing import Annotated, ClassVar, assert_never

from msgspec import Meta, Struct

from schemas import topics
from schemas.ids import MAX_ID, Id, pair_key
from schemas.times import Time

Seq = Annotated[
    int, Meta(ge=1, le=MAX_ID, description="the number of a message in its conversation: 1, 2, 3, without gaps")
]
Offset = Annotated[int, Meta(ge=0)]
ContentType = Annotated[str, Meta(max_length=100, pattern=r"\A[^\x00\ud800-\udfff]*\Z")]

Content = Annotated[
    str,
    Meta(
        max_length=4_000,
        pattern=r"\A(?=[\s\S]*?\S)[^\x00\ud800-\udfff]*\Z",
        description="1 to 4,000 characters, not only white space, without U+0000 and lone surrogates",
    ),
]
ClientId = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+\Z",
        description="1 to 64 characters without those for control",
    ),
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=r"\A[^\x00\ud800-\udfff]*\Z",
        description="1 to 200 characters, without U+0000 and lone surrogates",
    ),
]
Photo = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2_000,
        pattern=r"\A[^\x00-\x20\ud800-\udfff]*\Z",
        description="an address of 1 to 2,000 characters without white space",
    ),
]


class AsOf(Struct, frozen=True, gc=False):
    """What a writer vouches for: all before `offset` in this partition was folded, and `seq` was the last one there."""

    offset: Offset
    seq: Annotated[int, Meta(ge=0, le=MAX_ID)] = 0


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """What happened. `type` is the CloudEvents type, `topic` the log that it belongs to."""

    type: ClassVar[str]
    topic: ClassVar[str]


class ConversationOpened(Event, frozen=True, kw_only=True):
    """Two users were brought into conversation. Void when the pair got one between `as_of` and here."""

    type: ClassVar[str] = "chat.conversation.opened.v1"
    topic: ClassVar[str] = topics.CONVERSATIONS

    conversation_id: Id
    user_id: Id
    other_user_id: Id
    opened_at: Time
    as_of: AsOf


class MessageSent(Event, frozen=True, kw_only=True):
    """A message was sent. Whether it counts is the judge's to say (judge.py)."""

    type: ClassVar[str] = "chat.message.sent.v1"
    topic: ClassVar[str] = topics.CONVERSATIONS

    message_id: Id
    conversation_id: Id
    sender_id: Id
    recipient_id: Id
    content: Content
    content_type: ContentType
    client_id: ClientId
    sent_at: Time
    as_of: AsOf


class MessageRead(Event, frozen=True, kw_only=True):
    """`reader_id` has read this message and all earlier ones of `sender_id`: a watermark that only moves forward."""

    type: ClassVar[str] = "chat.message.read.v1"
    topic: ClassVar[str] = topics.CONVERSATIONS

    message_id: Id
    conversation_id: Id
    reader_id: Id
    sender_id: Id
    up_to_seq: Seq
    read_at: Time


class ConversationBlocked(Event, frozen=True, kw_only=True):
    """`user_id` stopped the conversation with `other_user_id`, for both."""

    type: ClassVar[str] = "chat.conversation.blocked.v1"
    topic: ClassVar[str] = topics.CONVERSATIONS

    conversation_id: Id
    user_id: Id
    other_user_id: Id
    blocked_at: Time


class ConversationUnblocked(Event, frozen=True, kw_only=True):
    """`user_id` took their own block back; one by the other stays."""

    type: ClassVar[str] = "chat.conversation.unblocked.v1"
    topic: ClassVar[str] = topics.CONVERSATIONS

    conversation_id: Id
    user_id: Id
    other_user_id: Id
    unblocked_at: Time


class ReportFiled(Event, frozen=True, kw_only=True):
    """`user_id` reported `reported_user_id`. Void when the client_id was used between `as_of` and here."""

    type: ClassVar[str] = "chat.report.filed.v1"
    topic: ClassVar[str] = topics.MODERATION

    report_id: Id
    conversation_id: Id
    user_id: Id
    reported_user_id: Id
    report_type: str
    reason: str
    client_id: ClientId
    reported_at: Time
    as_of: AsOf


class UserUpdated(Event, frozen=True, kw_only=True):
    """The profile service published how a user is shown. A record without a value erases it."""

    type: ClassVar[str] = "chat.user.updated.v1"
    topic: ClassVar[str] = topics.USERS

    user_id: Id
    name: Name | None = None
    photo: Photo | None = None


class LastSeen(Event, frozen=True, kw_only=True):
    """A user's last socket closed at `last_seen`; the latest one counts."""

    type: ClassVar[str] = "chat.user.last-seen.v1"
    topic: ClassVar[str] = topics.LAST_SEEN

    user_id: Id
    last_seen: Time


class ConnectionOpened(Event, frozen=True, kw_only=True):
    """A user's socket was opened at an edge, or is restated. `boot` is new at each start of the edge's process."""

    type: ClassVar[str] = "chat.connection.opened.v1"
    topic: ClassVar[str] = topics.PRESENCE

    user_id: Id
    socket_id: Id
    edge: str
    boot: str
    visible: bool = True
    replaces: Id | None = None
    restated: bool = False


class ConnectionClosed(Event, frozen=True, kw_only=True):
    """A user's socket was closed."""

    type: ClassVar[str] = "chat.connection.closed.v1"
    topic: ClassVar[str] = topics.PRESENCE

    user_id: Id
    socket_id: Id
    edge: str
    boot: str


class EdgeBeat(Event, frozen=True, kw_only=True):
    """An edge is alive. Silence, or another `boot`, voids its sockets; `leaving`: it stops in order."""

    type: ClassVar[str] = "chat.edge.beat.v1"
    topic: ClassVar[str] = topics.PRESENCE

    edge: str
    boot: str
    leaving: bool = False


class Typing(Event, frozen=True, kw_only=True):
    """A user is typing."""

    type: ClassVar[str] = "chat.typing.v1"
    topic: ClassVar[str] = topics.PRESENCE

    conversation_id: Id
    user_id: Id
    other_user_id: Id


class LogCreated(Event, frozen=True, kw_only=True):
    """The first record of `chat.ids`: which log this is, and how many partitions its topics have."""

    type: ClassVar[str] = "chat.log.created.v1"
    topic: ClassVar[str] = topics.IDS

    epoch: str
    partitions: Annotated[int, Meta(ge=1)]


class IdsLeased(Event, frozen=True, kw_only=True):
    """An edge took the block of ids that this record's offset numbers."""

    type: ClassVar[str] = "chat.ids.leased.v1"
    topic: ClassVar[str] = topics.IDS

    edge: str


CONVERSATION_EVENTS: tuple[type[Event], ...] = (
    MessageSent,
    MessageRead,
    ConversationOpened,
    ConversationBlocked,
    ConversationUnblocked,
)
ConversationEvent = MessageSent | MessageRead | ConversationOpened | ConversationBlocked | ConversationUnblocked
PRESENCE_EVENTS: tuple[type[Event], ...] = (ConnectionOpened, ConnectionClosed, EdgeBeat, Typing)
PresenceEvent = ConnectionOpened | ConnectionClosed | EdgeBeat | Typing


class Erased(Struct, frozen=True, kw_only=True):
    """A record without a value on a compacted topic: what was kept under the key is gone. It has no type of its own."""

    topic: str
    user_id: Id


AnyEvent = ConversationEvent | ReportFiled | UserUpdated | LastSeen | PresenceEvent | LogCreated | IdsLeased
Fact = AnyEvent | Erased
"""What a record can tell."""

EVENT_TYPES: tuple[type[Event], ...] = (
    *CONVERSATION_EVENTS,
    ReportFiled,
    UserUpdated,
    LastSeen,
    *PRESENCE_EVENTS,
    LogCreated,
    IdsLeased,
)
EVENT_BY_TYPE = {event.type: event for event in EVENT_TYPES}


def key_of(event: Fact) -> str | None:  # noqa: PLR0911  # one line for each kind of key
    """Return the record key: the pair where two users are concerned, the user, or the edge; None on `chat.ids`."""
    match event:
        case MessageSent():
            return pair_key(event.sender_id, event.recipient_id)
        case MessageRead():
            return pair_key(event.reader_id, event.sender_id)
        case ConversationOpened() | ConversationBlocked() | ConversationUnblocked():
            return pair_key(event.user_id, event.other_user_id)
        case ReportFiled():
            return pair_key(event.user_id, event.reported_user_id)
        case UserUpdated() | LastSeen() | Erased() | ConnectionOpened() | ConnectionClosed() | Typing():
            return str(event.user_id)
        case EdgeBeat():
            return event.edge
        case LogCreated() | IdsLeased():
            return None
        case _:
            assert_never(event)


def concerned(event: Fact) -> tuple[int, ...]:
    """Return who wrote an event of a conversation or is pushed it; nobody for any other."""
    match event:
        case MessageSent():
            return event.sender_id, event.recipient_id
        case MessageRead():
            return event.reader_id, event.sender_id
        case ConversationOpened():
            return event.user_id, event.other_user_id
        case ConversationBlocked() | ConversationUnblocked():
            return (event.user_id,)
        case _:
            return ()
