"""Reading requests: query, path and body, checked against msgspec types; errors name the field."""

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from ..actors.fields import FieldReader
from ..runtime import deadline
from .body_room import BODIES, PIECE_BYTES
from .errors import BadRequest, BodyTooLarge, NotJson, TooSlow
from .validation_messages import A_TIME, explain

Environ = Mapping[str, Any]
T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

BODY_TIMEOUT_S: Final = 10.0
BODY_READ: Final = "orchestrator.body_read"
"""The key in WSGI's environment of a function, called once the body is complete."""
MAX_LOADED_CHARS: Final = 64 * 1024
"""Of a lenient body; loading one of this size takes 20 ms in the worst case."""
MAX_QUERY_FIELDS: Final = 100
"""Of a query string, unknown ones included."""
_NOT_STRICT: Final = (
    ("\\ud", "\\uf"),
    ("\\uD", "\\uF"),
    ("-Infinity", "0"),
    ("Infinity", "0"),
    ("NaN", "0"),
)
# What others use as ids of requests: UUIDs, ULIDs, traces. It goes into logs and headers.
_SANE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WHOLE: Final = re.compile(r"-?[0-9]{1,30}", re.ASCII)
_NO_NUMBER: Final = "no number"
_ABSENT: Final = frozenset({"", "undefined", "null"})
# What clients add so that no cache answers.
_IGNORED: Final = frozenset({"_", "_t", "t", "cb", "nocache"})


class Call(msgspec.Struct, frozen=True):
    """A request to a route, parsed and validated."""

    environ: Environ
    """WSGI's environment."""
    request_id: str
    """The caller's, or ours."""
    path: Mapping[str, Any]
    """The values in the path."""
    query: Any
    """An instance of the route's query type."""
    body: Any
    """An instance of the route's body type."""


def request_id_of(environ: Environ) -> str:
    """The caller's ``X-Request-ID`` if it is well-formed, else a new one."""
    return sane_id(environ) or uuid.uuid4().hex


def sane_id(environ: Environ) -> str | None:
    """The caller's ``X-Request-ID`` if it is well-formed."""
    return _well_formed(_SANE_ID, environ.get("HTTP_X_REQUEST_ID"))


def traceparent_of(environ: Environ) -> str | None:
    """The caller's ``traceparent`` if it is well-formed (W3C Trace Context, part 3.2)."""
    return _well_formed(_TRACEPARENT, environ.get("HTTP_TRACEPARENT"))


def _well_formed(pattern: re.Pattern[str], given: object) -> str | None:
    return given if isinstance(given, str) and pattern.fullmatch(given) else None


def read_query(environ: Environ, wanted: type[S]) -> S:
    """The query string as a ``wanted`` (a Struct).

    Empty values, ``undefined`` and ``null`` are as if they were not given: that is how JavaScript
    writes a variable without a value. Unknown fields are ignored, but where the Struct forbids
    them: a caller whose filter is ignored gets too much. A field that is a tuple may repeat (as
    ``name[]``, too), all others may be given once. A day (``2026-01-31``) means its beginning in
    UTC.

    Raises:
        BadRequest: A value does not fit; says which field.
    """
    text = str(environ.get("QUERY_STRING", ""))
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS
        )
    except ValueError:
        raise BadRequest("The query string is not valid.") from None
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(wanted)}
    values: dict[str, Any] = {}
    for given, value in pairs:
        name = given.removesuffix("[]") if _may_repeat(fields.get(given[:-2])) else given
        if name not in fields:
            _check_unknown(name, wanted, fields)
        elif value in _ABSENT:
            continue
        elif _may_repeat(fields[name]):
            values.setdefault(name, []).append(_checked(name, value, {str}))
        elif name in values:
            raise BadRequest(f"{name}: given more than once.")
        else:
            values[name] = _checked(name, value, _kinds(fields[name]))
    return convert(values, wanted)


def read_value(text: str, wanted: Any, name: str) -> Any:
    """The single value ``text`` as a ``wanted``, read as one in a query is.

    Raises:
        BadRequest: It does not fit; says ``name``.
    """
    return convert(_checked(name, text, _kinds(wanted)), wanted, name)


def _check_unknown(name: str, wanted: type[msgspec.Struct], known: Iterable[str]) -> None:
    if wanted.__struct_config__.forbid_unknown_fields and name not in _IGNORED:
        raise BadRequest(f"{name}: there is no such parameter; there are {', '.join(known)}.")


def _checked(name: str, value: str, kinds: set[Any]) -> str:
    """``value``, unless lax conversion would change its meaning.

    It takes ``1e1`` for a whole number, ``NULL`` for no value, a number for a time.
    """
    if "\0" in value:
        raise BadRequest(f"{name}: must not hold NUL.")
    if str in kinds:
        return value
    if int in kinds:
        return value if _WHOLE.fullmatch(value) else _NO_NUMBER
    if value.lower() == "null":
        raise BadRequest(f"{name}: null is no value; leave it out.")
    if datetime in kinds and not _DATE.match(value):
        raise BadRequest(f"{name}: {A_TIME}.")
    return f"{value}T00:00:00Z" if datetime in kinds and _DATE.fullmatch(value) else value


def _kinds(annotation: Any) -> set[Any]:
    """The types in ``annotation``, without ``Annotated`` and unions around them."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return set().union(*map(_kinds, get_args(annotation)))
    return {annotation}


def _may_repeat(annotation: Any) -> bool:
    return any(get_origin(kind) is tuple for kind in _kinds(annotation))


def convert(values: Any, wanted: type[T], name: str = "") -> T:
    """``values`` (strings) as a ``wanted``; ``name`` is the field's if it is a single value.

    Raises:
        BadRequest: A value does not fit; says which.
    """
    try:
        return msgspec.convert(values, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(explain(error, wanted, name)) from None


def read_body(
    environ: Environ, wanted: type[T] | None, limit_bytes: int, timeout_s: float = BODY_TIMEOUT_S
) -> T | None:
    """The JSON body as a ``wanted``; ``None`` if the route takes no body (it is read all the same).

    Raises:
        NotJson: Its content type is another.
        BodyTooLarge: It is over the limit; no more of it was read.
        TooSlow: It did not arrive within ``timeout_s``.
        BadRequest: It does not fit; says which field.
    """
    check_content_type(environ)
    body = _read(environ, limit_bytes, timeout_s)
    if wanted is None:
        return None
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.ValidationError as error:
        raise BadRequest(explain(error, wanted)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("The body is not JSON.") from None


def read_lenient_body(
    environ: Environ, wanted: type[T] | None, limit_bytes: int, timeout_s: float = BODY_TIMEOUT_S
) -> T | None:
    """As `read_body`, for a call that is not refused for its form: the stop.

    Without an ``Origin`` no ``Content-Type`` is asked for (no browser sends that from elsewhere);
    bytes that are not UTF-8 are replaced.

    Raises:
        ApiError: as `read_body`.
    """
    if environ.get("HTTP_ORIGIN") is not None:
        check_content_type(environ)
    text = _read(environ, limit_bytes, timeout_s).decode("utf-8-sig", errors="replace")
    if wanted is None:
        return None
    try:
        if len(text) > MAX_LOADED_CHARS:
            return msgspec.convert(_passed_over(text, wanted), wanted)
        # Digits that int() refuses are in fields that are ignored.
        return msgspec.convert(json.loads(text, parse_int=float), wanted)
    except msgspec.ValidationError as error:
        raise BadRequest(explain(error, wanted)) from None
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON.") from None


def _passed_over(text: str, wanted: type[T]) -> dict[str, Any]:
    """The fields that are texts or numbers: to make lists of a megabyte holds the loop for long.

    What only `json.loads` takes is replaced, wherever it stands: halves of surrogate pairs, `NaN`.
    """
    reader = _reader_of(wanted)  # type: ignore[arg-type] # types are hashable
    try:
        return reader.read_mapping(text.encode())
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        for given, instead in _NOT_STRICT:
            text = text.replace(given, instead)
        return reader.read_mapping(text.encode())


@cache
def _reader_of(wanted: type[Any]) -> FieldReader[Any]:
    return FieldReader(wanted)


def check_content_type(environ: Environ) -> None:
    """Accept JSON only: pages of other origins cannot send it without a preflight.

    Raises:
        NotJson: It is another type, or missing.
    """
    kind, _, parameters = str(environ.get("CONTENT_TYPE", "")).lower().partition(";")
    charset = parameters.partition("charset=")[2].strip(' "')
    if kind.strip(" \t") != "application/json" or charset not in {"", "utf-8", "utf8"}:
        raise NotJson("Send Content-Type: application/json.")


def _read(environ: Environ, limit_bytes: int, timeout_s: float) -> bytes:
    too_large = BodyTooLarge(f"The body may have {limit_bytes} bytes.")
    if int(environ.get("CONTENT_LENGTH") or 0) > limit_bytes:
        raise too_large
    if str(environ.get("HTTP_CONTENT_ENCODING") or "identity").lower() != "identity":
        raise NotJson("Send the body as it is, without Content-Encoding.")
    source = environ["wsgi.input"]
    body = bytearray()
    slow = TooSlow(f"The body did not arrive within {timeout_s:g} s.")
    try:
        with BODIES.held() as hold, deadline(timeout_s, slow):
            while piece := source.read(PIECE_BYTES):
                hold(len(piece))
                body += piece
                if len(body) > limit_bytes:
                    raise too_large
    except (OSError, ValueError):  # cut off, or malformed chunks: the next request is unknown
        close = (("Connection", "close"),)
        raise BadRequest("The body is not complete.", headers=close) from None
    environ.get(BODY_READ, _nothing)()
    return bytes(body)


def _nothing() -> None:
    """The default of ``BODY_READ``."""
