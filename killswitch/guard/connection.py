"""One connection to Redis, speaking RESP 2 by hand.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ...protocol.bus_url import BusUrl, Tls

if TYPE_CHECKING:
    import ssl

LIMIT_S: Final = 1.0
"""For each step."""


class Refused(Exception):
    """The server answered with an error."""


class NotMaster(ConnectionError):
    """A replica: what is published there reaches no client of the master."""


class Connection:
    """A connection to a master, logged in.

    Args:
        url: where to.

    Raises:
        OSError: it cannot be had, or breaks; also later.
        NotMaster: the server is a replica, or became one.
        Refused: the server refuses a command; also later.
    """

    def __init__(self, url: BusUrl) -> None:
        self._socket = _connected(url)
        self._answers = self._socket.makefile("rb")
        try:
            if url.auth:
                self.call("AUTH", *url.auth)
            if url.db:
                self.call("SELECT", str(url.db))
            with suppress(Refused):  # an account that may not is served all the same
                self.call("CLIENT", "SETNAME", url.client_name or "orchestrator-guard")
            self.prove()
        except (OSError, Refused):
            self.close()
            raise

    def prove(self) -> None:
        """Ask for the role: shows that the connection works, and that it leads to a master.

        A server that refuses the question may be a master; a replica refuses what is written.
        """
        try:
            role = self.call("ROLE")
        except Refused as error:
            if not str(error).startswith(("NOPERM", "ERR unknown")):
                raise
            return
        if isinstance(role, list) and role[:1] != [b"master"]:
            name = role[0].decode(errors="replace")
            raise NotMaster(f"the server is no master ({name}): a stop would reach no agent")

    def call(self, *words: str | bytes) -> Any:
        """Send a command and wait for its answer."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        sent = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(b"*%d\r\n%s" % (len(parts), sent))
        answer = self._read()
        if isinstance(answer, Refused):
            raise answer
        return answer

    def close(self) -> None:
        """Hang up."""
        self._answers.close()
        self._socket.close()

    def _read(self) -> Any:
        line = self._answers.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return Refused(rest.decode(errors="replace"))
        if kind == b"+":
            return rest
        number = int(rest)
        if kind == b":":
            return number
        if number < 0:
            return None
        return [self._read() for _ in range(number)] if kind == b"*" else self._bulk(number)

    def _bulk(self, length: int) -> bytes:
        data = self._answers.read(length + 2)
        if len(data) < length + 2:
            raise ConnectionError("Redis has closed the connection")
        return data[:-2]


def _connected(url: BusUrl) -> socket.socket:
    if url.path is not None:
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(LIMIT_S)
        try:
            local.connect(url.path)
        except OSError:
            local.close()
            raise
        return local
    plain = socket.create_connection((url.host, url.port), timeout=LIMIT_S)
    if url.tls is None:
        return plain
    try:
        return _context(url.tls).wrap_socket(plain, server_hostname=url.host)
    except (OSError, ValueError):
        plain.close()
        raise


def _context(tls: Tls) -> "ssl.SSLContext":
    """As redis-py makes it of the same options."""
    import ssl  # noqa: PLC0415 slow to import, and rarely needed

    context = ssl.create_default_context()
    context.check_hostname = tls.check_hostname and tls.cert_reqs != "none"
    context.verify_mode = ssl.VerifyMode[f"CERT_{tls.cert_reqs.upper()}"]
    if tls.ca_certs or tls.ca_path or tls.ca_data:
        context.load_verify_locations(tls.ca_certs, tls.ca_path, tls.ca_data)
    if tls.certfile:
        context.load_cert_chain(tls.certfile, tls.keyfile, tls.password)
    if tls.min_version is not None:
        context.minimum_version = ssl.TLSVersion(tls.min_version)
    if tls.ciphers:
        context.set_ciphers(tls.ciphers)
    for name in tls.include_verify_flags:
        context.verify_flags |= ssl.VerifyFlags[name]
    for name in tls.exclude_verify_flags:
        context.verify_flags &= ~ssl.VerifyFlags[name]
    return context
