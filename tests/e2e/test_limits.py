"""How much one user may do, at an edge with the limits of the contract; two edges count alike."""

import asyncio

from tests.support.clients import clients, new_user
from tests.support.edges import edge_beside
from tests.support.system import System

MESSAGES, REPORTS = 10, 5


async def test_ten_messages_a_minute_by_whatever_way_and_retries_are_free(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with (
        edge_beside(system.settings, messages_per_minute=MESSAGES) as limited,
        clients(system.settings, limited, ada, bob) as (alice, bert, back_end),
        alice.socket() as hers,
    ):
        conversation = await back_end.open(ada, bob)
        for number in range(MESSAGES - 1):
            await alice.sent(conversation, "x", client_id=f"c-{number}")
        await hers.tell("message", conversation_id=conversation, content="x", client_id="c-last")
        await hers.until("ack", client_id="c-last")

        refused = await alice.send(conversation, "one too many")
        assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json()["details"] == {"retry_after": int(refused.headers["retry-after"])}
        await hers.tell("message", conversation_id=conversation, content="one too many", ref="r", client_id="c-more")
        [error] = await hers.until("error", ref="r")
        assert (error["code"], error["client_id"]) == ("RATE_LIMITED", "c-more")
        assert error["details"]["retry_after"] >= 1

        assert (await alice.sent(conversation, "x", client_id="c-0"))["seq"] == 1
        assert (await bert.sent(conversation, "the other has a limit of their own"))["seq"] == MESSAGES + 1


async def test_what_one_edge_took_another_counts(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with (
        clients(system.settings, system.url, ada, bob) as (unlimited, _, back_end),
        edge_beside(system.settings, messages_per_minute=MESSAGES) as limited,
        clients(system.settings, limited, ada) as (alice, _),
    ):
        conversation = await back_end.open(ada, bob)
        for _ in range(MESSAGES):
            await unlimited.sent(conversation, "x")
        headers = {"Chat-After": (await unlimited.send(conversation, "x")).headers["chat-position"]}
        found = await alice.http.get(f"/chat/conversations/{conversation}/messages", headers=headers)
        assert found.json()["total"] == MESSAGES + 1
        assert (await alice.send(conversation, "one too many")).status_code == 429


async def test_a_new_edge_remembers_the_minute_before_it(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with clients(system.settings, system.url, ada, bob) as (unlimited, _, back_end):
        conversation = await back_end.open(ada, bob)
        for _ in range(MESSAGES):
            await unlimited.sent(conversation, "x")
    async with (
        edge_beside(system.settings, messages_per_minute=MESSAGES) as limited,
        clients(system.settings, limited, ada) as (alice, _),
    ):
        assert (await alice.send(conversation, "one too many")).status_code == 429


async def test_messages_in_one_instant_are_no_more_than_the_limit(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with (
        edge_beside(system.settings, messages_per_minute=MESSAGES) as limited,
        clients(system.settings, limited, ada, bob) as (alice, _, back_end),
    ):
        conversation = await back_end.open(ada, bob)
        tries = await asyncio.gather(*(alice.send(conversation, "x") for _ in range(2 * MESSAGES)))
        assert sorted(tried.status_code for tried in tries) == [201] * MESSAGES + [429] * MESSAGES


async def test_five_reports_a_day(system: System) -> None:
    ada, bob = new_user(), new_user()
    report = {"report_type": "harassment", "reason": "because"}
    async with clients(system.settings, system.url, ada, bob) as (alice, _, back_end):
        path = f"/chat/conversations/{await back_end.open(ada, bob)}/report"
        for number in range(REPORTS):
            filed = await alice.http.post(path, json={**report, "client_id": f"r-{number}"})
            assert filed.status_code == 201
        refused = await alice.http.post(path, json=report)
        assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
        assert 23 * 3_600 < int(refused.headers["retry-after"]) <= 24 * 3_600
        again = await alice.http.post(path, json={**report, "client_id": "r-0"})
        assert again.status_code == 201
