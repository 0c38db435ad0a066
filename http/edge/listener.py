"""The listening sockets and their connections; they outlive runs of the server."""

import errno
import os
import socket
import stat
from contextlib import suppress
from typing import Any, Final

from gevent.pool import Pool

from ...runtime import OrchestratorError
from ..auth import Sessions
from ..origins import Proxies
from ..settings import HttpSettings, is_open_to_strangers
from .connections import Connections, allowed_connections
from .tls import Tls, TlsUnusable

_BACKLOG: Final = 1024
_NEWCOMERS: Final = 64
_CONTROL_CONNECTIONS: Final = 32


class CannotListen(OrchestratorError):
    """The port cannot be served; the text says what to do."""


class ListeningSocket:
    """The listening socket and its connections; outlives runs of the server.

    Raises:
        CannotListen: The address is not available, or reachable without authentication, or the
            certificate is unusable.
    """

    def __init__(self, settings: HttpSettings) -> None:
        if is_open_to_strangers(settings):
            raise CannotListen(
                f"http.host is {settings.host}, and any caller could do everything: make "
                "tokens (`orchestrator token new`), use a loopback address (127.0.0.1), or set "
                "http.insecure = true"
            )
        self.tls = _tls(settings)
        """For the port; the control socket is local."""
        allowed = allowed_connections(settings.max_connections, settings.reserved_files)
        self.connections = Connections(allowed, settings.max_connections_per_address)
        self.sessions = Sessions()
        self.proxies = Proxies(settings.trusted_proxies)
        # A few more, so that new connections are handled although the limit is reached.
        self.pool = Pool(allowed + _NEWCOMERS)
        self._listener = _listen(settings.host, settings.port)
        self.control = ControlSocket(settings.control_socket) if settings.control_socket else None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it is bound to."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    @property
    def url(self) -> str:
        """Its URL on this machine."""
        host, port = self.address
        if host in {"0.0.0.0", "::"}:  # noqa: S104 compared, not bound
            host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104 the same
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def duplicate(self) -> Any:
        """A socket for one run of the server, which it may close."""
        return self._listener.dup()

    def close(self) -> None:
        """Stop listening for good."""
        if self.control is not None:
            self.control.close()
        self._listener.close()
        self.pool.kill(block=False)


class ControlSocket:
    """A listening Unix socket for this account, with connection limits of its own.

    Raises:
        CannotListen: The path is not available.
    """

    tls: Tls | None = None

    def __init__(self, path: str) -> None:
        self.path = path
        self.connections = Connections(_CONTROL_CONNECTIONS, _CONTROL_CONNECTIONS)
        self.pool = Pool(_CONTROL_CONNECTIONS + _NEWCOMERS)
        try:
            self._listener = _listen_at(path)
        except OSError as error:
            said = error.strerror or str(error)
            raise CannotListen(f"http.control_socket {path}: {said}; choose another") from error

    def duplicate(self) -> Any:
        """A socket for one run of the server, which it may close."""
        return self._listener.dup()

    def close(self) -> None:
        """Stop listening for good."""
        self._listener.close()
        with suppress(OSError):
            os.unlink(self.path)  # noqa: PTH108 a socket, not a file
        self.pool.kill(block=False)


def _tls(settings: HttpSettings) -> Tls | None:
    if not settings.tls.cert:
        return None
    try:
        return Tls(settings.tls)
    except TlsUnusable as error:
        raise CannotListen(str(error)) from error


def _listen(host: str, port: int) -> Any:
    name = host.strip("[]")
    try:
        family = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((name, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotListen(_advice(host, port, error)) from error


def _listen_at(path: str) -> Any:
    """Bind a Unix socket that only this account can use, in place of a stale one."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path, follow_symlinks=False).st_mode):  # noqa: PTH116 links are not followed
            raise FileExistsError(errno.EEXIST, "the path exists and is not a socket")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                raise OSError(errno.EADDRINUSE, "another daemon serves it")
        os.unlink(path)  # noqa: PTH108 a socket, not a file
    listener = socket.socket(socket.AF_UNIX)
    # Connecting is impossible before it listens; by then its mode is set.
    listener.bind(path)
    os.chmod(path, 0o600)  # noqa: PTH101 a socket, not a file
    listener.listen(_BACKLOG)
    return listener


def _advice(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"port {port} on {host} is taken by another program: stop it, or choose another "
                f"port (PORT={port + 1} in the environment, or http.port)"
            )
        case errno.EACCES:
            return f"port {port} needs privileges: choose one above 1023 (PORT or http.port)"
        case errno.EADDRNOTAVAIL | socket.EAI_NONAME | socket.EAI_ADDRFAMILY:
            return f"{host} is not an address of this machine: change http.host"
        case _:
            said = error.strerror or str(error)
            return f"cannot listen on {host}:{port} ({said}): change http.host or http.port"
