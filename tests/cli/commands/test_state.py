import json

import pytest
import redis

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
