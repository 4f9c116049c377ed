"""The frames of the contract, as they leave."""

import pytest

from schemas import frames
from schemas.frames import SERVER_FRAMES, ServerFrame, encode

TIME = "2026-01-31T12:00:00.000Z"


def test_every_frame_of_the_contract_is_there() -> None:
    assert [kind.__struct_config__.tag for kind in SERVER_FRAMES] == [
        "connected",
        "ack",
        "message",
        "read",
        "typing",
        "online",
        "offline",
        "conversation",
        "blocked",
        "unblocked",
        "heartbeat",
        "pong",
        "resync",
        "error",
    ]


@pytest.mark.parametrize(
    ("frame", "written"),
    [
        (frames.Pong(), b'{"type":"pong"}'),
        (frames.Pong(ref="a"), b'{"type":"pong","ref":"a"}'),
        (frames.Heartbeat(), b'{"type":"heartbeat"}'),
        (frames.Heartbeat(cursor="c"), b'{"type":"heartbeat","cursor":"c"}'),
        (frames.Offline(user_id=7, last_seen=None), b'{"type":"offline","user_id":7,"last_seen":null}'),
        (
            frames.Ack(client_id="c", message_id=1, conversation_id=2, sent_at=TIME, seq=3, position="0:4"),
            (
                b'{"type":"ack","client_id":"c","message_id":1,"conversation_id":2,'
                b'"sent_at":"2026-01-31T12:00:00.000Z","seq":3,"position":"0:4"}'
            ),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ServerFrame) else "",
)
def test_a_frame_has_its_type_first_and_leaves_out_what_is_not_given(frame: ServerFrame, written: bytes) -> None:
    assert encode(frame) == written


def test_a_new_conversation_looks_like_one_in_the_list() -> None:
    frame = frames.Opened(
        id=1,
        user_id=7,
        other_user_id=12,
        other_user_name=None,
        other_user_photo=None,
        last_message=None,
        last_message_sender=None,
        unread_count=0,
        updated_at=TIME,
        created_at=TIME,
        position="0:0",
    )
    assert b'"other_user_name":null' in encode(frame)
