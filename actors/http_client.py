"""A client for servers of others, over gevent's sockets: one POST."""

import http.client
import ssl
from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> int:
    """The status of the answer; its body is not read.

    Args:
        url: ``http://`` or ``https://``.
        body: As it goes out.
        headers: Besides those of HTTP itself.
        timeout_s: Of each step; callers set a deadline for the whole.

    Raises:
        OSError: It cannot be reached.
        http.client.HTTPException: It does not speak HTTP.
        ValueError: The URL is none.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection = (
        http.client.HTTPSConnection(host, port, timeout=timeout_s, context=_trust())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=timeout_s)
    )
    target = parts.path or "/"
    try:
        connection.request(
            "POST", f"{target}?{parts.query}" if parts.query else target, body, dict(headers)
        )
        return connection.getresponse().status
    finally:
        connection.close()


@cache
def _trust() -> ssl.SSLContext:
    """Made once: to load the certificates keeps the loop for 50 ms."""
    return ssl.create_default_context()
