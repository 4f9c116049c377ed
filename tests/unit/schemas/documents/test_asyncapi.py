"""The AsyncAPI document has every topic with the schema of every value, the void rule, and every frame."""

from typing import Any

import msgspec
import pytest

from schemas.documents.asyncapi import CHANNEL, asyncapi
from schemas.events import EVENT_TYPES, Event
from schemas.frames import SERVER_FRAMES
from schemas.judge import LIMIT, WINDOW
from schemas.requests import FRAME_TYPES
from schemas.topics import TOPICS, Topic

DOCUMENT = asyncapi()


def follow(reference: str) -> Any:
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def resolved(value: Any) -> None:
    """Follow every reference in a value."""
    if isinstance(value, dict):
        if "$ref" in value:
            assert follow(value["$ref"])
        for item in value.values():
            resolved(item)
    elif isinstance(value, list):
        for item in value:
            resolved(item)


def test_it_is_asyncapi_3_and_json_and_whole() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    resolved(DOCUMENT)
    assert msgspec.json.encode(DOCUMENT)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_is_a_channel_with_its_events(topic: Topic) -> None:
    channel = DOCUMENT["channels"][topic.name]
    assert channel["address"] == topic.name
    events = {kind.__name__ for kind in EVENT_TYPES if kind.topic == topic.name}
    assert set(channel["messages"]) == events != set()
    configuration = channel["bindings"]["kafka"]["topicConfiguration"]
    assert configuration["cleanup.policy"] == [topic.kept["cleanup.policy"]]
    for name in ("retention.ms", "delete.retention.ms"):
        assert str(configuration.get(name)) == str(topic.kept.get(name))


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.type)
def test_every_event_has_its_headers_its_key_and_the_schema_of_its_value(kind: type[Event]) -> None:
    message = follow(DOCUMENT["channels"][kind.topic]["messages"][kind.__name__]["$ref"])
    assert message["name"] == message["headers"]["properties"]["ce_type"]["const"] == kind.type
    assert set(follow(message["payload"]["$ref"])["properties"]) == set(kind.__struct_fields__)
    assert message["bindings"]["kafka"]["key"]["type"] in {"string", "null"}


def test_the_rule_of_void_records_is_told_with_its_numbers() -> None:
    for name in ("chat.conversations", "chat.moderation"):
        said = DOCUMENT["channels"][name]["description"]
        assert "Not every record counts" in said
        assert str(LIMIT) in said
        assert str(WINDOW) in said
        assert "{" not in said


def test_transactions_are_ruled_out_for_all_topics() -> None:
    assert "Write to no topic with transactions" in DOCUMENT["info"]["description"]


def test_the_socket_has_every_frame_in_its_direction() -> None:
    directions = {
        operation["action"]: {reference["$ref"].rsplit("/", 1)[1] for reference in operation["messages"]}
        for operation in DOCUMENT["operations"].values()
        if operation["channel"]["$ref"] == f"#/channels/{CHANNEL}"
    }
    assert directions["receive"] == {kind.__name__ for kind in FRAME_TYPES.values()}
    assert directions["send"] == {kind.__name__ for kind in SERVER_FRAMES}
    assert len(DOCUMENT["channels"][CHANNEL]["messages"]) == len(FRAME_TYPES) + len(SERVER_FRAMES)
