"""``make mutants``: does a module's own test file notice when one of its rules is turned round?

A mutant is a module with one comparison, ``and``/``or``, ``not`` or ``+``/``-`` changed. Each runs
against the test file that mirrors the module, and against nothing else; what that file
does not notice is printed. The tree is not touched: the changed module is compiled from memory, by
the finder below, in the pytest that runs its tests (``MUTANT=<module's path>:<number>``).
"""

import argparse
import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).resolve().parents[1]
NOTICED = 0.95
"""The share of a module's mutants that its test file has to notice."""

MODULES = (
    "actors/broadcaster/send_buffer.py",
    "actors/event_persister/backlog.py",
    "actors/event_persister/reconciliation.py",
    "actors/event_persister/sequence_gaps.py",
    "actors/heartbeat_monitor/agent_table.py",
    "actors/journal/archive.py",
    "actors/journal/id_ranges.py",
    "actors/journal/journal.py",
    "actors/journal/record_format.py",
    "actors/journal/rows.py",
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
    """The test file that mirrors a module."""
    path = Path(module)
    return Path("tests") / path.with_name(f"test_{path.name}")


def survivors(module: str, jobs: int) -> Iterator[str]:
    """Run all mutants of a module; those that its test file does not notice."""
    source = (ROOT / module).read_text()
    began = time.monotonic()
    if not _passes(module, None, None):
        raise SystemExit(f"{test_file(module)} fails without a mutant")
    limit_s = 10 + 10 * (time.monotonic() - began)
    with ThreadPoolExecutor(jobs) as pool:
        numbers = range(count(source))
        passed = pool.map(lambda number: _passes(module, number, limit_s), numbers)
        for number, unnoticed in zip(numbers, passed, strict=True):
            if unnoticed:
                yield mutant(source, number)[1]


def _passes(module: str, number: int | None, limit_s: float | None) -> bool:
    """Whether the tests of a module pass; a mutant that runs for ever is noticed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    if number is not None:
        environment["MUTANT"] = f"{module}:{number}"
    words = ["-p", "mutants", "-p", "no:cacheprovider", "-x", "-q", str(test_file(module))]
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def main() -> int:
    """Run the mutants of the modules that are named, or of all; 1 if one has too many left."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS=…", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="PATH", help="a module; none: all")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="so many at once")
    options = parser.parse_args()
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


if "MUTANT" in os.environ:
    sys.meta_path.insert(0, _Finder())

if __name__ == "__main__":
    sys.exit(main())
