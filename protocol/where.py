"""The filter language: ``where`` in REST, the feeds and the command line.

    where    = term , { "and" , term } ;
    term     = field , operator , literal ;
    field    = "topic" | "source" | "severity" | "trace" | "data" , { "." , key } ;
    key      = name | string ;
    name     = ( letter | digit | "_" ) , { letter | digit | "_" | "-" } ;
    operator = "==" | "!=" | "<" | "<=" | ">" | ">=" ;
    literal  = string | number | "true" | "false" | "null" ;

Strings and numbers are JSON's; a string in single quotes is taken as it stands. ``data`` is the
payload (``payload`` is another word for it). A field that is not there, or is of another kind than
the literal, compares false, whatever the operator. ``!= null`` asks whether a field is there.

A filter is compiled once; a test costs its terms, of which there are at most `MAX_TERMS`, each at
most `MAX_DEPTH` look-ups and one comparison. Nothing goes back, repeats or calls (ADR 13).
"""

import json
import math
import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn

from .causes import is_of_chain
from .patterns import checked, compiled

MAX_CHARS: Final = 1_000
"""Of one filter."""
MAX_TERMS: Final = 16
MAX_DEPTH: Final = 8
"""Keys of one path."""

SEVERITIES: Final = ("info", "warning", "critical")
"""In order; what an event's is, `severity_of` says."""

_CAUSES: Final = ("correlation_id", "id", "boot", "seq")
_WARNINGS: Final = ("bus.", "risk.")
_ORDERED: Final = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_EQUAL: Final = {"==": operator.eq, "!=": operator.ne}
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*"|'[^']*')
      | (?P<operator>[=!<>]=|[<>])
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w-]))
      | (?P<word>\w[\w-]*)
      | (?P<dot>\.)
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_WORDS: Final = {"true": True, "false": False, "null": None}
MISSING: Final = object()


class BadWhere(ValueError):
    """The text is no filter; says where and what was expected."""


def _read_all(item: Any) -> Any:
    """JSON as the standard library reads it: all at once."""
    return json.loads(item) if isinstance(item, bytes) else item


class Subject:
    """An event, as filters see it. Of its payload each field is read once, when it is asked for.

    Args:
        event_type: Its type.
        source: Who sent it, if known.
        payload: JSON.
        read: Reads a value of JSON, an object at least so far that its fields can be read by
            ``read`` in turn; raises ``ValueError``.
    """

    __slots__ = ("_payload", "_read", "_seen", "source", "type")

    def __init__(
        self,
        event_type: str,
        source: str | None,
        payload: bytes,
        read: Callable[[Any], Any] = _read_all,
    ) -> None:
        self.type = event_type
        self.source = source
        self._payload = payload
        self._read = read
        self._seen: dict[tuple[str, ...], Any] = {}

    def value(self, path: tuple[str, ...]) -> Any:
        """The value at a path of keys; `MISSING` if there is none, or it cannot be read."""
        if path not in self._seen:
            self._seen[path] = self._value(path)
        return self._seen[path]

    def _value(self, path: tuple[str, ...]) -> Any:
        item: Any = self._payload
        if path:
            parent = self.value(path[:-1])
            if not isinstance(parent, dict) or path[-1] not in parent:
                return MISSING
            item = parent[path[-1]]
        try:
            return self._read(item)
        except (ValueError, RecursionError):
            return MISSING

    @property
    def channel(self) -> str:
        """The type, or ``heartbeat.<source>``."""
        is_beat = self.type == "heartbeat" and self.source
        return f"heartbeat.{self.source}" if is_beat else self.type


Test = Callable[[Subject], bool]


class Where:
    """A compiled filter.

    Args:
        text: As it was written.
        tests: All of which must hold; those that need no payload come first.
    """

    def __init__(self, text: str, tests: tuple[Test, ...]) -> None:
        self.text = text
        self.terms = len(tests)
        """How many comparisons it is."""
        self._tests = tests

    def __call__(self, subject: Subject) -> bool:
        """Whether the event is wanted."""
        return all(test(subject) for test in self._tests)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int
    begins_after_space: bool


@lru_cache(maxsize=256)
def where(text: str) -> Where:
    """Compile a filter; the same text again costs nothing.

    Raises:
        BadWhere: It is none, or is over a bound.
    """
    if len(text) > MAX_CHARS:
        raise BadWhere(f"a filter has at most {MAX_CHARS} characters")
    tests = _Parser(text).terms()
    if len(tests) > MAX_TERMS:
        raise BadWhere(f"a filter has at most {MAX_TERMS} comparisons")
    in_order = sorted(tests, key=lambda one: one[0])
    return Where(text, tuple(test for _, test in in_order))


def term(field: str, sign: str, value: str | float | None) -> str:
    """One comparison as text; ``and`` joins several."""
    return f"{field} {sign} {json.dumps(value)}"


def severity_of(subject: Subject) -> str:
    """One of `SEVERITIES`; the page's rule is the same (``http/dashboard/preview.js``)."""
    event_type = subject.type
    if event_type == "risk.killswitch":
        return "warning" if subject.value(("enabled",)) is False else "critical"
    if event_type == "agent.error":
        return "critical"
    is_warning = event_type in ("agent.offline", "runtime.actor_restarted")
    return "warning" if is_warning or event_type.startswith(_WARNINGS) else "info"


class _Parser:
    """Recursive descent without recursion: one loop over the words."""

    def __init__(self, text: str) -> None:
        self._words = _tokens(text)
        self._next = next(self._words)

    def terms(self) -> list[tuple[bool, Test]]:
        """Each with whether it needs the payload."""
        found = [self._term()]
        while self._next.kind != "end":
            if (self._next.kind, self._next.text) != ("word", "and"):
                self._fail("`and` or the end")
            self._take()
            found.append(self._term())
        return found

    def _term(self) -> tuple[bool, Test]:
        name = self._take()
        if name.kind != "word" or name.text not in _FIELDS:
            self._fail(f"{', '.join(_FIELDS)} or data.KEY", name)
        path = self._path() if name.text in ("data", "payload") else ()
        sign = self._take()
        if sign.kind != "operator":
            self._fail("one of == != < <= > >=", sign)
        place = self._next
        value = self._literal()
        try:
            return name.text not in ("topic", "source"), _FIELDS[name.text](path, sign.text, value)
        except ValueError as error:
            raise BadWhere(f"{error} (character {place.at + 1})") from None

    def _path(self) -> tuple[str, ...]:
        keys: list[str] = []
        while self._next.kind == "dot":
            dot = self._take()
            keys += self._keys_of(self._take())
            if len(keys) > MAX_DEPTH:
                raise BadWhere(f"a path has at most {MAX_DEPTH} keys (character {dot.at + 1})")
        return tuple(keys)

    def _keys_of(self, word: _Token) -> list[str]:
        """One key; ``1.2`` after a dot was read as a number and is two."""
        if word.begins_after_space or word.kind not in ("word", "number", "string"):
            self._fail("a key", word)
        if word.kind == "string":
            return [_string(word)]
        keys = word.text.split(".")
        if not all(re.fullmatch(r"\w[\w-]*", key, re.ASCII) for key in keys):
            self._fail("a key", word)
        return keys

    def _literal(self) -> Any:
        word = self._take()
        if word.kind == "string":
            return _string(word)
        if word.kind == "number" and _NUMBER.fullmatch(word.text):
            return _number(word)
        if word.kind != "word" or word.text not in _WORDS:
            self._fail('a "text", a number, true, false or null', word)
        return _WORDS[word.text]

    def _take(self) -> _Token:
        taken = self._next
        if taken.kind != "end":
            self._next = next(self._words)
        return taken

    def _fail(self, expected: str, word: _Token | None = None) -> NoReturn:
        found = word or self._next
        met = "the end" if found.kind == "end" else repr(found.text[:40])
        raise BadWhere(f"expected {expected}, not {met} (character {found.at + 1})")


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while True:
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            rest = text[at:].lstrip()
            raise BadWhere(f"cannot read {rest[:20]!r} (character {len(text) - len(rest) + 1})")
        kind = found.lastgroup
        begin = found.start(kind)
        yield _Token(kind, found[kind], begin, begin > at)
        at = found.end()


def _string(word: _Token) -> str:
    if word.text.startswith("'"):
        return word.text[1:-1]
    try:
        return str(json.loads(word.text))
    except ValueError:
        raise BadWhere(f"no JSON string: {word.text[:40]} (character {word.at + 1})") from None


def _number(word: _Token) -> float:
    value: float = json.loads(word.text)
    if isinstance(value, float) and not math.isfinite(value):
        raise BadWhere(f"out of range: {word.text[:40]} (character {word.at + 1})")
    return value


# -- the fields ----------------------------------------------------------------------------------


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_data(path: tuple[str, ...], sign: str, literal: Any) -> Test:
    fits = _comparison(sign, literal)

    def test(subject: Subject) -> bool:
        value = subject.value(path)
        return value is not MISSING and fits(value)

    return test


def _comparison(sign: str, literal: Any) -> Callable[[Any], bool]:
    if literal is None or isinstance(literal, bool):
        if sign not in _EQUAL:
            raise ValueError(f"{json.dumps(literal)} is compared with == or != only")
        if literal is None:
            return lambda value: (value is None) is (sign == "==")
        return lambda value: isinstance(value, bool) and (value is literal) is (sign == "==")
    compare = _EQUAL.get(sign) or _ORDERED[sign]
    if isinstance(literal, str):
        return lambda value: isinstance(value, str) and compare(value, literal)
    return lambda value: _is_number(value) and compare(value, literal)


def _text_needed(field: str, sign: str, literal: Any) -> str:
    if sign not in _EQUAL or not isinstance(literal, str):
        raise ValueError(f'{field} is compared with == or != and a "text"')
    return literal


def _of_topic(_: tuple[str, ...], sign: str, literal: Any) -> Test:
    fits, wanted = compiled(checked(_text_needed("topic", sign, literal))), sign == "=="
    return lambda subject: (fits(subject.type) or fits(subject.channel)) is wanted


def _of_source(_: tuple[str, ...], sign: str, literal: Any) -> Test:
    fits, wanted = compiled(checked(_text_needed("source", sign, literal))), sign == "=="
    return lambda subject: subject.source is not None and fits(subject.source) is wanted


def _of_severity(_: tuple[str, ...], sign: str, literal: Any) -> Test:
    if literal not in SEVERITIES:
        raise ValueError(f"severity is compared with {', '.join(map(json.dumps, SEVERITIES))}")
    compare, rank = _EQUAL.get(sign) or _ORDERED[sign], SEVERITIES.index(literal)
    return lambda subject: bool(compare(SEVERITIES.index(severity_of(subject)), rank))


def _of_trace(_: tuple[str, ...], sign: str, literal: Any) -> Test:
    chain, wanted = _text_needed("trace", sign, literal), sign == "=="

    def test(subject: Subject) -> bool:
        if not isinstance(subject.value(()), dict):
            return False
        given = {name: subject.value((name,)) for name in _CAUSES}
        return is_of_chain(given, subject.source, subject.type, chain=chain) is wanted

    return test


_FIELDS: Final[dict[str, Callable[[tuple[str, ...], str, Any], Test]]] = {
    "topic": _of_topic,
    "source": _of_source,
    "severity": _of_severity,
    "trace": _of_trace,
    "data": _of_data,
    "payload": _of_data,
}
