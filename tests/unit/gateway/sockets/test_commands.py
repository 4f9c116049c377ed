"""Client frames: each is run, answered, or refused with its error; the socket goes on."""

import asyncio
import json
import math
from types import SimpleNamespace
from typing import Any

import pytest

from command_api.claims import Sent
from command_api.reads import ReadMarked
from gateway.sockets import commands
from gateway.sockets.commands import Commands
from gateway.sockets.session import Session
from schemas.conversation import Conversation, Member
from schemas.errors import ChatError, Code, Unavailable, forbidden
from schemas.events import Typing
from schemas.ids import Partition, Position
from schemas.topics import CONVERSATIONS
from tests.support.live_parts import TIME, Clock, Log, frames_of

PARTITION = Partition(CONVERSATIONS, 0)


class Client:
    def __init__(self) -> None:
        self.session = Session(1, 7, lambda: None)
        self.user_id = 1
        self.socket_id = 7
        self.visible = True
        self.shown_at = -math.inf
        self.to_be_shown = False
        self.ended = False
        self.expires_at = 100.0
        self.typed: dict[int, float] = {}

    def replaced(self) -> None: ...


class WriteSide:
    """Answers every command at once, with `outcome` or by raising it."""

    def __init__(self) -> None:
        self.at_once = True
        self.asked: list[Any] = []
        self.origins: list[object] = []
        self.refusal: Exception | None = None
        self.outcome: Any = Sent(9, TIME, 5, "c", 3, Position(0, 4))
        self.messages = self.reads = self.tokens = self.conversations = self
        self.log = Log(Clock())
        self.edge = SimpleNamespace(appender=self.log)
        self.conversation = Conversation(id=5, members=(Member(user_id=1), Member(user_id=2)), opened_at=TIME)
        self.identity = SimpleNamespace(user_id=1, expires_at=200)

    def send_at_once(self, request: Any, deliver: Any, *, origin: object) -> bool:
        if self.at_once:
            self._take(request, deliver, origin)
        return self.at_once

    async def send(self, request: Any, deliver: Any, *, origin: object) -> None:
        self._take(request, deliver, origin)

    async def mark(self, user_id: int, message_id: int, deliver: Any, *, origin: object) -> None:
        self._take((user_id, message_id), deliver, origin)

    def _take(self, request: Any, deliver: Any, origin: object) -> None:
        self.asked.append(request)
        self.origins.append(origin)
        if self.refusal is not None:
            raise self.refusal
        deliver(self.outcome)

    def check(self, token: str) -> Any:
        if token != "good":
            raise ChatError(Code.UNAUTHORIZED, "the token is not good")
        return self.identity

    async def get(self, _: int) -> Any:
        def member(user_id: int) -> Member:
            found = self.conversation.member(user_id)
            if found is None:
                raise forbidden("the conversation is not yours")
            return found

        return SimpleNamespace(conversation=self.conversation, member=member)


class Admission:
    def __init__(self) -> None:
        self.shown: list[bool] = []

    def restate(self, client: Client) -> None:
        self.shown.append(client.visible)


class World:
    def __init__(self) -> None:
        self.write_side = WriteSide()
        self.admission = Admission()
        self.client = Client()
        self.commands = Commands(self.write_side, self.admission)  # type: ignore[arg-type]

    async def says(self, frame: Any) -> list[dict[str, Any]]:
        rest = self.commands.handle(self.client, frame if isinstance(frame, str) else json.dumps(frame))
        if rest is not None:
            await rest()
        return frames_of(self.client.session)


@pytest.fixture(params=[True, False], ids=["at once", "later"])
def world(request: pytest.FixtureRequest) -> World:
    world = World()
    world.write_side.at_once = request.param
    return world


MESSAGE = {"type": "message", "conversation_id": 5, "content": "hi", "client_id": "c", "ref": "r"}


async def test_a_message_is_sent_and_acknowledged(world: World) -> None:
    assert await world.says(MESSAGE) == [
        {
            "type": "ack",
            "client_id": "c",
            "ref": "r",
            "message_id": 9,
            "conversation_id": 5,
            "sent_at": TIME,
            "seq": 3,
            "position": "0:4",
        }
    ]
    (request,) = world.write_side.asked
    assert (request.user_id, request.conversation_id, request.content) == (1, 5, "hi")
    assert world.write_side.origins == [world.client.session]


@pytest.mark.parametrize("late", [True, False])
async def test_a_message_that_is_refused_is_told_so(world: World, late: bool) -> None:
    error = Unavailable("the outcome is unknown", retry_after=3)
    if late:
        world.write_side.outcome = error
    else:
        world.write_side.refusal = error
    (told,) = await world.says(MESSAGE)
    assert (told["type"], told["code"], told["client_id"], told["ref"]) == ("error", "SERVICE_UNAVAILABLE", "c", "r")
    assert told["details"] == {"retry_after": 3}


async def test_a_read_is_answered_with_where_it_stands(world: World) -> None:
    world.write_side.outcome = ReadMarked(5, 9, 3, TIME, PARTITION, Position(0, 4))
    expected = {
        "type": "read",
        "message_id": 9,
        "conversation_id": 5,
        "reader_id": 1,
        "seq": 3,
        "read_at": TIME,
        "position": "0:4",
        "ref": "r",
    }
    assert await world.says({"type": "read", "message_id": 9, "ref": "r"}) == [expected]
    assert world.write_side.asked == [(1, 9)]


async def test_a_read_that_changed_nothing_has_no_position(world: World) -> None:
    world.write_side.outcome = ReadMarked(5, 9, 3, TIME, PARTITION, None)
    (told,) = await world.says({"type": "read", "message_id": 9})
    assert "position" not in told


async def test_a_read_that_is_refused_is_told_so(world: World) -> None:
    world.write_side.outcome = Unavailable("the outcome is unknown")
    (told,) = await world.says({"type": "read", "message_id": 9, "ref": "r"})
    assert (told["code"], told["ref"]) == ("SERVICE_UNAVAILABLE", "r")


async def test_typing_is_told_the_other_once_in_a_while(world: World) -> None:
    for _ in range(3):
        assert await world.says({"type": "typing", "conversation_id": 5}) == []
    assert world.write_side.log.appended == [Typing(conversation_id=5, user_id=1, other_user_id=2)]


async def test_typing_in_two_conversations_by_turns_is_no_more_often_in_each(world: World) -> None:
    for conversation in (5, 6, 5, 6):
        assert await world.says({"type": "typing", "conversation_id": conversation}) == []
    assert world.write_side.log.appended == [
        Typing(conversation_id=conversation, user_id=1, other_user_id=2) for conversation in (5, 6)
    ]


async def test_typing_is_told_again_after_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.sockets.commands.TYPING_SECONDS", 0)
    for _ in range(2):
        await world.says({"type": "typing", "conversation_id": 5})
    assert len(world.write_side.log.appended) == 2
    assert len(world.client.typed) == 1


async def test_nobody_types_across_a_block(world: World) -> None:
    world.write_side.conversation.members[1].blocked_at = TIME
    (told,) = await world.says({"type": "typing", "conversation_id": 5})
    assert told["code"] == "CONVERSATION_BLOCKED"
    assert world.write_side.log.appended == []


async def test_nobody_types_in_the_conversation_of_others(world: World) -> None:
    world.client.user_id = 3
    (told,) = await world.says({"type": "typing", "conversation_id": 5})
    assert told["code"] == "FORBIDDEN"


async def test_who_hides_is_stated_once(world: World) -> None:
    for _ in range(2):
        assert await world.says({"type": "offline"}) == []
    assert world.admission.shown == [False]


async def test_of_many_changes_in_a_moment_the_first_and_the_last_are_stated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "SHOW_SECONDS", 0.05)
    for _ in range(20):
        assert await world.says({"type": "offline"}) == []
        assert await world.says({"type": "online"}) == []
    assert world.admission.shown == [False]
    await asyncio.sleep(0.15)
    assert world.admission.shown == [False, True]
    assert await world.says({"type": "offline"}) == []
    assert await world.says({"type": "online"}) == []
    world.client.ended = True
    await asyncio.sleep(0.15)
    assert world.admission.shown == [False, True, False]


async def test_a_ping_gets_its_pong(world: World) -> None:
    assert await world.says({"type": "ping", "ref": "r"}) == [{"type": "pong", "ref": "r"}]
    assert await world.says({"type": "ping"}) == [{"type": "pong"}]


async def test_a_fresh_token_prolongs(world: World) -> None:
    assert await world.says({"type": "auth", "token": "good"}) == []
    assert world.client.expires_at == 200


async def test_an_older_token_does_not_shorten(world: World) -> None:
    world.write_side.identity.expires_at = 50
    await world.says({"type": "auth", "token": "good"})
    assert world.client.expires_at == 100


async def test_the_token_of_somebody_else_is_refused(world: World) -> None:
    world.write_side.identity.user_id = 2
    (told,) = await world.says({"type": "auth", "token": "good", "ref": "r"})
    assert (told["code"], told["ref"], world.client.expires_at) == ("FORBIDDEN", "r", 100)


async def test_a_bad_token_is_refused_and_the_old_one_stays_good(world: World) -> None:
    (told,) = await world.says({"type": "auth", "token": "bad"})
    assert (told["code"], world.client.expires_at) == ("UNAUTHORIZED", 100)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[{}]", "3", "null", '"x"', '{"a":1,"a":2}', '{"a":NaN}', "[" * 100_000]
)
async def test_what_is_no_json_object_is_told_so(world: World, text: str) -> None:
    (told,) = await world.says(text)
    assert (told["type"], told["code"]) == ("error", "MALFORMED_JSON")


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ({}, "type"),
        ({"type": None}, "type"),
        ({"type": ["message"]}, "type"),
        ({"type": "connected"}, "type"),
        ({"type": "message", "content": "hi"}, "conversation_id"),
        ({"type": "message", "conversation_id": True, "content": "hi"}, "conversation_id"),
        ({"type": "message", "conversation_id": 5, "content": " "}, "content"),
        ({"type": "message", "conversation_id": 5, "content": "x" * 4_001}, "content"),
        ({"type": "message", "conversation_id": 5, "content": "hi", "client_id": ""}, "client_id"),
        ({"type": "message", "conversation_id": 5, "content": "hi", "content_type": "image"}, "content_type"),
        ({"type": "read", "message_id": 2**53}, "message_id"),
        ({"type": "typing", "conversation_id": -1}, "conversation_id"),
        ({"type": "ping", "ref": 3}, "ref"),
        ({"type": "ping", "ref": "x" * 201}, "ref"),
        ({"type": "ping", "ref": "\ud800"}, "ref"),
        ({"type": "auth"}, "token"),
    ],
)
async def test_a_field_that_is_wrong_is_named(world: World, frame: dict[str, Any], field: str) -> None:
    (told,) = await world.says(frame)
    assert (told["code"], list(told["details"])) == ("VALIDATION_ERROR", [field])
    assert world.write_side.asked == []


async def test_an_error_names_the_frame_as_far_as_it_named_itself(world: World) -> None:
    (told,) = await world.says({"type": "message", "client_id": "c", "ref": "r"})
    assert (told["client_id"], told["ref"]) == ("c", "r")
    (told,) = await world.says({"type": "message", "client_id": 5, "ref": ["r"]})
    assert "client_id" not in told
    assert "ref" not in told


async def test_what_nobody_foresaw_is_logged_and_the_socket_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.write_side.refusal = RuntimeError("a bug")
    (told,) = await world.says(MESSAGE)
    assert (told["code"], told["client_id"]) == ("INTERNAL_ERROR", "c")
    assert "a bug" not in json.dumps(told)
    assert "a bug" in caplog.text
    assert await world.says({"type": "ping"}) == [{"type": "pong"}]
