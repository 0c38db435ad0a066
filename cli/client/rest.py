"""HTTP client of the daemon, on the standard library alone.

Every answer is JSON. Errors become a `Failure` with cause, next step and exit code. Nothing is
retried but a GET on a kept connection that the daemon had closed.
"""

import http.client
import json
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from functools import partial
from typing import Any, Self
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from ..errors import BadUsage, ExitCode, Failure
from ..options import Invocation
from .tls import ca_context, refusal_of

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""A page of 200 events of 1 MiB each would be more; request fewer then."""

Query = Mapping[str, object]
TlsFactory = Callable[[], ssl.SSLContext]


@dataclass(frozen=True)
class Answer:
    """The daemon's answer."""

    status: int
    """The HTTP status."""
    body: dict[str, Any]
    """The JSON object."""
    elapsed_s: float
    """From the request to the last byte, in seconds."""
    retry_after_s: float | None
    """The `Retry-After` header, if any."""


class Client:
    """Calls to one daemon, one after another on one connection. Usable as a context manager.

    Args:
        url: ``http://host:port``, optionally with a path prefix, or ``unix:///path``.
        token: sent as a bearer token.
        timeout_s: for connecting, and for each read.
        verbose: log each request to stderr.
        tls: creates the TLS context for ``https``; by default with the system's CA bundle.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout_s: float,
        verbose: bool = False,
        tls: TlsFactory | None = None,
    ) -> None:
        self.url = url
        self._place = split_url(url)
        self._token = token
        self._timeout_s = timeout_s
        self._verbose = verbose
        self._tls = tls
        self._connection: http.client.HTTPConnection | None = None

    @classmethod
    def of(cls, invocation: Invocation, *, timeout_s: float | None = None) -> "Client":
        """The client for the global options."""
        return cls(
            invocation.target.url,
            token=invocation.access_token(),
            timeout_s=timeout_s or invocation.timeout,
            verbose=invocation.verbose,
            tls=partial(ca_context, invocation.target.ca_file),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, query: Query | None = None) -> dict[str, Any]:
        """Send a GET request.

        Raises:
            Failure: no answer, or an error.
        """
        return self._checked("GET", path_with(path, query), None).body

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a POST request.

        Raises:
            Failure: an error, or no answer: then the outcome is unknown.
        """
        return self._checked("POST", path, {} if body is None else body).body

    def text(self, path: str) -> str:
        """Send a GET request for what is not JSON, as ``/metrics``.

        Raises:
            Failure: no answer, or an error.
        """
        try:
            status, headers, content = self._exchange("GET", path, None)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error
        if status >= http.client.BAD_REQUEST:
            retry_after_s = _seconds(headers.get("Retry-After"))
            raise refusal(Answer(status, self._decoded(status, content), 0.0, retry_after_s))
        return content.decode("utf-8", "replace")

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Send one request; answers of 400 and more are returned too.

        Raises:
            Failure: no answer, or not a daemon's.
        """
        began = time.monotonic()
        try:
            status, headers, content = self._exchange(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error
        answer = Answer(
            status,
            self._decoded(status, content),
            time.monotonic() - began,
            _seconds(headers.get("Retry-After")),
        )
        if self._verbose:
            line = f"{method} {path} -> {status} in {answer.elapsed_s * 1_000:.0f} ms"
            sys.stderr.write(line + "\n")
        return answer

    def _checked(self, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        answer = self.ask(method, path, body)
        if answer.status >= http.client.BAD_REQUEST:
            raise refusal(answer)
        return answer

    def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, Message, bytes]:
        reused = self._connection is not None
        try:
            return self._exchange_once(method, path, body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.close()
            if not reused or method != "GET":
                raise
        return self._exchange_once(method, path, body)

    def _exchange_once(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, Message, bytes]:
        if self._connection is None:
            self._connection = self._connected()
        content = None if body is None else json.dumps(body).encode()
        self._connection.request(
            method, self._prefix + path, content, self.headers(content is not None)
        )
        response = self._connection.getresponse()
        received = response.read(MAX_ANSWER_BYTES + 1)
        if len(received) > MAX_ANSWER_BYTES:
            raise http.client.HTTPException(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        return response.status, response.headers, received

    def _connected(self) -> http.client.HTTPConnection:
        host, port = self._place.hostname or "", self._place.port
        if self._place.scheme == "unix":
            return _UnixConnection(self._place.path, timeout=self._timeout_s)
        if self._place.scheme == "https":
            context = self.tls_context()
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS context; None without TLS.

        Raises:
            Failure: the CA bundle cannot be read.
        """
        if self._place.scheme != "https":
            return None
        return ca_context(None) if self._tls is None else self._tls()

    @property
    def _prefix(self) -> str:
        return "" if self._place.scheme == "unix" else self._place.path.rstrip("/")

    def headers(self, has_body: bool = False) -> dict[str, str]:  # noqa: FBT001, FBT002
        """Headers of every request."""
        headers = {"Accept": "application/json"}
        if has_body:
            headers["Content-Type"] = "application/json"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _decoded(self, status: int, content: bytes) -> dict[str, Any]:
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Failure(
                f"the server at {self.url} is not an orchestrator",
                code="not_a_daemon",
                cause=f"HTTP {status} without a JSON object",
                advice="name the daemon's own address with --url",
                exit_code=ExitCode.UNREACHABLE,
            )
        return body

    def _unreachable(self, error: Exception) -> Failure:
        if isinstance(error, ssl.SSLError):
            return refusal_of(error, self.url)
        if isinstance(error, TimeoutError):
            return Failure(
                f"the daemon at {self.url} did not answer",
                code="no_answer",
                cause=f"no answer within {self._timeout_s:g} s",
                advice="raise --timeout, or see its log",
                exit_code=ExitCode.UNREACHABLE,
            )
        return Failure(
            f"cannot reach the daemon at {self.url}",
            code="unreachable",
            cause=cause_of(error),
            advice="start it with `orchestrator run`, or name another with --url",
            exit_code=ExitCode.UNREACHABLE,
        )


class _UnixConnection(http.client.HTTPConnection):
    """A connection to the daemon's control socket."""

    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of the name."""
        self.sock = unix_socket(self._path, self.timeout)


def unix_socket(path: str, timeout_s: float | None) -> socket.socket:
    """A connection to a Unix socket.

    Raises:
        OSError: nothing listens there, or this account may not connect.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout_s)
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def cause_of(error: BaseException) -> str:
    """The text of an error, never empty."""
    said = getattr(error, "strerror", None) or str(error)
    return said or (
        "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    )


def is_refused(failure: Failure) -> bool:
    """Whether it means that nothing listens there: the machine itself refused the connection.

    No answer in time, a failed handshake and a daemon that is not ready are something else.
    """
    return isinstance(failure.__cause__, ConnectionRefusedError)


def split_url(url: str) -> SplitResult:
    """The parts of the daemon's URL; ``host:port`` alone means HTTP.

    Raises:
        BadUsage: it is not the URL of a daemon.
    """
    try:
        place = urlsplit(url if "://" in url else f"http://{url}")
        usable = place.scheme in ("http", "https") and place.hostname and place.port != 0
        usable = usable or (place.scheme == "unix" and not place.netloc and len(place.path) > 1)
    except ValueError:
        usable = False
    if not usable:
        raise BadUsage(
            f"{url!r} is not the URL of a daemon", advice="such as http://127.0.0.1:8090"
        )
    return place


def path_with(path: str, query: Query | None) -> str:
    """The path with its query; None is omitted, a list repeats its name."""
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def segment(text: str) -> str:
    """An id or a key, quoted as one segment of a path."""
    return quote(text, safe="")


# Status → the word for scripts, the exit code, the next step.
_REFUSALS: dict[int, tuple[str, ExitCode, str]] = {
    400: ("bad_request", ExitCode.USAGE, ""),
    401: (
        "unauthorized",
        ExitCode.FORBIDDEN,
        "give a token: --token-file FILE, or ORCHESTRATOR_TOKEN in the environment",
    ),
    403: ("forbidden", ExitCode.FORBIDDEN, "ask for a token whose role may do this"),
    404: ("not_found", ExitCode.NOT_FOUND, ""),
    405: ("not_supported", ExitCode.FAILED, "the daemon may be of another version: see `status`"),
    409: ("conflict", ExitCode.FAILED, ""),
    413: ("too_large", ExitCode.USAGE, "send less at once"),
    429: ("rate_limited", ExitCode.FAILED, ""),
    503: ("unavailable", ExitCode.UNREACHABLE, "see `orchestrator doctor`"),
}


def refusal(answer: Answer) -> Failure:
    """The `Failure` for an answer of 400 or more."""
    code, exit_code, advice = _REFUSALS.get(
        answer.status, ("server_error", ExitCode.FAILED, "look at the daemon's log")
    )
    short = str(answer.body.get("error") or f"HTTP {answer.status}")
    message = str(answer.body.get("message") or "")
    if answer.retry_after_s is not None:
        advice = f"try again in {answer.retry_after_s:g} s" + (f"; {advice}" if advice else "")
    return Failure(
        f"the daemon says: {short.rstrip('.')}",
        code=code,
        cause=message if message != short else "",
        advice=advice,
        exit_code=exit_code,
    )


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None
