"""The places that sockets hold: by the order of the log, over all edges."""

import pytest

from gateway.presence.places import STALE_AFTER, Places
from schemas.events import ConnectionClosed, ConnectionOpened, EdgeBeat


def opened(
    socket_id: int,
    *,
    user_id: int = 1,
    edge: str = "a",
    boot: str = "",
    visible: bool = True,
    replaces: int | None = None,
    restated: bool = False,
) -> ConnectionOpened:
    return ConnectionOpened(
        user_id=user_id,
        socket_id=socket_id,
        edge=edge,
        boot=boot or f"{edge}1",
        visible=visible,
        replaces=replaces,
        restated=restated,
    )


def closed(socket_id: int, *, user_id: int = 1) -> ConnectionClosed:
    return ConnectionClosed(user_id=user_id, socket_id=socket_id, edge="a", boot="a1")


@pytest.fixture
def places() -> Places:
    return Places(limit=2)


def admitted(places: Places, socket_id: int) -> bool:
    place = places.find(1, socket_id)
    return place is not None and place.admitted


def test_the_limit_is_by_the_order_of_the_log(places: Places) -> None:
    for socket_id, edge in ((10, "a"), (11, "b"), (12, "c")):
        places.open(opened(socket_id, edge=edge), 0)
    assert [admitted(places, socket_id) for socket_id in (10, 11, 12)] == [True, True, False]


def test_one_that_was_refused_takes_no_room(places: Places) -> None:
    for socket_id in (10, 11, 12):
        places.open(opened(socket_id), 0)
    places.close(closed(10))
    places.open(opened(13), 0)
    assert admitted(places, 13)


def test_without_a_limit_everybody_is_admitted() -> None:
    places = Places(limit=0)
    for socket_id in range(1, 30):
        places.open(opened(socket_id), 0)
    assert all(admitted(places, socket_id) for socket_id in range(1, 30))


def test_a_socket_that_resumes_takes_over_its_old_place(places: Places) -> None:
    places.open(opened(10), 0)
    places.open(opened(11), 0)
    replaced = places.open(opened(12, edge="b", replaces=10), 0)
    assert replaced is not None
    assert replaced.socket_id == 10
    assert places.find(1, 10) is None
    assert admitted(places, 12)


def test_nobody_takes_over_the_place_of_another_user(places: Places) -> None:
    places.open(opened(10, user_id=2), 0)
    assert places.open(opened(12, replaces=10), 0) is None
    assert places.find(2, 10) is not None


def test_whoever_resumes_from_a_place_that_is_gone_needs_room(places: Places) -> None:
    for socket_id in (10, 11):
        places.open(opened(socket_id), 0)
    places.open(opened(12, replaces=9), 0)
    assert not admitted(places, 12)


def test_what_is_stated_again_is_so_whatever_the_limit(places: Places) -> None:
    for socket_id in (10, 11, 12):
        places.open(opened(socket_id, restated=True), 0)
    assert admitted(places, 12)


def test_a_reader_that_refused_what_its_edge_took_mends_that(places: Places) -> None:
    for socket_id in (10, 11, 12):
        places.open(opened(socket_id), 0)
    places.open(opened(12, restated=True), 1)
    assert admitted(places, 12)


def test_a_user_is_visible_as_long_as_one_socket_is(places: Places) -> None:
    places.open(opened(10, visible=False), 0)
    assert not places.visible(1)
    places.open(opened(11), 0)
    assert places.visible(1)
    places.open(opened(11, visible=False, restated=True), 1)
    assert not places.visible(1)


def test_one_that_was_refused_shows_nobody(places: Places) -> None:
    for socket_id in (10, 11):
        places.open(opened(socket_id, visible=False), 0)
    places.open(opened(12), 0)
    assert not places.visible(1)


def test_a_new_boot_voids_the_sockets_of_the_old_one(places: Places) -> None:
    places.beat(EdgeBeat(edge="a", boot="a1"), 0)
    places.open(opened(10), 1)
    places.open(opened(11, edge="b"), 1)
    (ended,) = places.beat(EdgeBeat(edge="a", boot="a2"), 5)
    assert [place.socket_id for place in ended.places] == [10]
    assert places.find(1, 10) is None
    assert places.find(1, 11) is not None


def test_an_old_boot_is_over_when_it_was_last_heard_and_one_that_leaves_when_it_says_so(places: Places) -> None:
    places.open(opened(10), 1)
    places.beat(EdgeBeat(edge="a", boot="a1"), 3)
    (restarted,) = places.beat(EdgeBeat(edge="a", boot="a2"), 5)
    (left,) = places.beat(EdgeBeat(edge="a", boot="a2", leaving=True), 7)
    assert (restarted.heard, left.heard) == (3, 7)


def test_what_an_old_boot_still_had_in_line_is_void_too(places: Places) -> None:
    places.beat(EdgeBeat(edge="a", boot="a1"), 0)
    places.beat(EdgeBeat(edge="a", boot="a2"), 5)
    places.open(opened(10), 6)
    assert places.find(1, 10) is None


def test_an_edge_that_leaves_takes_its_sockets_along(places: Places) -> None:
    places.open(opened(10), 1)
    (ended,) = places.beat(EdgeBeat(edge="a", boot="a1", leaving=True), 5)
    assert [place.socket_id for place in ended.places] == [10]
    assert not places.alive("a")


def test_an_edge_that_was_only_silent_may_state_its_sockets_again(places: Places) -> None:
    places.open(opened(10), 1)
    assert list(places.silent(since=100)) == ["a1"]
    assert [place.socket_id for place in places.end("a1").places] == [10]
    places.open(opened(10, restated=True), 200)
    assert admitted(places, 10)
    assert places.alive("a")


def test_every_record_of_an_edge_is_a_sign_of_life(places: Places) -> None:
    places.beat(EdgeBeat(edge="a", boot="a1"), 0)
    places.open(opened(10), 150)
    assert places.silent(since=100) == {}


def test_a_record_that_is_read_late_does_not_turn_the_clock_back(places: Places) -> None:
    places.beat(EdgeBeat(edge="a", boot="a1"), 200)
    places.open(opened(10), 50)
    assert places.silent(since=100) == {}


def test_what_is_not_stated_again_expires(places: Places) -> None:
    places.open(opened(10), 0)
    places.open(opened(11), 0)
    places.open(opened(11, restated=True), STALE_AFTER)
    assert [place.socket_id for place in places.expire(STALE_AFTER + 1)] == [10]


def test_the_first_of_the_living_speaks_for_the_dead(places: Places) -> None:
    for edge in ("b", "a", "c"):
        places.beat(EdgeBeat(edge=edge, boot=f"{edge}1"), 0)
    assert places.heir() == "a"
    places.end("a1")
    assert places.heir() == "b"


def test_who_is_online_at_one_edge_only_is_known(places: Places) -> None:
    places.open(opened(10), 0)
    assert places.only_at(1, "a")
    places.open(opened(11, edge="b"), 0)
    assert not places.only_at(1, "a")
    assert not places.only_at(2, "a")
