"""Two users meet, talk, read, block, make up and report, over HTTP and sockets of a really started system."""

from httpx import Response

from tests.support.clients import clients, new_user
from tests.support.system import System


def offset(answer: Response) -> int:
    """Return how far a write's answer says the log was: the same conversation is in the same partition."""
    return int(answer.headers["Chat-Position"].partition(":")[2])


async def test_two_users_talk_over_http(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with clients(system.settings, system.url, ada, bob) as (alice, bert, back_end):
        await back_end.http.put(f"/chat/users/{bob}", json={"name": "Bob", "photo": "https://example.org/bob.jpg"})
        opened = await back_end.http.post("/chat/conversations", json={"user_id": ada, "other_user_id": bob})
        assert opened.status_code == 201
        conversation = opened.json()["id"]
        again = await back_end.http.post("/chat/conversations", json={"user_id": bob, "other_user_id": ada})
        assert (again.status_code, again.json()["id"], again.json()["user_id"]) == (200, conversation, bob)
        assert offset(again) >= offset(opened)

        first = await alice.sent(conversation, "Hello, Bob")
        second = await bert.sent(conversation, "Hello, Ada", client_id="mine")
        assert [first["seq"], second["seq"], second["client_id"]] == [1, 2, "mine"]

        [listed] = (await bert.list())["conversations"]
        assert listed | {"created_at": "", "updated_at": second["sent_at"]} == {
            "id": conversation,
            "user_id": bob,
            "other_user_id": ada,
            "other_user_name": None,
            "other_user_photo": None,
            "last_message": "Hello, Ada",
            "last_message_sender": bob,
            "unread_count": 1,
            "updated_at": second["sent_at"],
            "created_at": "",
        }
        assert (await alice.list())["conversations"][0]["other_user_name"] == "Bob"

        read = await bert.http.put(f"/chat/messages/{first['message_id']}/read")
        assert read.json()["success"]
        again = await bert.http.put(f"/chat/messages/{first['message_id']}/read")
        assert again.json() == read.json()
        assert offset(again) >= offset(read)
        assert (await bert.list())["conversations"][0]["unread_count"] == 0
        history = await alice.history(conversation)
        assert [(one["id"], one["read_at"]) for one in history["messages"]] == [
            (second["message_id"], None),
            (first["message_id"], read.json()["read_at"]),
        ]
        assert ["client_id" in one for one in history["messages"]] == [False, True]
        assert [one["position"] for one in history["messages"]] == [second["position"], first["position"]]


async def test_two_users_talk_over_sockets(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with (
        clients(system.settings, system.url, ada, bob) as (alice, bert, back_end),
        alice.socket() as hers,
        alice.socket() as her_other,
        bert.socket() as his,
    ):
        conversation = await back_end.open(ada, bob)
        [frame] = await his.until("conversation", id=conversation)
        assert (frame["user_id"], frame["other_user_id"], frame["unread_count"]) == (bob, ada, 0)
        await hers.until("conversation", id=conversation)

        await hers.tell("message", conversation_id=conversation, content="Hello, Bob", client_id="c-1", ref="r-1")
        [ack] = await hers.until("ack", ref="r-1")
        [message] = await his.until("message", message_id=ack["message_id"])
        assert (message["content"], message["seq"], message["sender_id"]) == ("Hello, Bob", 1, ada)
        assert "client_id" not in message
        [mine] = await her_other.until("message", message_id=ack["message_id"])
        assert mine["client_id"] == "c-1"
        assert hers.of("message") == []

        await his.tell("typing", conversation_id=conversation)
        await hers.until("typing", conversation_id=conversation, user_id=bob)
        await his.tell("read", message_id=ack["message_id"])
        [read] = await hers.until("read", conversation_id=conversation)
        assert (read["reader_id"], read["seq"]) == (bob, 1)
        [only] = (await alice.history(conversation))["messages"]
        assert only["read_at"] == read["read_at"]

        await hers.tell("ping", ref="p")
        await hers.until("pong", ref="p")


async def test_presence_is_told_to_those_in_conversation(system: System) -> None:
    ada, bob, eve = new_user(), new_user(), new_user()
    async with clients(system.settings, system.url, ada, bob, eve) as (alice, bert, mallory, back_end):
        conversation = await back_end.open(ada, bob)

        async def seen_by_alice() -> dict[str, object]:
            response = await alice.http.get(f"/chat/users/{bob}/status")
            assert response.status_code == 200
            return dict(response.json())

        assert await seen_by_alice() == {"user_id": bob, "status": "offline", "last_seen": None}
        async with alice.socket() as hers:
            async with bert.socket() as his:
                await hers.until("online", user_id=bob)
                await his.until("online", user_id=ada)
                assert await seen_by_alice() == {"user_id": bob, "status": "online", "last_seen": None}
                assert (await mallory.http.get(f"/chat/users/{bob}/status")).status_code == 403
                unknown = await alice.http.get(f"/chat/users/{eve}/status")
                assert (unknown.status_code, unknown.json()["code"]) == (404, "USER_NOT_FOUND")
            [offline] = await hers.until("offline", user_id=bob)
            assert await seen_by_alice() == {"user_id": bob, "status": "offline", "last_seen": offline["last_seen"]}
        assert (await bert.http.post(f"/chat/conversations/{conversation}/block")).status_code == 200
        async with bert.socket():
            assert await seen_by_alice() == {"user_id": bob, "status": "offline", "last_seen": None}


async def test_a_block_stops_both_until_it_is_taken_back(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with clients(system.settings, system.url, ada, bob) as (alice, bert, back_end), alice.socket() as hers:
        conversation = await back_end.open(ada, bob)
        before = await alice.sent(conversation, "before", client_id="kept")
        blocked = await bert.http.post(f"/chat/conversations/{conversation}/block")
        assert (blocked.status_code, blocked.json()["success"]) == (200, True)
        assert (await bert.http.post(f"/chat/conversations/{conversation}/block")).json() == blocked.json()
        listed = await bert.http.get("/chat/blocked", params={"user_id": bob})
        blocks = [{"user_id": bob, "conversation_id": conversation, "blocked_at": blocked.json()["blocked_at"]}]
        assert listed.json() == {"blocked": blocks, "total": 1}
        assert (await alice.http.get("/chat/blocked", params={"user_id": ada})).json() == {"blocked": [], "total": 0}

        for one in (alice, bert):
            refused = await one.send(conversation, "in vain")
            assert (refused.status_code, refused.json()["code"]) == (403, "CONVERSATION_BLOCKED")
        await hers.tell("message", conversation_id=conversation, content="in vain", ref="x")
        [error] = await hers.until("error", ref="x")
        assert error["code"] == "CONVERSATION_BLOCKED"
        assert (await alice.send(conversation, "before", client_id="kept")).json() == before

        back = await bert.http.delete(f"/chat/conversations/{conversation}/block")
        assert (back.status_code, back.json()["success"]) == (200, True)
        assert (await bert.http.delete(f"/chat/conversations/{conversation}/block")).json() == back.json()
        assert (await alice.sent(conversation, "after"))["seq"] == 2
        assert (await bert.http.get("/chat/blocked", params={"user_id": bob})).json() == {"blocked": [], "total": 0}


async def test_a_report_is_filed_once_for_each_key(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with clients(system.settings, system.url, ada, bob) as (alice, _, back_end):
        path = f"/chat/conversations/{await back_end.open(ada, bob)}/report"
        report = {"report_type": "spam", "reason": "the same again and again"}
        filed = await alice.http.post(path, json=report, headers={"Idempotency-Key": "k"})
        assert filed.status_code == 201
        assert filed.json()["report_id"].startswith("report_")
        again = await alice.http.post(path, json=report, headers={"Idempotency-Key": "k"})
        assert again.json() == filed.json()
        assert offset(again) >= offset(filed)
        other = await alice.http.post(path, json={**report, "reason": "else"}, headers={"Idempotency-Key": "k"})
        assert (other.status_code, other.json()["code"]) == (409, "CLIENT_ID_CONFLICT")
