import pytest

from ..conftest import Orc, RunningDaemon

STEPS = [
    "daemon answers",
    "live stream",
    "heartbeat -> registry",
    "publish -> live stream",
    "publish -> REST",
    "POST -> live stream, Redis",
    "regime",
]
STOP_STEPS = [
    "killswitch -> Redis",
    "killswitch -> live stream",
    "killswitch -> state",
    "killswitch release",
]


@pytest.mark.subprocess
def test_the_whole_workflow_goes_through_a_running_daemon(daemon: RunningDaemon) -> None:
    done = daemon.orc("selftest", "-o", "json")

    assert [item["name"] for item in done.json["items"]] == [*STEPS, "offline -> registry"]
    assert {item["level"] for item in done.json["items"]} == {"ok"}
    assert (done.code, done.json["status"]) == (0, "ok")


@pytest.mark.subprocess
def test_the_stop_is_tried_only_if_asked_for_and_is_released(daemon: RunningDaemon) -> None:
    unasked = daemon.orc("selftest", "--killswitch")
    done = daemon.orc("selftest", "--killswitch", "--yes", "-o", "json")

    assert unasked.code == 2
    assert "trading stops for a moment" in unasked.err
    names = [item["name"] for item in done.json["items"]]
    assert names == [*STEPS, *STOP_STEPS, "offline -> registry"]
    assert done.code == 0
    assert daemon.orc("killswitch", "status", "-o", "json").json["status"] == "inactive"


@pytest.mark.subprocess
def test_another_redis_than_the_daemons_is_noticed(daemon: RunningDaemon, redis_url: str) -> None:
    done = daemon.orc("selftest", "--redis-url", redis_url, "--timeout", "1", "-o", "json")

    levels = {item["name"]: item["level"] for item in done.json["items"]}
    assert done.code == 2
    assert levels["publish -> live stream"] == "critical"


def test_without_a_daemon_it_is_critical(orc: Orc) -> None:
    done = orc("--url", "http://127.0.0.1:1", "selftest", "--redis-url", "redis://127.0.0.1:1")

    assert done.code == 2
    assert "cannot reach the daemon" in done.out
