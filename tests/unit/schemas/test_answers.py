"""Answers are what the contract says, member by member."""

import msgspec
import pytest

from schemas import answers
from schemas.answers import Answer

TIME = "2026-01-31T12:00:00.000Z"
CONTRACT: dict[type[Answer], list[str]] = {
    answers.SentMessage: ["message_id", "sent_at", "conversation_id", "client_id", "seq", "position"],
    answers.MarkedRead: ["success", "read_at"],
    answers.BlockedConversation: ["success", "blocked_at"],
    answers.UnblockedConversation: ["success", "unblocked_at"],
    answers.FiledReport: ["success", "report_id", "reported_at"],
    answers.ListedConversation: [
        *("id", "user_id", "other_user_id", "other_user_name", "other_user_photo", "last_message"),
        *("last_message_sender", "unread_count", "updated_at", "created_at"),
    ],
    answers.ConversationList: ["conversations", "total"],
    answers.ListedMessage: [
        *("id", "conversation_id", "sender_id", "content", "content_type", "created_at", "read_at", "seq", "position"),
        "client_id",
    ],
    answers.MessageList: ["messages", "total"],
    answers.Block: ["user_id", "conversation_id", "blocked_at"],
    answers.BlockList: ["blocked", "total"],
    answers.UserStatus: ["user_id", "status", "last_seen"],
    answers.Failure: ["error", "code", "details", "timestamp"],
}


@pytest.mark.parametrize(("kind", "members"), CONTRACT.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_an_answer_has_the_members_of_the_contract(kind: type[Answer], members: list[str]) -> None:
    assert list(kind.__struct_fields__) == members


def test_the_client_id_is_left_out_for_others() -> None:
    message = answers.ListedMessage(
        id=1,
        conversation_id=2,
        sender_id=3,
        content="x",
        content_type="text",
        created_at=TIME,
        read_at=None,
        seq=1,
        position="0:1",
    )
    assert b"client_id" not in msgspec.json.encode(message)
    assert b'"read_at":null' in msgspec.json.encode(message)
