from pathlib import Path

import pytest
from orchestrator.settings import SettingsError, load

HOLDS_ONE = '[postgres]\nurl = "postgresql://orc:pa55@db/orch"\n'


def file_of(tmp_path: Path, text: str, mode: int, name: str = "supervisor.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666])
def test_a_secret_that_others_can_reach_is_refused_without_being_said(
    tmp_path: Path, mode: int
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(file_of(tmp_path, HOLDS_ONE, mode), environ={})

    assert "postgres.url" in str(refused.value)
    assert "chmod" in str(refused.value)
    assert "pa55" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_secret_of_owner_and_group_is_taken(tmp_path: Path, mode: int) -> None:
    settings = load(file_of(tmp_path, HOLDS_ONE, mode), environ={})

    assert "pa55" in settings.postgres.url.get_secret_value()


def test_without_a_secret_everybody_may_read(tmp_path: Path) -> None:
    load(file_of(tmp_path, '[redis]\nurl = "redis://localhost/1"\n', 0o644), environ={})


def test_dotenv_is_held_to_the_same(tmp_path: Path) -> None:
    settings = file_of(tmp_path, "", 0o644)
    file_of(tmp_path, "PG_URL=postgresql://orc:pa55@db/orch\n", 0o644, ".env")

    with pytest.raises(SettingsError, match=r"\.env"):
        load(settings, environ={})


def test_a_secret_in_the_environment_is_in_no_file(tmp_path: Path) -> None:
    load(file_of(tmp_path, "", 0o644), environ={"PG_URL": "postgresql://orc:pa55@db/orch"})


@pytest.mark.parametrize(
    "text",
    [
        '[redis]\nurl = "redis://:pa55@localhost/1"\n',
        '[postgres]\nurl = "postgresql://db/orch?user=a&password=pa55"\n',
        '[agents.a]\ncommand = ["true"]\nenv = { BROKER_API_KEY = "pa55" }\n',
    ],
)
def test_other_places_of_secrets(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError):
        load(file_of(tmp_path, text, 0o644), environ={})
