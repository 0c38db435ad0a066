import pytest

from ..conftest import Double, Orc, RunningDaemon


@pytest.mark.subprocess
def test_the_questions_of_an_operator_are_answered_in_their_order(daemon: RunningDaemon) -> None:
    done = daemon.orc("status")

    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0].startswith("desk-test  DEV   up ")
    assert [line.split()[0] for line in lines[1:]] == [
        *("TRADING", "REGIME", "AGENTS", "BUS", "STORE", "ACTORS"),
    ]
    assert "Redis ok" in lines[4]
    assert "PostgreSQL ok" in lines[5]


@pytest.mark.subprocess
def test_json_has_every_part(daemon: RunningDaemon) -> None:
    status = daemon.orc("status", "-o", "json").json

    assert (status["version"], status["kind"]) == (1, "status")
    assert status["health"]["instance"] == "desk-test"
    assert status["ready"]["checks"]["postgres"]["ok"] is True
    assert status["killswitch"]["status"] in ("active", "inactive")
    assert {"agents", "regime"} <= status.keys()


@pytest.mark.subprocess
def test_it_is_coloured_on_a_terminal_and_plain_in_a_pipe(daemon: RunningDaemon) -> None:
    terminal = daemon.on_a_terminal("status").out
    no_color = daemon.on_a_terminal("status", NO_COLOR="1").out
    pipe = daemon.orc("status").out

    assert "\x1b[32mok\x1b[0m" in terminal
    assert "\x1b" not in no_color
    assert "\x1b" not in pipe


def test_what_does_not_answer_is_unknown_and_the_rest_is_told(double: Double, orc: Orc) -> None:
    double.answers["/health"] = (200, {"status": "ok", "instance": "d", "env": "live"})
    double.answers["/health/agents"] = (503, {"error": "Unavailable"})
    double.answers["/ready"] = (
        503,
        {"status": "not_ready", "checks": {"redis": {"ok": False, "message": "refused"}}},
    )

    done = orc("--url", double.url, "status")

    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0].startswith("d  LIVE")
    assert lines[1].startswith("TRADING  unknown")
    assert lines[3] == "AGENTS   unknown"
    assert lines[4] == "BUS      Redis down refused   rate unknown"
    assert lines[5] == "STORE    PostgreSQL unknown   journal unknown   behind by unknown"


def test_without_the_bus_trading_is_not_called_allowed_everywhere(double: Double, orc: Orc) -> None:
    double.answers["/health"] = (200, {"status": "ok"})
    double.answers["/risk/killswitch"] = (200, {"status": "inactive", "trips": []})
    double.answers["/ready"] = (503, {"checks": {"redis": {"ok": False, "message": "refused"}}})

    trading = orc("--url", double.url, "status").out.splitlines()[1]

    assert trading.startswith("TRADING  no stop in force, but the bus is down:")
    assert "everywhere" not in trading


def test_trouble_is_named_and_the_self_test_is_not_missed(double: Double, orc: Orc) -> None:
    double.answers["/health"] = (200, {"status": "ok"})
    rows = [
        {"id": "a", "agent_group": "g", "status": "active", "liveness": "late"},
        {"id": "b", "agent_group": "g", "status": "halted", "liveness": "up"},
        {"id": "selftest", "agent_group": "selftest", "status": "inactive", "liveness": "down"},
    ]
    double.answers["/health/agents"] = (200, {"agents": rows})

    done = orc("--url", double.url, "status")

    assert "AGENTS   0 up   1 late   0 down   1 halted   a late, b halted\n" in done.out


@pytest.mark.parametrize(
    ("trips", "said"),
    [
        ([{"level": "halt", "scope": "all"}], "HALT for all   since"),
        (
            [{"level": "reduce", "scope": "all"}, {"level": "halt", "scope": "group:execution"}],
            "HALT for group:execution   since",
        ),
        ([{"level": "reduce", "scope": "agent:a"}], "REDUCE for agent:a   since"),
        ([], "HALT   since"),
    ],
)
def test_a_stop_is_told_with_its_level_and_scope(
    double: Double, orc: Orc, trips: list[dict[str, str]], said: str
) -> None:
    double.answers["/risk/killswitch"] = (200, {"status": "active", "reason": "x", "trips": trips})

    done = orc("--url", double.url, "status")

    assert done.out.splitlines()[1].startswith(f"TRADING  {said}")


@pytest.mark.parametrize(
    ("liveness", "status", "code"),
    [("up", "inactive", 0), ("late", "inactive", 1), ("up", "active", 2), ("up", "unknown", 2)],
)
def test_a_check_ends_with_what_is_worst(
    double: Double, orc: Orc, liveness: str, status: str, code: int
) -> None:
    parts = {name: {"ok": True} for name in ("redis", "postgres", "journal")}
    double.answers["/ready"] = (200, {"checks": parts})
    double.answers["/health/agents"] = (200, {"agents": [{"id": "a", "liveness": liveness}]})
    double.answers["/risk/killswitch"] = (200, {"status": status})

    assert orc("--url", double.url, "status", "--check").code == code
    assert orc("--url", double.url, "status", "--check", "-o", "json").code == code
    assert orc("--url", double.url, "status").code == 0


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ("orchestrator_journal_events 0.0\n", "nothing behind"),
        ("orchestrator_journal_events 1.0\n", "1 event behind"),
        (
            "orchestrator_journal_events 4812.0\norchestrator_persist_behind_seconds 0.21\n",
            "4812 events, 210 ms behind",
        ),
    ],
)
def test_rate_and_what_is_behind_are_told(
    double: Double, orc: Orc, metrics: str, said: str
) -> None:
    double.answers["/metrics"] = (200, metrics.encode())
    double.answers["/bus/types"] = (200, {"types": [{"type": "a", "per_minute": 90.0}]})

    lines = orc("--url", double.url, "status").out.splitlines()

    assert lines[4].endswith("   1.5 msg/s")
    assert lines[5].endswith(f"   {said}")
