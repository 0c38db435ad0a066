"""Validation errors in the caller's words: ``limit: must be a whole number …``.

msgspec reports types; here the field's type says what is allowed.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

A_TIME: Final = "must be a time such as 2026-01-31T09:30:00Z, or a day such as 2026-01-31"
MUST: Final = "must"
"""The key in ``Meta(extra=…)`` of the text for a pattern."""

_MISSING: Final = re.compile(r"Object missing required field `([^`]*)`(?: - at `\$\.?([^`]*)`)?")
_PLACE: Final = re.compile(r" - at `\$\.?(?P<place>[^`]*)`$")
_STEP: Final = re.compile(r"[^.\[\]]+|\[[^\]]*\]")
_LENGTH: Final = re.compile(r"Expected `(str|array|object)` of length (>=|<=) (\d+)")
_UNITS: Final = {"str": "characters", "array": "entries", "object": "entries"}
# Numbers beyond this are a type's limits, not a rule of ours.
_LARGEST: Final = 2**53


def explain(error: msgspec.ValidationError, wanted: Any, name: str = "") -> str:
    """``error`` with the field first; ``name`` is the field's if ``wanted`` is a single value's."""
    text = str(error)
    if missing := _MISSING.fullmatch(text):
        return f"{f'{missing[2]}.' if missing[2] else ''}{missing[1]}: required."
    found = _PLACE.search(text)
    place = found["place"] if found else ""
    said = text[: found.start()] if found else text
    return f"{place or name or 'body'}: {_rule(said, _type_at(wanted, place))}."


def _rule(said: str, kind: inspect.Type | None) -> str:
    if length := _LENGTH.fullmatch(said):
        what, side, count = length.groups()
        if side == "<=":
            return f"must have at most {count} {_UNITS[what]}"
        return "must not be empty" if count == "1" else f"must have {count} {_UNITS[what]} or more"
    bare, words = _bare(kind)
    if "matching regex" in said and words:
        return words
    make = _RULES.get(type(bare))
    # Without a rule here: as msgspec says it.
    return make(bare) if make else f"{said[:1].lower()}{said[1:]}".replace("`", "")


def _bare(kind: inspect.Type | None) -> tuple[inspect.Type | None, str]:
    """The type without ``| None`` and without its ``Meta``, and the text for its pattern."""
    words = ""
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        if isinstance(kind, inspect.Metadata):
            words = str((kind.extra or {}).get(MUST, words))
            kind = kind.type
            continue
        others = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        if len(others) != 1:
            return None, words
        kind = others[0]
    return kind, words


def _type_at(wanted: Any, place: str) -> inspect.Type | None:
    """The type of the value at msgspec's path ``place``, as ``type[0]`` or ``inner.n``."""
    kind: inspect.Type | None = inspect.type_info(wanted)
    for step in _STEP.findall(place):
        bare, _ = _bare(kind)
        if isinstance(bare, inspect.StructType):
            fields = {field.encode_name: field.type for field in bare.fields}
            kind = fields.get(step)
        elif isinstance(bare, inspect.DictType):
            kind = bare.value_type
        else:
            kind = getattr(bare, "item_type", None)
    return kind


def _whole_number(kind: Any) -> str:
    least, most = kind.ge, kind.le
    largest = most if most is not None and most < _LARGEST else None
    if least is not None and largest is not None:
        return f"must be a whole number from {least} to {largest}"
    if least is not None:
        return f"must be a whole number, {least} or more"
    return "must be a whole number" + (f", {largest} or less" if largest is not None else "")


def _one_of(kind: Any) -> str:
    values = [str(value) for value in kind.values]
    if len(values) == 1:
        return f"must be {values[0]}"
    return f"must be {', '.join(values[:-1])} or {values[-1]}"


_RULES: Final[Mapping[type, Callable[[Any], str]]] = {
    inspect.IntType: _whole_number,
    inspect.LiteralType: _one_of,
    inspect.FloatType: lambda _: "must be a number",
    inspect.BoolType: lambda _: "must be true or false",
    inspect.StrType: lambda _: "must be text",
    inspect.DateTimeType: lambda _: A_TIME,
    inspect.VarTupleType: lambda _: "must be a list",
    inspect.ListType: lambda _: "must be a list",
    inspect.StructType: lambda _: "must be a JSON object",
    inspect.DictType: lambda _: "must be a JSON object",
}
