"""JSON Schemas of msgspec types with what their docstrings say; OpenAPI and AsyncAPI share them."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any, Final

import msgspec

from ...runtime import give_way

_REF: Final = "#/components/schemas/{name}"


class Schemas:
    """The schemas of ``types``: one for each, and the components that they refer to.

    Yields between two of them: it is made while others are served.
    """

    def __init__(self, types: Iterable[Any]) -> None:
        listed = list(types)
        made, self.components = msgspec.json.schema_components(listed, ref_template=_REF)
        self._made = dict(zip(map(repr, listed), made, strict=True))
        for kind in _structs_of(listed):
            if (name := kind.__name__) in self.components:
                _describe(self.components[name], kind)
                give_way()  # a class's source takes a millisecond or more to find

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of one of the types, most often a reference."""
        return self._made[repr(kind)]


@cache
def field_docs(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The docstrings below the fields of ``kind``, by the fields' names in JSON."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            docs |= _docs_in(base)
    names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    return {names[name]: text for name, text in docs.items() if name in names}


def plain(text: str) -> str:
    """A docstring as a description: one paragraph a line, code between single backticks."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs).replace("``", "`")


def _describe(component: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    if "description" in component:
        component["description"] = plain(component["description"])
    docs = field_docs(kind)
    for name, schema in component.get("properties", {}).items():
        if name in docs:
            schema["description"] = docs[name]
        if schema.get("default", msgspec.NODEFAULT) in (None, ()):
            del schema["default"]  # "absent", which its absence from the required ones says


def _docs_in(kind: type) -> dict[str, str]:
    """Docstrings of fields are not kept by Python; they are read from the source, if it is here."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    return {
        field.target.id: plain(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _structs_of(types: Iterable[Any]) -> Iterator[type[msgspec.Struct]]:
    """The Structs in ``types`` and below them, each once."""
    waiting: list[Any] = list(msgspec.inspect.multi_type_info(types))
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | tuple):
            waiting.extend(one)
        if not isinstance(one, msgspec.Struct) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, msgspec.inspect.StructType):
            yield one.cls
        waiting.extend(getattr(one, name) for name in one.__struct_fields__)
