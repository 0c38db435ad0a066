import json

import pytest
from orchestrator.cli.doctor.check_results import (
    critical,
    exit_code,
    lines,
    ok,
    show,
    unknown,
    warning,
)
from orchestrator.cli.errors import ExitCode
from orchestrator.cli.output import Screen


def test_the_worst_finding_makes_the_exit_code() -> None:
    good, doubtful = ok("a", "fine"), warning("b", "so so", "do")

    assert exit_code([]) == exit_code([good]) == 0
    assert exit_code([good, doubtful]) == exit_code([unknown("c", "?")]) == 1
    assert exit_code([doubtful, critical("d", "bad", "do")]) == 2


def test_each_finding_is_a_line_with_what_to_do_below() -> None:
    found = [ok("redis", "fine"), warning("disk", "2 GB free", "free some")]

    assert lines(found, Screen()) == [
        "\x1b[32mok\x1b[0m        redis  fine",
        "\x1b[33mwarning\x1b[0m   disk   2 GB free",
        "                 -> free some",
        "2 checks: 1 warning",
    ]


def test_when_all_is_well_it_says_so() -> None:
    assert lines([ok("a", "fine")], Screen())[-1] == "1 check: all is well"


def test_json_has_the_worst_level(capsys: pytest.CaptureFixture[str]) -> None:
    code = show("doctor", [critical("disk", "full", "free some")], Screen(output="json"))

    document = json.loads(capsys.readouterr().out)
    assert code == ExitCode.USAGE
    assert document["status"] == "critical"
    assert document["items"] == [
        {"name": "disk", "level": "critical", "said": "full", "next": "free some"}
    ]
