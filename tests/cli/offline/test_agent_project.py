from pathlib import Path

import pytest
from orchestrator.cli.errors import BadUsage
from orchestrator.cli.offline.agent_project import LANGUAGES, TEMPLATES, names_of, write_project


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_mark_is_left_and_the_files_are_those_of_the_language(
    tmp_path: Path, language: str
) -> None:
    names = names_of("quote-watch-2", tmp_path, "signals")

    files = write_project(tmp_path / "p", language, names)

    assert len(files) == len(list((TEMPLATES / language).iterdir()))
    for file in files:
        assert not any(f"@{mark}@" in (tmp_path / "p" / file).read_text() for mark in names)
    assert (names["MODULE"], names["CLASS"]) == ("quote_watch_2", "QuoteWatch2")


def test_a_group_that_would_break_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="group"):
        names_of("a", tmp_path, 'x"; import os')
