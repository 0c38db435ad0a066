import stat
import zipfile
from pathlib import Path

import pytest
from orchestrator.cli.errors import Failure
from orchestrator.cli.incident.archive import Archive, Missing


def test_it_is_complete_and_for_its_owner_only(tmp_path: Path) -> None:
    place = tmp_path / "a.zip"

    with Archive(place, "a") as archive:
        archive.text("x.txt", "a text", "\ud800 \xe9\n")
        with archive.opened("y.jsonl", "lines") as write:
            write("1\n")
            write("2\n")
        archive.json("sub/z.json", "a document", {"a": "\u202e"})

    with zipfile.ZipFile(place) as read:
        assert read.testzip() is None
        assert read.namelist() == ["a/x.txt", "a/y.jsonl", "a/sub/z.json"]
        assert read.read("a/y.jsonl") == b"1\n2\n"
        assert read.read("a/x.txt").decode() == "\\ud800 \xe9\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [place]


def test_what_was_begun_and_failed_leaves_nothing_and_spoils_nothing(tmp_path: Path) -> None:
    place = tmp_path / "a.zip"
    place.write_text("before")

    def interrupted() -> None:
        with Archive(place, "a") as archive:
            archive.text("x.txt", "a text", "x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert place.read_text() == "before"
    assert [*tmp_path.iterdir()] == [place]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot write"), Archive(tmp_path / "none" / "a.zip", "a"):
        pass


def test_a_part_that_fails_is_named_and_the_next_goes_on(tmp_path: Path) -> None:
    def fails() -> None:
        raise Failure("no", code="x", cause="it was away")

    with Archive(tmp_path / "a.zip", "a") as archive:
        archive.try_part("x", fails)
        archive.try_part("y", lambda: archive.text("y", "y", "y"))

    assert archive.missing == [Missing("x", "it was away")]
    assert [*archive.parts] == ["y"]
