from typing import Any

from orchestrator.cli.incident.state_at import differences, state_at, words


def event(event_id: int, kind: str, **payload: Any) -> dict[str, Any]:
    return {"id": event_id, "type": kind, "ts": f"t{event_id}", "source": "s", "payload": payload}


STOPPED = event(9, "risk.killswitch", enabled=True, triggered_by="anna", reason="too fast")
FREE = event(2, "risk.killswitch", enabled=False)
CALM = event(3, "quant.regime.state", regime="stable", trend="bullish")


def test_of_each_thing_the_newest_event_counts() -> None:
    found = state_at(
        [
            STOPPED,
            event(8, "agent.offline", id="a", reason="silent"),
            event(7, "agent.online", id="b"),
            event(6, "agent.online", id="a"),
            CALM,
            FREE,
            event(1, "runtime.started"),
        ]
    )

    assert found["killswitch"] == STOPPED
    assert found["regime"] == CALM
    assert found["daemon"]["id"] == 1
    states = {name: (one["state"], one["since"]) for name, one in found["agents"].items()}
    assert states == {"a": ("offline", "t8"), "b": ("online", "t7")}


def test_only_what_differs_is_told() -> None:
    before = state_at([CALM, FREE, event(1, "agent.online", id="a")])
    after = state_at([STOPPED, event(5, "agent.offline", id="a"), CALM])

    assert differences(before, after) == [
        ("killswitch", "no stop in force", "stopped by anna: too fast"),
        ("agent a", "online", "offline"),
    ]
    assert differences(before, before) == []


def test_payloads_of_any_shape_are_told() -> None:
    for payload in (None, 3, [], "x", {}):
        for kind in ("risk.killswitch", "quant.regime.state", "agent.online", "runtime.started"):
            odd = {"id": 1, "type": kind, "payload": payload}
            state = state_at([odd])
            assert differences(state_at([]), state)
    assert words(None) == "not known"
    assert words({"type": "risk.killswitch", "payload": None}).startswith("stopped")
