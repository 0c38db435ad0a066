"""The WSGI application: every request takes one way (``Api._answer``), and all answers look alike.

Bottle finds the route; what it takes and answers is declared at its handler (:class:`Route`).
"""

import string
import time
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

import bottle
import msgspec
import structlog
from gevent.event import Event as Signal
from structlog.contextvars import bound_contextvars

from ..actors.span_exporter.spans import Spans
from ..protocol.timestamps import utc_now
from ..runtime.telemetry.metrics import Metrics
from .acts import Acts
from .api.agent_routes import AgentRoutes
from .api.audit_routes import AuditRoutes
from .api.event_routes import EventRoutes
from .api.health_routes import HealthRoutes
from .api.killswitch_routes import KillswitchRoutes
from .api.metrics import MetricsPage, parts_of
from .api.page_routes import PageRoutes
from .api.readiness import ReadinessChecks
from .api.rule_routes import RuleRoutes
from .api.runtime_routes import RuntimeRoutes
from .api.schemas import ErrorAnswer
from .api.settings_routes import SettingsRoutes
from .api.state_routes import StateRoutes
from .auth import CALLER, Access, Caller, require
from .docs.asyncapi import AsyncApi
from .docs.openapi import OpenApi
from .errors import ApiError, BadRequest, Headers, NotFound, WrongMethod, as_api_error
from .etag import tagged
from .origins import HostRule, Origins, client_key
from .peers import Peers
from .rate_limit import RateLimit
from .requests import (
    Call,
    Environ,
    read_body,
    read_lenient_body,
    read_query,
    read_value,
    request_id_of,
    traceparent_of,
)
from .routes import Answer, Route, Stream, json_answer, plain_path, routes_of, values_in
from .settings import HttpSettings, is_loopback
from .stream.catch_up import Feeds
from .stream.sse import SseRoutes

StartResponse = Callable[[str, list[tuple[str, str]]], object]

# Only ASCII's: a path that changes its length has its values elsewhere.
_SMALL: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
SLOW_S: Final = 1.0
"""A GET that takes so long is logged like a POST, at info."""

_COMMON_HEADERS: Final[Headers] = (("X-Content-Type-Options", "nosniff"),)


class Api:
    """The application.

    Args:
        routes: What it answers.
        settings: Section ``[http]``.
        metrics: The daemon's registry.
        acts: Notes what is refused.
        spans: Takes a span for each traced request.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        settings: HttpSettings,
        metrics: Metrics,
        acts: Acts,
        spans: Spans | None = None,
    ) -> None:
        self.active = 0
        """Requests being answered."""
        self.idle = Signal()
        """Set while there are none."""
        self.idle.set()
        self.hosts = HostRule(loopback=is_loopback(settings.host), allowed=settings.allowed_hosts)
        self.origins = Origins(settings.front_origin)
        self.access = Access(settings.auth)
        self.limit = RateLimit(settings)
        """Counts the calls of each client."""
        self._settings = settings
        self._acts = acts
        self._spans = spans
        self._log = structlog.get_logger(actor="http")
        self._router = bottle.Bottle()
        self._routes: dict[tuple[str, str], Route] = {}
        for route in routes:
            rule = _bottle_path(route)
            self._routes[route.method, rule] = route
            self._router.route(rule, route.method, route.handler)
        self._requests = metrics.counter("http_requests", "Requests answered.", ("route", "code"))
        self._latency = metrics.histogram("http_request_seconds", "Time to answer.")

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        started = time.perf_counter()
        request_id = request_id_of(environ)
        self.active += 1
        self.idle.clear()
        try:
            with bound_contextvars(**_named(environ, request_id)):
                answer, path = self._answer(environ, request_id)
                self._note(environ, answer, path, time.perf_counter() - started)
            return send(environ, start_response, answer, request_id)
        finally:
            self.active -= 1
            if not self.active:
                self.idle.set()

    def use(self, settings: HttpSettings) -> None:
        """Apply other tokens and limits; nothing else of the settings changes."""
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

    def _answer(self, environ: dict[str, Any], request_id: str) -> tuple[Answer, str]:
        """Host → route → site → credential → rate limit → role → origin → body and query → handler.

        Returns the answer, and the path of the route for the metrics.
        """
        route = _NO_ROUTE
        limits: Headers = ()
        call: Call | None = None
        origin, host = environ.get("HTTP_ORIGIN"), environ.get("HTTP_HOST")
        try:
            self.hosts.check(host, http_1_1=environ.get("SERVER_PROTOCOL") != "HTTP/1.0")
            route, values = self._find(environ)
            if environ["REQUEST_METHOD"] == "OPTIONS":
                asked = str(environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", ""))
                answer = self._preflight(origin, asked, **values)
            else:
                self._check_site(environ, route, origin)
                caller = environ[CALLER] = self.access.caller_of(
                    environ, needs=route.needs, may_limit=not route.always
                )
                if route.counted:
                    limits = self.limit.hit(_bucket(environ, caller))
                require(caller, route.needs)
                if route.method == "POST" or route.endless:
                    self.origins.check(origin, host)
                call = self._read(environ, request_id, route, values)
                answer = _encoded(environ, route, route.handler(call))
        except Exception as error:  # noqa: BLE001 the border: one request
            refused = as_api_error(error)
            self._acts.refused(route, environ, refused, request_id, call)
            answer = self.refusal(refused, request_id, environ)
            return _with(answer, limits), route.path
        cors = self.origins.plain if origin is None else self.origins.headers(origin)
        return _with(answer, (*limits, *cors)), route.path

    def _check_site(self, environ: Environ, route: Route, origin: str | None) -> None:
        if route.method == "GET" and route.path not in _FOR_ANY_SITE:
            site, mode, dest = (environ.get(f"HTTP_SEC_FETCH_{name}") for name in _FETCH)
            self.origins.check_read(origin, site=site, mode=mode, dest=dest)

    def _find(self, environ: dict[str, Any]) -> tuple[Route, dict[str, Any]]:
        """The route and the values in the path; a route that raises what is wrong with them."""
        try:
            text = plain_path(environ.get("PATH_INFO", "/").encode("latin-1").decode())
            found, _ = self._router.match({**environ, "PATH_INFO": text.translate(_SMALL)})
        except UnicodeError:
            return _NO_ROUTE, {"error": BadRequest("The path is not UTF-8.")}
        except bottle.HTTPError as error:
            return _NO_ROUTE, _no_route(error)
        route = self._routes[found.method, found.rule]
        return route, values_in(route.path, text)

    def _preflight(
        self, origin: str | None, asked: str, error: ApiError, allow: str = ""
    ) -> Answer:
        if not allow:
            raise error
        preflight = self.origins.preflight_headers(origin, allow, asked)
        return Answer(b"", 204, headers=(("Allow", allow), *preflight))

    def _read(
        self, environ: Environ, request_id: str, route: Route, values: dict[str, Any]
    ) -> Call:
        body = query = None
        if route.method == "POST":
            limits = self._settings.max_body_bytes, self._settings.body_timeout_s
            read = read_lenient_body if route.always else read_body
            body = read(environ, route.body, *limits)
        if route.query is not None:
            query = read_query(environ, route.query)
        if route.path_types:
            types = route.path_types
            values = {
                name: read_value(value, types[name], name) if name in types else value
                for name, value in values.items()
            }
        return Call(environ, request_id, values, query, body)

    def _note(self, environ: Environ, answer: Answer, path: str, seconds: float) -> None:
        self._requests.labels(path, str(answer.status)).inc()
        self._latency.observe(seconds)
        if self._spans is not None and (trace := traceparent_of(environ)):
            method = environ["REQUEST_METHOD"]
            self._spans.add_request(trace, method, path, answer.status, seconds)
        notable = environ["REQUEST_METHOD"] == "POST" or seconds >= SLOW_S
        log = self._log.info if notable else self._log.debug
        log(
            "request",
            method=environ["REQUEST_METHOD"],
            path=str(environ.get("PATH_INFO", ""))[:500],
            status=answer.status,
            ms=round(seconds * 1_000, 2),
            client=environ.get("REMOTE_ADDR"),
        )


def all_routes(peers: Peers, own_name: str, feeds: Feeds) -> list[Route]:
    """Every route there is.

    Args:
        peers: The rest of the daemon; each class of routes gets what it needs of it.
        own_name: The HTTP server's name in the supervision tree.
        feeds: What the clients of the event feed share.
    """
    instance, persister, database = peers.instance, peers.persister, peers.database
    acts = Acts(peers.audit)
    checks = ReadinessChecks(
        listener=peers.listener,
        persister=persister,
        root=peers.root,
        agents=peers.agents.supervisor,
        database=database,
        killswitch=peers.killswitch,
        keeper=peers.keeper,
        guard=peers.guard,
    )
    runtime = RuntimeRoutes(
        root=peers.root,
        own_name=own_name,
        persister=persister,
        dead_letters=peers.dead_letters,
        instance=instance,
        acts=acts,
    )
    owners = (
        HealthRoutes(instance, peers.clients, peers.monitor, checks),
        EventRoutes(persister, peers.clients, database),
        SseRoutes(feeds),
        KillswitchRoutes(peers.killswitch, peers.keeper),
        AuditRoutes(peers.audit),
        RuleRoutes(peers.rules),
        StateRoutes(peers.keeper),
        runtime,
        AgentRoutes(peers.agents, peers.killswitch, acts),
        SettingsRoutes(peers.reloads, acts),
        MetricsPage(peers.metrics, instance, parts_of(peers)),
        AsyncApi(instance.version),
        PageRoutes(),
    )
    routes = [route for owner in owners for route in routes_of(owner)]
    return [*routes, *routes_of(OpenApi(routes, instance.version))]


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
        # The stream has no other end; where a refused body ends is not certain.
        headers.append(("Connection", "close"))
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
    if answer.stream is not None:
        return Endless(answer.stream)
    return [] if empty or environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


class Endless:
    """A WSGI body that is not iterated over: the handler runs its stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Release the stream; WSGI calls it whether it was run or not."""
        self.stream.close()


def _named(environ: Environ, request_id: str) -> dict[str, str]:
    """What the log calls a request."""
    trace = traceparent_of(environ)
    return {"request_id": request_id} | ({"traceparent": trace} if trace else {})


def _bucket(environ: Environ, caller: Caller) -> str:
    """The key of the rate limit: the good token, else the address."""
    if caller.digest is not None:
        return f"token {caller.digest.hex()}"
    return client_key(str(environ.get("REMOTE_ADDR") or "unix"))


def _bottle_path(route: Route) -> str:
    """The path as Bottle writes it; numbers only match what looks like one, and are checked later.

    So a fixed sibling path (``/bus/events/processed``) keeps its 405.
    """
    path = route.path
    for name in route.path_types:
        path = path.replace(f"{{{name}}}", f"<{name}:re:-?[0-9][^/]*>")
    return path.replace("{", "<").replace("}", ">")


def _no_route(error: bottle.HTTPError) -> dict[str, Any]:
    if error.status_code != WrongMethod.status:
        return {"error": NotFound("There is nothing at this path; see /openapi.json.")}
    methods = set(str(error.get_header("Allow") or "").split(",")) - {""}
    use = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    allow = f"{use}, OPTIONS"
    return {"error": WrongMethod(f"Use {use}.", headers=(("Allow", allow),)), "allow": allow}


def _raise(call: Call) -> Answer:
    raise call.path["error"]


_NO_ROUTE: Final = Route("GET", "(none)", {}, handler=_raise)
# What any site's page may load: the page's own files say nothing of the desk, nor does /health.
_FOR_ANY_SITE: Final = frozenset(
    {_NO_ROUTE.path, "/", "/docs", "/dashboard/{name:path}", "/health"}
)
_FETCH: Final = ("SITE", "MODE", "DEST")


def _encoded(environ: Environ, route: Route, value: Any) -> Answer:
    if isinstance(value, Answer):
        return value
    return tagged(environ, value) if route.etag else json_answer(value, next(iter(route.answers)))


def _with(answer: Answer, headers: Headers) -> Answer:
    return msgspec.structs.replace(answer, headers=(*answer.headers, *headers))
