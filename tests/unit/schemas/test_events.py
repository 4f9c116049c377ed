"""Events are decoded for ever: the golden files are records as they were first written, and nobody changes one.

A new version of an event gets a file of its own, and an example in tests/support/examples.py.
"""

from pathlib import Path

import pytest

from schemas.envelope import seal, unseal
from schemas.events import EVENT_BY_TYPE, EVENT_TYPES, AnyEvent, Erased, MessageSent, UserUpdated, concerned, key_of
from tests.support.examples import EXAMPLES, TIME

GOLDEN = Path(__file__).parents[2] / "golden"
KEYS = {
    "chat.conversation.opened.v1": "7:12",
    "chat.message.sent.v1": "7:12",
    "chat.message.read.v1": "7:12",
    "chat.conversation.blocked.v1": "7:12",
    "chat.conversation.unblocked.v1": "7:12",
    "chat.report.filed.v1": "7:12",
    "chat.user.updated.v1": "7",
    "chat.user.last-seen.v1": "7",
    "chat.connection.opened.v1": "7",
    "chat.connection.closed.v1": "7",
    "chat.edge.beat.v1": "edge-1",
    "chat.typing.v1": "7",
    "chat.log.created.v1": None,
    "chat.ids.leased.v1": None,
}
CONCERNED = {
    "chat.conversation.opened.v1": {7, 12},
    "chat.message.sent.v1": {7, 12},
    "chat.message.read.v1": {7, 12},
    "chat.conversation.blocked.v1": {7},
    "chat.conversation.unblocked.v1": {7},
}
every_example = pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)


def golden(event: AnyEvent) -> bytes:
    return (GOLDEN / f"{event.type}.json").read_bytes().removesuffix(b"\n")


@every_example
def test_a_golden_record_is_decoded_as_it_was_meant(event: AnyEvent) -> None:
    key = KEYS[event.type]
    record = unseal(event.topic, key.encode() if key else None, golden(event), [("ce_type", event.type.encode())])
    assert record == event


@every_example
def test_an_event_is_encoded_as_its_golden_record_byte_by_byte(event: AnyEvent) -> None:
    assert seal(event, ce_id="1", source="/chat/edges/a", time=TIME).value == golden(event)


@every_example
def test_the_key_says_whom_a_record_is_about(event: AnyEvent) -> None:
    assert key_of(event) == KEYS[event.type]


@every_example
def test_an_event_concerns_who_wrote_it_and_who_is_pushed_it(event: AnyEvent) -> None:
    assert set(concerned(event)) == CONCERNED.get(event.type, set())


def test_every_event_has_an_example_and_a_golden_record_and_there_are_no_others() -> None:
    names = {event.type for event in EVENT_TYPES}
    assert {event.type for event in EXAMPLES} == names
    assert {path.stem for path in GOLDEN.iterdir()} == names


def test_types_are_unique_and_versioned() -> None:
    assert len(EVENT_BY_TYPE) == len(EVENT_TYPES)
    assert all(name.startswith("chat.") and name.rsplit(".v", 1)[1].isdigit() for name in EVENT_BY_TYPE)


def test_a_value_may_have_gained_fields_that_this_reader_does_not_know() -> None:
    message = next(event for event in EXAMPLES if isinstance(event, MessageSent))
    value = golden(message)[:-1] + b',"edited":{"at":"later"}}'
    assert unseal(message.topic, b"7:12", value, [("ce_type", message.type.encode())]) == message


def test_fields_that_came_later_may_be_missing() -> None:
    assert unseal("chat.users", b"7", b'{"user_id":7}', [("ce_type", b"chat.user.updated.v1")]) == UserUpdated(
        user_id=7
    )


def test_a_client_id_that_requests_may_not_have_any_more_is_read_as_before() -> None:
    message = next(event for event in EXAMPLES if isinstance(event, MessageSent))
    value = golden(message).replace(b'"b2f0-1"', rb'"b\u200b"')
    earlier = unseal(message.topic, b"7:12", value, [("ce_type", message.type.encode())])
    assert isinstance(earlier, MessageSent)
    assert earlier.client_id == "b\u200b"


def test_an_erasure_has_the_key_of_what_it_erases() -> None:
    assert key_of(Erased(topic="chat.users", user_id=7)) == "7"
