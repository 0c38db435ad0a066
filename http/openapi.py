"""``/openapi.json``: OpenAPI 3.1, written from the routes and the types that check requests."""

import re
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import msgspec

from .errors import (
    ApiError,
    BadRequest,
    BodyTooLarge,
    Conflict,
    Forbidden,
    Internal,
    NotFound,
    NotJson,
    TooManyRequests,
    TooSlow,
    Unavailable,
)
from .requests import Call
from .routes import Answer, Route, json_answer
from .shapes import ErrorAnswer

_REF: Final = "#/components/schemas/{name}"
_ERRORS: Final[dict[int, type[ApiError]]] = {
    error.status: error
    for error in (
        BadRequest,
        Forbidden,
        NotFound,
        TooSlow,
        Conflict,
        BodyTooLarge,
        NotJson,
        TooManyRequests,
        Internal,
        Unavailable,
    )
}


class OpenApi:
    """The document, made once, when it is first asked for."""

    def __init__(self, routes: Iterable[Route], version: str) -> None:
        self._routes = [route for route in routes if route.documented]
        self._version = version
        self._answer: Answer | None = None

    def routes(self) -> list[Route]:
        """The route; it is not in the document, which begins with itself."""
        return [Route("GET", "/openapi.json", self.show, "This document", {200: dict[str, Any]})]

    def show(self, _call: Call) -> Answer:
        """The document."""
        if self._answer is None:
            self._answer = json_answer(document(self._routes, self._version))
        return self._answer


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The OpenAPI document of ``routes``."""
    listed = [route for route in routes if route.documented]
    types = [kind for route in listed for kind in _types_of(route)] + [ErrorAnswer]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    known = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Orchestrator",
            "version": version,
            "description": "Events, agents, state and the killswitch of one daemon. "
            "Live events come over the WebSocket at / and /ws.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _types_of(route: Route) -> list[Any]:
    kinds = [kind for answer in route.answers.values() for kind in _alternatives(answer)]
    if route.body is not None:
        kinds.append(route.body)
    if route.query is not None:
        kinds += [field.type for field in msgspec.structs.fields(route.query)]
    return kinds + list(route.path_types.values())


def _alternatives(answer: Any) -> tuple[Any, ...]:
    if answer is None:
        return ()
    return answer if isinstance(answer, tuple) else (answer,)


def _key(kind: Any) -> str:
    return repr(kind)


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.path.split("/")[1] or "page"],
        "responses": _responses(route, schemas),
    }
    parameters = [*_path_parameters(route, schemas), *_query_parameters(route, schemas)]
    if parameters:
        operation["parameters"] = parameters
    if route.method == "POST":
        schema = schemas[_key(route.body)] if route.body is not None else {"type": "object"}
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": route.body is not None, "content": content}
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"[A-Za-z]+", route.path)
    return route.method.lower() + "".join(word.capitalize() for word in words)


def _responses(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in sorted(route.answers.items()):
        if kind is None:
            content: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
        else:
            found = [schemas[_key(one)] for one in _alternatives(kind)]
            schema = found[0] if len(found) == 1 else {"anyOf": found}
            content = {"application/json": {"schema": schema}}
        responses[str(status)] = {"description": route.summary, "content": content}
    error = {"application/json": {"schema": schemas[_key(ErrorAnswer)]}}
    for status in sorted(_error_statuses(route)):
        known = _ERRORS[status]
        said = {"description": known.error, "content": error}
        responses.setdefault(str(status), said)
    return responses


def _error_statuses(route: Route) -> set[int]:
    statuses = {400, 403, 500, 503, *route.errors}
    if route.counted:
        statuses.add(429)
    if route.method == "POST":
        statuses |= {408, 413, 415}
    return statuses


def _path_parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": (
                schemas[_key(route.path_types[name])]
                if name in route.path_types
                else {"type": "string", "minLength": 1}
            ),
        }
        for name in re.findall(r"\{(\w+)", route.path)
    ]


def _query_parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema_of = partial(_parameter_schema, schemas)
    return [
        {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            "schema": schema_of(field),
        }
        for field in msgspec.structs.fields(route.query)
    ]


def _parameter_schema(schemas: dict[str, Any], field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    """The field's schema; ``null`` cannot be given in a query string."""
    schema = dict(schemas[_key(field.type)])
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
        schema = dict(kinds[0]) if len(kinds) == 1 else {**schema, "anyOf": kinds}
    if field.default is not msgspec.NODEFAULT and field.default is not None:
        schema["default"] = field.default
    return schema
