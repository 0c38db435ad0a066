"""Authentication and authorization: tokens as hashes, three roles, a limit on failed logins.

Every call is checked here before its handler runs. Without configured tokens every caller may do
everything, which is why the daemon then listens on loopback only.
"""

import hashlib
import hmac
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from gevent.event import Event as Signal

from ..protocol.timestamps import timestamp
from .errors import Forbidden, TooManyRequests, Unauthorized
from .origins import client_key
from .rate_limit import MovingWindow
from .requests import Environ
from .settings import AuthSettings

CALLER: Final = "orchestrator.caller"
"""The key in WSGI's environment under which the :class:`Caller` is."""

SUBPROTOCOL: Final = "bearer"
"""The first subprotocol that a browser offers, the second being the token."""

REVOKED: Final = "the token was revoked"
EXPIRED: Final = "the token has expired"

_CHALLENGE: Final = (("WWW-Authenticate", 'Bearer realm="orchestrator"'),)
_WINDOW_S: Final = 60
# RFC 6750, section 2.1 (b64token), bounded.
_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,512}=*)", re.IGNORECASE)


class Role(IntEnum):
    """What a caller may do; each includes those below."""

    OPEN = 0
    """Only routes without authentication."""
    VIEWER = 1
    """Read, and hold an event feed open."""
    TRIPPER = 2
    """Engage the killswitch, too."""
    OPERATOR = 3
    """Everything."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller, or an anonymous one."""

    role: Role
    """What it may do."""
    name: str | None = None
    """The token's name; ``None`` without a token."""
    digest: bytes | None = field(default=None, repr=False)
    """The token's hash; ``None`` without a token."""
    expires_at: float = math.inf
    """When the token is no longer accepted, Unix time."""


UNRESTRICTED: Final = Caller(Role.OPERATOR)
ANONYMOUS: Final = Caller(Role.OPEN)


class Access:
    """Checks credentials.

    Args:
        settings: Section ``[http.auth]``.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._failures = MovingWindow(settings.max_failures_per_minute, _WINDOW_S)
        self._tokens: dict[bytes, Caller] = {}
        self.use(settings)

    def use(self, settings: AuthSettings) -> None:
        """Replace the tokens; failed logins so far still count."""
        digests = [bytes.fromhex(token.sha256) for token in settings.tokens]
        self._tokens = {
            digest: Caller(Role[token.role.upper()], token.name, digest, token.expires_at)
            for digest, token in zip(digests, settings.tokens, strict=True)
        }
        if settings.max_failures_per_minute != self._failures.amount:
            self._failures = MovingWindow(settings.max_failures_per_minute, _WINDOW_S)

    @property
    def enabled(self) -> bool:
        """Whether there are tokens."""
        return bool(self._tokens)

    def objection(self, caller: Caller) -> str | None:
        """Why a caller authenticated earlier no longer would be; ``None`` if it would."""
        if not self._tokens:
            return None
        known = None if caller.digest is None else self._tokens.get(caller.digest)
        if known is None:
            return REVOKED
        return EXPIRED if known.expires_at <= time.time() else None

    def caller_of(
        self, environ: Environ, *, needs: Role = Role.VIEWER, may_limit: bool = True
    ) -> Caller:
        """Authenticate by header, or by the subprotocols of an upgrade.

        A valid token is accepted whatever failed from its address; a wrong or expired one is as
        none where none is needed. ``may_limit`` is false for the killswitch, which is never
        answered 429.

        Raises:
            Unauthorized: The credential is wrong, or has expired.
            TooManyRequests: So were too many from this address.
        """
        if not self._tokens:
            return UNRESTRICTED
        given = _credential(environ)
        if given is None:
            return ANONYMOUS
        caller = self._known(given)
        if caller is None and needs > Role.OPEN:
            self._refuse(str(environ.get("REMOTE_ADDR") or "unix"), may_limit=may_limit)
        if caller is not None and caller.expires_at <= time.time():
            _require_unexpired(caller, needs)
            return ANONYMOUS
        return caller or ANONYMOUS

    def _known(self, token: str) -> Caller | None:
        """Compare with all of them, in constant time."""
        digest = hashlib.sha256(token.encode("latin-1")).digest()
        found = None
        for known, caller in self._tokens.items():
            if hmac.compare_digest(known, digest):
                found = caller
        return found

    def _refuse(self, address: str, *, may_limit: bool) -> None:
        standing = self._failures.hit(client_key(address), now=time.monotonic())
        if standing.allowed or not may_limit:
            raise Unauthorized("Unknown token.", headers=_CHALLENGE)
        raise TooManyRequests(
            f"{self._failures.amount} wrong tokens in a minute; wait {standing.reset_s} s.",
            headers=(
                ("RateLimit-Limit", str(self._failures.amount)),
                ("RateLimit-Remaining", "0"),
                ("RateLimit-Reset", str(standing.reset_s)),
                ("Retry-After", str(standing.reset_s)),
            ),
        )


Close = Callable[[str], None]
"""Closes a feed for the reason given; must not block."""


class Sessions:
    """The open event feeds by their callers; outlives runs of the server, as they do."""

    def __init__(self) -> None:
        self._open: dict[object, tuple[Caller, Close]] = {}
        self._ending: set[object] = set()
        self.none_open = Signal()
        """Set while there are none."""
        self.none_open.set()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def held(self, caller: Caller, close: Close, access: Access) -> Iterator[None]:
        """While the block runs, ``close`` is called once when ``caller`` is no longer admitted.

        It must not block. It is called at once if that happened since the credential was read.
        """
        key = object()
        self._open[key] = caller, close
        self.none_open.clear()
        try:
            if reason := access.objection(caller):
                self._ending.add(key)
                close(reason)
            yield
        finally:
            del self._open[key]
            self._ending.discard(key)
            if not self._open:
                self.none_open.set()

    def close_invalid(self, access: Access) -> int:
        """Close the feeds of callers that ``access`` no longer admits; returns how many."""
        found = [
            (key, close, reason)
            for key, (caller, close) in self._open.items()
            if key not in self._ending and (reason := access.objection(caller))
        ]
        for key, close, reason in found:
            self._ending.add(key)
            close(reason)
        return len(found)


def require(caller: Caller, role: Role) -> None:
    """Check the role of ``caller``.

    Raises:
        Unauthorized: There is no credential, and one is needed.
        Forbidden: The role is not sufficient.
    """
    if caller.role >= role:
        return
    if caller.role == Role.OPEN:
        raise Unauthorized("Send Authorization: Bearer <token>.", headers=_CHALLENGE)
    raise Forbidden(f"This needs a token of the role {role.name.lower()}.")


def _require_unexpired(caller: Caller, needs: Role) -> None:
    """No guess, so it is not counted as one.

    Raises:
        Unauthorized: A token is needed.
    """
    if needs > Role.OPEN:
        when = timestamp(caller.expires_at)
        text = f"The token {caller.name} expired at {when}; ask for a new one."
        raise Unauthorized(text, headers=_CHALLENGE)


def caller_in(environ: Environ) -> Caller:
    """The caller found by :meth:`Access.caller_of`."""
    found: Any = environ.get(CALLER, ANONYMOUS)
    return found if isinstance(found, Caller) else ANONYMOUS


def offered_protocols(environ: Environ) -> Sequence[str]:
    """The subprotocols that a WebSocket client offers."""
    given = str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", ""))
    return [part.strip(" \t") for part in given.split(",") if part.strip(" \t")]


def _credential(environ: Environ) -> str | None:
    """The token; empty if there is a credential of another form, ``None`` if there is none."""
    header = environ.get("HTTP_AUTHORIZATION")
    if header is not None:
        found = _BEARER.fullmatch(str(header).strip(" \t"))
        return found[1] if found else ""
    if "HTTP_UPGRADE" not in environ:
        return None
    match offered_protocols(environ):
        case [first, token, *_] if first.lower() == SUBPROTOCOL:
            return token
    return None
