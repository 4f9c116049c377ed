"""Drop a generation: off the list first, so that workers leave it, and its tables then."""

from infra.settings import Settings
from projections import generations
from projections.database import one_transaction
from projections.refusal import Refusal


async def drop(settings: Settings, number: int) -> None:
    """Drop a generation that is not live."""
    async with one_transaction(settings.database(), generations.CONTROL) as session:
        await generations.lock(session)
        generation = next((one for one in await generations.listed(session) if one.id == number), None)
        if generation is None:
            raise Refusal(f"there is no generation {number}")
        if generation.state == "live":
            raise Refusal(f"generation {number} is live: promote another one first")
        await generations.forget(session, generation)
    async with one_transaction(settings.database(), generations.CONTROL) as session:
        await generations.lock(session)
        # Its number may have been given to another one meanwhile.
        if number not in {one.id for one in await generations.listed(session)}:
            await generations.drop_schema(session, generation)
