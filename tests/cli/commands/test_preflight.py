import json

import pytest

from ..conftest import Orc, RunningDaemon


@pytest.mark.subprocess
def test_a_running_daemon_is_checked_and_recorded(daemon: RunningDaemon) -> None:
    record = daemon.folder / "preflight.jsonl"

    good = daemon.orc("preflight", "--record", str(record), "-o", "json")
    stopped = daemon.orc(
        "preflight", "--expect", "missing-1", "--record", str(record), "-o", "json"
    )

    first, second = map(json.loads, record.read_text().splitlines())
    assert first["checks"] == good.json["items"]
    names = {item["name"] for item in first["checks"] if item["level"] == "ok"}
    assert {"daemon", "redis", "postgres", "journal", "guard", "trading"} <= names
    assert good.code == first["exit_code"] < 2
    assert (stopped.code, second["exit_code"]) == (2, 2)


def test_without_a_daemon_the_exit_code_says_not_to_trade(orc: Orc) -> None:
    assert orc("--url", "http://127.0.0.1:1", "preflight").code == 2


def test_a_record_that_cannot_be_written_is_said(orc: Orc) -> None:
    done = orc("--url", "http://127.0.0.1:1", "preflight", "--record", "/no/such/folder/x")

    assert done.code == 1
    assert "no record was written" in done.err
