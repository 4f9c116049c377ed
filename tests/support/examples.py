"""One event of every type, with every optional field given; their records are in tests/golden."""

from schemas.events import (
    AnyEvent,
    AsOf,
    ConnectionClosed,
    ConnectionOpened,
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    EdgeBeat,
    IdsLeased,
    LastSeen,
    LogCreated,
    MessageRead,
    MessageSent,
    ReportFiled,
    Typing,
    UserUpdated,
)

TIME = "2026-01-31T12:00:00.250Z"

EXAMPLES: tuple[AnyEvent, ...] = (
    ConversationOpened(conversation_id=5_001, user_id=12, other_user_id=7, opened_at=TIME, as_of=AsOf(40)),
    MessageSent(
        message_id=5_002,
        conversation_id=5_001,
        sender_id=12,
        recipient_id=7,
        content="Grüße, 你好 👋🏽\nand a second line",
        content_type="text",
        client_id="b2f0-1",
        sent_at=TIME,
        as_of=AsOf(41, 3),
    ),
    MessageRead(
        message_id=5_002,
        conversation_id=5_001,
        reader_id=7,
        sender_id=12,
        up_to_seq=4,
        read_at="2026-01-31T12:00:01.000Z",
    ),
    ConversationBlocked(conversation_id=5_001, user_id=7, other_user_id=12, blocked_at=TIME),
    ConversationUnblocked(conversation_id=5_001, user_id=7, other_user_id=12, unblocked_at=TIME),
    ReportFiled(
        report_id=5_003,
        conversation_id=5_001,
        user_id=7,
        reported_user_id=12,
        report_type="spam",
        reason="the same advertisement,\nagain and again",
        client_id="r-1",
        reported_at=TIME,
        as_of=AsOf(9),
    ),
    UserUpdated(user_id=7, name="Ada", photo="https://example.org/ada.jpg"),
    LastSeen(user_id=7, last_seen=TIME),
    ConnectionOpened(
        user_id=7, socket_id=9_007_199_254_740_991, edge="edge-1", boot="b1", visible=False, replaces=8, restated=True
    ),
    ConnectionClosed(user_id=7, socket_id=8, edge="edge-1", boot="b1"),
    EdgeBeat(edge="edge-1", boot="b1", leaving=True),
    Typing(conversation_id=5_001, user_id=7, other_user_id=12),
    LogCreated(epoch="0b8f6f1e-5f4e-4b7c-9a57-0f8f0e2f4a11", partitions=4),
    IdsLeased(edge="edge-1"),
)
