"""`GET /rules` of a whole daemon; what rules do is in tests/killswitch/rules."""

from ..conftest import Serve


def test_a_rule_is_shown_with_its_settings_and_nothing_found_yet(serve: Serve) -> None:
    served = serve(rules={"obey": {"kind": "acting", "scope": "group"}})

    [row] = served.get("/rules").json["rules"]

    assert (row["name"], row["violations"], row["last"], row["trips"]) == ("obey", 0, None, [])
    assert row["settings"]["scope"] == "group"
    assert row["settings"]["channels"] == []
    assert (row["settings"]["from"], row["reading"]) == ("00:00", None)


def test_what_it_found_last_is_shown(serve: Serve) -> None:
    served = serve(rules={"flood": {"kind": "messages", "messages": 1, "dry_run": True}})
    for _ in range(3):
        served.stored("strategy.test", {"agent_id": "a"})

    served.wait_until(lambda: served.get("/rules").json["rules"][0]["last"])

    [row] = served.get("/rules").json["rules"]
    assert row["violations"] == 1
    assert (row["last"]["agent_id"], row["last"]["counted"]) == ("a", 2)
    assert row["last"]["ended"] is False
    assert row["reading"]["state"] == "over"
    assert row["reading"]["words"].startswith("a: ")
    assert row["last"]["timestamp"].endswith("Z")


def test_the_event_of_a_rule_is_the_daemon_s_own(serve: Serve) -> None:
    served = serve()

    reply = served.post("/bus/events", {"type": "risk.rule", "payload": {}})

    assert reply.status == 400
