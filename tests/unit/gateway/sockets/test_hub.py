"""The hub: whom each event is told, and in which words."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.sockets.hub import Hub
from gateway.sockets.session import Session
from infra.background import Background
from schemas.conversation import Conversation, Member
from schemas.errors import Unavailable
from schemas.events import (
    AnyEvent,
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

    def kept(self, _: int) -> Any:
        return SimpleNamespace(conversation=self.conversation) if self.loaded else None


class Partners:
    """Who blocks whom, once it is loaded."""

    def __init__(self) -> None:
        self.blocking: set[int] | None = None
        self.tell_loaded: Any = None

    def on_load(self, loaded: Any) -> None:
        self.tell_loaded = loaded

    def blockers(self, *_: int) -> set[int] | None:
        return self.blocking

    def load(self, *blocking: int) -> None:
        self.blocking = set(blocking)
        self.tell_loaded({1})


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
def partners() -> Partners:
    return Partners()


@pytest.fixture
def hub(conversations: Conversations, partners: Partners, tables: Tables) -> Hub:
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


@pytest.mark.parametrize(("blockers", "told"), [([], ["read"]), ([1], []), ([2], [])])
def test_a_read_comes_late_where_nobody_knows_of_blocks(
    hub: Hub, log: Log, conversations: Conversations, partners: Partners, blockers: list[int], told: list[str]
) -> None:
    sender = connect(hub, 1)
    conversations.loaded = False
    log.read(READ)
    assert kinds_of(sender) == []
    partners.load(*blockers)
    assert kinds_of(sender) == told
    partners.load()
    assert kinds_of(sender) == [], "it was told, or never will be"


@pytest.mark.parametrize(("floor", "told"), [(0, ["read"]), (1, [])])
def test_a_read_that_comes_late_waits_for_a_catch_up_which_may_have_it(
    hub: Hub, log: Log, conversations: Conversations, partners: Partners, floor: int, told: list[str]
) -> None:
    sender = connect(hub, 1)
    sender.hold()
    conversations.loaded = False
    log.read(READ)
    partners.load()
    assert kinds_of(sender) == []
    sender.release((), {0: floor}, {0: 1})
    assert kinds_of(sender) == told


@pytest.mark.parametrize("seqs", [(3, 4), (4, 3)])
def test_of_reads_that_come_late_the_one_that_covers_the_others_is_told(
    hub: Hub, log: Log, conversations: Conversations, partners: Partners, seqs: tuple[int, int]
) -> None:
    sender = connect(hub, 1)
    conversations.loaded = False
    for seq in seqs:
        log.read(replace(READ, up_to_seq=seq))
    partners.load()
    assert [frame["seq"] for frame in frames_of(sender)] == [4]


def test_a_read_that_comes_late_is_told_whatever_socket_the_user_has_then_and_nobody_who_left(
    hub: Hub, log: Log, conversations: Conversations, partners: Partners
) -> None:
    sender = connect(hub, 1)
    conversations.loaded = False
    log.read(READ)
    tab = connect(hub, 1)
    hub.remove(sender)
    partners.load()
    assert kinds_of(tab) == ["read"]
    partners.blocking = None
    log.read(READ)
    hub.remove(tab)
    again = connect(hub, 1)
    partners.load()
    assert kinds_of(again) == [], "it may have got it from another edge"


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


@pytest.mark.parametrize("event", [READ, BLOCKED])
def test_nobody_is_told_of_what_was_so_already(hub: Hub, log: Log, event: AnyEvent) -> None:
    sockets = [connect(hub, user) for user in (1, 2)]
    entry = log.entry(event)
    entry.repeats = True
    hub.push(entry)
    assert [kinds_of(socket) for socket in sockets] == [[], []]


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
