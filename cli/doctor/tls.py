"""What ``doctor`` and ``config check`` say of TLS: our own, and that to the servers."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from .check_results import Finding, critical, ok, warning

if TYPE_CHECKING:
    from ...http.settings import HttpSettings
    from ...settings import Settings

_OFF = frozenset({"0", "f", "false", "n", "no"})


def check_tls(settings: "Settings") -> Iterator[Finding]:
    """All that can be said without connecting to anything."""
    yield from _own(settings.http)
    yield from _redis(settings.redis.url)
    yield from _postgres(settings.postgres.url.get_secret_value())


def _own(http: "HttpSettings") -> Iterator[Finding]:
    from ...http.edge.tls import TlsUnusable, inspect
    from ...http.settings import is_loopback

    if not http.tls.cert:
        if not is_loopback(http.host):
            said = f"none on {http.host}: tokens can be read on the way"
            yield warning("tls", said, "set [http.tls], or let only a proxy with TLS reach it")
        return
    try:
        found = inspect(http.tls)
    except TlsUnusable as error:
        yield critical("tls", str(error), "correct [http.tls]; the daemon does not start so")
        return
    trouble = found.trouble(time.time())
    until = datetime.fromtimestamp(found.expires_at, UTC).date()
    if found.expires_at <= time.time():
        yield critical("tls", str(trouble), "renew it, then kill -HUP the daemon")
    elif trouble:
        yield warning("tls", trouble, "renew it, then kill -HUP the daemon")
    else:
        yield ok("tls", f"{', '.join(found.names) or 'no names'}, until {until}")


def _redis(url: str) -> Iterator[Finding]:
    from ...http.settings import is_loopback

    name = "redis tls"
    parts = urlsplit(url)
    if parts.scheme == "redis" and not is_loopback(parts.hostname or "localhost"):
        said = f"none to {parts.hostname}: what is sent, the password too, can be read and changed"
        yield warning(name, said, "use rediss:// (with ?ssl_ca_certs=FILE for your own authority)")
    if parts.scheme != "rediss":
        return
    query = {key: values[-1].lower() for key, values in parse_qs(parts.query).items()}
    if query.get("ssl_cert_reqs", "required") not in ("required", "cert_required"):
        yield warning(name, "any certificate is taken", "leave ssl_cert_reqs out of the URL")
    elif query.get("ssl_check_hostname", "true") in _OFF:
        said = "the certificate of any host is taken"
        yield warning(name, said, "leave ssl_check_hostname out of the URL")
    else:
        yield ok(name, "verified, with the host's name")


def _postgres(url: str) -> Iterator[Finding]:
    from psycopg.conninfo import conninfo_to_dict

    from ...http.settings import is_loopback
    from ...settings import EMBEDDED

    if url == EMBEDDED:
        return
    given = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    hosts = [host for host in given.get("host", "").split(",") if host and host[0] not in "/@"]
    mode = given.get("sslmode", "prefer")
    if mode == "verify-full":
        yield ok("postgresql tls", "verified, with the host's name")
    elif remote := [host for host in hosts if not is_loopback(host)]:
        said = {
            "require": "encrypted, but with whoever answers",
            "verify-ca": "verified, but not that it is this host",
        }.get(mode, "whoever is on the way can turn it off, and read the password")
        advice = "add sslmode=verify-full to PG_URL (and sslrootcert=FILE, or sslrootcert=system)"
        yield warning("postgresql tls", f"sslmode={mode} to {', '.join(remote)}: {said}", advice)
