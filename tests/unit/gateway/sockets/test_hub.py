"""The hub: whom each event is told, and in which words."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.sockets.hub import Hub
from gateway.sockets.session import Session
from infra.background import Background
from schemas.conversation import Conversation, Member
from schemas.errors import Unavailable
from schemas.events import (
    AsOf,
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
    ReportFiled,
)
from schemas.judge import Judgement, Verdict
from tests.support.live_parts import TIME, Clock, Log, frames_of, kinds_of, settle


class Conversations:
    """The write side's conversations, as far as the hub asks."""

    def __init__(self) -> None:
        self.conversation = Conversation(id=5, members=(Member(user_id=1), Member(user_id=2)), opened_at=TIME)
        self.loaded = True
        self.away = False

    def kept(self, _: int) -> Any:
        return SimpleNamespace(conversation=self.conversation) if self.loaded else None

    async def get(self, _: int) -> Any:
        if self.away:
            raise Unavailable("Postgres is away")
        return SimpleNamespace(conversation=self.conversation)


class Tables:
    def __init__(self) -> None:
        self.away = False

    async def fetch(self, _: str, users: list[int]) -> list[dict[str, Any]]:
        if self.away:
            raise Unavailable("Postgres is away")
        return [{"id": user, "name": f"user {user}", "photo": None} for user in users if user == 2]


@pytest.fixture
def conversations() -> Conversations:
    return Conversations()


@pytest.fixture
def tables() -> Tables:
    return Tables()


@pytest.fixture
def hub(conversations: Conversations, tables: Tables) -> Hub:
    partners: Any = SimpleNamespace(blockers=lambda *_: None)
    return Hub(conversations, partners, tables, Background())  # type: ignore[arg-type]


@pytest.fixture
def log(hub: Hub) -> Log:
    log = Log(Clock())
    log.followers.append(hub.push)
    return log


def connect(hub: Hub, user_id: int) -> Session:
    session = Session(user_id, 1, lambda: None)
    hub.add(session)
    return session


SENT = MessageSent(
    message_id=9,
    conversation_id=5,
    sender_id=1,
    recipient_id=2,
    content="hi",
    content_type="text",
    client_id="c",
    sent_at=TIME,
    as_of=AsOf(0),
)
READ = MessageRead(message_id=9, conversation_id=5, reader_id=2, sender_id=1, up_to_seq=3, read_at=TIME)
OPENED = ConversationOpened(conversation_id=5, user_id=1, other_user_id=2, opened_at=TIME, as_of=AsOf(0))
BLOCKED = ConversationBlocked(conversation_id=5, user_id=1, other_user_id=2, blocked_at=TIME)
THIRD = Judgement(Verdict.COUNTED, 3)


def test_a_message_goes_to_all_sockets_of_both(hub: Hub, log: Log) -> None:
    sender, recipient, again, stranger = (connect(hub, user) for user in (1, 2, 2, 3))
    log.read(SENT, THIRD)
    told = {
        "type": "message",
        "message_id": 9,
        "conversation_id": 5,
        "sender_id": 1,
        "content": "hi",
        "content_type": "text",
        "sent_at": TIME,
        "seq": 3,
        "position": "0:0",
    }
    assert frames_of(recipient) == frames_of(again) == [told]
    assert frames_of(sender) == [{**told, "client_id": "c"}]
    assert frames_of(stranger) == []


def test_the_socket_that_gets_the_ack_gets_no_message(hub: Hub, log: Log) -> None:
    origin, tab = connect(hub, 1), connect(hub, 1)
    log.read(SENT, THIRD, origin=origin)
    assert kinds_of(origin) == []
    assert kinds_of(tab) == ["message"]


def test_both_are_told_of_a_read(hub: Hub, log: Log) -> None:
    sender, reader = connect(hub, 1), connect(hub, 2)
    log.read(READ)
    expected = {
        "type": "read",
        "message_id": 9,
        "conversation_id": 5,
        "reader_id": 2,
        "seq": 3,
        "read_at": TIME,
        "position": "0:0",
    }
    assert frames_of(sender) == frames_of(reader) == [expected]


def test_a_read_under_a_block_is_the_readers_own_business(hub: Hub, log: Log, conversations: Conversations) -> None:
    sender, reader = connect(hub, 1), connect(hub, 2)
    conversations.conversation.members[0].blocked_at = TIME
    log.read(READ)
    assert kinds_of(sender) == []
    assert kinds_of(reader) == ["read"]


async def test_a_read_comes_late_where_nobody_knows_of_blocks(hub: Hub, log: Log, conversations: Conversations) -> None:
    sender = connect(hub, 1)
    conversations.loaded = False
    log.read(READ)
    assert kinds_of(sender) == []
    await settle()
    assert kinds_of(sender) == ["read"]


@pytest.mark.parametrize(("floor", "told"), [(0, ["read"]), (1, [])])
async def test_a_read_that_comes_late_waits_for_a_catch_up_which_may_have_it(
    hub: Hub, log: Log, conversations: Conversations, floor: int, told: list[str]
) -> None:
    sender = connect(hub, 1)
    sender.hold()
    conversations.loaded = False
    log.read(READ)
    await settle()
    assert kinds_of(sender) == []
    sender.release((), {0: floor}, {0: 1})
    assert kinds_of(sender) == told


async def test_a_read_is_told_once_that_can_be_known_again(
    hub: Hub, log: Log, conversations: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.sockets.hub.AGAIN_SECONDS", 0)
    sender = connect(hub, 1)
    conversations.loaded, conversations.away = False, True
    log.read(READ)
    await settle()
    assert kinds_of(sender) == []
    conversations.away = False
    await settle()
    assert kinds_of(sender) == ["read"]


@pytest.mark.parametrize("gone", [True, False])
async def test_a_read_is_not_told_where_that_is_not_known_in_time_or_nobody_is_there(
    hub: Hub, log: Log, conversations: Conversations, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    monkeypatch.setattr("gateway.sockets.hub.AGAIN_SECONDS", 0)
    monkeypatch.setattr("gateway.sockets.hub.LATE_SECONDS", 60 if gone else 0)
    sender = connect(hub, 1)
    conversations.loaded, conversations.away = False, True
    log.read(READ)
    await settle()
    if gone:
        hub.remove(sender)
        await settle()
    assert not hub._background._tasks
    assert kinds_of(sender) == []


async def test_a_new_conversation_is_told_with_the_name_of_the_other(hub: Hub, log: Log) -> None:
    first, second = connect(hub, 1), connect(hub, 2)
    log.read(OPENED)
    log.read(SENT, THIRD)
    assert frames_of(first) == [], "nothing overtakes it"
    await settle()
    (to_first, _), (to_second, _) = frames_of(first), frames_of(second)
    assert to_first == {
        "type": "conversation",
        "id": 5,
        "user_id": 1,
        "other_user_id": 2,
        "other_user_name": "user 2",
        "other_user_photo": None,
        "last_message": None,
        "last_message_sender": None,
        "unread_count": 0,
        "updated_at": TIME,
        "created_at": TIME,
        "position": "0:0",
    }
    assert (to_second["other_user_id"], to_second["other_user_name"]) == (1, None)


async def test_without_postgres_a_new_conversation_has_no_names(hub: Hub, log: Log, tables: Tables) -> None:
    session = connect(hub, 1)
    tables.away = True
    log.read(OPENED)
    await settle()
    assert frames_of(session)[0]["other_user_name"] is None


def test_a_block_is_told_the_blocker_only(hub: Hub, log: Log) -> None:
    blocker, tab, other = connect(hub, 1), connect(hub, 1), connect(hub, 2)
    log.read(BLOCKED)
    log.read(ConversationUnblocked(conversation_id=5, user_id=1, other_user_id=2, unblocked_at=TIME))
    assert kinds_of(blocker) == kinds_of(tab) == ["blocked", "unblocked"]
    assert kinds_of(other) == []


def test_reports_are_told_nobody(hub: Hub, log: Log) -> None:
    session = connect(hub, 1)
    log.read(
        ReportFiled(
            report_id=1,
            conversation_id=5,
            user_id=1,
            reported_user_id=2,
            report_type="spam",
            reason="x",
            client_id="r",
            reported_at=TIME,
            as_of=AsOf(0),
        )
    )
    assert kinds_of(session) == []


def test_a_session_that_is_gone_is_told_nothing(hub: Hub, log: Log) -> None:
    one, other = connect(hub, 2), connect(hub, 2)
    assert not hub.remove(one)
    log.read(SENT, THIRD)
    assert (kinds_of(one), kinds_of(other)) == ([], ["message"])
    assert hub.remove(other), "it was the last one"
    assert hub.of(2) == ()
