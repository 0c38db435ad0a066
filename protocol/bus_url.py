"""One reading of a Redis URL, for the daemon, its guard, the kit and the command line.

A URL is taken as redis-py takes it, or refused; an option of another client library that
changes nothing on the wire is ignored, by name. No text that is raised repeats any part of the
URL that could be a secret: a password whose ``: / ? # @`` are not percent-encoded ends up in
host, port, path, query or fragment.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, unquote_to_bytes

from .bus_options import IGNORED, BadBusUrl, Tls, client_name, read_options, read_tls, tls_options

__all__ = ["BadBusUrl", "BusUrl", "Tls", "read_bus_url"]

DEFAULT_HOST: Final = "localhost"
DEFAULT_PORT: Final = 6379
_MAX_PORT: Final = 65_535

_SCHEMES: Final = {
    "redis+sentinel": "failover by Sentinel is not supported; name the server itself",
    "rediss+sentinel": "failover by Sentinel is not supported; name the server itself",
    "redis-sentinel": "failover by Sentinel is not supported; name the server itself",
    "sentinel": "failover by Sentinel is not supported; name the server itself",
    "redis+cluster": "clusters are not supported; name one server",
    "rediss+cluster": "clusters are not supported; name one server",
    "redis+socket": "write unix:///path/of/the/socket",
    "redis+unix": "write unix:///path/of/the/socket",
    "redis-socket": "write unix:///path/of/the/socket",
    "redis+ssl": "write rediss://",
    "redis+tls": "write rediss://",
    "valkey": "write redis://",
    "valkeys": "write rediss://",
    "tcp": "write redis://",
    "tls": "write rediss://",
}
"""Schemes of other clients, and what to write instead."""

_ENCODE: Final = (
    "in a user name or password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25"
)
_EXAMPLE: Final = "expected a URL such as redis://user:password@host:6379/0"
_SHAPE: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?]*)(?P<path>[^?]*)(?:\?(?P<query>.*))?"
)
_DATABASE: Final = re.compile(r"/?(?P<number>(?<=/)[0-9]*)?")
_PLACE: Final = re.compile(r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>.*))?")
_WITHOUT_SCHEME: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}(?:/[0-9]*)?")


@dataclass(frozen=True, slots=True)
class BusUrl:
    """Where the bus is, and how to log in."""

    host: str = DEFAULT_HOST
    """Name or address; without brackets."""
    port: int = DEFAULT_PORT
    path: str | None = None
    """Of a Unix socket; host and port mean nothing then."""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    """``None``: no TLS."""
    client_name: str | None = None
    """For ``CLIENT SETNAME``."""
    ignored: tuple[str, ...] = ()
    """Options that change nothing; worth one line in the log."""

    @property
    def auth(self) -> tuple[str, ...]:
        """What follows ``AUTH``; empty without a login. A user without password has ``""``."""
        if self.username:
            return (self.username, self.password or "")
        return (self.password,) if self.password else ()

    @property
    def place(self) -> str:
        """The server without user and password, for people."""
        if self.path is not None:
            return f"unix://{self.path}?db={self.db}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments for ``redis.Redis``; what the URL does not say is not among them."""
        given = {"username": self.username, "password": self.password}
        options: dict[str, Any] = {name: value for name, value in given.items() if value}
        options["db"] = self.db
        if self.client_name is not None:
            options["client_name"] = self.client_name
        if self.path is not None:
            return options | {"unix_socket_path": self.path}
        options |= {"host": self.host, "port": self.port}
        return options | ({} if self.tls is None else {"ssl": True, **tls_options(self.tls)})


def read_bus_url(url: str) -> BusUrl:
    """Read a Redis URL. Connects to nothing.

    Schemes ``redis``, ``rediss`` (TLS) and ``unix``. ``?db=`` wins over the path, user and
    password before the host over ``?username=`` and ``?password=``, as in redis-py.

    Raises:
        BadBusUrl: it is refused.
    """
    scheme, authority, path, query = _split(url)
    userinfo, _, place = authority.rpartition("@")
    if "@" in userinfo:
        raise BadBusUrl(f"more than one @ before the host: {_ENCODE}")
    host, port = _host_and_port(place)  # first: where @ is missing this is a password's rest
    options = read_options(query, scheme)
    name, _, word = userinfo.partition(":")
    common: dict[str, Any] = {
        "username": _decoded(name, "the user name") or options.get("username"),
        "password": _decoded(word, "the password") or options.get("password"),
        "client_name": client_name(options),
        "ignored": tuple(name for name in options if name in IGNORED),
    }
    if scheme == "unix":
        return BusUrl(path=_socket_path(place, path), db=_database(options), **common)
    db = _database(options, path)
    return BusUrl(
        host, port, db=db, tls=read_tls(options) if scheme == "rediss" else None, **common
    )


def _split(url: str) -> tuple[str, str, str, str]:
    """Scheme, authority, path and query, once no secret can have run over into the last two."""
    if any(sign.isspace() or not sign.isprintable() for sign in url):
        raise BadBusUrl(f"expected no spaces, line breaks or control characters: {_ENCODE}")
    if "#" in url:
        raise BadBusUrl(f"expected no #: {_ENCODE}")
    found = _SHAPE.fullmatch(url)
    if found is None:
        raise BadBusUrl(f"{_EXAMPLE}; write redis://{url}" if _is_place(url) else _EXAMPLE)
    scheme, authority, path, query = found.groups(default="")
    if (scheme := scheme.lower()) not in ("redis", "rediss", "unix"):
        raise BadBusUrl(_other_scheme(scheme))
    if "@" in query or ("@" in path and (scheme != "unix" or (authority and "@" not in authority))):
        raise BadBusUrl(f"an @ after the host: {_ENCODE}")
    return scheme, authority, path, query


def _is_place(url: str) -> bool:
    """Whether only the scheme is missing; then there is no secret in it."""
    return _WITHOUT_SCHEME.fullmatch(url) is not None


def _other_scheme(scheme: str) -> str:
    if scheme in _SCHEMES:
        return f"{scheme}:// is not supported: {_SCHEMES[scheme]}"
    return "expected redis://…, rediss://… (TLS) or unix://…"


def _host_and_port(place: str) -> tuple[str, int]:
    found = _PLACE.fullmatch(place)
    if found is None:
        raise BadBusUrl("expected host:port; an IPv6 address is written in brackets, as in [::1]")
    number = found["port"] or str(DEFAULT_PORT)
    if re.fullmatch(r"[0-9]{1,5}", number) is None or not 0 < int(number) <= _MAX_PORT:
        raise BadBusUrl(
            f"expected a port from 1 to {_MAX_PORT} after the host; an IPv6 address is written in "
            f"brackets; {_ENCODE}"
        )
    if (address := found["bracketed"]) is not None:
        return _ipv6(_decoded(address, "the host")), int(number)
    host = _decoded(found["host"], "the host").lower() or DEFAULT_HOST
    if re.fullmatch(r"[^\s,/?#@:\x00-\x1f]+", host) is None:
        raise BadBusUrl("expected the name or address of one host")
    return host, int(number)


def _ipv6(address: str) -> str:
    try:
        return str(ipaddress.IPv6Address(address))
    except ValueError:
        raise BadBusUrl("expected an IPv6 address in the brackets, as in [::1]") from None


def _decoded(text: str, what: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise BadBusUrl(f"{what} is not percent-encoded UTF-8") from None


def _socket_path(place: str, path: str) -> str:
    if place or not path.strip("/"):
        raise BadBusUrl("expected the whole path of a socket after unix://, as in unix:///run/x")
    found = _decoded(path, "the path")
    if "\0" in found:
        raise BadBusUrl("expected a path without NUL")
    return found


def _database(options: Mapping[str, str], path: str = "") -> int:
    """``?db=``, else the path; 0 without either."""
    written = _DATABASE.fullmatch(unquote(path))
    if written is None:
        raise BadBusUrl(
            "expected the number of a database after the host, as in redis://host:6379/0"
        )
    number = options.get("db") or written["number"] or "0"
    if re.fullmatch(r"[0-9]{1,9}", number) is None:
        raise BadBusUrl("db: expected the number of a database")
    return int(number)
