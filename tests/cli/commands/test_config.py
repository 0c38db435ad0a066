import json
from pathlib import Path

import pytest
from orchestrator.settings.reference import reference
from orchestrator.settings.schema import json_schema

from ..conftest import Orc


def test_good_settings_are_ok(orc: Orc, tmp_path: Path) -> None:
    (tmp_path / "supervisor.toml").write_text("[http]\nport = 9000\n")

    done = orc("config", "check")

    assert (done.code, done.out) == (0, f"ok  {tmp_path / 'supervisor.toml'}\n")


def test_all_faults_are_told_at_once(orc: Orc, tmp_path: Path) -> None:
    (tmp_path / "supervisor.toml").write_text('[http]\nprot = 9000\n[log]\nlevel = "loud"\n')

    done = orc("config", "check")

    assert done.code == 2
    assert "did you mean http.port?" in done.err
    assert "log.level" in done.err


def test_agents_that_could_not_run_are_faults_unless_they_are_left_out(
    orc: Orc, tmp_path: Path
) -> None:
    (tmp_path / "supervisor.toml").write_text(
        '[agents.a]\nclass = "nowhere:X"\n[agents.b]\ncommand = ["no-such-program"]\n'
    )

    done = orc("config", "check")

    assert done.code == 2
    assert "agents.a: class nowhere:X: cannot import nowhere" in done.err
    assert "agents.b: command: there is no program no-such-program" in done.err
    assert orc("config", "check", "--no-agents").code == 0


def test_settings_are_shown_with_their_origin_and_without_passwords(
    orc: Orc, tmp_path: Path
) -> None:
    (tmp_path / "supervisor.toml").write_text('[postgres]\nurl = "postgresql://u:geheim@h/d"\n')
    (tmp_path / "supervisor.toml").chmod(0o600)

    done = orc("config", "show", "-o", "json", PORT="9001")

    shown = {item["key"]: item for item in done.json["items"]}
    assert shown["postgres.url"]["value"] == "postgresql://u:***@h/d"
    assert shown["http.port"] == {
        "key": "http.port",
        "value": "9001",
        "origin": "environment PORT",
    }
    assert "geheim" not in done.out


def test_only_what_was_changed(orc: Orc, tmp_path: Path) -> None:
    (tmp_path / "supervisor.toml").write_text('[instance]\nname = "desk-a"\n')

    done = orc("config", "show", "--changed")

    lines = done.out.splitlines()
    assert lines[0].split() == ["KEY", "VALUE", "FROM"]
    assert [line.split() for line in lines[1:]] == [["instance.name", "desk-a", "supervisor.toml"]]


def test_a_missing_file_is_told(orc: Orc) -> None:
    done = orc("config", "check", "-c", "nowhere.toml", "-o", "json")

    assert done.code == 2
    assert "nowhere.toml" in json.loads(done.err)["error"]["cause"]


@pytest.mark.subprocess
def test_schema_and_reference_are_written_as_they_are(orc: Orc) -> None:
    assert orc("config", "schema").json == json_schema()
    assert orc("config", "doc").out == reference()
