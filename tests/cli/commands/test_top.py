import pytest

from ..conftest import Double, Orc, RunningDaemon

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
ALLOWED = {"status": "inactive", "enabled": False, "trips": []}


def desk(double: Double) -> None:
    double.answers["/health"] = (200, {"status": "ok", "instance": "d", "env": "live"})
    double.answers["/ready"] = (200, {"checks": {"redis": {"ok": True}}})
    double.answers["/risk/killswitch"] = (200, ALLOWED)
    double.answers["/health/agents"] = (
        200,
        {"agents": [{"id": "a-up", "liveness": "up"}, {"id": "b-down", "liveness": "down"}]},
    )
    double.answers["/bus/types"] = (200, {"types": [{"type": "data.x", "count": 3}]})


def test_one_picture_for_a_script(double: Double, orc: Orc) -> None:
    desk(double)

    found = orc("--url", double.url, "top", "--once", "-o", "json").json

    assert (found["version"], found["kind"]) == (1, "top")
    assert [row["id"] for row in found["agents"]] == ["a-up", "b-down"]
    assert found["topics"] == [{"type": "data.x", "count": 3}]
    assert found["killswitch"]["status"] == "inactive"


def test_one_picture_in_a_pipe_has_trouble_first(double: Double, orc: Orc) -> None:
    desk(double)

    lines = orc("--url", double.url, "top", "--once").out.splitlines()

    assert lines[0].startswith("d  LIVE")
    assert lines[1].startswith("allowed everywhere")
    assert [line.split()[:2] for line in lines[-2:]] == [["down", "b-down"], ["up", "a-up"]]


def test_a_part_that_is_not_answered_is_an_error(double: Double, orc: Orc) -> None:
    desk(double)
    double.answers["/health/agents"] = (503, {"error": "Unavailable"})

    done = orc("--url", double.url, "top", "--once")

    assert done.code != 0
    assert "Unavailable" in done.err


def test_in_a_pipe_the_way_to_one_picture_is_said(double: Double, orc: Orc) -> None:
    desk(double)

    done = orc("--url", double.url, "top")

    assert done.code == 2
    assert "add --once" in done.err


@pytest.mark.subprocess
def test_on_a_terminal_keys_act_and_the_screen_is_back_at_the_end(daemon: RunningDaemon) -> None:
    done = daemon.on_a_terminal("top", typed="tsq")

    assert done.code == 0
    assert ENTER in done.out
    assert done.out.rstrip().endswith(LEAVE)
    assert "dev-agent" in done.out
    assert "1 agent by trouble   t s f space q" in done.out
