"""TLS checks of ``doctor`` and ``config check``: the daemon's own, and to the servers."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .check_results import CheckResult, critical, ok, warning

if TYPE_CHECKING:
    from ...http.settings import HttpSettings
    from ...settings import Settings


def check_tls(settings: "Settings") -> Iterator[CheckResult]:
    """Check the settings; connects to nothing."""
    yield from _own(settings.http)
    yield from _redis(settings.redis.url)
    yield from _postgres(settings.postgres.url.get_secret_value())


def _own(http: "HttpSettings") -> Iterator[CheckResult]:
    from ...http.edge.tls import TlsUnusable, inspect
    from ...http.settings import is_loopback

    if not http.tls.cert:
        if not is_loopback(http.host):
            said = f"none on {http.host}: tokens can be read in transit"
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


def _redis(url: str) -> Iterator[CheckResult]:
    from ...http.settings import is_loopback
    from ...protocol.bus_url import read_bus_url
    from ...settings import EMBEDDED

    name = "redis tls"
    read = read_bus_url(url) if url != EMBEDDED else None
    if read is None or read.path is not None:
        return
    if read.tls is None:
        if not is_loopback(read.host):
            said = f"none to {read.host}: what is sent, the password too, can be read and changed"
            advice = "use rediss:// (with ?ssl_ca_certs=FILE for your own authority)"
            yield warning(name, said, advice)
    elif read.tls.cert_reqs != "required":
        yield warning(name, "any certificate is taken", "leave ssl_cert_reqs out of the URL")
    elif not read.tls.check_hostname:
        said = "the certificate of any host is taken"
        yield warning(name, said, "leave ssl_check_hostname out of the URL")
    else:
        yield ok(name, "verified, with the host's name")


def _postgres(url: str) -> Iterator[CheckResult]:
    from ...http.settings import is_loopback
    from ...settings import EMBEDDED
    from ...sql.pg_url import read_pg_url

    if url == EMBEDDED:
        return
    given = read_pg_url(url).parameters
    hosts = [host for host in given.get("host", "").split(",") if host and host[0] not in "/@"]
    mode = given.get("sslmode", "prefer")
    if mode == "verify-full":
        yield ok("postgresql tls", "verified, with the host's name")
    elif remote := [host for host in hosts if not is_loopback(host)]:
        said = {
            "require": "encrypted, but the server is not verified",
            "verify-ca": "verified, but not that it is this host",
        }.get(mode, "a man in the middle can disable it, and read the password")
        advice = "add sslmode=verify-full to PG_URL (and sslrootcert=FILE, or sslrootcert=system)"
        yield warning("postgresql tls", f"sslmode={mode} to {', '.join(remote)}: {said}", advice)
