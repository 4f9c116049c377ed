"""Every topic is put into words."""

from schemas.documents.sayings import OF_TOPIC
from schemas.topics import BY_NAME


def test_every_topic_is_described_with_its_keys() -> None:
    assert OF_TOPIC.keys() == BY_NAME.keys()
    assert all(said.description and said.key["type"] for said in OF_TOPIC.values())
