from pathlib import Path

import pytest
from orchestrator.cli.errors import BadUsage, Failure
from orchestrator.cli.offline.checkpoint import Checkpoint, load_checkpoint


def test_what_was_noted_is_found_again(tmp_path: Path) -> None:
    checkpoint = Checkpoint(
        tmp_path / "x.state", {"to": "replay.a"}, "2026-01-31T00:00:00.000Z", None
    )
    checkpoint.last_id, checkpoint.up_to, checkpoint.done, checkpoint.at = 7, 9, 5, {"bytes": 100}
    checkpoint.save()

    assert load_checkpoint(checkpoint.path, {"to": "replay.a"}) == checkpoint


def test_other_words_are_another_work(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "x", {"to": "replay.a"}).save()

    with pytest.raises(BadUsage, match="another to"):
        load_checkpoint(tmp_path / "x", {"to": "replay.b"})


def test_nothing_to_go_on_with_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        load_checkpoint(tmp_path / "x", {})

    assert caught.value.code == "nothing_to_resume"


def test_a_file_that_is_no_bookmark_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}")

    with pytest.raises(Failure, match="cannot read"):
        load_checkpoint(tmp_path / "x", {})
