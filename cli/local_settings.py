"""This machine's settings, for commands that work without the daemon.

Loads pydantic, and for embedded servers the runtime: only commands that need it import this.
"""

import json
import os
import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from .. import __version__
from .client.rest import Client, split_url
from .client.tls import pinned_context
from .errors import ExitCode, Failure
from .options import Invocation

if TYPE_CHECKING:
    from ..runtime.embedded import EmbeddedServer
    from ..settings import Settings

REDIS_FOLDER = "valkey"
POSTGRES_FOLDER = "postgres"
ANNOUNCEMENT = "servers.json"
"""In the data directory while the daemon runs."""
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - not bound here

config_option = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings.  [supervisor.toml of this folder, if there is one]",
)


def missing_extra(error: ModuleNotFoundError, extra: str) -> Failure:
    """The failure for a missing optional dependency."""
    return Failure(
        "this command needs an optional dependency",
        code="not_installed",
        cause=f"there is no module {error.name}",
        advice=install_advice(extra),
    )


def install_advice(extra: str) -> str:
    """How to install this program with an extra: from its wheel, since no index has it."""
    return f"pip install './orchestrator_lite-{__version__}-py3-none-any.whl[{extra}]'"


def read_settings(config: Path | None) -> "Settings":
    """The settings that ``run`` would use.

    Raises:
        Failure: lists all faults at once.
    """
    try:
        from ..settings import SettingsError, find_file, load
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
    try:
        return load(config or find_file())
    except SettingsError as error:
        raise Failure(
            "the settings cannot be used",
            code="bad_settings",
            cause="; ".join(str(error).splitlines()),
            advice="correct them, then `orchestrator config check`",
            exit_code=ExitCode.USAGE,
        ) from error


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, but alive
        return True
    return True


@dataclass(frozen=True)
class Place:
    """Addresses of the configured daemon and its servers."""

    settings: "Settings"

    @cached_property
    def data_dir(self) -> Path:
        """Its data directory."""
        return self.settings.data.dir

    @cached_property
    def announced(self) -> dict[str, str]:
        """URLs published by the running daemon: ``http``, ``redis``, ``postgres``.

        Empty if none runs.
        """
        try:
            found = json.loads((self.data_dir / ANNOUNCEMENT).read_text("utf-8"))
            alive = _is_alive(int(found["pid"]))
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {name: url for name, url in found.items() if alive and isinstance(url, str)}

    @property
    def http_url(self) -> str:
        """The URL of the daemon for clients on this machine."""
        if "http" in self.announced:
            return self.announced["http"]
        host = self.settings.http.host
        host = _WILDCARDS.get(host, host).strip("[]")
        scheme = "https" if self.settings.http.tls.cert else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.settings.http.port}"

    def tls_context(self) -> ssl.SSLContext:
        """A TLS context that accepts only the configured certificate of the daemon.

        Raises:
            OSError: it cannot be read.
        """
        return pinned_context(self.settings.http.tls.cert)

    def client(self, invocation: Invocation) -> Client:
        """Client of the daemon that the invocation names, else of the configured one.

        Raises:
            Failure: it listens on a port that it chose itself, and does not run.
        """
        if invocation.names_target:
            return Client.of(invocation)
        if self.settings.http.port == 0 and "http" not in self.announced:
            raise Failure(
                f"no daemon of {self.data_dir} runs here",
                code="not_running",
                cause="none has said which port it chose",
                advice="start it with `orchestrator run`, or name another with --url",
                exit_code=ExitCode.UNREACHABLE,
            )
        return Client(
            self.http_url,
            token=invocation.access_token(),
            timeout_s=invocation.timeout,
            verbose=invocation.verbose,
            tls=self.tls_context,
        )

    def is_here(self, url: str) -> bool:
        """Whether a daemon at this URL may read files of this machine: loopback, or as configured.

        Elsewhere the same path names another file.
        """
        from ..http.settings import is_loopback

        there, own = split_url(url), urlsplit(self.http_url)
        host = there.hostname or ""
        return (
            there.scheme == "unix"
            or is_loopback(host)
            or (host, there.port) == (own.hostname, own.port)
        )

    def redis_url(self) -> str | None:
        """The bus; None if it is an embedded server that does not run.

        An embedded one with the daemon's account, where this one may read its secret.
        """
        url, server = self.agents_redis_url(), self._valkey()
        if url is None or not self._is_embedded(url, server):
            return url
        try:
            return server.own_url
        except OSError:
            return url

    def agents_redis_url(self) -> str | None:
        """The bus as agents reach it; None if it is an embedded server that does not run."""
        from ..settings import EMBEDDED

        url = self.announced.get("redis") or self.settings.redis.url
        return self._embedded_url(self._valkey()) if url == EMBEDDED else url

    def _is_embedded(self, url: str, server: "EmbeddedServer") -> bool:
        return server.alive() and url == server.url

    def pg_url(self) -> str | None:
        """The database, password included; None if it is an embedded server that does not run."""
        from ..settings import EMBEDDED

        url = self.announced.get("postgres") or self.settings.postgres.url.get_secret_value()
        return self._embedded_url(self._postgres()) if url == EMBEDDED else url

    def needed_redis_url(self) -> str:
        """The bus.

        Raises:
            Failure: it is an embedded server that does not run.
        """
        return self.redis_url() or self._not_running("Valkey")

    def needed_agents_redis_url(self) -> str:
        """The bus as agents reach it.

        Raises:
            Failure: it is an embedded server that does not run.
        """
        return self.agents_redis_url() or self._not_running("Valkey")

    def needed_pg_url(self) -> str:
        """The database.

        Raises:
            Failure: it is an embedded server that does not run.
        """
        return self.pg_url() or self._not_running("PostgreSQL")

    def _valkey(self) -> "EmbeddedServer":
        from ..runtime.embedded import EmbeddedValkey

        return EmbeddedValkey(self.data_dir / REDIS_FOLDER)

    def _postgres(self) -> "EmbeddedServer":
        from ..runtime.embedded import EmbeddedPostgres

        return EmbeddedPostgres(self.data_dir / POSTGRES_FOLDER)

    def _embedded_url(self, server: "EmbeddedServer") -> str | None:
        return server.url if server.alive() else None

    def _not_running(self, server: str) -> str:
        raise Failure(
            f"the embedded {server} of {self.data_dir} does not run",
            code="not_running",
            cause="it runs as long as the daemon does",
            advice="start the daemon with `orchestrator run`, or name another with -c",
            exit_code=ExitCode.UNREACHABLE,
        )
