"""Make a generation live: in one transaction, and only when it is not behind.

The first one becomes live when it has reached the end of the log as it was; edges answer 503 until then. A later one
takes the place of the live one at a moment when no partition of it stands further back, so that no read goes back in
time. The old one stays fed, and can be promoted again, until it is dropped.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from infra.settings import Settings
from projections import generations, log
from projections.database import Session, one_transaction
from projections.generations import Generation
from projections.refusal import Refusal
from projections.tables import positions
from projections.tables.positions import Stored
from schemas.ids import Partition

logger = logging.getLogger(__name__)

HOLD_SECONDS = 0.5
"""So long the live tables may be held still for the new ones to draw level."""

NEAR = 5_000
"""They are held only for new ones that lack no more records than this."""

_RETIRE = "UPDATE {schema}.generations SET state = 'retired' WHERE state = 'live'"
_PROMOTE = "UPDATE {schema}.generations SET state = 'live', promoted_at = now() WHERE id = $1"
_HOLD = "SELECT FROM {schema}.positions FOR SHARE"


async def promote(settings: Settings, number: int, *, within: float) -> None:
    """Put a complete generation in the live one's place once it is not behind; Refusal when that cannot be."""
    give_up_at = asyncio.get_running_loop().time() + within
    while not await _try(settings, number):
        if asyncio.get_running_loop().time() > give_up_at:
            raise Refusal(f"generation {number} is behind the live one; is a worker running that feeds it?")
        await asyncio.sleep(0.2)


async def roll_back(settings: Settings, *, within: float) -> int:
    """Promote the generation again that was live before, and return its number."""
    async with one_transaction(settings.database(), generations.CONTROL) as session:
        number = await generations.live_before(session)
    if number is None:
        raise Refusal("there is no earlier generation to go back to")
    await promote(settings, number, within=within)
    return number


async def _try(settings: Settings, number: int) -> bool:
    async with one_transaction(settings.database(), generations.CONTROL) as session:
        await generations.lock(session)
        live, new = _pair(await generations.listed(session), number)
        if not await _level(session.of(live.schema), session.of(new.schema)):
            return False
        await session.execute(_RETIRE)
        await session.execute(_PROMOTE, number)
        await generations.notify(session)
        return True


def _pair(known: Iterable[Generation], number: int) -> tuple[Generation, Generation]:
    by_id = {one.id: one for one in known}
    live = next((one for one in by_id.values() if one.state == "live"), None)
    if number not in by_id:
        raise Refusal(f"there is no generation {number}")
    if live is None:
        raise Refusal("there is no live generation yet; the first becomes live by itself")
    if live.id == number:
        raise Refusal(f"generation {number} is live already")
    if not by_id[number].complete:
        raise Refusal(f"generation {number} is not built yet: chat rebuild goes on with it")
    return live, by_id[number]


async def _level(live: Session, new: Session) -> bool:
    """Hold the live tables where they are, in this transaction, and see whether the new ones get as far in a moment."""
    if behind(await positions.load(new), await ends_of(live)) > NEAR:
        return False
    await live.execute(_HOLD)
    held = await ends_of(live)
    give_up_at = asyncio.get_running_loop().time() + HOLD_SECONDS
    while behind(await positions.load(new), held):
        if asyncio.get_running_loop().time() > give_up_at:
            return False
        await asyncio.sleep(0.01)
    return True


async def ends_of(session: Session) -> dict[Partition, int]:
    """Return where each partition of these tables stands."""
    return {partition: stored.next_offset for partition, stored in (await positions.load(session)).items()}


def behind(stored: Mapping[Partition, Stored], ends: Mapping[Partition, int]) -> int:
    """Return how many records the tables lack up to these ends."""
    return sum(max(0, end - (stored[at].next_offset if at in stored else 0)) for at, end in ends.items())


async def promote_first(settings: Settings, complete: Iterable[Generation]) -> None:
    """Promote the only generation there is once it has caught up with the log."""
    candidate = next(iter(complete), None)
    if candidate is None:
        return
    ends = (await log.look(settings)).ends
    async with one_transaction(settings.database(), candidate.schema) as session:
        control = session.of(generations.CONTROL)
        await generations.lock(control)
        if behind(await positions.load(session), ends):
            return
        if not any(one.state == "live" for one in await generations.listed(control)):
            await control.execute(_PROMOTE, candidate.id)
            await generations.notify(control)
            logger.info("generation %d is live", candidate.id)
