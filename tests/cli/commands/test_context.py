import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.core import ParameterSource
from orchestrator import cli
from orchestrator.cli.commands import context as context_module
from orchestrator.cli.commands.halt import _client as halt_client
from orchestrator.cli.errors import Failure
from orchestrator.cli.options import DEFAULT_URL, Invocation

from ..conftest import Double, on_a_terminal

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command line, with contexts of its own; exit code, stdout and stderr."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("URL", "TOKEN", "CONTEXT", "TOKEN_FILE"):
        monkeypatch.delenv(f"ORCHESTRATOR_{name}", raising=False)

    def called(*words: str) -> tuple[int, str, str]:
        code = cli.run(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return called


@pytest.fixture
def desk(double: Double, run: Run, tmp_path: Path) -> Double:
    """A daemon, known as desk-a, live, with a token in a file."""
    (tmp_path / "token").write_text("of-desk-a\n")
    double.answers["/health/agents"] = (200, {"agents": []})
    words = ("--token-file", str(tmp_path / "token"), "--env", "live")
    assert run("context", "add", "desk-a", "--url", double.url, *words)[0] == 0
    return double


def tokens(double: Double) -> list[str | None]:
    return [headers.get("Authorization") for _, _, headers, _ in double.requests]


def test_a_context_is_a_url_with_its_token(desk: Double, run: Run) -> None:
    assert run("--context", "desk-a", "agent", "ls")[0] == 0
    assert run("context", "use", "desk-a")[0] == 0
    assert run("agent", "ls")[0] == 0

    assert tokens(desk) == ["Bearer of-desk-a"] * 2


def test_a_url_of_another_never_gets_the_token_of_the_current_one(
    desk: Double, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("context", "use", "desk-a")
    assert run("--url", desk.url, "agent", "ls")[0] == 0
    monkeypatch.setenv("ORCHESTRATOR_URL", desk.url)
    assert run("agent", "ls")[0] == 0
    assert tokens(desk) == [None, None]

    assert run("--context", "desk-a", "agent", "ls")[0] == 0
    assert tokens(desk)[-1] == "Bearer of-desk-a"
    assert run("--context", "desk-a", "--url", desk.url, "agent", "ls")[0] == 2


def test_no_token_of_the_environment_goes_to_a_context(
    desk: Double, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run("context", "add", "desk-b", "--url", desk.url)
    (tmp_path / "another").write_text("of-another\n")
    another = str(tmp_path / "another")
    monkeypatch.setenv("ORCHESTRATOR_TOKEN_FILE", another)
    monkeypatch.setenv("ORCHESTRATOR_TOKEN", "of-anna")

    for words in (("--context", "desk-a"), ("--context", "desk-b"), ("--url", desk.url)):
        assert run(*words, "agent", "ls")[0] == 0
    assert run("--context", "desk-a", "--token-file", another, "agent", "ls")[0] == 0
    monkeypatch.delenv("ORCHESTRATOR_TOKEN_FILE")
    for words in (("--context", "desk-b"), ("--url", desk.url)):
        assert run(*words, "agent", "ls")[0] == 0

    bearer = [token and token.removeprefix("Bearer ") for token in tokens(desk)]
    assert bearer == ["of-desk-a", None, "of-another", "of-another", None, "of-anna"]


def test_a_target_may_be_named_by_the_address_of_everybody(run: Run) -> None:
    assert run("context", "add", "here", "--url", DEFAULT_URL)[0] == 0

    assert Invocation(context="here").names_target
    assert Invocation(sources={"url": ParameterSource.COMMANDLINE}).names_target
    assert not Invocation().names_target


def test_ls_and_show_and_rm(desk: Double, run: Run, tmp_path: Path) -> None:
    run("context", "add", "here", "--url", "http://127.0.0.1:8091")
    run("context", "use", "here")
    token_file = str(tmp_path / "token")

    _, out, err = run("context", "ls")
    assert [line.split() for line in out.splitlines()] == [
        ["CURRENT", "NAME", "ENV", "URL", "TOKEN", "FILE"],
        ["desk-a", "live", desk.url, token_file],
        ["current", "here", "-", "http://127.0.0.1:8091", "-"],
    ]
    assert err == f"2 in {tmp_path}/config/orchestrator/contexts.toml\n"
    assert json.loads(run("context", "show", "-o", "json")[1])["name"] == "here"
    assert f"token file  {token_file}\n" in run("context", "show", "desk-a")[1]

    assert run("context", "rm", "here")[0] == 0
    assert run("context", "show")[0] == 2
    assert run("context", "use", "here")[0] == 5
    assert run("--context", "here", "agent", "ls")[0] == 5


@pytest.mark.parametrize(
    "words",
    [
        ("a b", "--url", "http://x"),
        ("a", "--url", "http://anna:secret@x"),
        ("a", "--url", "ftp://x"),
        ("a", "--url", "http://x", "--env", "LIVE!"),
        ("a", "--url", "http://x", "--token", "secret"),
    ],
)
def test_what_is_no_context_or_a_secret_is_refused(run: Run, words: tuple[str, ...]) -> None:
    assert run("context", "add", *words)[0] == 2
    assert run("context", "ls", "-o", "name")[1] == ""


def test_on_a_terminal_the_first_line_has_the_environments_colour(
    desk: Double, tmp_path: Path
) -> None:
    words = ("--context", "desk-a", "agent", "ls")

    done = on_a_terminal(*words, folder=tmp_path, XDG_CONFIG_HOME=str(tmp_path / "config"))

    first = done.out.splitlines()[0]
    assert "desk-a" in first
    assert "\x1b[31m\x1b[1mLIVE\x1b[0m" in first
    assert desk.url in first


CONTEXT, PARAMETER = click.Context(click.Command("x")), click.Argument(["name"])


@pytest.mark.usefixtures("desk")
def test_a_stop_is_not_kept_from_anybody_by_a_damaged_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config" / "orchestrator" / "contexts.toml").write_text("nonsense")
    told = Invocation(url="https://x", token="of-anna", ca_file=tmp_path / "ca.pem")  # noqa: S106
    assert context_module._complete(CONTEXT, PARAMETER, "") == []
    client = halt_client(Invocation())  # not used: whoever listens there is somebody else's
    kept = halt_client(told)

    assert client.url == DEFAULT_URL
    assert (kept.url, kept.headers()["Authorization"]) == ("https://x", "Bearer of-anna")
    with pytest.raises(Failure, match="certificates"):
        kept.tls_context()
    (tmp_path / "t").write_text("of-a-file\n")
    of_a_file = halt_client(Invocation(token_file=tmp_path / "t"))
    assert of_a_file.headers()["Authorization"] == "Bearer of-a-file"
    assert run("agent", "ls")[0] == 2
    with pytest.raises(Failure):
        halt_client(Invocation(context="desk-a"))
