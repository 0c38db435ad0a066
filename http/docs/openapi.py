"""``/openapi.json``: OpenAPI 3.1, written from the routes and the types that check requests."""

import re
from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, get_args

import msgspec

from ..api.schemas import ErrorAnswer
from ..auth import Role
from ..errors import ApiError
from ..etag import REVALIDATE, tag_of, unless_known
from ..requests import Call
from ..routes import Answer, Route, json_answer, routes_of
from .json_schema import Schemas, field_docs, plain

_HEADERS: Final = {
    "X-Request-ID": ("The request's id, in the daemon's log too.", "string"),
    "Retry-After": ("Seconds to wait.", "integer"),
    "ETag": (
        "For `If-None-Match` of the next call; the answer is 304 if nothing changed.",
        "string",
    ),
    "RateLimit-Limit": ("Calls allowed in a window.", "integer"),
    "RateLimit-Remaining": ("Calls left in this window.", "integer"),
    "RateLimit-Reset": ("Seconds until the window is over.", "integer"),
}
_ALWAYS: Final = ("X-Request-ID",)
_LIMITS: Final = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_WAIT: Final = ("Retry-After",)
_TAG: Final = ("ETag",)
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "Tags (`ETag`) of answers that the caller has.",
    "schema": {"type": "string"},
}

_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "Needed where tokens are configured (`[http.auth]`).",
}


GROUPS: Final = {
    "health": ("Health", "Whether the daemon serves, and which agents there are."),
    "bus": ("Events", "Everything that came over the bus, in the order of receipt."),
    "risk": ("Killswitch", "The stop: to engage it, to see it, to release it."),
    "state": ("State", "What is kept: the market regime, the killswitch, counts."),
    "audit": ("Audit", "Who did what, and who was refused what."),
    "runtime": ("Runtime", "The supervision tree and the agents that this daemon runs."),
    "about": ("Pages and descriptions", "For monitoring, for tools, and for you."),
}
"""Key → title and text of the groups of operations, in the order of the page."""
_GROUP_OF: Final = {"ready": "health", "whoami": "health", "regime": "state", "events": "bus"}

ABOUT: Final = (
    "Events, agents, state and the killswitch of one daemon.\n\n"
    "Live events come over the WebSocket at `/` and `/ws`; its frames and the bus are described "
    "in `/asyncapi.json`. Times are UTC, ISO 8601 with milliseconds. Every answer carries "
    "`X-Request-ID` (the caller's, if it sent a sane one). An error is `{error, message, "
    "timestamp, request_id}`; unknown paths are 404, wrong methods 405 with `Allow`."
)
"""The document's description."""


class OpenApi:
    """The document, made once, when it is first asked for.

    Args:
        routes: All others.
        version: Of the program.
    """

    def __init__(self, routes: Iterable[Route], version: str) -> None:
        self._routes = [*routes, *routes_of(self)]
        self._version = version
        self._answer: Answer | None = None

    @Route("GET", "/openapi.json", {200: dict[str, Any]}, etag=True)
    def show(self, call: Call) -> Answer:
        """This document.

        OpenAPI 3.1, made from the routes and types that check requests.
        """
        if self._answer is None:
            self._answer = json_answer(document(self._routes, self._version))
        return unless_known(call.environ, self._answer, tag_of(self._answer.body), (REVALIDATE,))


def group_of(path: str) -> str:
    """The key of the group that ``path`` is in."""
    first = path.split("/")[1]
    first = _GROUP_OF.get(first, first)
    return first if first in GROUPS else "about"


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The OpenAPI document of ``routes``."""
    listed = [route for route in routes if route.documented]
    schemas = Schemas([kind for route in listed for kind in _types_of(route)] + [ErrorAnswer])
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    used = {group_of(path) for path in paths}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Orchestrator",
            "version": version,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "./", "description": "This daemon, whatever path it lies below"}],
        "tags": [
            {"name": title, "description": text}
            for key, (title, text) in GROUPS.items()
            if key in used
        ],
        "security": [{}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {_name(kind): _error(kind, schemas) for kind in _errors().values()},
            "headers": {
                name: {"description": text, "schema": {"type": kind}}
                for name, (text, kind) in _HEADERS.items()
            },
            "securitySchemes": {"bearer": _BEARER},
        },
    }


def _types_of(route: Route) -> list[Any]:
    kinds = [kind for answer in route.answers.values() for kind in _alternatives(answer)]
    if route.body is not None:
        kinds.append(route.body)
    for given in (route.query, route.headers):
        if given is not None:
            kinds += [field.type for field in msgspec.structs.fields(given)]
    return kinds + list(route.path_types.values())


def _alternatives(answer: Any) -> tuple[Any, ...]:
    if answer is None or isinstance(answer, str):
        return ()
    return answer if isinstance(answer, tuple) else (answer,)


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [GROUPS[group_of(route.path)][0]],
        "responses": _responses(route, schemas),
    }
    if route.text:
        operation["description"] = plain(route.text)
    operation["x-role"] = route.needs.name.lower()
    if route.needs == Role.OPEN:
        operation["security"] = []
    parameters = [
        *_path_parameters(route, schemas),
        *_parameters("query", route.query, schemas),
        *_parameters("header", route.headers, schemas),
    ]
    if route.etag:
        parameters.append(_IF_NONE_MATCH)
    if parameters:
        operation["parameters"] = parameters
    if route.method == "POST":
        operation["requestBody"] = _body(route, schemas)
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"[A-Za-z]+", route.path) or ["page"]
    return route.method.lower() + "".join(word.capitalize() for word in words)


def _body(route: Route, schemas: Schemas) -> dict[str, Any]:
    """A route that takes no body wants the media type all the same, which no page can forge."""
    content: dict[str, Any] = {"schema": {}}
    body: dict[str, Any] = {"required": True, "content": {"application/json": content}}
    if route.body is None:
        content["example"] = {}
        body["description"] = "Nothing is read from it; `{}` will do."
        return body
    content["schema"] = schemas.of(route.body)
    if route.example is not None:
        content["example"] = route.example
    return body


# -- answers -----------------------------------------------------------------------------------


def _responses(route: Route, schemas: Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    names = (*_ALWAYS, *(_TAG if route.etag else ()), *(_LIMITS if route.counted else ()))
    answers = {**route.answers, **({304: None} if route.etag else {})}
    for status, kind in sorted(answers.items()):
        phrase = HTTPStatus(status).phrase
        response: dict[str, Any] = {
            "description": route.summary if status < HTTPStatus.MULTIPLE_CHOICES else phrase,
            "headers": _headers(*names),
        }
        if status != HTTPStatus.NOT_MODIFIED:
            response["content"] = _content(kind, schemas)
        responses[str(status)] = response
    known = _errors()
    for status in sorted(_error_statuses(route) & set(known)):
        reference = {"$ref": f"#/components/responses/{_name(known[status])}"}
        responses.setdefault(str(status), reference)
    return responses


def _content(kind: Any, schemas: Schemas) -> dict[str, Any]:
    if kind is None or isinstance(kind, str):
        return {kind or "text/plain": {"schema": {"type": "string"}}}
    found = [schemas.of(one) for one in _alternatives(kind)]
    return {"application/json": {"schema": found[0] if len(found) == 1 else {"anyOf": found}}}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _errors() -> dict[int, type[ApiError]]:
    """The errors there are, by status; 405 belongs to no operation."""
    kinds: list[type[ApiError]] = [ApiError, *ApiError.__subclasses__()]
    kinds.sort(key=lambda kind: kind.status)
    return {kind.status: kind for kind in kinds if kind.status != HTTPStatus.METHOD_NOT_ALLOWED}


def _name(kind: type[ApiError]) -> str:
    return "Internal" if kind is ApiError else kind.__name__


def _error(kind: type[ApiError], schemas: Schemas) -> dict[str, Any]:
    waits = kind.status in {429, 503}
    limits = _LIMITS if kind.status == HTTPStatus.TOO_MANY_REQUESTS else ()
    return {
        "description": f"{kind.error.rstrip('.')}.",
        "headers": _headers(*_ALWAYS, *(_WAIT if waits else ()), *limits),
        "content": {"application/json": {"schema": schemas.of(ErrorAnswer)}},
    }


def _error_statuses(route: Route) -> set[int]:
    # 401 is only known to a daemon that has tokens to ask for.
    statuses = {400, 401, 403, 500, 503, *route.errors}
    if route.counted:
        statuses.add(429)
    if route.method == "POST":
        statuses |= {408, 413, 415}
    return statuses


# -- parameters --------------------------------------------------------------------------------


def _path_parameters(route: Route, schemas: Schemas) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": (
                schemas.of(route.path_types[name])
                if name in route.path_types
                else {"type": "string", "minLength": 1}
            ),
        }
        for name in re.findall(r"\{(\w+)", route.path)
    ]


def _parameters(
    place: str, given: type[msgspec.Struct] | None, schemas: Schemas
) -> list[dict[str, Any]]:
    if given is None:
        return []
    docs = field_docs(given)
    return [
        {
            "name": field.encode_name,
            "in": place,
            "required": field.required,
            **({"description": docs[field.encode_name]} if field.encode_name in docs else {}),
            "schema": _parameter_schema(schemas, field),
        }
        for field in msgspec.structs.fields(given)
    ]


def _parameter_schema(schemas: Schemas, field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    """The field's schema; ``null`` cannot be given in a query string."""
    schema = dict(schemas.of(field.type))
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
        schema = dict(kinds[0]) if len(kinds) == 1 else {**schema, "anyOf": kinds}
    if datetime in (field.type, *get_args(field.type)):
        schema["format"] = "date-time"  # declared for aware ones only, but both are accepted
    if field.default not in (msgspec.NODEFAULT, None, ()):
        schema["default"] = field.default
    return schema
