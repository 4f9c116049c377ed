"""Send a message: check, append, observe; once for each (conversation, sender, client_id), however often tried."""

import secrets
from collections.abc import Awaitable

from msgspec import Struct
from msgspec.structs import replace

from command_api.claims import Claims, First, Sent, first, sent
from command_api.conversations import Conversations
from command_api.deliver import Deliver
from command_api.ids import Ids
from command_api.kept import Known
from command_api.limits import Limits
from command_api.loads import Loads
from infra.edge import Edge
from infra.memory import Entry
from schemas.errors import ChatError, Code, Failed, Unavailable
from schemas.events import AsOf, MessageSent
from schemas.judge import Verdict
from schemas.requests import SendMessage

MOST_TRIES = 3
"""How often a message whose `as_of` came out too old is checked and appended again."""

Claim = tuple[int, int, str]
"""A client_id of a sender in a conversation."""


class _Try(Struct, frozen=True):
    """One request to send, and whom to tell."""

    request: SendMessage
    deliver: Deliver[Sent]
    origin: object | None
    left: int


class Messages:
    """The command `send`."""

    def __init__(self, edge: Edge, conversations: Conversations, loads: Loads, ids: Ids, limits: Limits) -> None:
        self._conversations = conversations
        self._claims = Claims(edge.tail, loads, conversations)
        self._ids = ids
        self._limits = limits.messages
        self._appender = edge.appender
        self._tail = edge.tail
        self._clock = edge.clock
        self._under_way: dict[Claim, list[_Try]] = {}
        self._background = edge.background

    def send(self, request: SendMessage, deliver: Deliver[Sent], *, origin: object | None = None) -> Awaitable[None]:
        """Check and append; the message is in line when that is done, `deliver` is called with its outcome.

        Raises ChatError when it is refused before the log. `origin` comes back on the tail's entry.
        """
        return self._send(_Try(request, deliver, origin, MOST_TRIES))

    def send_at_once(self, request: SendMessage, deliver: Deliver[Sent], *, origin: object | None = None) -> bool:
        """Do the same if nothing has to be waited for, which is the rule; otherwise False, and nothing is done."""
        known = self._conversations.kept(request.conversation_id)
        if known is None or known.conversation.blocked or not self._ids.at_hand:
            return False
        known.member(request.user_id)
        if request.client_id and not self._claims.is_new(known, request.user_id, request.client_id):
            return False
        trying = _Try(request, deliver, origin, MOST_TRIES)
        self._claim(known, trying, None, self._tail.positions[known.partition])
        return True

    async def _send(self, trying: _Try) -> None:
        request = trying.request
        known = self._conversations.kept(request.conversation_id) or await self._conversations.get(
            request.conversation_id
        )
        known.member(request.user_id)
        looked = self._tail.positions[known.partition]
        with known:
            earlier = await self._claims.find(known, request.user_id, request.client_id) if request.client_id else None
            if earlier is None and known.conversation.blocked:
                await self._conversations.reach_end(known.partition)
            await self._ids.ready()
            self._claim(known, trying, earlier, looked)

    def _claim(self, known: Known, trying: _Try, earlier: First | None, looked: int) -> None:
        """Append, or find what is there already; nothing waits between the last look and the line."""
        request = trying.request
        client_id = request.client_id or secrets.token_hex(12)
        claim = (request.conversation_id, request.user_id, client_id)
        if earlier is None and self._tail.positions[known.partition] != looked:
            earlier = self._claims.since(looked, known, request.user_id, client_id)
        if earlier is not None:
            trying.deliver(earlier.again(request))
        elif claim in self._under_way:
            self._under_way[claim].append(trying)
        elif known.conversation.blocked:
            raise _blocked()
        else:
            self._limits.check(request.user_id)
            self._append(known, claim, trying)

    def _append(self, known: Known, claim: Claim, trying: _Try) -> None:
        conversation_id, user_id, client_id = claim
        event = MessageSent(
            message_id=self._ids.take(),
            conversation_id=conversation_id,
            sender_id=user_id,
            recipient_id=known.conversation.other(user_id).user_id,
            content=trying.request.content,
            content_type=trying.request.content_type,
            client_id=client_id,
            sent_at=self._clock.now_text(),
            as_of=AsOf(self._tail.positions[known.partition], known.conversation.last_seq),
        )
        self._limits.begin(user_id)
        self._under_way[claim] = [trying]
        try:
            self._appender.append(event, lambda entry: self._observed(claim, entry), origin=trying.origin)
        except BaseException:
            self._limits.end(user_id)
            for other in self._under_way.pop(claim)[1:]:
                other.deliver(Unavailable("the log cannot be written to right now"))
            raise

    def _observed(self, claim: Claim, entry: Entry | None) -> None:
        """Tell everybody who tried the same meanwhile; what is void by age is tried once more."""
        self._limits.end(claim[1])
        original, *others = self._under_way.pop(claim)
        if entry is not None and entry.judgement.verdict is Verdict.COUNTED:
            original.deliver(sent(entry))
        else:
            others = [original, *others]
        for trying in others:
            if entry is not None and entry.judgement.verdict is Verdict.STALE and trying.left > 1:
                self._background.spawn(self._retry(trying), "sending once more")
            else:
                trying.deliver(self._outcome(entry, trying.request))

    async def _retry(self, trying: _Try) -> None:
        try:
            await self._send(replace(trying, left=trying.left - 1))
        except ChatError as error:
            trying.deliver(error)
        except Exception:
            trying.deliver(Failed())
            raise

    def _outcome(self, entry: Entry | None, request: SendMessage) -> Sent | ChatError:
        if entry is None:
            return Unavailable("the outcome is unknown; try again with the same client_id")
        match entry.judgement.verdict:
            case Verdict.COUNTED:
                return _again(first(entry), request)
            case Verdict.DUPLICATE:
                earlier = self._tail.memories[entry.partition].message(entry.judgement.first)
                return _again(first(earlier) if earlier else None, request)
            case Verdict.BLOCKED:
                return _blocked()
            case Verdict.STALE:
                return Unavailable("this edge is behind the log; try again with the same client_id")


def _again(earlier: First | None, request: SendMessage) -> Sent | ChatError:
    return earlier.again(request) if earlier else Unavailable("try again with the same client_id")


def _blocked() -> ChatError:
    return ChatError(Code.CONVERSATION_BLOCKED, "the conversation is blocked")
