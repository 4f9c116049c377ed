"""The frames that a socket sends to a client, encoded once and shared by all the sockets they go to.

Durable frames carry the `position` of their record; `cursor` is opaque to clients (docs: AsyncAPI document).
"""

from typing import Any

import msgspec
from msgspec import Struct

from schemas.times import Time

encode = msgspec.json.Encoder().encode


class ServerFrame(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """A frame to a client. Optional members that are None are left out."""


class Connected(ServerFrame, frozen=True, kw_only=True, tag="connected"):
    """Always the first frame of a socket."""

    user_id: int
    server_time: Time
    heartbeat_seconds: int
    cursor: str
    resumed: bool


class Ack(ServerFrame, frozen=True, kw_only=True, tag="ack"):
    """The message is in the log and counts."""

    client_id: str
    ref: str | None = None
    message_id: int
    conversation_id: int
    sent_at: Time
    seq: int
    position: str


class Message(ServerFrame, frozen=True, kw_only=True, tag="message"):
    """A message, to all sockets of both users but the one that got the ack; `client_id` only to its sender's."""

    message_id: int
    conversation_id: int
    sender_id: int
    content: str
    content_type: str
    sent_at: Time
    seq: int
    client_id: str | None = None
    position: str


class Read(ServerFrame, frozen=True, kw_only=True, tag="read"):
    """`reader_id` has read all messages of the other up to `seq`. May repeat or come late: keep the highest.

    With a `ref` it answers a `read`; it has no position then when the message was read already.
    """

    message_id: int
    conversation_id: int
    reader_id: int
    seq: int
    read_at: Time
    position: str | None = None
    ref: str | None = None


class Typing(ServerFrame, frozen=True, kw_only=True, tag="typing"):
    """`user_id` is typing; that is over when no other follows for 5 seconds, or a message comes."""

    conversation_id: int
    user_id: int


class Online(ServerFrame, frozen=True, kw_only=True, tag="online"):
    """`user_id` came online."""

    user_id: int


class Offline(ServerFrame, frozen=True, kw_only=True, tag="offline"):
    """`user_id` went offline; `last_seen` is an RFC 3339 time."""

    user_id: int
    last_seen: Time | None


class Opened(ServerFrame, frozen=True, kw_only=True, tag="conversation", omit_defaults=False):
    """A conversation was opened; the members of the list, and the position of its record."""

    id: int
    user_id: int
    other_user_id: int
    other_user_name: str | None
    other_user_photo: str | None
    last_message: str | None
    last_message_sender: int | None
    unread_count: int
    updated_at: Time
    created_at: Time
    position: str


class Blocked(ServerFrame, frozen=True, kw_only=True, tag="blocked"):
    """To the blocker's own sockets."""

    conversation_id: int
    user_id: int
    blocked_at: Time
    position: str


class Unblocked(ServerFrame, frozen=True, kw_only=True, tag="unblocked"):
    """To the own sockets of the one who took a block back."""

    conversation_id: int
    user_id: int
    unblocked_at: Time
    position: str


class Heartbeat(ServerFrame, frozen=True, kw_only=True, tag="heartbeat"):
    """The server is there; `cursor` is left out while a catch-up runs."""

    cursor: str | None = None


class Pong(ServerFrame, frozen=True, kw_only=True, tag="pong"):
    """The answer to `ping`."""

    ref: str | None = None


class Resync(ServerFrame, frozen=True, kw_only=True, tag="resync"):
    """What was missed cannot be told: read the lists and histories again."""

    reason: str
    cursor: str


class Error(ServerFrame, frozen=True, kw_only=True, tag="error"):
    """As on HTTP; the socket stays open unless a close follows."""

    error: str
    code: str
    details: dict[str, Any]
    timestamp: Time
    client_id: str | None = None
    ref: str | None = None


SERVER_FRAMES: tuple[type[ServerFrame], ...] = (
    Connected,
    Ack,
    Message,
    Read,
    Typing,
    Online,
    Offline,
    Opened,
    Blocked,
    Unblocked,
    Heartbeat,
    Pong,
    Resync,
    Error,
)
