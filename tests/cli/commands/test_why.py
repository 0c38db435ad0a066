import secrets
from typing import Any

import msgspec
import pytest
import redis
from orchestrator.cli.commands.why import drawn, trees

from ...conftest import wait_until
from ..conftest import RunningDaemon


def event(event_id: int, **payload: Any) -> dict[str, Any]:
    return {"id": event_id, "type": f"strategy.{event_id}", "source": "a", "payload": payload}


def shown(events: list[dict[str, Any]]) -> list[str]:
    return [f"{branch}{one['id']}" for branch, one in drawn(trees(events))]


def test_each_event_stands_below_its_cause() -> None:
    events = [
        event(1, boot="b", seq=1),
        event(2, id="two", causation_id="b/a/strategy.1/1"),
        event(3, id="three", causation_id="two"),
        event(4, causation_id="b/a/strategy.1/1"),
        event(5, causation_id="elsewhere"),
    ]

    assert shown(events) == ["├─ 1", "│  ├─ 2", "│  │  └─ 3", "│  └─ 4", "└─ 5"]


def test_names_used_twice_and_payloads_of_any_kind_make_no_circle() -> None:
    events = [
        event(1, id="x", causation_id="y"),
        event(2, id="y", causation_id="x"),
        event(3, id="x", causation_id="x"),
        {"id": 4, "type": "heartbeat", "source": None, "payload": ["text"]},
    ]

    assert shown(events) == ["├─ 2", "│  └─ 1", "│     └─ 3", "└─ 4"]


def test_an_event_may_have_come_before_its_cause() -> None:
    events = [event(1, causation_id="two"), event(2, id="two"), event(3, causation_id="two")]

    assert shown(events) == ["└─ 2", "   ├─ 1", "   └─ 3"]


@pytest.mark.subprocess
def test_a_chain_is_drawn_from_any_of_its_events(daemon: RunningDaemon) -> None:
    boot, kind = secrets.token_hex(8), f"strategy.why.{secrets.token_hex(4)}"
    first = f"{boot}/a-1/{kind}/1"
    payloads: list[dict[str, Any]] = [
        {"boot": boot, "seq": 1},
        {"id": "second", "correlation_id": first, "causation_id": first},
        {"correlation_id": first, "causation_id": "second"},
        {"boot": boot, "seq": 2},
    ]
    with redis.Redis.from_url(daemon.redis_url) as bus:
        for payload in payloads:
            bus.publish(kind, msgspec.json.encode({"agent_id": "a-1", **payload}))
    wait_until(lambda: len(daemon.orc("event", "ls", kind, "-o", "name").out.split()) == 4)
    ids = daemon.orc("event", "ls", kind, "-o", "name").out.split()

    drawing = daemon.orc("event", "why", ids[2])
    as_json = daemon.orc("event", "why", ids[0], "-o", "json").json
    alone = daemon.orc("event", "why", ids[3], "-o", "name")

    lines = drawing.out.splitlines()
    branches = [line.index("└─") for line in lines]
    assert [place - branches[0] for place in branches] == [0, 3, 6]
    assert lines[2].endswith(f"#{ids[2]}  <--")
    assert f"3 events of chain {first}" in drawing.err
    assert [str(item["id"]) for item in as_json["items"]] == ids[:3]
    assert alone.out.split() == ids[3:]


@pytest.mark.subprocess
def test_what_cannot_be_asked_is_wrong_usage(daemon: RunningDaemon) -> None:
    assert daemon.orc("event", "why", "x").code == 2
    assert daemon.orc("event", "why", "1", "--within", "long").code == 2
    assert daemon.orc("event", "why", "999999999").code == 5
