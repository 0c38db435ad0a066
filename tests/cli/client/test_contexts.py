from pathlib import Path

import pytest
from orchestrator.cli.client.contexts import Context, Contexts, contexts_path
from orchestrator.cli.errors import Failure

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
