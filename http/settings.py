"""The sections ``[http]`` and ``[websocket]`` of supervisor.toml."""

import ipaddress
import math
import re
from functools import lru_cache
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
LOOPBACK_NAMES: Final = frozenset({"localhost", "ip6-localhost", "ip6-loopback"})


@lru_cache(maxsize=256)  # asked for each request
def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address, without a port) is this machine only."""
    name = host.strip("[]").lower().rstrip(".")
    if name in LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class TokenSettings(BaseModel):
    """One of ``[[http.auth.tokens]]``; ``orchestrator token new`` makes it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """Its holder; shown in the log and as who engaged the killswitch."""
    role: Literal["viewer", "tripper", "operator"]
    """What it may do."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The token's hash; the token itself is never stored."""
    expires: AwareDatetime | None = None
    """From then on it is refused, and its event feeds are closed; left out: never. A date and time
    of TOML with its zone, such as ``2027-01-31T00:00:00Z``."""

    @property
    def expires_at(self) -> float:
        """The same as Unix time; infinite if it never expires."""
        return math.inf if self.expires is None else self.expires.timestamp()


class AuthSettings(BaseModel):
    """Section ``[http.auth]``."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    tokens: tuple[TokenSettings, ...] = ()
    """Without any, every caller that reaches the daemon may do everything."""
    max_failures_per_minute: int = Field(default=10, ge=1, le=10_000)
    """Wrong tokens of one address; further ones are answered 429, valid ones never are."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [token.name for token in self.tokens]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"expected names that differ, found {', '.join(twice)} twice")
        return self


class TlsSettings(BaseModel):
    """Section ``[http.tls]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    cert: str = ""
    """Path of the certificate in PEM, followed by its chain; empty: no TLS. Reloaded at SIGHUP."""
    key: str = ""
    """Path of its key in PEM, without a password; empty: it is in the same file."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS accepted."""
    hsts_s: int = Field(default=31_536_000, ge=0, le=63_072_000)
    """For how long browsers use HTTPS only (``Strict-Transport-Security``); 0: not sent. Never sent
    on loopback's names, where other programs serve too."""

    @field_validator("cert", "key")
    @classmethod
    def _paths_are_absolute(cls, value: str) -> str:
        if value and not value.startswith("/"):
            raise ValueError("expected an absolute path")
        return value

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Self:
        if self.key and not self.cert:
            raise ValueError("expected a certificate (http.tls.cert) with the key")
        return self


class HttpSettings(BaseModel):
    """Section ``[http]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """The address to listen on; anything but loopback needs tokens, or ``insecure``."""
    port: int = Field(default=8090, ge=0, le=65_535)
    """``PORT``; 0 takes a free one."""
    front_origin: str = ""
    """``FRONT_ORIGIN``: origins, comma-separated, whose pages may call with credentials."""
    insecure: bool = False
    """Listen on any address although every caller that reaches it may do everything."""
    allowed_hosts: tuple[str, ...] = ()
    """Names allowed in a ``Host`` header in addition to loopback's (a proxy's, say)."""
    rate_limit_window_ms: int = Field(default=60_000, ge=1_000, le=3_600_000)
    """``RATE_LIMIT_WINDOW``; a moving window, to the millisecond (ADR 7)."""
    rate_limit_max: int = Field(default=60, ge=1, le=1_000_000)
    """``RATE_LIMIT_MAX``: calls per window and client address."""
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Larger bodies are answered 413."""
    max_connections: int = Field(default=2_000, ge=10, le=100_000)
    """Open connections, WebSockets included; at the limit the oldest without a complete request is
    closed for a new one."""
    max_connections_per_address: int = Field(default=1_000, ge=1, le=100_000)
    """The same for one client address, WebSockets and trusted proxies not counted."""
    reserved_files: int = Field(default=256, ge=32, le=100_000)
    """File descriptors reserved for PostgreSQL, Redis, the journal and agents."""
    headers_timeout_s: float = Field(default=5.0, gt=0, le=300)
    """Limit for a request's headers."""
    body_timeout_s: float = Field(default=10.0, gt=0, le=300)
    """Limit for its body, after the headers."""
    send_timeout_s: float = Field(default=30.0, gt=0, le=300)
    """How long a client may not read its response before it is disconnected."""
    keep_alive_s: float = Field(default=30.0, gt=0, le=3_600)
    """How long a connection may be idle between two requests."""
    max_headers: int = Field(default=100, ge=10, le=1_000)
    """Header lines of a request."""
    max_header_bytes: int = Field(default=16 * 1024, ge=1_024, le=1024 * 1024)
    """All header lines of a request together."""
    control_socket: str = ""
    """Path of a Unix socket on which this account reaches the daemon even when the port is full
    (``orchestrator --url unix:///run/orchestrator.sock``); it has connection limits of its own."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (``10.0.0.0/8``) whose ``X-Forwarded-For`` is trusted."""
    auth: AuthSettings = AuthSettings()
    """Who may call."""
    tls: TlsSettings = TlsSettings()
    """HTTPS and wss on the port."""

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            ipaddress.ip_network(one)  # raises a ValueError that says what is wrong
        return value

    @field_validator("front_origin")
    @classmethod
    def _origins_are_origins(cls, value: str) -> str:
        for origin in origins_of(value):
            if (sent := origin_as_sent(origin)) != origin:
                meant = f"; browsers send {sent}" if sent else ""
                raise ValueError(
                    f"{origin!r} is not an origin such as https://desk.example.com{meant}"
                )
        return value


def is_open_to_strangers(settings: HttpSettings) -> bool:
    """Whether other machines could do everything although that is not configured."""
    return not (is_loopback(settings.host) or settings.insecure or settings.auth.tokens)


class WebSocketSettings(BaseModel):
    """Section ``[websocket]``: the event feed, over WebSockets and as Server-Sent Events."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_clients: int = Field(default=500, ge=1, le=50_000)
    """Further ones are refused with 503."""
    queue_bytes: int = Field(default=1536 * 1024, ge=64 * 1024, le=64 * 1024 * 1024)
    """Queue of one client; beyond it events are dropped and reported as a gap."""
    ping_interval_s: float = Field(default=30.0, gt=0, le=3_600)
    """How often a client is pinged; Server-Sent Events have a comment twice as often, since proxies
    close a connection that is silent for 30 s."""
    ping_timeout_s: float = Field(default=60.0, gt=0, le=3_600)
    """A client that is silent for this long is closed."""
    send_timeout_s: float = Field(default=7.0, gt=0, le=3_600)
    """A client that reads nothing for this long is closed (1013)."""
    send_buffer_bytes: int = Field(default=256 * 1024, ge=16 * 1024, le=16 * 1024 * 1024)
    """Kernel buffer of one client in addition to the queue (``SO_SNDBUF``): the larger, the later a
    client that does not read is detected."""
    catch_up_wait_s: float = Field(default=10.0, ge=0, le=3_600)
    """How long a client that resumes waits for events that are not readable (PostgreSQL is down);
    then they become a gap, and it continues after them."""
    max_message_bytes: int = Field(default=64 * 1024, ge=1024, le=16 * 1024 * 1024)
    """Larger messages from a client close it (1009)."""
    max_fragments: int = Field(default=64, ge=1, le=100_000)
    """A message in more fragments closes it (1008)."""
    max_control_frames_per_s: int = Field(default=100, ge=10, le=100_000)
    """More pings and pongs of a client within a second close it (1008)."""
    close_timeout_s: float = Field(default=2.0, gt=0, le=60)
    """How long a client has to answer a close frame before the connection is cut."""
    compression: bool = True
    """Accept permessage-deflate, if a client offers it; a frame is compressed once for all."""
    compression_from_bytes: int = Field(default=512, ge=64, le=16 * 1024 * 1024)
    """Shorter frames are not compressed."""


def origin_as_sent(text: str) -> str | None:
    """The ``Origin`` a browser sends for pages of ``text``; ``None`` if there is none (RFC 6454).

    Host names in lower case and Punycode, addresses in their short form, no default port.
    """
    try:
        parts = urlsplit(text)
        port, host = parts.port, _host_as_sent(parts.hostname or "")
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or parts.path or parts.query or parts.fragment:
        return None
    if host is None or "@" in parts.netloc or any(sign in text for sign in "?#"):
        return None
    shown = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def _host_as_sent(host: str) -> str | None:
    if ":" in host:
        return f"[{ipaddress.IPv6Address(host)}]"
    if re.fullmatch(r"[0-9.]+", host):
        return str(ipaddress.IPv4Address(host))
    name = host if host.isascii() else host.encode("idna").decode()
    return name if re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", name) else None


def origins_of(front_origin: str) -> tuple[str, ...]:
    """The single origins of a comma-separated list, as browsers write them."""
    parts = (part.strip().rstrip("/").lower() for part in front_origin.split(","))
    return tuple(part for part in parts if part)
