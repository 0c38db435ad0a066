"""What other accounts see of a dump: its arguments, never a password."""

import os
import stat
from pathlib import Path

import pytest
from orchestrator.cli.errors import Failure
from orchestrator.cli.offline import postgres_programs
from orchestrator.cli.offline.postgres_programs import run_program

URL = (
    "postgresql://anna:p%40ss%20word@db.example.com:5433/orch?sslmode=require&sslpassword=key-pass"
)
SPY = """#!/bin/sh
printf '%s\\n' "$@" > "{out}/arguments"
printf '%s' "$PGPASSWORD" > "{out}/password"
stat -c %a "$PGSERVICEFILE" > "{out}/mode"
cat "$PGSERVICEFILE" > "{out}/service"
exit {code}
"""


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a program in place of pg_dump writes what it was called with."""
    monkeypatch.setattr("orchestrator.runtime.embedded.find_binaries", lambda: None)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    install(tmp_path)
    return tmp_path


def install(folder: Path, code: int = 0) -> None:
    spy = folder / "pg_dump"
    spy.write_text(SPY.format(out=folder, code=code))
    spy.chmod(spy.stat().st_mode | stat.S_IXUSR)


def test_no_password_is_an_argument_and_libpq_gets_all_the_same(out: Path) -> None:
    run_program("pg_dump", URL, "--format=custom")

    assert (out / "arguments").read_text().splitlines() == [
        "--dbname=service=orchestrator",
        "--format=custom",
    ]
    assert (out / "password").read_text() == "p@ss word"
    service = (out / "service").read_text().splitlines()
    assert {"[orchestrator]", "user=anna", "host=db.example.com", "port=5433"} <= {*service}
    assert "sslpassword=key-pass" in service
    assert (out / "mode").read_text().strip() == "600"


def test_a_program_that_fails_is_named_with_what_it_said(out: Path) -> None:
    install(out, code=3)

    with pytest.raises(Failure, match="pg_dump failed"):
        run_program("pg_dump", URL)


def test_a_program_that_is_missing_is_named(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(out))
    (out / "pg_dump").unlink()

    with pytest.raises(Failure, match="no pg_dump") as caught:
        postgres_programs.run_program("pg_dump", URL)

    assert caught.value.code == "not_installed"
