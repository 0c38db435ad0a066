from pathlib import Path

import click
import pytest
from orchestrator.cli.errors import BadUsage, Failure
from orchestrator.cli.options import Command, Invocation, confirm, pass_invocation

from .conftest import on_a_terminal


def read(*words: str) -> Invocation:
    found = Invocation()

    @click.command("x", cls=Command, root=True)
    @pass_invocation
    def show(invocation: Invocation) -> None:
        assert invocation is found

    show.main(list(words), standalone_mode=False, obj=found)
    return found


def test_each_global_option_is_read() -> None:
    values = "--url http://x --token-file secret -o jsonl --time local --timeout 2.5 --color never"

    found = read(*values.split(), "-q", "-v", "--yes", "--no-input")

    assert found == Invocation(
        url="http://x",
        token_file=Path("secret"),
        output="jsonl",
        time="local",
        timeout=2.5,
        color="never",
        quiet=True,
        verbose=True,
        yes=True,
        no_input=True,
    )


def test_what_is_not_given_stays_as_it_was() -> None:
    assert read() == Invocation()


def test_each_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_URL", "http://y")
    monkeypatch.setenv("ORCHESTRATOR_TIMEOUT", "3")
    monkeypatch.setenv("ORCHESTRATOR_YES", "1")

    assert read() == Invocation(url="http://y", timeout=3.0, yes=True)
    assert read("--url", "http://z").url == "http://z"


def test_a_timeout_of_nothing_is_wrong_usage() -> None:
    with pytest.raises(click.UsageError):
        read("--timeout", "0")


def test_the_token_is_never_shown() -> None:
    assert "geheim" not in repr(Invocation(token="geheim"))  # noqa: S106 - a test's


def test_an_empty_token_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "token").touch()

    with pytest.raises(BadUsage):
        Invocation(token_file=tmp_path / "token").access_token()


def test_a_token_file_is_a_regular_one_and_said_if_others_may_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    file.write_text("t0ken\n")
    file.chmod(0o644)

    assert Invocation(token_file=file).access_token() == "t0ken"
    assert f"chmod o-rw {file}" in capsys.readouterr().err
    with pytest.raises(Failure, match="cannot read the token file"):
        Invocation(token_file=tmp_path).access_token()


def test_yes_is_not_asked() -> None:
    confirm(Invocation(yes=True), "it goes on")


def test_where_nobody_can_answer_nothing_is_done() -> None:
    with pytest.raises(BadUsage):
        confirm(Invocation(no_input=True), "it goes on")


def test_a_declined_question_is_exit_code_one() -> None:
    assert Failure("x", code="declined").exit_code == 1


def test_a_terminal_gets_help_that_fits_it(tmp_path: Path) -> None:
    done = on_a_terminal("--help", folder=tmp_path, columns=60)

    usage = done.out.split("Usage:")[1]
    assert done.code == 0
    assert max(map(len, usage.splitlines())) <= 100
