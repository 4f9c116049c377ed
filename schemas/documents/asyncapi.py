"""The AsyncAPI 3.0 document (asyncapi.com/docs/reference/specification/v3.0.0): the topics, and the socket's frames.

Made from events.py, topics.py, requests.py and frames.py; what is said about them in words is in sayings.py.
"""

from functools import cache
from typing import Any

from msgspec import Struct

from schemas.documents.openapi import VERSION
from schemas.documents.sayings import CONNECT, CONNECT_QUERY, DESCRIPTION, OF_TOPIC
from schemas.documents.types import ref, schemas_of
from schemas.events import EVENT_TYPES, Event
from schemas.frames import SERVER_FRAMES
from schemas.judge import LIMIT, WINDOW
from schemas.requests import FRAME_TYPES
from schemas.topics import TOPICS, Topic

SOCKET, CHANNEL = "/chat/connect", "socket"
EVENT, FRAME = "event.", "frame."
_MILLISECONDS = ("retention.ms", "delete.retention.ms")


@cache
def asyncapi() -> dict[str, Any]:
    """Return the document; nobody may change it."""
    frames = (*FRAME_TYPES.values(), *SERVER_FRAMES)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Chat", "version": VERSION, "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {CHANNEL: _socket(), **{topic.name: _topic(topic) for topic in TOPICS}},
        "operations": {
            "fromClients": _operation("receive", CHANNEL, FRAME_TYPES.values()),
            "toClients": _operation("send", CHANNEL, SERVER_FRAMES),
            **{f"append.{topic.name}": _operation("send", topic.name, _events(topic)) for topic in TOPICS},
        },
        "components": {
            "messages": {
                **{FRAME + kind.__name__: _frame(kind) for kind in frames},
                **{EVENT + kind.__name__: _event(kind) for kind in EVENT_TYPES},
            },
            "schemas": {**schemas_of(frames, FRAME), **schemas_of(EVENT_TYPES, EVENT)},
        },
    }


def _socket() -> dict[str, Any]:
    return {
        "address": SOCKET,
        "description": CONNECT,
        "messages": _messages((*FRAME_TYPES.values(), *SERVER_FRAMES), FRAME),
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        name: {"type": "string", "description": said} for name, said in CONNECT_QUERY.items()
                    },
                },
            }
        },
    }


def _topic(topic: Topic) -> dict[str, Any]:
    said = OF_TOPIC[topic.name]
    configuration: dict[str, Any] = {"cleanup.policy": [topic.kept["cleanup.policy"]]}
    configuration |= {name: int(topic.kept[name]) for name in _MILLISECONDS if name in topic.kept}
    return {
        "address": topic.name,
        "description": said.description.format(limit=LIMIT, window=WINDOW),
        "messages": _messages(_events(topic), EVENT),
        "bindings": {"kafka": {"topic": topic.name, "topicConfiguration": configuration}},
    }


def _events(topic: Topic) -> list[type[Event]]:
    return [kind for kind in EVENT_TYPES if kind.topic == topic.name]


def _messages(kinds: Any, group: str) -> dict[str, Any]:
    return {kind.__name__: {"$ref": f"#/components/messages/{group}{kind.__name__}"} for kind in kinds}


def _operation(action: str, channel: str, kinds: Any) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{kind.__name__}"} for kind in kinds],
    }


def _frame(kind: type[Struct]) -> dict[str, Any]:
    return {
        "name": str(kind.__struct_config__.tag),
        "summary": (kind.__doc__ or "").strip(),
        "contentType": "application/json",
        "payload": ref(kind, FRAME),
    }


def _event(kind: type[Event]) -> dict[str, Any]:
    return {
        "name": kind.type,
        "summary": (kind.__doc__ or "").strip(),
        "contentType": "application/json",
        "headers": _headers(kind),
        "payload": ref(kind, EVENT),
        "bindings": {"kafka": {"key": OF_TOPIC[kind.topic].key}},
    }


def _headers(kind: type[Event]) -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in binary mode (Kafka protocol binding), as UTF-8",
        "required": ["ce_specversion", "ce_type", "ce_id", "ce_source", "ce_time", "content-type"],
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_type": {"const": kind.type},
            "ce_id": {**text, "description": "unique for ever"},
            "ce_source": {**text, "description": "who appended it: `/chat/edges/<name>`"},
            "ce_time": {**text, "format": "date-time"},
            "content-type": {"const": "application/json"},
            "traceparent": {**text, "description": "Trace Context (W3C)"},
        },
    }
