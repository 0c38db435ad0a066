"""The settings' file is replaced whole, or stays as it was."""

from pathlib import Path

import pytest
from orchestrator.cli.errors import Failure
from orchestrator.cli.offline.settings_file import SettingsFile
from orchestrator.cli.offline.settings_text import MAX_BYTES

OLD = '[agents.a]\ncommand = ["x"]\n'
NEW = OLD.replace("x", "y")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "supervisor.toml"
    path.write_text(OLD)
    path.chmod(0o600)
    return path


def test_a_link_stays_one_and_the_mode_as_it_was(file: Path) -> None:
    link = file.with_name("link.toml")
    link.symlink_to(file)

    with SettingsFile(link).edited(lambda _text: NEW) as settings:
        assert settings.agents["a"].command == ("y",)

    assert link.is_symlink()
    assert file.read_text() == NEW
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(file.parent.iterdir()) == [link, file]


def edit_and_fail(file: Path) -> None:
    with SettingsFile(file).edited(lambda _text: NEW):
        assert file.read_text() == NEW
        raise Failure("refused", code="refused")


def test_what_fails_afterwards_puts_the_old_file_back(file: Path) -> None:
    with pytest.raises(Failure, match="refused"):
        edit_and_fail(file)

    assert file.read_text() == OLD


def test_what_is_not_valid_is_not_written(file: Path) -> None:
    with (
        pytest.raises(Failure) as failed,
        SettingsFile(file).edited(lambda text: text + "nonsense = 1\n"),
    ):
        pytest.fail("not reached")

    assert "agents.a.nonsense" in failed.value.cause
    assert file.read_text() == OLD


@pytest.mark.parametrize("content", [b"#" * (MAX_BYTES + 1), b"\xff"])
def test_a_file_of_no_use_is_not_edited(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with (
        pytest.raises(Failure, match=r"is not edited|cannot be read"),
        SettingsFile(file).edited(lambda _text: NEW),
    ):
        pytest.fail("not reached")

    assert file.read_bytes() == content


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(Failure, match="cannot be read"),
        SettingsFile(tmp_path / "no.toml").edited(str),
    ):
        pytest.fail("not reached")


def test_what_has_no_bytes_is_not_written(file: Path) -> None:
    with (
        pytest.raises(Failure, match="cannot be written"),
        SettingsFile(file).edited(lambda text: f"{text}# \udcff\n"),
    ):
        pytest.fail("not reached")

    assert file.read_text() == OLD
    assert list(file.parent.iterdir()) == [file]
