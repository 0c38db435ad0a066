import hashlib
import json
import tomllib
from pathlib import Path

import pytest
from orchestrator import cli
from orchestrator.http.settings import AuthSettings

from ..conftest import Double, Orc


def test_new_tells_the_token_and_lines_that_let_it_in(orc: Orc) -> None:
    done = orc("token", "new", "--role", "operator", "--name", "anna")
    lines = done.out.splitlines()
    token = lines[2].strip()

    made = tomllib.loads("\n".join(lines[lines.index("  [[http.auth.tokens]]") :]))
    settings = AuthSettings.model_validate(made["http"]["auth"])

    assert settings.tokens[0].sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert (settings.tokens[0].name, settings.tokens[0].role) == ("anna", "operator")
    assert len(token) == 43


def test_every_token_is_another(orc: Orc) -> None:
    rows = [json.loads(orc("token", "new", "--role", "viewer", "-o", "json").out) for _ in "ab"]

    assert rows[0]["token"] != rows[1]["token"]
    assert rows[0]["name"] != rows[1]["name"]


def test_a_name_that_the_settings_would_refuse_is_refused(orc: Orc) -> None:
    assert orc("token", "new", "--role", "viewer", "--name", "a b").code == 2


SETTINGS = """
[data]
dir = "data"
[[http.auth.tokens]]
name = "anna"
role = "operator"
sha256 = "00000000{zeros}"
[[http.auth.tokens]]
name = "guest"
role = "viewer"
sha256 = "11111111{zeros}"
expires = 2020-01-31T00:00:00Z
""".format(zeros="0" * 56)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "supervisor.toml"
    path.write_text(SETTINGS)
    path.chmod(0o640)
    return path


def test_one_that_expires_says_so_in_the_lines_for_the_settings(orc: Orc) -> None:
    lines = orc("token", "new", "--role", "viewer", "--expires", "2999-01-31").out.splitlines()

    made = tomllib.loads("\n".join(lines[lines.index("  [[http.auth.tokens]]") :]))
    settings = AuthSettings.model_validate(made["http"]["auth"])

    assert settings.tokens[0].expires is not None
    assert settings.tokens[0].expires.isoformat() == "2999-01-31T00:00:00+00:00"


@pytest.mark.parametrize("when", ["soon", "2020-01-31", "0s", "99999999999w"])
def test_an_end_that_is_none_or_past_is_refused(
    when: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["token", "new", "--role", "viewer", "--expires", when]) == 2
    assert when in capsys.readouterr().err


def test_ls_shows_whose_they_are_and_until_when(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["token", "ls", "-c", str(file)]) == 0

    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "STATE    NAME   ROLE      EXPIRES                   HASH",
        "valid    anna   operator  never                     00000000",
        "expired  guest  viewer    2020-01-31T00:00:00.000Z  11111111",
    ]
    assert said.err == f"2 in {file}, 1 expired\n"


def test_ls_for_programs(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["token", "ls", "-c", str(file), "-o", "json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], [row["name"] for row in found["items"]]) == (
        "tokens",
        ["anna", "guest"],
    )
    assert found["items"][1]["expires"] == "2020-01-31T00:00:00.000Z"


def test_ls_without_tokens_says_what_that_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert cli.run(["token", "ls"]) == 0
    assert "no settings file was found" in capsys.readouterr().err


NOWHERE = "http://127.0.0.1:1"


def revoke(file: Path, name: str, *words: str) -> int:
    return cli.run(["--url", NOWHERE, *words, "token", "revoke", name, "-c", str(file)])


def test_one_is_revoked_where_no_daemon_runs(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert revoke(file, "guest") == 0

    said = "in force when the daemon starts: it does not run"
    assert capsys.readouterr().out == f"guest  taken out of {file}; {said}\n"
    assert [one["name"] for one in tomllib.loads(file.read_text())["http"]["auth"]["tokens"]] == [
        "anna"
    ]
    assert file.stat().st_mode & 0o777 == 0o640


def test_the_last_one_is_not_revoked_without_being_asked(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert revoke(file, "guest") == 0
    assert revoke(file, "anna", "--no-input") == 2
    assert "It is the last token: anyone who reaches 127.0.0.1" in capsys.readouterr().err
    file.write_text(f'[http]\nhost = "0.0.0.0"\n{file.read_text()}')

    assert revoke(file, "anna", "--yes") == 2
    assert "no tokens are set" in capsys.readouterr().err
    assert "anna" in file.read_text()


def test_one_that_is_not_there_or_not_in_the_file_is_not_revoked(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert revoke(file, "carl") == 5
    table = '[{"name": "carl", "role": "viewer", "sha256": "' + "2" * 64 + '"}]'
    monkeypatch.setenv("ORCHESTRATOR_HTTP__AUTH__TOKENS", table)

    assert revoke(file, "carl", "--yes") == 1
    assert "change it by hand" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"/runtime/settings": (403, {"error": "Forbidden"})}, "Forbidden"),
        ({"/runtime/settings": (503, {"error": "Not ready"})}, "may be accepted until"),
        ({"/runtime/settings": (200, {"file": "/etc/another.toml"})}, "reads /etc/another.toml"),
        (
            {"/runtime/settings/reload": (202, {"reload": {"problems": ["tokens unchanged"]}})},
            "tokens unchanged",
        ),
    ],
)
def test_a_daemon_that_does_not_take_it_over_is_told(
    double: Double,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    answers: dict[str, tuple[int, dict[str, object]]],
    said: str,
) -> None:
    double.answers |= {"/runtime/settings": (200, {"file": str(file)})} | answers

    assert cli.run(["--url", double.url, "token", "revoke", "guest", "-c", str(file)]) == 7
    out = capsys.readouterr().out
    assert "not in force" in out
    assert said in out


def test_the_daemon_of_the_settings_is_asked(
    double: Double, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f"[http]\nport = {double.url.rpartition(':')[2]}\n{SETTINGS}")
    taken = {"reload": {"changed": ["http.auth.tokens"]}}
    double.answers["/runtime/settings"] = (200, {"file": str(file)})
    double.answers["/runtime/settings/reload"] = (202, taken)

    assert cli.run(["token", "revoke", "guest", "-c", str(file)]) == 0
    assert "refused from now on" in capsys.readouterr().out


def test_a_daemon_of_another_machine_is_not_told_to_reload(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--url", "http://desk-b.invalid:8090", "token", "revoke", "guest", "-c", str(file)]

    assert cli.run(words) == 7
    assert "another machine, with a file of its own; run this there" in capsys.readouterr().out
