"""`rule ls` against a small HTTP server; the real answers are in tests/http/api."""

from typing import Any

from ..conftest import Orc

SETTINGS = {
    "kind": "messages",
    "messages": 100,
    "window_s": 1.0,
    "per": "agent",
    "channels": [],
    "agents": ["*"],
    "groups": ["*"],
    "level": "halt",
    "scope": "all",
    "dry_run": False,
    "silent_s": None,
    "max_share": None,
    "max_errors": None,
    "readings": 3,
}
LAST = {"timestamp": "2026-01-31T09:30:00.123Z", "reason": "rule flood: a sent\x1b[31m 101"}


def answer(*rules: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"status": "ok", "timestamp": "", "rules": rules}


def test_a_rule_is_one_line(orc: Orc, double: Any) -> None:
    flood = {"name": "flood", "settings": SETTINGS, "violations": 2, "last": LAST, "trips": ["01J"]}
    obey = {
        "name": "obey",
        "settings": SETTINGS | {"kind": "acting", "messages": None, "dry_run": True},
        "violations": 0,
        "last": None,
        "trips": [],
    }
    double.answers["/rules"] = answer(flood, obey)

    done = orc("rule", "ls", ORCHESTRATOR_URL=double.url)

    _, first, second = done.out.splitlines()
    assert "100 per agent in 1 s" in first
    assert "halt all" in first
    assert "01J" in first
    assert "\x1b[31m" not in done.out
    assert "0 per agent in 1 s" in second
    assert "nothing (dry run), else halt all" in second


def test_kinds_that_are_read_show_their_last_reading(orc: Orc, double: Any) -> None:
    said = {"agent_id": "feed", "value": 61, "words": "feed published nothing for 61 s"}
    known = {"violations": 0, "last": None, "trips": []}
    quiet = SETTINGS | {"kind": "silence", "silent_s": 60.0}
    share = SETTINGS | {"kind": "errors", "max_share": 0.2, "window_s": 30.0}
    count = SETTINGS | {"kind": "errors", "max_errors": 5, "per": "all"}
    double.answers["/rules"] = answer(
        known
        | {"name": "q", "settings": quiet, "reading": said | {"state": "over", "in_a_row": 2}},
        known
        | {"name": "s", "settings": share, "reading": said | {"state": "unknown", "in_a_row": 0}},
        known | {"name": "c", "settings": count, "reading": None},
    )

    done = orc("rule", "ls", ORCHESTRATOR_URL=double.url)

    _, first, second, third = done.out.splitlines()
    assert "60 s of silence per agent" in first
    assert "over (2 of 3): feed published nothing for 61 s" in first
    assert "20 % errors per agent in 30 s" in second
    assert "unknown: feed" in second
    assert "5 errors per all in 1 s" in third


def test_without_rules_it_says_so(orc: Orc, double: Any) -> None:
    double.answers["/rules"] = answer()

    done = orc("rule", "ls", "-o", "json", ORCHESTRATOR_URL=double.url)

    assert (done.code, done.json["items"]) == (0, [])
