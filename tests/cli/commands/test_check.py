from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from orchestrator.protocol.timestamps import timestamp

from ..conftest import Double, Orc

pytestmark = pytest.mark.subprocess


def ago(seconds: float) -> str:
    return timestamp((datetime.now(UTC) - timedelta(seconds=seconds)).timestamp())


def agent(name: str, liveness: str, age_s: int = 2) -> dict[str, Any]:
    alive = liveness in ("up", "late")
    return {"id": name, "liveness": liveness, "is_alive": alive, "seconds_since_beat": age_s}


@pytest.fixture
def healthy(double: Double) -> Double:
    parts = {name: {"ok": True, "message": "ok"} for name in ("redis", "postgres", "journal")}
    parts["redis"]["latency_ms"] = 1.5
    double.answers["/ready"] = (200, {"status": "ok", "checks": parts})
    double.answers["/health/agents"] = (200, {"agents": [agent("a-1", "up")]})
    regime = {"regime": "stable", "last_update": ago(10)}
    double.answers["/regime/state"] = (200, {"status": "ok", "regime": regime})
    drill = {"at": ago(86_400), "missed": 0}
    double.answers["/risk/killswitch"] = (200, {"status": "inactive", "drill": drill})
    return double


def test_a_healthy_daemon_is_zero_on_one_line_and_one_each(healthy: Double, orc: Orc) -> None:
    done = orc("check", "--url", healthy.url)

    first, *rest = done.out.splitlines()
    assert done.code == 0
    assert first.startswith("OK: 6 checks | bus_redis_ms=1.5 agents_up=1 agents_late=0")
    assert [line.partition(":")[0] for line in rest] == [
        f"{name} OK" for name in ("bus", "agents", "db", "regime", "killswitch", "drill-age")
    ]


def test_agents_in_trouble_are_named_with_figures(healthy: Double, orc: Orc) -> None:
    rows = [agent("a-1", "up"), agent("x|y", "down", 41), agent("q-1", "late", 9)]
    healthy.answers["/health/agents"] = (200, {"agents": rows})

    done = orc("check", "agents", "--url", healthy.url)

    assert done.code == 2
    assert done.out == ("CRITICAL: x/y down, q-1 late | up=1 late=1 down=1 oldest_beat_s=41\n")


@pytest.mark.parametrize(
    ("path", "answer", "what", "code", "said"),
    [
        ("/risk/killswitch", {"status": "active", "reason": "x"}, "killswitch", 2, "halted: x"),
        (
            "/risk/killswitch",
            {"status": "active", "reason": "x", "trips": [{"level": "reduce"}]},
            "killswitch",
            1,
            "reduced: x",
        ),
        ("/risk/killswitch", {"status": "unknown"}, "killswitch", 3, "UNKNOWN: the stop is"),
        ("/risk/killswitch", {"drill": None}, "drill-age", 1, "never drilled"),
        ("/risk/killswitch", {"drill": {"at": ago(40 * 86_400)}}, "drill-age", 1, "40 d ago"),
        ("/risk/killswitch", {"drill": {"at": ago(99 * 86_400)}}, "drill-age", 2, "99 d ago"),
        ("/risk/killswitch", {"drill": {"at": ago(9), "missed": 2}}, "drill-age", 1, "2 did not"),
        ("/regime/state", {"status": "no_data"}, "regime", 3, "no regime"),
        ("/regime/state", {"regime": {"regime": "s", "last_update": ago(400)}}, "regime", 1, "s, "),
        ("/regime/state", {"regime": {"regime": "s"}}, "regime", 3, "unknown time"),
        ("/health/agents", {"agents": []}, "agents", 3, "no agent"),
        ("/ready", {"checks": {"redis": {"ok": False, "message": "m"}}}, "bus", 2, "redis down: m"),
        ("/ready", {"checks": {"redis": {"ok": None}}}, "bus", 3, "redis unknown"),
        ("/ready", {"checks": {"postgres": {"ok": True}}}, "db", 3, "postgres ok; journal unknown"),
    ],
)
def test_each_question_has_its_states(  # noqa: PLR0913, PLR0917 - the table's columns
    double: Double, orc: Orc, path: str, answer: Any, what: str, code: int, said: str
) -> None:
    double.answers[path] = (200, answer)

    done = orc("check", what, "--url", double.url)

    assert (done.code, said in done.out) == (code, True), done.out + done.err


def test_what_is_not_answered_or_refused_is_unknown(double: Double, orc: Orc) -> None:
    double.answers["/risk/killswitch"] = (401, {"error": "Unauthorized", "message": "a token"})

    refused = orc("check", "killswitch", "--url", double.url)
    away = orc("check", "--url", "http://127.0.0.1:1")

    assert (refused.code, away.code) == (3, 3)
    assert refused.out.startswith("UNKNOWN: ")
    assert away.out.startswith("UNKNOWN: ")


def test_metrics_and_an_object_say_the_same(healthy: Double, orc: Orc) -> None:
    metrics = orc("check", "bus", "--format", "prometheus", "--url", healthy.url)
    document = orc("check", "bus", "--format", "json", "--url", healthy.url).json

    assert 'orchestrator_check_state{check="bus"} 0' in metrics.out
    assert 'orchestrator_check_value{check="bus",value="redis_ms"} 1.5' in metrics.out
    assert document["state"] == "OK"
    assert document["checks"] == [
        {"check": "bus", "state": "OK", "text": "redis ok", "figures": {"redis_ms": 1.5}}
    ]
