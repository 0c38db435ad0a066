"""Who may call what: tokens as hashes, three roles, and a limit on bad logins.

Every call is judged here before its route is run. Without configured tokens everybody may do
everything, which is why the daemon then listens on loopback only.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from .errors import Forbidden, TooManyRequests, Unauthorized
from .rate_limit import MovingWindow
from .requests import Environ
from .settings import AuthSettings

CALLER: Final = "orchestrator.caller"
"""The key in WSGI's environment under which the :class:`Caller` is."""

SUBPROTOCOL: Final = "bearer"
"""The first subprotocol that a browser offers, the second being the token."""

_CHALLENGE: Final = (("WWW-Authenticate", 'Bearer realm="orchestrator"'),)
_WINDOW_S: Final = 60
# RFC 6750, section 2.1 (b64token); far longer ones are nobody's.
_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,512}=*)", re.IGNORECASE)


class Role(IntEnum):
    """What a caller may do; each may do what those below may."""

    OPEN = 0
    """Nothing but what is open to all."""
    VIEWER = 1
    """Read, and hold a WebSocket."""
    TRIPPER = 2
    """Engage the stop, too."""
    OPERATOR = 3
    """Everything."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls."""

    role: Role
    """What it may do."""
    name: str | None = None
    """The token's name; ``None`` without a token."""
    digest: bytes | None = field(default=None, repr=False)
    """The token's hash; ``None`` without a token."""


EVERYBODY: Final = Caller(Role.OPERATOR)
NOBODY: Final = Caller(Role.OPEN)


class Access:
    """Judges credentials.

    Args:
        settings: Section ``[http.auth]``.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._failures = MovingWindow(settings.max_failures_per_minute, _WINDOW_S)
        self._tokens: dict[bytes, Caller] = {}
        self.use(settings)

    def use(self, settings: AuthSettings) -> None:
        """From now on these tokens are good and no others; bad logins so far still count."""
        digests = [bytes.fromhex(token.sha256) for token in settings.tokens]
        self._tokens = {
            digest: Caller(Role[token.role.upper()], token.name, digest)
            for digest, token in zip(digests, settings.tokens, strict=True)
        }
        if settings.max_failures_per_minute != self._failures.amount:
            self._failures = MovingWindow(settings.max_failures_per_minute, _WINDOW_S)

    @property
    def enabled(self) -> bool:
        """Whether there are tokens."""
        return bool(self._tokens)

    def admits(self, caller: Caller) -> bool:
        """Whether one who was let in before would be let in now."""
        return not self._tokens or caller.digest in self._tokens

    def caller_of(self, environ: Environ, *, may_limit: bool = True) -> Caller:
        """Who calls: by header, or by the subprotocols of an upgrade.

        A good token is good whatever others at its address have tried. ``may_limit`` is false for
        the stop, which is never answered 429.

        Raises:
            Unauthorized: There is a credential, and it is wrong.
            TooManyRequests: So were too many of this address.
        """
        if not self._tokens:
            return EVERYBODY
        given = _credential(environ)
        if given is None:
            return NOBODY
        caller = self._known(given)
        if caller is None:
            self._refuse(str(environ.get("REMOTE_ADDR") or "unix"), may_limit=may_limit)
        return caller or NOBODY

    def _known(self, token: str) -> Caller | None:
        """Compare with all of them, so that the time tells nothing."""
        digest = hashlib.sha256(token.encode("latin-1")).digest()
        found = None
        for known, caller in self._tokens.items():
            if hmac.compare_digest(known, digest):
                found = caller
        return found

    def _refuse(self, address: str, *, may_limit: bool) -> None:
        standing = self._failures.hit(address, now=time.monotonic())
        if standing.allowed or not may_limit:
            raise Unauthorized("This token is not known.", headers=_CHALLENGE)
        raise TooManyRequests(
            f"There were {self._failures.amount} wrong tokens in a minute; "
            f"wait {standing.reset_s} s.",
            headers=(
                ("RateLimit-Limit", str(self._failures.amount)),
                ("RateLimit-Remaining", "0"),
                ("RateLimit-Reset", str(standing.reset_s)),
                ("Retry-After", str(standing.reset_s)),
            ),
        )


class Sessions:
    """Who holds a stream open; outlives incarnations of the server as the streams do."""

    def __init__(self) -> None:
        self._open: dict[object, tuple[Caller, Callable[[], None]]] = {}

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def held(self, caller: Caller, close: Callable[[], None], access: Access) -> Iterator[None]:
        """For as long as the block runs ``close`` is called when ``caller`` loses its token.

        It must not wait. It is called at once if that has happened since the credential was read.
        """
        key = object()
        self._open[key] = caller, close
        try:
            if not access.admits(caller):
                close()
            yield
        finally:
            del self._open[key]

    def close_revoked(self, access: Access) -> int:
        """Close the streams of those whom ``access`` does not know any more; says how many."""
        revoked = [close for caller, close in self._open.values() if not access.admits(caller)]
        for close in revoked:
            close()
        return len(revoked)


def require(caller: Caller, role: Role) -> None:
    """Let only those pass who may.

    Raises:
        Unauthorized: There is no credential, and one is needed.
        Forbidden: The role is too small.
    """
    if caller.role >= role:
        return
    if caller.role == Role.OPEN:
        raise Unauthorized("Send Authorization: Bearer <token>.", headers=_CHALLENGE)
    raise Forbidden(f"This needs a token of the role {role.name.lower()}.")


def caller_in(environ: Environ) -> Caller:
    """Who has been found to call."""
    found: Any = environ.get(CALLER, NOBODY)
    return found if isinstance(found, Caller) else NOBODY


def offered_protocols(environ: Environ) -> Sequence[str]:
    """The subprotocols that a WebSocket client offers."""
    given = str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", ""))
    return [part.strip() for part in given.split(",") if part.strip()]


def _credential(environ: Environ) -> str | None:
    """What the caller shows; something that is no token is shown as it is, and is wrong."""
    header = environ.get("HTTP_AUTHORIZATION")
    if header is not None:
        found = _BEARER.fullmatch(str(header).strip())
        return found[1] if found else ""
    if "HTTP_UPGRADE" not in environ:
        return None
    match offered_protocols(environ):
        case [first, token, *_] if first.lower() == SUBPROTOCOL:
            return token
    return None
