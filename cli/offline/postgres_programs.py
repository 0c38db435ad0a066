"""``pg_dump`` and ``pg_restore``, called so that no password is among their arguments."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import Failure


def run_program(program: str, url: str, *words: str) -> None:
    """Run a client program of PostgreSQL's on the database at ``url``.

    Every account of a machine can read the arguments of every process: where the database is goes
    through a service file that only this account can read, the password through the environment.

    Raises:
        Failure: it is not installed, or it failed.
    """
    path = _path_of(program)
    with _service(url) as (service, variables):
        done = subprocess.run(  # noqa: S603 - of PostgreSQL's own
            [path, f"--dbname={service}", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | variables,
        )
    if done.returncode:
        raise Failure(
            f"{program} failed",
            code="dump",
            cause="; ".join(done.stderr.strip().splitlines()[:3]),
            advice=f"see `{path} --version`: it must not be older than the server",
        )


@contextmanager
def _service(url: str) -> Iterator[tuple[str, dict[str, str]]]:
    from ...sql.connection import parameters

    places = parameters(url)
    password = places.pop("password", None)
    with TemporaryDirectory(prefix="orchestrator-service-") as folder:
        file = Path(folder) / "service"
        file.touch(mode=0o600)
        lines = [f"{key}={value}" for key, value in places.items()]
        file.write_text("\n".join(["[orchestrator]", *lines, ""]))
        variables = {"PGSERVICEFILE": str(file)}
        if password is not None:
            variables["PGPASSWORD"] = password
        yield "service=orchestrator", variables


def _path_of(name: str) -> str:
    """Path of a client program: the embedded server's, else the machine's."""
    from ...runtime.embedded import find_binaries

    binaries = find_binaries()
    inside = binaries.postgres.with_name(name) if binaries is not None else None
    found = str(inside) if inside is not None and inside.exists() else shutil.which(name)
    if found is None:
        raise Failure(
            f"there is no {name} here",
            code="not_installed",
            advice="install PostgreSQL's client programs, or 'orchestrator-lite[embedded]'",
        )
    return found
