"""The page's files as they lie there: what a strict policy and an offline machine need of them."""

import gzip
import re
from pathlib import Path

import pytest
from orchestrator.http.api.page_routes import served_bytes

PAGE = Path(__file__).parents[2] / "http" / "dashboard"
FILES = sorted(path for path in PAGE.rglob("*") if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
STYLES = [path for path in FILES if path.suffix == ".css"]
PAGES = [path for path in FILES if path.suffix == ".html"]
KINDS = {".html", ".js", ".css", ".svg", ".webmanifest"}


def named(path: Path) -> str:
    return str(path.relative_to(PAGE))


def test_every_file_of_the_page_is_of_a_kind_that_the_server_knows() -> None:
    assert {path.suffix for path in FILES} <= KINDS


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_pages_have_no_inline_script_or_style(page: Path) -> None:
    text = page.read_text()

    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_pages_name_only_files_that_exist(page: Path) -> None:
    named_files = re.findall(r'(?:href|src)="dashboard/([^"]+)"', page.read_text())

    assert named_files
    assert [name for name in named_files if not (PAGE / name).is_file()] == []


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_file_asks_another_host(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")

    assert not re.search(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", text.replace("// ", ""))


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_no_script_turns_text_into_markup_or_code(path: Path) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"

    assert not re.search(forbidden, path.read_text())


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_imports_of_scripts_exist_and_are_relative(path: Path) -> None:
    imported = re.findall(r'^(?:import|export)[^"]*?from "([^"]+)"', path.read_text(), re.MULTILINE)

    assert all(name.startswith(("./", "../")) for name in imported)
    assert [name for name in imported if not (path.parent / name).is_file()] == []


@pytest.mark.parametrize("path", SCRIPTS + STYLES, ids=named)
def test_modules_of_the_page_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250


def test_the_page_is_small_over_the_wire() -> None:
    page = [path for path in FILES if "reference" not in path.parts]

    assert sum(len(gzip.compress(served_bytes(path))) for path in page) <= 90 * 1024


def test_the_first_answer_is_small_over_the_wire() -> None:
    assert len(gzip.compress(served_bytes(PAGE / "index.html"))) < 15 * 1000


@pytest.mark.parametrize("path", SCRIPTS + STYLES, ids=named)
def test_files_are_served_with_their_line_numbers(path: Path) -> None:
    served = served_bytes(path).decode().split("\n")
    lines = path.read_text().split("\n")

    assert len(served) == len(lines)
    left_out = [
        line.strip()
        for line, sent in zip(lines, served, strict=True)
        if sent not in (line, line.lstrip(" ")) and sent.replace(" ", "") != line.replace(" ", "")
    ]
    assert all(line.startswith(("//", "/*", "*")) or line.endswith("*/") for line in left_out)


@pytest.mark.parametrize("path", STYLES, ids=named)
def test_colours_stand_in_the_tokens_only(path: Path) -> None:
    if path.name == "tokens.css":
        return
    colours = re.findall(r"#[0-9a-fA-F]{3,8}\b|\brgb\(", path.read_text())

    assert set(colours) <= {"#fff"}, "white on a solid state colour is the one exception"


def test_every_token_that_is_used_is_defined() -> None:
    text = "".join(path.read_text() for path in STYLES)
    defined = set(re.findall(r"(--[\w-]+)\s*:", text))

    assert set(re.findall(r"var\((--[\w-]+)", text)) <= defined
