"""The page shows everything, and needs nothing from the network."""

import re
from html.parser import HTMLParser

from schemas.documents.operations import OPERATIONS
from schemas.documents.page import page
from schemas.events import EVENT_BY_TYPE
from schemas.requests import FRAME_TYPES

VOID = {"meta", "link", "br", "img", "input"}


class Nesting(HTMLParser):
    """Follows the open elements; a tag that closes another than the last one is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert name not in {"src", "onclick"}
            assert name != "href" or (value or "").startswith("/")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_it_is_well_formed_and_fetches_nothing() -> None:
    parser = Nesting()
    parser.feed(page())
    assert parser.open == []
    assert not re.search(r"https?://|<script|@import|url\(", page())


def test_every_operation_event_and_frame_is_on_it() -> None:
    for operation in OPERATIONS:
        assert f'id="{operation.name}"' in page()
    for name in (*EVENT_BY_TYPE, *FRAME_TYPES):
        assert f"<code>{name}</code>" in page()
