"""A project for a new agent, made of the files in ``agents/templates``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..errors import BadUsage, Failure

TEMPLATES: Final = Path(__file__).parents[2] / "agents" / "templates"
"""A folder for each language."""
LANGUAGES: Final = ("python", "node")
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME: Final = 60
_MARK: Final = re.compile(r"@([A-Z]+)@")
_TAKEN: Final = ("orchestrator", "test", "agent", "pytest", "redis", "msgspec")
"""Modules that a module of the project would hide."""


def names_of(name: str, folder: Path, group: str) -> dict[str, str]:
    """What the files say, by mark.

    Raises:
        BadUsage: it cannot be an agent's id and a module's name at once.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME or name in _TAKEN:
        raise BadUsage(
            f"{name!r} cannot be the name of a project",
            cause="it becomes the agent's id and a module",
            advice="such as momentum-1: a letter, then letters, digits and single hyphens",
        )
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", group):
        raise BadUsage(f"{group!r} cannot be a group", advice="such as signals")
    words = name.split("-")
    return {
        "ID": name,
        "TITLE": " ".join(word.capitalize() for word in words),
        "CLASS": "".join(word.capitalize() for word in words),
        "MODULE": name.replace("-", "_"),
        "GROUP": group,
        "FOLDER": str(folder.resolve()),
    }


def write_project(folder: Path, language: str, names: Mapping[str, str]) -> list[Path]:
    """Write the files; returns their paths within the folder.

    Raises:
        Failure: the folder has something in it, or cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise Failure(
                f"{folder} is not empty",
                code="exists",
                cause="a project is only written where nothing is",
                advice="choose another name, or another folder with --into",
            )
        folder.mkdir(parents=True, exist_ok=True)
        return [
            _write(source, folder, language, names)
            for source in sorted((TEMPLATES / language).iterdir())
        ]
    except OSError as error:
        raise Failure("cannot write the project", code="not_written", cause=str(error)) from error


def _write(source: Path, folder: Path, language: str, names: Mapping[str, str]) -> Path:
    name, text = source.name, source.read_text("utf-8")
    if source.suffix == ".in":
        name = source.stem
        text = _MARK.sub(lambda mark: names[mark[1]], text)
    if language == "python" and name.endswith("agent.py"):
        name = name.replace("agent", names["MODULE"])
    (folder / name).write_text(text, "utf-8")
    return Path(name)
