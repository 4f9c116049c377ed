"""The GETs: who may ask, how fresh the answer is, and the answer.

The statements are in queries.py, what a GET waits for in waiting.py, what is given again in caches.py, the write side's
routes in command_api/routes.py.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

from msgspec.structs import astuple
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from command_api.http import acting, answer, encode, encoded, identify, path_id
from command_api.service import WriteSide
from gateway.presence.presence import Presence
from gateway.reads.caches import CACHED, Caches, Filling, Key, Kind
from gateway.reads.queries import Page, Queries
from gateway.reads.waiting import Waiting
from infra.tail import Stage
from schemas.answers import MessageList, UserStatus
from schemas.errors import ChatError, Code, forbidden
from schemas.requests import ListConversations, ListMessages, OfUser
from schemas.topics import USERS
from schemas.validation import check_query


class ReadRoutes:
    """The routes of one edge."""

    def __init__(self, write_side: WriteSide, presence: Presence) -> None:
        self._tokens = write_side.tokens
        self._conversations = write_side.conversations
        self._presence = presence
        self._queries = Queries(write_side.edge.tables)
        self._waiting = Waiting(write_side.edge)
        self._caches = Caches(on=write_side.edge.settings.caches)
        write_side.edge.tail.follow(Stage.FOLD, self._caches.fold, *CACHED)
        write_side.edge.tables.live.on_loss(self._caches.clear)

    def routes(self) -> list[Route]:
        """Return the routes, ready to be mounted."""
        return [
            Route("/chat/conversations", self.conversations, methods=["GET"]),
            Route("/chat/conversations/{id}/messages", self.messages, methods=["GET"]),
            Route("/chat/blocked", self.blocked, methods=["GET"]),
            Route("/chat/users/{id}/status", self.status, methods=["GET"]),
        ]

    async def conversations(self, request: Request) -> Response:
        """`GET /chat/conversations`."""
        identity = identify(request, self._tokens)
        asked = check_query(request.query_params, ListConversations)
        identity.require(asked.user_id)

        async def make() -> Page:
            return await self._queries.conversations(asked)

        with self._caches.filling(
            Key(Kind.CONVERSATIONS, asked.user_id, asked.user_id, (asked.limit, asked.offset))
        ) as filling:
            return await self._answer(filling, await self._waiting.wait(request, asked.user_id, profiles=True), make)

    async def messages(self, request: Request) -> Response:
        """`GET /chat/conversations/{id}/messages`."""
        user_id = acting(request, identify(request, self._tokens))
        conversation_id = path_id(request, Code.CONVERSATION_NOT_FOUND, "there is no such conversation")
        asked = check_query(request.query_params, ListMessages)

        async def make() -> Page:
            page = await self._queries.messages(conversation_id, user_id, asked)
            if page is None:  # not yet, or not at all
                (await self._conversations.get(conversation_id)).member(user_id)
                return Page(encode(MessageList(messages=[], total=0)), ())
            if user_id not in page.users:
                raise forbidden("the conversation is not yours")
            return page._replace(users=())  # a history shows nobody's name

        with self._caches.filling(Key(Kind.HISTORY, conversation_id, user_id, astuple(asked))) as filling:
            return await self._answer(filling, await self._waiting.wait(request, user_id), make)

    async def blocked(self, request: Request) -> Response:
        """`GET /chat/blocked`."""
        identity = identify(request, self._tokens)
        user_id = check_query(request.query_params, OfUser).user_id
        identity.require(user_id)

        async def make() -> Page:
            return Page(encode(await self._queries.blocked(user_id)), ())

        with self._caches.filling(Key(Kind.BLOCKED, user_id, user_id)) as filling:
            return await self._answer(filling, await self._waiting.wait(request, user_id), make)

    async def status(self, request: Request) -> Response:
        """`GET /chat/users/{id}/status`: to the user, and to those in conversation with them."""
        asker = acting(request, identify(request, self._tokens))
        user_id = path_id(request, Code.USER_NOT_FOUND, "there is no such user")
        headers = await self._waiting.wait(request, asker)
        if asker != user_id and await self._blocked(asker, user_id):
            return answer(UserStatus(user_id=user_id, status="offline", last_seen=None), headers=headers)
        seen = self._presence.status(user_id)
        if seen.online or seen.last_seen is not None:
            status: Literal["online", "offline"] = "online" if seen.online else "offline"
            return answer(UserStatus(user_id=user_id, status=status, last_seen=seen.last_seen), headers=headers)

        async def make() -> Page:
            last_seen = await self._queries.last_seen(user_id)
            return Page(encode(UserStatus(user_id=user_id, status="offline", last_seen=last_seen)), ())

        with self._caches.filling(Key(Kind.USER, user_id, user_id)) as filling:
            return await self._answer(filling, headers, make)

    async def _answer(self, filling: Filling, headers: dict[str, str], make: Callable[[], Awaitable[Page]]) -> Response:
        """Give a cached answer again, or make it and keep it; one that is behind is not kept."""
        content = None if headers else self._caches.get(filling.key)
        if content is None:
            content, shown = await make()
            if not headers:
                self._caches.keep(filling, content, shown)
        return encoded(content, headers=headers)

    async def _blocked(self, asker: int, user_id: int) -> bool:
        """Tell whether a block is between two users in conversation; ChatError for users who are in none."""
        known = await self._conversations.of_pair(asker, user_id)
        if known is not None:
            return known.conversation.blocked
        if not await self._queries.is_known(user_id):
            await self._conversations.after_all_now(USERS)
        if await self._queries.is_known(user_id):
            raise forbidden("only those in conversation with somebody see whether they are online")
        raise ChatError(Code.USER_NOT_FOUND, "there is no such user")
