import logging
from typing import Any

import pytest
from orchestrator.agents.event import LOG_CAUSES, Event, TypedEvent, caused, handling

NUMBERED = {"agent_id": "a", "boot": "b", "seq": 4}


def test_the_type_is_the_channel_and_one_for_all_heartbeats() -> None:
    assert Event("data.market.AAPL.1m", {}).type == "data.market.AAPL.1m"
    assert Event("heartbeat.a", {}).type == "heartbeat"


def test_the_time_is_written_as_the_contract_has_it() -> None:
    assert Event("a", {}, 1769851800.1234).ts == "2026-01-31T09:30:00.123Z"


@pytest.mark.parametrize(
    ("channel", "payload", "source"),
    [
        ("a", {"source": "s", "agent_id": "a"}, "s"),
        ("a", {"source": "", "agent_id": "a"}, "a"),
        ("a", {"source": 7}, None),
        ("heartbeat.x.y", {}, "x.y"),
        ("heartbeat.x", {"agent_id": "a"}, "a"),
        ("a", [1], None),
    ],
)
def test_the_source_is_found_as_the_daemon_finds_it(
    channel: str, payload: Any, source: str | None
) -> None:
    assert Event(channel, payload).source == source


@pytest.mark.parametrize(
    ("payload", "id_"),
    [
        (NUMBERED, "b/a/strategy.x/4"),
        (NUMBERED | {"id": "own"}, "own"),
        (NUMBERED | {"id": 7}, "b/a/strategy.x/4"),
        ({"boot": "b"}, None),
        ({"seq": 4}, None),
        ({"boot": "b", "seq": True}, None),
        ("text", None),
    ],
)
def test_the_id_is_the_publishers_or_made_of_its_numbering(payload: Any, id_: str | None) -> None:
    assert Event("strategy.x", payload).id == id_


def test_the_first_event_of_a_chain_begins_its_correlation() -> None:
    assert Event("x", NUMBERED).correlation_id == "b/a/x/4"
    assert Event("x", NUMBERED | {"correlation_id": "c"}).correlation_id == "c"
    assert Event("x", NUMBERED | {"causation_id": "d"}).causation_id == "d"


def test_what_is_published_while_an_event_is_handled_is_caused_by_it() -> None:
    with handling(Event("x", NUMBERED | {"correlation_id": "c", "traceparent": "t"})):
        assert caused({"n": 1}) == {
            "n": 1,
            "correlation_id": "c",
            "causation_id": "b/a/x/4",
            "traceparent": "t",
        }


def test_the_payloads_own_fields_win_and_arguments_over_all() -> None:
    with handling(Event("x", NUMBERED)):
        own = caused({"correlation_id": "mine", "causation_id": "mine"}, causation_id="given")

    assert own == {"correlation_id": "mine", "causation_id": "given"}


def test_outside_a_handler_nothing_is_added() -> None:
    payload = {"n": 1}

    assert caused(payload, correlation_id=None) is payload
    assert caused(payload, correlation_id="c") == {"n": 1, "correlation_id": "c"}


def test_what_is_not_an_object_is_left_to_the_publisher_to_refuse() -> None:
    payload: Any = [1]

    with handling(Event("x", NUMBERED)):
        assert caused(payload, causation_id="c") == [1]


def test_handlers_within_one_another_each_have_their_event() -> None:
    with handling(Event("x", NUMBERED)):
        with handling(Event("y", NUMBERED)):
            assert caused({})["causation_id"] == "b/a/y/4"
        assert caused({})["causation_id"] == "b/a/x/4"


def test_lines_that_are_logged_while_an_event_is_handled_name_its_chain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("agent.logs-causes")
    log.addFilter(LOG_CAUSES)
    with handling(Event("x", NUMBERED)):
        log.warning("within")
    log.warning("outside")

    chains = [getattr(record, "correlation_id", None) for record in caplog.records]
    assert chains == ["b/a/x/4", None]


def test_a_typed_event_keeps_the_names_that_its_payload_lacks() -> None:
    event = TypedEvent("x", 7, raw=NUMBERED | {"correlation_id": "c"})

    assert (event.id, event.source, event.correlation_id) == ("b/a/x/4", "a", "c")
    assert event.passed_on() == {"correlation_id": "c", "causation_id": "b/a/x/4"}
