"""Requests say their own rules, which errors and the OpenAPI document repeat."""

import msgspec
import pytest
from msgspec.inspect import Metadata, StructType, UnionType, type_info

from schemas import requests
from schemas.requests import FRAME_TYPES, ClientFrame, Frame

BODIES_AND_QUERIES = (
    requests.SendMessage,
    requests.FileReport,
    requests.OpenConversation,
    requests.UpdateUser,
    requests.OfUser,
    requests.ListConversations,
    requests.ListMessages,
)


@pytest.mark.parametrize("kind", [*BODIES_AND_QUERIES, *FRAME_TYPES.values()], ids=lambda kind: kind.__name__)
def test_every_field_says_what_it_must_be(kind: type[msgspec.Struct]) -> None:
    info = type_info(kind)
    assert isinstance(info, StructType)
    for field in info.fields:
        if field.name == "token":
            continue  # whatever it is, the check of the token says what is wrong with it
        options = field.type.types if isinstance(field.type, UnionType) else (field.type,)
        assert any(isinstance(option, Metadata) for option in options), f"{kind.__name__}.{field.name}"


@pytest.mark.parametrize(("name", "kind"), FRAME_TYPES.items())
def test_a_frame_is_known_by_its_type(name: str, kind: type[Frame]) -> None:
    assert kind.__struct_config__.tag == name


def test_all_frames_are_in_the_table() -> None:
    assert set(FRAME_TYPES.values()) == set(ClientFrame.__args__)


def test_a_frame_is_read_by_its_type() -> None:
    frame = msgspec.json.decode(b'{"type":"read","message_id":7,"ref":"x"}', type=ClientFrame)
    assert frame == requests.ReadFrame(message_id=7, ref="x")
