from typing import Any

import msgspec
import pytest
from orchestrator.http.api.event_schemas import EventsQuery, PostEvent
from orchestrator.http.api.schemas import Engage, Release


@pytest.mark.parametrize("reason", ["x", "  x  ", "é" * 500])
def test_a_reason_is_1_to_500_characters_that_are_not_blank(reason: str) -> None:
    assert msgspec.convert({"reason": reason}, Engage).reason == reason


@pytest.mark.parametrize("reason", ["", " ", "\n\t", None, 5, ["x"]])
def test_anything_else_is_no_reason(reason: Any) -> None:
    for shape, more in ((Engage, {}), (Release, {"trip_id": "01J"})):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"reason": reason, **more}, shape)


def test_a_long_reason_is_refused_for_a_release_and_never_for_a_stop() -> None:
    assert msgspec.convert({"reason": "x" * 501}, Engage).reason == "x" * 501
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"reason": "x" * 501, "trip_id": "01J"}, Release)


@pytest.mark.parametrize("field", ["level", "scope"])
def test_a_broken_level_or_scope_does_not_refuse_a_stop(field: str) -> None:
    assert msgspec.convert({"reason": "x", field: 7}, Engage).reason == "x"


def test_a_page_has_50_events_newest_first_unless_said_otherwise() -> None:
    assert (EventsQuery().limit, EventsQuery().order) == (50, "desc")


def test_a_payload_is_kept_as_it_was_sent() -> None:
    posted = msgspec.json.decode(b'{"type":"a","payload":{"x": 1.10}}', type=PostEvent)

    assert bytes(posted.payload) == b'{"x": 1.10}'
