"""What a page tells people to type, write or save is at least well-formed, and its commands exist.

Those of `docs/api.md`, the runtime's and agents' pages are run by tests of their own.
"""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import jsonschema_rs
import pytest
from orchestrator.cli import cli
from orchestrator.settings.schema import json_schema

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:orc|orchestrator) [^`]+)`")
ENOUGH = 40
"""Blocks; fewer, and the pages or their reading have been broken."""


class Block(NamedTuple):
    """A block of code."""

    place: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    """All blocks of all pages."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for found in BLOCK.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(f"{page.relative_to(ROOT)}:{line}", found[2], found[3])


BLOCKS = list(blocks())


def of(*languages: str) -> pytest.MarkDecorator:
    found = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", found, ids=lambda block: block.place)


def shell_of(block: Block) -> str:
    """What is typed: in a console, what stands behind the prompt."""
    if block.language != "console":
        return block.text
    lines = [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]
    return "\n".join(lines)


_CALL = re.compile(r"(?:^|[;&|(])\s*(?:\w+=\S+ )*((?:orc|orchestrator) [^\n|;&)]*)", re.MULTILINE)
_SUBSTITUTED = re.compile(r"\$\(([^()]*)\)")


def commands(text: str) -> Iterator[list[str]]:
    """Each call of ours in a shell's text, as words."""
    joined = text.replace("\\\n", " ")
    for part in (_SUBSTITUTED.sub("x", joined), *_SUBSTITUTED.findall(joined)):
        for found in _CALL.finditer(part):
            with_comment = re.split(r"\s#", found[1])[0]
            yield shlex.split(re.split(r"\s\d?>", with_comment)[0])[1:]


def fault_of(words: list[str]) -> str | None:
    """Why there is no such command or option."""
    command: click.Command = cli
    context = click.Context(cli)
    path, options = "orc", {name for one in cli.params for name in one.opts}
    for word in words:
        if word.startswith("-") and not re.fullmatch(r"-\d+", word):
            options |= {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            if word.split("=")[0] not in options | {"-h", "--help", "--"}:
                return f"{path} has no {word}"
        elif isinstance(command, click.Group) and re.fullmatch(r"[a-z]+", word):
            found = command.get_command(context, word)
            if found is None and command is cli and path == "orc" and words[0].startswith("-"):
                continue  # the value of a global option
            if found is None:
                return f"{path} has no {word}"
            command, path = found, f"{path} {word}"
    return None


def test_there_are_blocks_and_their_languages_are_known() -> None:
    known = {"", "bash", "sh", "console", "python", "js", "javascript", "toml", "json"}

    assert len(BLOCKS) >= ENOUGH
    assert {block.language for block in BLOCKS} <= known


@of("python")
def test_python_compiles(block: Block) -> None:
    compile(block.text, block.place, "exec")


@of("js", "javascript")
def test_javascript_parses(block: Block, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    file = tmp_path / ("a.cjs" if "require(" in block.text else "a.mjs")
    file.write_text(block.text)

    done = subprocess.run([node, "--check", file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@of("bash", "sh", "console")
def test_shell_parses_and_its_commands_exist(block: Block) -> None:
    text = shell_of(block)

    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert [fault for words in commands(text) if (fault := fault_of(words))] == []


@of("toml")
def test_toml_is_settings(block: Block) -> None:
    validator = jsonschema_rs.validator_for(json_schema())

    assert [str(one) for one in validator.iter_errors(tomllib.loads(block.text))] == []


@of("json")
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_text_exist(page: Path) -> None:
    named = INLINE.findall(page.read_text("utf-8"))

    faults = {text: fault_of(re.split(r"\s+", text)[1:]) for text in named if "|" not in text}
    assert {text: fault for text, fault in faults.items() if fault} == {}


def test_a_command_that_is_not_there_would_be_found() -> None:
    assert fault_of(["agent", "ls", "--grope", "x"]) == "orc agent ls has no --grope"
    assert fault_of(["agents", "ls"]) == "orc has no agents"
    assert fault_of(["agent", "lst"]) == "orc agent has no lst"
    assert fault_of(["--url", "x", "agent", "ls", "--group", "a", "-o", "name"]) is None
    calls = list(commands("A=1 orc status | cat\nx=$(orc env -o json)\necho orc no\n"))
    assert calls == [["status"], ["env", "-o", "json"]]


def slug(heading: str) -> str:
    """As the site and GitHub name a heading's anchor."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_headings_lead_there(page: Path) -> None:
    wrong = []
    for name, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text("utf-8")):
        target = page.parent / name if name else page
        if target.suffix == ".md":
            text = BLOCK.sub("", target.read_text("utf-8"))
            known = {slug(one) for one in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
            known |= set(re.findall(r'id="([^"]+)"', text))
            if anchor not in known:
                wrong.append(f"{name}#{anchor}")
    assert wrong == []
