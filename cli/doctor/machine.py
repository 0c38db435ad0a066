"""``doctor``'s checks of the machine: data directory, disk, port, limits."""

import os
import platform
import resource
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..client.rest import Client
from ..errors import Failure
from ..local_settings import Place
from .check_results import CheckResult, critical, ok, unknown, warning

LEAST_FREE_BYTES = 500 * 1024 * 1024
"""Below it the journal cannot hold an hour without PostgreSQL."""
GOOD_FREE_BYTES = 5 * 1024**3
GOOD_OPEN_FILES = 2048
"""1,000 WebSocket clients, the pool, and room."""
ANSWER_LIMIT_S = 2.0


def check_machine(place: Place) -> Iterator[CheckResult]:
    """All checks but those of the servers."""
    yield ok("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield _data_dir(place.data_dir)
    yield _disk(place.data_dir)
    yield _port(place)
    yield _open_files()


def _data_dir(folder: Path) -> CheckResult:
    name = "data directory"
    existing = _existing(folder)
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        advice = f"chown {existing}, or set ORCHESTRATOR_DATA_DIR to a folder of yours"
        return critical(name, f"{existing} is not a folder that can be written", advice)
    made = "" if existing == folder else " (will be created)"
    return ok(name, f"{folder}{made}")


def _existing(folder: Path) -> Path:
    """The folder, or its nearest existing parent."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _disk(folder: Path) -> CheckResult:
    try:
        usage = shutil.disk_usage(_existing(folder))
    except OSError as error:
        return unknown("disk", error.strerror or str(error))
    said = f"{usage.free / 1024**3:.1f} GB free of {usage.total / 1024**3:.0f} GB"
    if usage.free < LEAST_FREE_BYTES:
        return critical("disk", said, "free some space, or move the data directory")
    if usage.free < GOOD_FREE_BYTES:
        return warning("disk", said, "free some space, or shorten [retention]; `db prune` acts now")
    return ok("disk", said)


def _port(place: Place) -> CheckResult:
    """Whether the port is the daemon's, another program's, or free."""
    http = place.settings.http
    name = f"port {http.port}"
    if http.port == 0 and not place.announced:
        return ok("port", "any that is free")
    try:
        with Client(place.http_url, timeout_s=ANSWER_LIMIT_S, tls=place.tls_context) as client:
            health = client.get("/health")
    except Failure as failure:
        if failure.code == "unreachable":
            return _bindable(name, http.host, http.port)
        advice = "end that program, or choose another port: PORT, or http.port"
        return critical(name, f"taken, but not by the daemon: {failure.cause}", advice)
    return ok(name, f"the daemon answers: {health.get('instance')} {health.get('version')}")


def _bindable(name: str, host: str, port: int) -> CheckResult:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            said = error.strerror or str(error)
            return critical(name, said, "choose another: PORT, http.port or http.host")
    return ok(name, "free, the daemon does not run")


def _open_files() -> CheckResult:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < GOOD_OPEN_FILES:
        return warning(
            "open files",
            f"limited to {soft}, {hard} at most",
            f"ulimit -n {GOOD_OPEN_FILES}, or LimitNOFILE= of the systemd unit",
        )
    return ok("open files", "no limit" if soft == resource.RLIM_INFINITY else f"up to {soft}")


def check_daemon(client: Client) -> Iterator[CheckResult]:
    """The readiness checks of the daemon, if it runs."""
    with suppress(Failure):
        checks = client.ask("GET", "/ready").body.get("checks") or {}
        for name, check in checks.items():
            said = str(check.get("message") or "ok")
            if check.get("warning"):
                yield warning(
                    f"daemon: {name}", said, "mend the table, or the program that beats so"
                )
            elif check.get("ok"):
                yield ok(f"daemon: {name}", said)
            else:
                yield critical(f"daemon: {name}", said, "look at its log")
