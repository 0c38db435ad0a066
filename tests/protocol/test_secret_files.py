"""Secrets in files."""

import os
from pathlib import Path

import pytest
from orchestrator.protocol import secret_files
from orchestrator.protocol.secret_files import MAX_BYTES, BadSecretFile, read_secret, secret_of


def secret(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b" a b\n", " a b"),
    ],
)
def test_the_lines_end_is_not_part_of_it(tmp_path: Path, content: bytes, text: str) -> None:
    assert read_secret(secret(tmp_path, content)) == (text, "")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"x" * (MAX_BYTES + 1), "more than 65536 bytes"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_file_of_no_use_is_refused_without_what_it_holds(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    path = secret(tmp_path, content)

    with pytest.raises(BadSecretFile, match=problem) as refused:
        read_secret(path)

    assert str(path) in str(refused.value)
    assert "xxx" not in str(refused.value)


def test_only_regular_files_are_read_and_nothing_waits(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    for path in (fifo, tmp_path, Path("/dev/zero")):
        with pytest.raises(BadSecretFile, match=r"not a regular file|Is a directory"):
            read_secret(path)
    with pytest.raises(BadSecretFile, match="No such file"):
        read_secret(tmp_path / "none")


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_one_that_others_may_read_is_said(tmp_path: Path, mode: int) -> None:
    path = secret(tmp_path, b"s3cret", mode)

    assert f"chmod o-rw {path}" in read_secret(path).warning


def test_where_engines_mount_them_everybody_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_files, "_MOUNTED", tmp_path)

    assert read_secret(secret(tmp_path, b"s3cret", 0o444)) == ("s3cret", "")


def test_a_variable_or_its_file_gives_it_but_not_both(tmp_path: Path) -> None:
    path = str(secret(tmp_path, b"from the file\n"))

    assert secret_of({}, "X") is None
    assert secret_of({"X": "", "X_FILE": ""}, "X") is None
    assert secret_of({"X": "plain"}, "X") == ("plain", "")
    assert secret_of({"X_FILE": path}, "X") == ("from the file", "")
    with pytest.raises(BadSecretFile, match="X and X_FILE are both set"):
        secret_of({"X": "plain", "X_FILE": path}, "X")
