"""Every HTTP operation of the service, as data: what openapi.py documents, and what a test holds the routes against."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal

from msgspec import Struct

from schemas import answers, requests
from schemas.errors import Code

Tag = Literal["writing", "reading", "operating"]

BY_ANYBODY = (Code.INTERNAL_ERROR, Code.SERVICE_UNAVAILABLE)
OF_BODY = (Code.VALIDATION_ERROR, Code.MALFORMED_JSON, Code.PAYLOAD_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE)
OF_TOKEN = (Code.UNAUTHORIZED, Code.TOKEN_EXPIRED, Code.FORBIDDEN)


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path; `{id}` in a path is an id.

    `answers`: the body of each status; None is a document of its own. `needs_body`: a body may not be left out.
    `acts_for`: a back end says for whom by the query's `user_id`, or by the body's. `keyed`: takes `Idempotency-Key`.
    `told`: its answer carries `Chat-Position`. `shows`: its 200 shows what the read tables have, as a GET does.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    name: str
    summary: str
    tag: Tag
    answers: Mapping[HTTPStatus, type[answers.Answer] | None]
    description: str = ""
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    needs_body: bool = True
    errors: tuple[Code, ...] = ()
    token: bool = True
    acts_for: bool = False
    keyed: bool = False
    told: bool = False
    shows: bool = False

    @property
    def waits(self) -> bool:
        """A GET waits for what its user has just written."""
        return self.tag == "reading"


WRITES = (
    Operation(
        method="POST",
        path="/chat/messages",
        name="sendMessage",
        summary="Send a message",
        description=(
            "Answered once the message is in the log and counts. A retry with the same client_id gets the same answer "
            "again; without one, a retry is another message."
        ),
        tag="writing",
        body=requests.SendMessage,
        answers={HTTPStatus.CREATED: answers.SentMessage},
        errors=(
            *OF_BODY,
            *OF_TOKEN,
            Code.CONVERSATION_BLOCKED,
            Code.CONVERSATION_NOT_FOUND,
            Code.CLIENT_ID_CONFLICT,
            Code.RATE_LIMITED,
        ),
        keyed=True,
        told=True,
    ),
    Operation(
        method="PUT",
        path="/chat/messages/{id}/read",
        name="markRead",
        summary="Mark a message as read, and all earlier ones of its sender",
        description="By its recipient only. Again: the time it was first read.",
        tag="writing",
        body=requests.OnBehalf,
        needs_body=False,
        answers={HTTPStatus.OK: answers.MarkedRead},
        errors=(*OF_BODY, *OF_TOKEN, Code.MESSAGE_NOT_FOUND),
        acts_for=True,
        told=True,
    ),
    Operation(
        method="POST",
        path="/chat/conversations",
        name="openConversation",
        summary="Bring two users into conversation",
        description=(
            "For back ends, and for users where the service is set up so. 201 opens it; 200 shows the one that the "
            "pair has already, as the list does, and is behind as the list may be: then with `Chat-Stale`."
        ),
        tag="writing",
        body=requests.OpenConversation,
        answers={HTTPStatus.CREATED: answers.ListedConversation, HTTPStatus.OK: answers.ListedConversation},
        errors=(*OF_BODY, *OF_TOKEN),
        told=True,
        shows=True,
    ),
    Operation(
        method="POST",
        path="/chat/conversations/{id}/block",
        name="block",
        summary="Block a conversation",
        description="Either side's block stops both. Again: the time it was first blocked.",
        tag="writing",
        body=requests.OnBehalf,
        needs_body=False,
        answers={HTTPStatus.OK: answers.BlockedConversation},
        errors=(*OF_BODY, *OF_TOKEN, Code.CONVERSATION_NOT_FOUND),
        acts_for=True,
        told=True,
    ),
    Operation(
        method="DELETE",
        path="/chat/conversations/{id}/block",
        name="unblock",
        summary="Take one's own block back",
        description="The other's block stays. Again: the time it was taken back.",
        tag="writing",
        body=requests.OnBehalf,
        needs_body=False,
        answers={HTTPStatus.OK: answers.UnblockedConversation},
        errors=(*OF_BODY, *OF_TOKEN, Code.CONVERSATION_NOT_FOUND),
        acts_for=True,
        told=True,
    ),
    Operation(
        method="POST",
        path="/chat/conversations/{id}/report",
        name="report",
        summary="Report the other user to the moderators",
        description="A retry with the same client_id gets the same answer again.",
        tag="writing",
        body=requests.FileReport,
        answers={HTTPStatus.CREATED: answers.FiledReport},
        errors=(*OF_BODY, *OF_TOKEN, Code.CONVERSATION_NOT_FOUND, Code.CLIENT_ID_CONFLICT, Code.RATE_LIMITED),
        acts_for=True,
        keyed=True,
        told=True,
    ),
    Operation(
        method="PUT",
        path="/chat/users/{id}",
        name="updateUser",
        summary="Publish how a user is shown",
        description="For back ends. Users need no profile: name and photo are null until they are published.",
        tag="writing",
        body=requests.UpdateUser,
        answers={HTTPStatus.OK: answers.User},
        errors=(*OF_BODY, *OF_TOKEN, Code.USER_NOT_FOUND),
        told=True,
    ),
)
READS = (
    Operation(
        method="GET",
        path="/chat/conversations",
        name="listConversations",
        summary="List a user's conversations, latest first",
        tag="reading",
        query=requests.ListConversations,
        answers={HTTPStatus.OK: answers.ConversationList},
        errors=(Code.VALIDATION_ERROR, *OF_TOKEN),
    ),
    Operation(
        method="GET",
        path="/chat/conversations/{id}/messages",
        name="listMessages",
        summary="Read a history, latest first",
        description=(
            "`before_seq` and `after_seq` exclude that number; `total` is that of the whole history. "
            "`client_id` is there on the asker's own messages."
        ),
        tag="reading",
        query=requests.ListMessages,
        answers={HTTPStatus.OK: answers.MessageList},
        errors=(Code.VALIDATION_ERROR, *OF_TOKEN, Code.CONVERSATION_NOT_FOUND),
        acts_for=True,
    ),
    Operation(
        method="GET",
        path="/chat/blocked",
        name="listBlocked",
        summary="List a user's blocks that are in force, latest first",
        tag="reading",
        query=requests.OfUser,
        answers={HTTPStatus.OK: answers.BlockList},
        errors=(Code.VALIDATION_ERROR, *OF_TOKEN),
    ),
    Operation(
        method="GET",
        path="/chat/users/{id}/status",
        name="getStatus",
        summary="See whether somebody is online",
        description="For the user and those in conversation with them. Across a block: offline, and never seen.",
        tag="reading",
        answers={HTTPStatus.OK: answers.UserStatus},
        errors=(Code.VALIDATION_ERROR, *OF_TOKEN, Code.USER_NOT_FOUND),
        acts_for=True,
    ),
)
OPERATING = (
    Operation(
        method="GET",
        path="/healthz",
        name="isAlive",
        summary="Is the process alive?",
        tag="operating",
        answers={HTTPStatus.OK: answers.Alive},
        token=False,
    ),
    Operation(
        method="GET",
        path="/readyz",
        name="isReady",
        summary="Should clients be sent here?",
        description="503 until the log was read to its end, and whenever Kafka or this edge's tail is away.",
        tag="operating",
        answers={HTTPStatus.OK: answers.Readiness, HTTPStatus.SERVICE_UNAVAILABLE: answers.Readiness},
        token=False,
    ),
    *(
        Operation(
            method="GET",
            path=path,
            name=name,
            summary=summary,
            tag="operating",
            answers={HTTPStatus.OK: None},
            token=False,
        )
        for path, name, summary in (
            ("/openapi.json", "getOpenApi", "This document"),
            ("/asyncapi.json", "getAsyncApi", "The socket's frames and the events on the topics"),
            ("/docs", "getDocs", "All of it as a page"),
        )
    ),
)
OPERATIONS = (*WRITES, *READS, *OPERATING)
