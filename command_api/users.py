"""Publish how a user is shown: what the profile service writes to `chat.users`, for those that have none."""

from infra.appender import Appender
from infra.memory import Entry
from schemas.events import UserUpdated
from schemas.requests import UpdateUser


class Users:
    """The command `update`."""

    def __init__(self, appender: Appender) -> None:
        self._appender = appender

    async def update(self, user_id: int, request: UpdateUser) -> Entry:
        """Replace a user's name and photo; the last one in the log counts."""
        return await self._appender.append_and_observe(
            UserUpdated(user_id=user_id, name=request.name, photo=request.photo)
        )
