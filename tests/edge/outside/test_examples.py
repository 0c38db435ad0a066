"""Every example of `docs/api.md`, run as it stands against a real daemon, one after the other."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from e2e.conftest import DaemonProcess

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
RUN = {
    "sh": ["bash", "-euo", "pipefail", "-c"],
    "js": ["node", "--experimental-websocket", "--no-warnings", "--input-type=module", "--eval"],
}
LIMIT_S = 60
ENOUGH = 12
"""Examples; fewer, and the page or its reading has been broken."""

pytestmark = pytest.mark.subprocess


class Example(NamedTuple):
    """A block of the page."""

    line: int
    language: str
    text: str
    answer: Any
    """What the page says it prints, if it does."""


def examples(page: str) -> Iterator[Example]:
    """The blocks that can be run, each with the JSON that follows it at once."""
    block = re.compile(r"```(sh|js)\n(.*?)```\n(?:\n```json\n(.*?)```\n)?", re.DOTALL)
    for found in block.finditer(page):
        answer = json.loads(found[3]) if found[3] else None
        yield Example(page.count("\n", 0, found.start()) + 1, found[1], found[2], answer)


def shape(said: Any, meant: Any, where: str = "") -> None:
    """Fail where `said` lacks a field of `meant`, or has it of another kind."""
    if isinstance(meant, dict):
        assert isinstance(said, dict), where
        for name, value in meant.items():
            assert name in said, f"{where}.{name}"
            shape(said[name], value, f"{where}.{name}")
    elif isinstance(meant, list):
        assert isinstance(said, list), where
        for one in said[:1] if meant else ():
            shape(one, meant[0], f"{where}[]")
    elif meant is not None and not isinstance(meant, bool | str):
        assert isinstance(said, int | float), where
    else:
        assert isinstance(said, type(meant)), where


def test_every_example_of_the_page_works(shared_daemon: DaemonProcess) -> None:
    for needed in ("bash", "curl", "node"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed (Debian: apt-get install {needed})")
    found = list(examples(PAGE.read_text()))
    environment = os.environ | {"ORCHESTRATOR_URL": shared_daemon.url}

    assert len(found) >= ENOUGH
    for example in found:
        done = subprocess.run(
            [*RUN[example.language], example.text],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"api.md:{example.line}: {done.stdout}{done.stderr}"
        if example.answer is not None:
            shape(json.loads(done.stdout), example.answer, f"api.md:{example.line} answer")


def test_each_language_that_the_page_has_is_run() -> None:
    languages = set(re.findall(r"^```(\w+)$", PAGE.read_text(), re.MULTILINE))

    assert languages == {*RUN, "json"}
