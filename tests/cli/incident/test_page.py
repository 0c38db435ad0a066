import unicodedata
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from orchestrator.cli.incident.archive import Missing
from orchestrator.cli.incident.page import Story, line_of_act, line_of_event, page
from orchestrator.cli.incident.span import Span
from orchestrator.cli.incident.state_at import state_at

from ...hostile import HOSTILE

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SPAN = Span(NOON - timedelta(minutes=5), NOON, NOON + timedelta(minutes=5))
TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "h2",
    "p",
    "table",
    "tr",
    "th",
    "td",
}


class Tags(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def story(text: str = "x") -> Story:
    event = {"id": 1, "type": f"risk.{text}", "ts": "2026-01-31T12:00:01.000Z", "source": text}
    event["payload"] = {"reason": text, text: [text]}
    act = {"at": "2026-01-31T11:59:59.000Z", "action": text, "actor": text, "reason": text}
    after = state_at([{"type": "agent.online", "payload": {"id": text}, "id": 1, "ts": text}])
    return Story(
        SPAN,
        {"instance": text, text: text},
        state_at([]),
        after,
        {text: 3},
        [line_of_event(event), line_of_act(act)],
        parts={"x.json": text},
        missing=[Missing("y.json", text)],
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_others_is_more_than_text(text: str) -> None:
    document = page(story(text))

    found = Tags(document)
    assert found.tags == TAGS
    assert found.attributes <= {"lang", "charset", "http-equiv", "content", "class", "colspan"}
    bad = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not [one for one in document.replace("\n", "") if unicodedata.category(one) in bad]
    document.encode()


def test_the_moment_stands_between_what_was_before_and_after_it() -> None:
    document = page(story())

    assert document.index("act: x") < document.index("asked for") < document.index(">risk.x<")
    assert "What is missing" in document
    assert "default-src &#x27;none&#x27;" in document


def test_what_is_whole_and_calm_says_so() -> None:
    calm = Story(SPAN, {}, state_at([]), state_at([]), {}, cut=7)

    document = page(calm)

    assert "What is missing" not in document
    assert "No state changed" in document
    assert "7 more are in the files" in document
