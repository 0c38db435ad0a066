"""Patterns of names (contract): ``*`` is any run of characters, nothing else is special.

A pattern comes from clients, a name from anyone on the bus: matching never goes back, so its cost
is at most the length of the pattern times that of the name. ``http/dashboard/filter.js`` has the
same for the page.
"""

from collections.abc import Callable, Iterable
from typing import Final

MAX_STARS: Final = 16
"""In one pattern from outside. No name has as many parts that differ."""
FEW_STARS: Final = rf"^[^*]*(\*[^*]*){{0,{MAX_STARS}}}$"
"""The bound as a regular expression, for schemas: a star begins each turn, so none goes back."""

# Names on a bus repeat; a hostile publisher that makes up new ones must not fill memory.
_CACHE_LIMIT: Final = 10_000

Test = Callable[[str], bool]
"""Whether a name as a whole matches."""


def checked(pattern: str) -> str:
    """``pattern``, if it has not too many stars.

    Raises:
        ValueError: It has more than ``MAX_STARS``.
    """
    if pattern.count("*") > MAX_STARS:
        raise ValueError(f"a pattern has at most {MAX_STARS} stars (*)")
    return pattern


def matches(pattern: str, name: str) -> bool:
    """Whether ``name`` as a whole matches ``pattern``."""
    return compiled(pattern)(name)


def compiled(pattern: str) -> Test:
    """``pattern`` as a test, for those that ask more than once."""
    head, *others = pattern.split("*")
    if not others:
        return lambda name: name == pattern
    *middle, tail = others
    parts = tuple(filter(None, middle))
    if parts:
        return _test_in_order(head, parts, tail)
    if tail:
        shortest = len(head) + len(tail)
        return lambda name: name.startswith(head) and name.endswith(tail) and len(name) >= shortest
    return lambda name: name.startswith(head)


def _test_in_order(head: str, parts: tuple[str, ...], tail: str) -> Test:
    """Each part where it first comes after those before it: no later place leaves more room."""
    begin, tail_length = len(head), len(tail)

    def test(name: str) -> bool:
        if not (name.startswith(head) and name.endswith(tail)):
            return False
        at, end = begin, len(name) - tail_length
        for part in parts:
            found = name.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return test


class TypeMatcher:
    """Whether a name matches any of some patterns, remembered for names seen before."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self._tests = [(pattern, compiled(pattern)) for pattern in self.patterns]
        self._first: dict[str, str | None] = {}

    def __call__(self, name: str) -> bool:
        """Whether any pattern matches ``name``."""
        return self.first(name) is not None

    def first(self, name: str) -> str | None:
        """The first of the patterns that matches ``name``, or ``None``."""
        try:
            return self._first[name]
        except KeyError:
            return self._remember(name)

    def _remember(self, name: str) -> str | None:
        if len(self._first) >= _CACHE_LIMIT:
            self._first.clear()
        found = next((pattern for pattern, test in self._tests if test(name)), None)
        self._first[name] = found
        return found
