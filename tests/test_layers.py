"""Imports point one way: docs/architecture.md has the table that this test holds the code to."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = (
    "protocol",
    "runtime",
    "sql",
    "agents",
    "actors",
    "killswitch",
    "http",
    "settings",
    "daemon",
    "cli",
)

# Each of the card's actors has a folder; they know each other's messages, not each other's insides.
ACTORS = (
    "redis_listener",
    "event_persister",
    "heartbeat_monitor",
    "state_keeper",
    "broadcaster",
    "notifier",
    "span_exporter",
)

# Room → the rooms it may import from; its own always. The root is what is not a room.
MAY_IMPORT = {
    "protocol": set(),
    "runtime": {"protocol"},
    "sql": {"protocol"},
    "agents": {"protocol"},
    "actors": {"protocol", "runtime", "sql", "agents"},
    "killswitch": {"protocol", "runtime", "sql", "actors"},
    "http": {"protocol", "actors", "runtime", "sql", "killswitch"},
    "settings": {"protocol", "runtime", "sql", "agents", "actors", "killswitch", "http"},
    "daemon": {*ROOMS} - {"daemon", "cli"},
    "cli": {*ROOMS, "root"},
    "root": {*ROOMS, "root"},
}

# The kit runs where the daemon is not installed; so do the commands that talk to a daemon.
DAEMON_ONLY = {
    "bottle",
    "gevent",
    "geventwebsocket",
    "hiredis",
    "platformdirs",
    "prometheus_client",
    "psutil",
    "psycopg",
    "psycopg_pool",
    "pydantic",
    "pykka",
    "structlog",
}


def modules() -> list[Path]:
    """The package's own modules, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).exists()]
    return [path for path in found if path.parts[0] not in ("tests", "bench", "docs", "examples")]


def room_of(parts: tuple[str, ...]) -> str:
    return parts[0] if parts and parts[0] in ROOMS else "root"


def imported_names(tree: ast.AST) -> Iterator[tuple[int, int, str]]:
    """Line, level and dotted name of each import, those in functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, 0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            for alias in node.names:
                name = alias.name if not base else f"{base}.{alias.name}"
                yield node.lineno, node.level, name


def imports_of(path: Path) -> Iterator[tuple[int, tuple[str, ...] | None, str]]:
    """Line, target within the package (None if outside) and name of each import."""
    for line, level, name in imported_names(ast.parse((ROOT / path).read_text())):
        if level:
            above = path.parent.parts[: len(path.parent.parts) - (level - 1)]
            yield line, (*above, *name.split(".")), name
        elif name.split(".")[0] == "orchestrator":
            yield line, tuple(name.split(".")[1:]), name
        else:
            yield line, None, name


MODULES = modules()


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_only_from_rooms_below_its_own(path: Path) -> None:
    room = room_of(path.parts[:-1])
    allowed = MAY_IMPORT[room] | {room}

    wrong = [
        f"{path}:{line} imports {name} ({room_of(target)})"
        for line, target, name in imports_of(path)
        if target is not None and target != ("_version", "__version__")
        if room_of(target) not in allowed
    ]

    assert wrong == []


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[0] == "actors"], ids=str)
def test_an_actor_imports_no_other_actors_folder(path: Path) -> None:
    others = {*ACTORS} - {path.parts[1]} if len(path.parts) > 2 else {*ACTORS}

    wrong = [
        f"{path}:{line} imports {name}"
        for line, target, name in imports_of(path)
        if target is not None and target[0] == "actors" and len(target) > 1
        if target[1] in others
    ]

    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_within_the_package_are_relative(path: Path) -> None:
    wrong = [
        f"{path}:{line} imports {name}"
        for line, level, name in imported_names(ast.parse((ROOT / path).read_text()))
        if not level and name.split(".")[0] == "orchestrator"
    ]

    assert wrong == []


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[0] == "agents"], ids=str)
def test_the_kit_needs_nothing_that_only_the_daemon_has(path: Path) -> None:
    wrong = [
        f"{path}:{line} imports {name}"
        for line, target, name in imports_of(path)
        if target is None and name.split(".")[0] in DAEMON_ONLY
    ]

    assert wrong == []


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[0] == "protocol"], ids=str)
def test_the_protocol_needs_nothing_but_the_standard_library(path: Path) -> None:
    wrong = [
        f"{path}:{line} imports {name}"
        for line, target, name in imports_of(path)
        if target is None and name.split(".")[0] not in sys.stdlib_module_names
    ]

    assert wrong == []


# One reader a protocol: what another makes of a URL may be another server, or another password.
URL_PARSERS = re.compile(r"\b(from_url|parse_url|conninfo_to_dict)\(")
URL_READERS = {"protocol/bus_url.py", "sql/pg_url.py", "sql/connection.py"}


def test_urls_of_servers_are_parsed_by_their_readers_only() -> None:
    parsing = {str(path) for path in MODULES if URL_PARSERS.search((ROOT / path).read_text())}

    assert parsing <= URL_READERS


def test_http_has_no_init_file() -> None:
    assert not (ROOT / "http" / "__init__.py").exists()


def test_the_rooms_are_those_there_are() -> None:
    folders = {path.parts[0] for path in MODULES if len(path.parts) > 1}

    assert folders <= set(ROOMS)


# The floors of http, from the ground up: a module imports from its own floor and those below it.
HTTP_FLOORS = ("routes", "api", "docs", "stream", "app", "edge", "server")


def http_floor(parts: tuple[str, ...]) -> int:
    """The floor of a module of http; those that are not named above are the ground."""
    return HTTP_FLOORS.index(parts[0]) if parts and parts[0] in HTTP_FLOORS else 0


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[0] == "http"], ids=str)
def test_http_imports_downwards(path: Path) -> None:
    own = http_floor(path.with_suffix("").parts[1:])

    wrong = [
        f"{path}:{line} imports {name}"
        for line, target, name in imports_of(path)
        if target is not None and target[0] == "http" and http_floor(target[1:]) > own
    ]

    assert wrong == []


def test_no_modules_of_http_import_each_other_in_a_circle() -> None:
    known = {p.with_suffix("").parts: p for p in MODULES if p.parts[0] == "http"}
    needs = {
        parts: {
            found
            for _, target, _ in imports_of(path)
            if target is not None
            for found in (target, target[:-1])
            if found in known and found != parts
        }
        for parts, path in known.items()
    }

    assert list(TopologicalSorter(needs).static_order())  # raises CycleError
