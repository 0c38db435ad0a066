"""The documentation as a site, and the list of dependencies, as `make` makes them."""

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]

ROOT = Path(__file__).parents[2]


class Ids(HTMLParser):
    """All ids of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 as it is called
        self.found |= {value for name, value in attrs if name == "id" and value}


def make(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def mkdocs(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("mkdocs")
    return subprocess.run(
        [str(program), "build", "--strict"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_docs_builds_every_page_and_every_runbooks_anchor(tmp_path: Path) -> None:
    done = make("docs", f"SITE={tmp_path}")

    assert done.returncode == 0, done.stdout + done.stderr
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]
    built = {page: tmp_path / page.with_suffix("") / "index.html" for page in pages}
    built[Path("index.md")] = tmp_path / "index.html"
    assert [page for page, html in built.items() if not html.exists()] == []
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    anchors = {line.rsplit("#", 1)[1] for line in alerts.splitlines() if "runbook_url:" in line}
    assert anchors <= Ids(built[Path("alerts.md")]).found
    assert not [page for page in tmp_path.rglob("*.html") if "fonts.googleapis" in page.read_text()]


@pytest.mark.parametrize(
    "broken", ["[x](nowhere.md)", "[x](index.md#nothing)", "[x](../nothing.py)"]
)
def test_a_broken_link_fails_the_build(tmp_path: Path, broken: str) -> None:
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for folder in ("agents", "examples", "deploy"):  # what pages link to
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("node_modules")
        )
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    with (tmp_path / "docs" / "index.md").open("a") as page:
        page.write(f"\n{broken}\n")

    done = mkdocs(tmp_path)

    assert done.returncode != 0
    assert "Aborted" in done.stdout + done.stderr


def test_make_sbom_lists_what_is_installed(tmp_path: Path) -> None:
    out = tmp_path / "sbom.json"

    done = make("sbom", f"SBOM={out}", f"SBOM_PYTHON={sys.executable}")

    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(out.read_text())
    assert document["bomFormat"] == "CycloneDX"
    versions = {part["name"].lower(): part["version"] for part in document["components"]}
    assert {"pykka", "gevent", "redis", "psycopg", "click"} <= versions.keys()
