"""Where it ends when something is missing; all of it, against a daemon: commands/test_selftest."""

import pytest
from orchestrator.cli.client.rest import Client
from orchestrator.cli.doctor.check_results import Level
from orchestrator.cli.doctor.selftest import SelfTest

from ..conftest import Double, RunningDaemon

NO_REDIS = "redis://127.0.0.1:1/0"


def test_without_a_live_stream_it_ends_there(double: Double) -> None:
    double.answers["/health"] = (200, {"instance": "d", "env": "dev", "version": "1"})

    with Client(double.url, timeout_s=5) as client:
        found = list(SelfTest(client, NO_REDIS, limit_s=1).run(killswitch=False))

    assert [(result.name, result.level) for result in found] == [
        ("daemon answers", Level.OK),
        ("live stream", Level.CRITICAL),
    ]


@pytest.mark.subprocess
def test_without_redis_the_rest_is_not_tried(daemon: RunningDaemon) -> None:
    with Client(daemon.url, timeout_s=5) as client:
        found = list(SelfTest(client, NO_REDIS, limit_s=1).run(killswitch=False))

    assert [result.name for result in found] == ["daemon answers", "live stream", "redis"]
    assert found[-1].level is Level.CRITICAL


def test_each_run_has_a_mark_of_its_own() -> None:
    client = Client("http://nowhere", timeout_s=1)

    marks = {SelfTest(client, NO_REDIS, limit_s=1).mark for _ in range(10)}

    assert len(marks) == 10
