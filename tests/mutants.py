"""``make mutants``: does a module's own test file notice when one of its rules is turned round?

A mutant is a module with one comparison, ``and``/``or``, ``not`` or ``+``/``-`` changed. Each runs
against the test file that mirrors the module, and against nothing else; what that file
does not notice is printed. The tree is not touched: the changed module is compiled from memory, by
the finder below, in a child of this process that runs its tests.
"""

import argparse
import ast
import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from gevent import monkey

_TESTS = importlib.import_module(f"{__package__ or ''}.test_modules".lstrip("."))
_fork, _waitpid = monkey.get_original("os", ["fork", "waitpid"])
_sleep = monkey.get_original("time", "sleep")

ROOT = Path(__file__).resolve().parents[1]
NOTICED = 0.95
"""The share of a module's mutants that its test file has to notice."""

SHARED = ("hypothesis", "msgspec", "psutil", "psycopg", "pydantic", "redis", "structlog")
"""What tests import of others; nothing of the package: it may import the mutant."""

MODULES = (
    "actors/broadcaster/send_buffer.py",
    "actors/event_persister/backlog.py",
    "actors/event_persister/reconciliation.py",
    "actors/event_persister/sequence_gaps.py",
    "actors/fields.py",
    "actors/heartbeat_monitor/agent_table.py",
    "actors/journal/archive.py",
    "actors/journal/id_ranges.py",
    "actors/journal/inspection.py",
    "actors/journal/journal.py",
    "actors/journal/reader.py",
    "actors/journal/record_format.py",
    "actors/journal/refill.py",
    "actors/journal/rows.py",
    "actors/journal/segment_writer.py",
    "actors/journal/stream_offset.py",
    "actors/journal/survey.py",
    "actors/payloads.py",
    "actors/recent_events.py",
    "actors/redis_listener/stream_cursor.py",
    "actors/sources.py",
    "actors/state_keeper/regime.py",
    "agents/gate.py",
    "agents/pace.py",
    "agents/routing.py",
    "http/api/event_pages.py",
    "http/etag.py",
    "http/origins.py",
    "http/rate_limit.py",
    "http/stream/frame_reader.py",
    "killswitch/answers.py",
    "killswitch/foreign.py",
    "killswitch/intake.py",
    "killswitch/latch.py",
    "killswitch/receipts.py",
    "killswitch/resolve.py",
    "killswitch/slots.py",
    "protocol/heartbeat.py",
    "protocol/patterns.py",
    "protocol/permit.py",
    "protocol/trips.py",
    "protocol/ulid.py",
    "runtime/mailbox.py",
    "runtime/policy.py",
    "sql/events/event_filter.py",
    "sql/events/page_search.py",
)

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


class _Turn(ast.NodeTransformer):
    """Turns the place of one number round; counts them all."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.count = 0
        self.line = 0
        self.change = ""

    def _here(self, node: ast.expr) -> bool:
        self.count += 1
        if self.count - 1 == self._number:
            self.line, self.change = node.lineno, ast.unparse(node)
            return True
        return False

    def _turned(self, node: ast.expr) -> ast.expr:
        self.change += f"  ->  {ast.unparse(node)}"
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """Each comparison of a chain is one place."""
        self.generic_visit(node)
        for at, operator in enumerate(node.ops):
            if self._here(node):
                node.ops[at] = _COMPARISONS[type(operator)]()
                self._turned(node)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """``and`` and ``or``."""
        self.generic_visit(node)
        if self._here(node):
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            self._turned(node)
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """``not``, left out."""
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and self._here(node):
            return self._turned(node.operand)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Plus and minus."""
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Sub) and self._here(node):
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            self._turned(node)
        return node


def count(source: str) -> int:
    """How many mutants there are of a module."""
    turn = _Turn(-1)
    turn.visit(ast.parse(source))
    return turn.count


def mutant(source: str, number: int) -> tuple[ast.Module, str]:
    """One of them, and what it changes: its line, before and after."""
    turn = _Turn(number)
    tree = ast.fix_missing_locations(turn.visit(ast.parse(source)))
    return tree, f"{turn.line}: {turn.change}"


class _Loader(SourceFileLoader):
    def get_code(self, _: str) -> CodeType:
        source = Path(self.path).read_text()
        number = int(os.environ["MUTANT"].rpartition(":")[2])
        return compile(mutant(source, number)[0], self.path, "exec")


class _Finder(MetaPathFinder):
    """Finds the module of ``MUTANT``, and no other."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 the protocol's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        changed = ROOT / os.environ["MUTANT"].rpartition(":")[0]
        if fullname != name_of(changed):
            return None
        return spec_from_file_location(fullname, changed, loader=_Loader(fullname, str(changed)))


def name_of(path: Path) -> str:
    """``orchestrator.protocol.patterns``; the root of the tree is the package."""
    return ".".join(("orchestrator", *path.relative_to(ROOT).with_suffix("").parts))


def test_file(module: str) -> Path:
    """The test file that mirrors a module, or covers it where none does."""
    path = Path(module)
    return Path(_TESTS.COVERED_BY.get(module, Path("tests") / path.with_name(f"test_{path.name}")))


def survivors(module: str, jobs: int) -> Iterator[str]:
    """Run all mutants of a module; those that its test file does not notice."""
    source = (ROOT / module).read_text()
    began = time.monotonic()
    if not _passes(_begun(module, None), None):
        raise SystemExit(f"{test_file(module)} fails without a mutant")
    limit_s = 10 + 10 * (time.monotonic() - began)
    waiting = list(range(count(source)))
    running: dict[int, int] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            number = waiting.pop(0)
            running[number] = _begun(module, number)
        number = next(iter(running))
        if _passes(running.pop(number), limit_s):
            yield mutant(source, number)[1]


def _begun(module: str, number: int | None) -> int:
    """Run the tests of a module in a child of this process; its id.

    A child has what all tests import, which takes longer than most of them to load.
    """
    child = _fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(1, 2)
        os.chdir(ROOT)
        if number is not None:
            os.environ["MUTANT"] = f"{module}:{number}"
            sys.meta_path.insert(0, _Finder())
        plugins = ("-p", "pytest_timeout", "-p", "no:cacheprovider")
        code = int(pytest.main([*plugins, "-x", "-q", str(test_file(module))]))
    except BaseException:  # noqa: BLE001 the child's border
        code = 1
    os._exit(code)


def _passes(child: int, limit_s: float | None) -> bool:
    """Whether the tests pass; a mutant that runs for ever is noticed."""
    until = None if limit_s is None else time.monotonic() + limit_s
    while True:
        ended, status = _waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        if until is not None and time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            _waitpid(child, 0)
            return False
        _sleep(0.02)


def main() -> int:
    """Run the mutants of the modules that are named, or of all; 1 if one has too many left."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS=…", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="PATH", help="a module; none: all")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="so many at once")
    options = parser.parse_args()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    monkey.patch_all()
    for name in SHARED:
        importlib.import_module(name)
    status = 0
    for module in options.modules or MODULES:
        all_of_them = count((ROOT / module).read_text())
        left = 0
        for change in survivors(module, options.jobs):
            left += 1
            print(f"    {module}:{change}", flush=True)
        share = (all_of_them - left) / all_of_them if all_of_them else 1.0
        status |= share < NOTICED
        print(f"{share:7.1%}  {all_of_them - left} of {all_of_them}  {module}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
