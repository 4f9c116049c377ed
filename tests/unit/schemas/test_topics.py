"""The topics as they are declared."""

from datetime import timedelta

from schemas.topics import BY_NAME, CONVERSATIONS, IDS, LAST_SEEN, MODERATION, PRESENCE, TOPICS, USERS


def test_what_is_for_ever_never_expires() -> None:
    for name in (CONVERSATIONS, MODERATION, IDS):
        assert BY_NAME[name].kept["retention.ms"] == BY_NAME[name].kept["retention.bytes"] == "-1"


def test_compacted_are_those_of_which_the_last_record_counts() -> None:
    assert {topic.name for topic in TOPICS if topic.compacted} == {USERS, LAST_SEEN}


def test_what_erases_stays_longer_than_any_backup() -> None:
    for name in (USERS, LAST_SEEN):
        stays = timedelta(milliseconds=int(BY_NAME[name].config(flush=True)["delete.retention.ms"]))
        assert stays == timedelta(days=3_650)


def test_the_broker_sets_the_time_of_every_record_and_no_unclean_leader_is_elected() -> None:
    for topic in TOPICS:
        config = topic.config(flush=False)
        assert config["message.timestamp.type"] == "LogAppendTime"
        assert config["unclean.leader.election.enable"] == "false"


def test_one_broker_alone_flushes_what_must_not_be_lost() -> None:
    flushed = {topic.name for topic in TOPICS if topic.config(flush=True)["flush.messages"] == "1"}
    assert flushed == {CONVERSATIONS, MODERATION, USERS, LAST_SEEN, IDS}


def test_leases_of_ids_are_flushed_even_on_many_brokers() -> None:
    assert [topic.name for topic in TOPICS if topic.config(flush=False)["flush.messages"] == "1"] == [IDS]
    assert BY_NAME[IDS].partitions == 1


def test_presence_is_not_projected() -> None:
    assert {topic.name for topic in TOPICS if topic.projected} == {CONVERSATIONS, MODERATION, USERS, LAST_SEEN}
    assert BY_NAME[PRESENCE].ephemeral
