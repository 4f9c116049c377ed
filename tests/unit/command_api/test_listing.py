"""A conversation as the list shows it, for who opens it; what it shows is tested end to end."""

from types import SimpleNamespace
from typing import Any

import pytest

from command_api.client_ids import ClientIds
from command_api.kept import Known
from command_api.listing import Listing
from schemas.conversation import opened
from schemas.errors import Unavailable
from schemas.events import AsOf, ConversationOpened
from tests.support.live_parts import PARTITION, TIME


class Tables:
    """They have everything, but not this."""

    async def passed(self, *_: Any) -> bool:
        return True

    async def fetchrow(self, *_: Any) -> None:
        return None


async def test_a_conversation_that_the_tables_should_have_and_do_not_is_not_shown() -> None:
    event = ConversationOpened(conversation_id=5, user_id=1, other_user_id=2, opened_at=TIME, as_of=AsOf(0))
    known = Known(opened(event), PARTITION, ClientIds(), complete=True)
    edge: Any = SimpleNamespace(tables=Tables(), tail=SimpleNamespace(positions={PARTITION: 3}))
    with pytest.raises(Unavailable):
        await Listing(edge).found(known, 1)
    assert known.pins == 0
