import json
from itertools import islice

import pytest
import redis
from orchestrator.cli.client.rest import Client
from orchestrator.cli.commands.state import WATCH_S, _changes

from ...conftest import wait_until
from ..conftest import Double, Orc, RunningDaemon

REGIME = {
    "regime": "volatile",
    "trend": "bearish",
    "confidence": 0.82,
    "volatility": 0.0123,
    "symbols_analyzed": 2,
    "last_update": "2026-01-31T09:30:00.000Z",
    "source": "regime-1",
    "symbol_details": {"NVDA": {"regime": "stable", "trend": "sideways", "volatility": 0.001}},
}


@pytest.mark.subprocess
def test_a_regime_that_was_published_is_told(daemon: RunningDaemon) -> None:
    before = daemon.orc("regime", "-o", "json").code
    with redis.Redis.from_url(daemon.redis_url) as bus:
        bus.publish("quant.regime.state", json.dumps(REGIME | {"agent_id": "regime-1"}))

    wait_until(lambda: daemon.orc("regime").code == 0, limit_s=30)
    done = daemon.orc("regime", "-o", "json")

    assert before in (0, 5)
    assert (done.json["kind"], done.json["regime"]) == ("regime", "volatile")
    assert done.json["confidence"] == 0.82


def test_the_regime_is_one_readable_line(double: Double, orc: Orc) -> None:
    double.answers["/regime/state"] = (200, {"status": "ok", "regime": REGIME})

    out = orc("--url", double.url, "regime").out

    assert out == (
        "volatile / bearish   confidence 0.82   volatility 1.23 %   2 symbols   "
        "2026-01-31T09:30:00.000Z, from regime-1\n"
    )


def test_wide_has_each_symbol(double: Double, orc: Orc) -> None:
    double.answers["/regime/state"] = (200, {"status": "ok", "regime": REGIME})

    out = orc("--url", double.url, "regime", "-o", "wide").out

    assert out.splitlines()[2].split() == ["NVDA", "stable", "sideways", "0.10", "%", "-"]


def test_no_regime_is_exit_code_five_with_the_next_step(double: Double, orc: Orc) -> None:
    double.answers["/regime/state"] = (200, {"status": "no_data", "message": "none"})

    done = orc("--url", double.url, "regime")

    assert (done.code, done.out) == (5, "no regime has been reported yet\n")
    assert "quant.regime.state" in done.err


@pytest.mark.subprocess
def test_keys_are_listed_and_got(daemon: RunningDaemon) -> None:
    def keys() -> list[str]:
        return daemon.orc("state", "ls", "-o", "name").out.split()

    wait_until(lambda: "killswitch_status" in keys(), limit_s=30)

    value = daemon.orc("state", "get", "killswitch_status")
    row = daemon.orc("state", "get", "killswitch_status", "-o", "json").json

    assert "enabled" in value.json
    assert row["key"] == "killswitch_status"
    assert row["value"] == value.json


@pytest.mark.subprocess
def test_a_key_that_is_not_there_is_exit_code_five(daemon: RunningDaemon) -> None:
    assert daemon.orc("state", "get", "nothing/there").code == 5


def test_an_empty_state_is_told(double: Double, orc: Orc) -> None:
    double.answers["/state"] = (200, {"state": []})

    done = orc("--url", double.url, "state", "ls")

    assert (done.out, done.err) == ("", "nothing is kept yet\n")


def test_values_are_watched_and_shown_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(value: int) -> dict[str, object]:
        return {"key": "a", "value": value, "updated_at": f"2026-01-31T09:30:0{value}.000Z"}

    answers = iter([[kept(1), {"key": "b", "value": 0}], [kept(1)], [kept(2)]])

    class Answering(Client):
        def get(self, path: str, query: object = None) -> dict[str, object]:
            assert (path, query) == ("/state", None)
            return {"state": next(answers)}

    slept: list[float] = []
    monkeypatch.setattr("orchestrator.cli.commands.state.time.sleep", slept.append)

    found = list(islice(_changes(Answering("http://nowhere", timeout_s=1), ("a",)), 2))

    assert [row["value"] for row in found] == [1, 2]
    assert slept == [WATCH_S] * 2


def test_a_watch_ends_after_so_many_values(double: Double, orc: Orc) -> None:
    rows = [
        {"key": key, "value": {"n": 1}, "updated_at": "2026-01-31T09:30:00.000Z"} for key in "ab"
    ]
    double.answers["/state"] = (200, {"state": rows})

    done = orc("--url", double.url, "state", "watch", "--count", "2")

    assert done.out.splitlines() == [f'2026-01-31T09:30:00.000Z  {key}  {{"n":1}}' for key in "ab"]
    assert orc("--url", double.url, "state", "watch", "-o", "csv").code == 2
