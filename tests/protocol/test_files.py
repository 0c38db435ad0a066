"""A file is replaced whole, content and name on disk before the call returns."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from orchestrator.protocol.files import draft_of, replace_durably, write_atomically


class Disk:
    """Notes the order of syncs and renames; the real ones happen as well."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self._fsync, self._replace = os.fsync, Path.replace
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(Path, "replace", self._noting_replace())

    def fsync(self, descriptor: int) -> None:
        self.done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        self._fsync(descriptor)

    def _noting_replace(self) -> Callable[[Path, Path], Path]:
        def replace(draft: Path, path: Path) -> Path:
            self.done.append(f"rename to {path.name}")
            return self._replace(draft, path)

        return replace


def test_new_and_old_files_get_the_content(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"

    write_atomically(path, b"one")
    write_atomically(path, b"two")

    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_synced_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)

    write_atomically(tmp_path / "ids.json", b"[]")

    assert disk.done == ["sync ids.json.new", "rename to ids.json", f"sync {tmp_path.name}"]


def test_a_refused_write_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    write_atomically(path, b"old")
    draft_of(path).mkdir()

    with pytest.raises(OSError, match="directory"):
        write_atomically(path, b"new")

    assert path.read_bytes() == b"old"


def test_a_file_that_another_program_wrote_takes_the_place(tmp_path: Path) -> None:
    path = tmp_path / "orchestrator.dump"
    draft_of(path).write_bytes(b"dump")

    replace_durably(draft_of(path), path)

    assert path.read_bytes() == b"dump"
    assert not draft_of(path).exists()
