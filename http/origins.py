"""From where calls are accepted: host names, origins, proxies. Pure."""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from .errors import BadRequest, Forbidden, Headers
from .settings import is_loopback, origins_of

ALLOWED_HEADERS: Final = "Content-Type, Accept, Authorization, Cache-Control, X-Request-ID"
EXPOSED_HEADERS: Final = (
    "X-Request-ID, Retry-After, ETag, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
)
_PREFLIGHT_MAX_AGE_S: Final = 600
_ULA: Final = ipaddress.IPv6Network("fc00::/7")
_CUSTOMER_BITS: Final = 56
# RFC 9110, section 5.1 (token).
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class HostRule:
    """On loopback only loopback's names are ours: a page that rebinds its own to us is refused.

    Args:
        loopback: Whether the daemon listens on loopback.
        allowed: Further names, with or without a port.
    """

    def __init__(self, *, loopback: bool, allowed: Iterable[str] = ()) -> None:
        self._loopback = loopback
        self._allowed = {name.lower() for name in allowed}

    def check(self, host: str | None, *, http_1_1: bool) -> None:
        """Check a ``Host`` header; HTTP/1.0 (some load balancers' checks) may come without.

        Raises:
            BadRequest: It is missing.
            Forbidden: It is not ours.
        """
        if not host:
            if http_1_1:
                raise BadRequest("Send a Host header.")
            return
        if not self._loopback:
            return
        name = without_port(host.lower())
        if not (is_loopback(name) or name in self._allowed or host.lower() in self._allowed):
            raise Forbidden(
                "Call this daemon by a loopback name, or add the name to http.allowed_hosts."
            )


class Origins:
    """Which pages may call: those of the daemon itself and those of ``FRONT_ORIGIN``."""

    def __init__(self, front_origin: str) -> None:
        self._front = frozenset(origins_of(front_origin))
        self.plain: Headers = (("Vary", "Origin"),) if self._front else ()
        """Headers of the answer to a call without an ``Origin``."""

    def in_front(self, origin: str) -> bool:
        """Whether pages of ``origin`` may read answers, with credentials."""
        return origin.lower() in self._front

    def may_change(self, origin: str | None, host: str | None) -> bool:
        """Whether a call with this ``Origin`` (if any) may change state or open a stream."""
        if origin is None or self.in_front(origin):
            return True
        name = (host or "").lower()
        return bool(name) and origin.lower() in {f"http://{name}", f"https://{name}"}

    def check(self, origin: str | None, host: str | None) -> None:
        """Check the ``Origin`` of a call that changes state or opens a stream.

        Raises:
            Forbidden: It is another's.
        """
        if not self.may_change(origin, host):
            raise Forbidden("This origin may not call; add it to FRONT_ORIGIN.")

    def check_read(
        self, origin: str | None, *, site: str | None, mode: str | None, dest: str | None
    ) -> None:
        """Check a read by what its browser says of it (W3C, Fetch Metadata Request Headers).

        Another site's page cannot read the answer, but could cause the work. A person's own
        navigation passes.

        Args:
            origin: ``Origin``.
            site: ``Sec-Fetch-Site``; `None` from clients that are no browsers.
            mode: ``Sec-Fetch-Mode``.
            dest: ``Sec-Fetch-Dest``.

        Raises:
            Forbidden: It is another site's.
        """
        if (site or "").lower() != "cross-site" or (mode, dest) == ("navigate", "document"):
            return
        if origin is None or not self.in_front(origin):
            raise Forbidden("Another site may not call; add its origin to FRONT_ORIGIN.")

    def headers(self, origin: str | None) -> Headers:
        """CORS headers of an answer; of no other origin than those in front."""
        if origin is None or not self.in_front(origin):
            return self.plain
        return (
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", EXPOSED_HEADERS),
        )

    def preflight_headers(self, origin: str | None, methods: str, asked: str = "") -> Headers:
        """Headers of a preflight's answer in addition to :meth:`headers`.

        Allowed are our own headers and all valid names ``asked`` for
        (``Access-Control-Request-Headers``): no header of a page changes what it may do.
        """
        if origin is None or not self.in_front(origin):
            return ()
        return (
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", ", ".join((ALLOWED_HEADERS, *_others(asked)))),
            ("Access-Control-Max-Age", str(_PREFLIGHT_MAX_AGE_S)),
        )


class Proxies:
    """Finds the client behind trusted proxies (``X-Forwarded-For``)."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(one) for one in trusted]

    def trusts(self, address: str) -> bool:
        """Whether what ``address`` says of its clients is believed."""
        if not self._networks:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)

    def client(self, address: str, forwarded: str) -> str:
        """The client's address: the last in ``X-Forwarded-For`` that is not a trusted proxy's.

        What stands further left may be forged by any client.
        """
        for part in reversed(forwarded.split(",")):
            if not self.trusts(address):
                return address
            try:
                address = str(ipaddress.ip_address(part.strip()))
            except ValueError:
                return address
        return address


def _others(asked: str) -> list[str]:
    """The valid names in ``asked`` that are not ours."""
    ours = ALLOWED_HEADERS.lower().split(", ")
    names = dict.fromkeys(name.strip(" \t") for name in asked.split(","))
    return [name for name in names if _FIELD_NAME.fullmatch(name) and name.lower() not in ours]


@lru_cache(maxsize=1024)  # asked for each request
def client_key(address: str) -> str:
    """What limits count as one client at ``address``.

    IPv4 (also mapped into IPv6) whole; of global IPv6 the /56, since a customer gets as many
    addresses as he likes of one; ULA, link-local and loopback whole. Else the text as it is.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    if parsed.is_loopback or parsed.is_link_local or parsed in _ULA:
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), _CUSTOMER_BITS), strict=False))


def without_port(host: str) -> str:
    """The name or address in a ``Host`` header."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
