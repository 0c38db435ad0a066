import pwd
from pathlib import Path

import pytest
from orchestrator.cli.client.contexts import Context, Contexts, contexts_path
from orchestrator.cli.errors import Failure
from orchestrator.cli.options import DEFAULT_URL, Invocation

DESK = Context("https://desk-a.example.com", '/run/desk "a"\\token', env="live")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def written(text: str) -> None:
    contexts_path().parent.mkdir()
    contexts_path().write_text(text)


def test_what_is_saved_is_loaded_again() -> None:
    saved = Contexts(contexts_path(), "desk-a", {"desk-a": DESK, "b.c": Context("unix:///run/o")})

    saved.save()

    assert Contexts.load() == saved


def test_without_a_file_there_are_none(home: Path) -> None:
    assert Contexts.load() == Contexts(home / "orchestrator" / "contexts.toml")


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "",
        'current = "x"\n[contexts]\n',
        "[contexts.a]\nurl = 7\n",
        '[contexts.a]\nurl = "http://x"\ntoken = "hunter"\n',
        '[contexts."a b"]\nurl = "http://x"\n',
        '[contexts.a]\nurl = "http://u:hunter@x"\n',
        '[contexts.a]\nurl = "http://x"\nenv = "\\u001b[31m"\n',
        "contexts = 7",
    ],
)
def test_a_file_that_says_nothing_is_not_taken_for_an_empty_one(text: str) -> None:
    written(text)

    with pytest.raises(Failure) as failed:
        Contexts.load()

    assert failed.value.code == "bad_contexts"
    assert "hunter" not in failed.value.cause


def test_its_folder_is_for_this_account_alone(home: Path) -> None:
    Contexts(contexts_path()).save()

    assert (home / "orchestrator").stat().st_mode & 0o777 == 0o700


def test_without_a_home_there_are_none_and_none_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # KeyError, as for an unknown account
    monkeypatch.chdir(tmp_path)

    assert not Contexts.load().known
    with pytest.raises(Failure, match="cannot write"):
        Contexts.load().save()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_folder_that_one_may_not_enter_is_as_no_contexts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, whole: bool
) -> None:
    """As the system answers any account but root: the folder, or the file alone."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    written("[contexts]\n")
    monkeypatch.setattr(Path, "read_text", refused)
    if not whole:
        with pytest.raises(Failure, match="cannot be used"):
            Contexts.load()
        return
    monkeypatch.setattr(Path, "stat", refused)

    assert Invocation().target.url == DEFAULT_URL
    assert "this account may not look for" in capsys.readouterr().err
