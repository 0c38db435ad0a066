import subprocess
import sys

import pytest
from orchestrator.sql.connection import check_wait, conninfo
from psycopg.conninfo import conninfo_to_dict

LATE = """
import psycopg
from gevent import monkey
monkey.patch_all()
from orchestrator.sql.connection import check_wait
check_wait()
"""


def test_what_the_url_says_stays_and_our_limits_fill_the_gaps() -> None:
    given = conninfo_to_dict(
        conninfo("postgres://u@h/d?sslmode=verify-full&sslrootcert=/ca&connect_timeout=9")
    )

    assert given["sslmode"] == "verify-full"
    assert given["sslrootcert"] == "/ca"
    assert given["connect_timeout"] == "9"
    assert given["tcp_user_timeout"] == "15000"


def test_waiting_lets_other_greenlets_run() -> None:
    check_wait()


@pytest.mark.subprocess
def test_psycopg_imported_before_gevent_is_noticed() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LATE],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert "psycopg was imported before gevent" in done.stderr
