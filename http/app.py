"""The WSGI application: every request goes through here, and every answer looks alike.

Order: request id, host, route, preflight, credential, rate limit, role, origin, body, handler.
Bottle finds the route; what it takes and answers is declared in :class:`Route`.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

import bottle
import msgspec
import structlog

from ..protocol.timestamps import utc_now
from ..runtime.telemetry.log import log_context
from .api.event_routes import EventRoutes
from .api.health_routes import HealthRoutes
from .api.killswitch_routes import RiskRoutes
from .api.metrics import MetricsPage
from .api.page_routes import PageRoutes
from .api.runtime_routes import RuntimeRoutes
from .api.schemas import ErrorAnswer
from .api.state_routes import StateRoutes
from .auth import CALLER, Access, Caller, Role, require
from .docs.asyncapi import AsyncApi
from .docs.openapi import OpenApi
from .errors import ApiError, BadRequest, Headers, NotFound, WrongMethod, as_api_error
from .origins import HostRule, Origins, RateLimit
from .peers import Peers
from .requests import Call, Environ, convert, read_body, read_query, request_id_of
from .routes import Answer, Route, Stream
from .settings import HttpSettings, WebSocketSettings, is_loopback
from .stream.catch_up import Streams
from .stream.sse import EventStreamRoutes

StartResponse = Callable[[str, list[tuple[str, str]]], object]

_COMMON_HEADERS: Final[Headers] = (("X-Content-Type-Options", "nosniff"),)
_UNROUTED: Final = "(none)"


class Api:
    """The application.

    Args:
        peers: Whom the routes ask.
        settings: Section ``[http]``.
        own_name: The HTTP server's name in the supervision tree.
        streams: What the clients of the event stream share.
    """

    def __init__(
        self,
        peers: Peers,
        settings: HttpSettings,
        *,
        own_name: str,
        streams: Streams | None = None,
    ) -> None:
        self.active = 0
        """Requests being answered."""
        self.hosts = HostRule(loopback=is_loopback(settings.host), allowed=settings.allowed_hosts)
        self.origins = Origins(settings.front_origin)
        self.access = Access(settings.auth)
        self._settings = settings
        self.limit = RateLimit(settings)
        """Counts the calls of each client."""
        self._log = structlog.get_logger(actor="http")
        self._router = bottle.Bottle()
        self._routes: dict[tuple[str, str], Route] = {}
        for route in all_routes(peers, own_name, streams):
            rule = _bottle_path(route)
            self._routes[route.method, rule] = route
            self._router.route(rule, route.method, route.handler)
        self._requests = peers.metrics.counter(
            "http_requests", "Requests answered.", ("route", "code")
        )
        self._latency = peers.metrics.histogram("http_request_seconds", "Time to answer.")

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        started = time.perf_counter()
        request_id = request_id_of(environ)
        self.active += 1
        try:
            with log_context(request_id=request_id):
                answer, route = self._answer(environ, request_id)
                self._note(environ, answer, route, time.perf_counter() - started)
            return send(environ, start_response, answer, request_id)
        finally:
            self.active -= 1

    def use(self, settings: HttpSettings) -> None:
        """Judge by other tokens and limits from now on; nothing else of the settings changes."""
        self.access.use(settings.auth)
        old, self._settings = self._settings, settings
        if (old.rate_limit_max, old.rate_limit_window_ms) != (
            settings.rate_limit_max,
            settings.rate_limit_window_ms,
        ):
            self.limit = RateLimit(settings)

    def refusal(self, error: ApiError, request_id: str, environ: Environ) -> Answer:
        """``error`` in the contract's shape, with the headers of this origin."""
        body = ErrorAnswer(error.short, error.message, utc_now(), request_id)
        headers = (*error.headers, *self.origins.headers(environ.get("HTTP_ORIGIN")))
        return Answer(msgspec.json.encode(body), error.status, headers=headers)

    # -- one request -------------------------------------------------------------------------

    def _answer(self, environ: dict[str, Any], request_id: str) -> tuple[Answer, Route | None]:
        route: Route | None = None
        limits: Headers = ()
        try:
            self._check_host(environ)
            route, path = self._find(environ)
            if environ["REQUEST_METHOD"] == "OPTIONS":
                answer = self._preflight(environ, path)
            else:
                caller = self._caller(environ, route)
                if route is None or route.counted:
                    limits = self.limit.hit(_bucket(environ, caller))
                require(caller, route.needs if route is not None else Role.VIEWER)
                answer = self._call(environ, request_id, route, path)
        except Exception as error:  # noqa: BLE001 the border: one request
            answer = self.refusal(as_api_error(error), request_id, environ)
            return _with(answer, limits), route
        cors = self.origins.headers(environ.get("HTTP_ORIGIN"))
        return _with(answer, (*limits, *cors)), route

    def _caller(self, environ: dict[str, Any], route: Route | None) -> Caller:
        may_limit = route is None or not route.always
        caller = environ[CALLER] = self.access.caller_of(environ, may_limit=may_limit)
        return caller

    def _check_host(self, environ: Environ) -> None:
        http_1_1 = environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
        self.hosts.check(environ.get("HTTP_HOST"), http_1_1=http_1_1)

    def _find(self, environ: dict[str, Any]) -> tuple[Route | None, dict[str, Any]]:
        """The route and the values in the path; without a route the error, not raised yet."""
        try:
            text = environ.get("PATH_INFO", "/").encode("latin-1").decode()
        except UnicodeError:
            return None, {"error": BadRequest("The path is not UTF-8."), "allow": ""}
        try:
            found, values = self._router.match({**environ, "PATH_INFO": text})
        except bottle.HTTPError as error:
            return None, _no_route(error)
        return self._routes[found.method, found.rule], values

    def _preflight(self, environ: Environ, path: dict[str, Any]) -> Answer:
        allow = path.get("allow", "")
        if not allow:
            raise path.get("error") or NotFound("There is nothing here.")
        origin = environ.get("HTTP_ORIGIN")
        allow = f"{allow}, OPTIONS"
        preflight = self.origins.preflight_headers(origin, allow)
        return Answer(b"", 204, headers=(("Allow", allow), *preflight))

    def _call(
        self, environ: Environ, request_id: str, route: Route | None, values: dict[str, Any]
    ) -> Answer:
        if route is None:
            raise values["error"]
        body = None
        if route.method == "POST" or route.endless:
            self.origins.check(environ.get("HTTP_ORIGIN"), environ.get("HTTP_HOST"))
        if route.method == "POST":
            body = read_body(
                environ, route.body, self._settings.max_body_bytes, self._settings.body_timeout_s
            )
        query = read_query(environ, route.query) if route.query is not None else None
        path = {name: _path_value(route, name, value) for name, value in values.items()}
        return route.handler(Call(environ, request_id, path, query, body))

    def _note(self, environ: Environ, answer: Answer, route: Route | None, seconds: float) -> None:
        name = route.path if route is not None else _UNROUTED
        self._requests.labels(name, str(answer.status)).inc()
        self._latency.observe(seconds)
        say = self._log.debug
        if environ["REQUEST_METHOD"] == "POST":
            say = self._log.info
        say(
            "request",
            method=environ["REQUEST_METHOD"],
            path=str(environ.get("PATH_INFO", ""))[:500],
            status=answer.status,
            ms=round(seconds * 1_000, 2),
            client=environ.get("REMOTE_ADDR"),
        )


def all_routes(peers: Peers, own_name: str, streams: Streams | None = None) -> list[Route]:
    """Every route there is."""
    streams = streams or Streams.of(peers, WebSocketSettings())
    routes = [
        *HealthRoutes(peers).routes(),
        *EventRoutes(peers).routes(),
        *EventStreamRoutes(streams).routes(),
        *RiskRoutes(peers).routes(),
        *StateRoutes(peers).routes(),
        *RuntimeRoutes(peers, own_name).routes(),
        *MetricsPage(peers).routes(),
        *AsyncApi(peers.instance.version).routes(),
        *PageRoutes().routes(),
    ]
    return [*routes, *OpenApi(routes, peers.instance.version).routes()]


def send(
    environ: Environ, start_response: StartResponse, answer: Answer, request_id: str
) -> Iterable[bytes]:
    """Start the response and return its body (none to ``HEAD``)."""
    empty = answer.status in {204, 304}
    endless = answer.stream is not None
    headers = [
        *(() if empty else (("Content-Type", answer.content_type),)),
        *(() if empty or endless else (("Content-Length", str(len(answer.body))),)),
        ("X-Request-ID", request_id),
        *_COMMON_HEADERS,
        *answer.headers,
    ]
    if not any(name == "Cache-Control" for name, _ in answer.headers):
        headers.append(("Cache-Control", "no-store"))
    if endless or answer.status in {408, 413}:
        # The stream has no other end; what is still to come of a body is not worth reading.
        headers.append(("Connection", "close"))
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
    if answer.stream is not None:
        return Endless(answer.stream)
    return [] if empty or environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


class Endless:
    """A body for WSGI that is not iterated over: the handler runs its stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """WSGI's: called whatever has become of the response."""
        self.stream.close()


def _bucket(environ: Environ, caller: Caller) -> str:
    """Whose calls count together; those without a token use up nobody's but their own."""
    address = str(environ.get("REMOTE_ADDR") or "unix")
    return address if caller.role > Role.OPEN else f"{address} without a token"


def _bottle_path(route: Route) -> str:
    """The path as Bottle writes it; numbers only match what looks like one, and are checked later.

    So a fixed path beside it (``/bus/events/processed``) keeps its 405.
    """
    path = route.path
    for name in route.path_types:
        path = path.replace(f"{{{name}}}", f"<{name}:re:-?[0-9][^/]*>")
    return path.replace("{", "<").replace("}", ">")


def _no_route(error: bottle.HTTPError) -> dict[str, Any]:
    methods = set(str(error.get_header("Allow") or "").split(",")) - {""}
    allow = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    if error.status_code == WrongMethod.status:
        wrong = WrongMethod(f"Use {allow}.", headers=(("Allow", f"{allow}, OPTIONS"),))
        return {"error": wrong, "allow": allow}
    return {"error": NotFound("There is nothing at this path; see /openapi.json."), "allow": ""}


def _path_value(route: Route, name: str, value: str) -> Any:
    wanted = route.path_types.get(name)
    return value if wanted is None else convert(value, wanted, name)


def _with(answer: Answer, headers: Headers) -> Answer:
    return replace(answer, headers=(*answer.headers, *headers))
