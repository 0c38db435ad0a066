import subprocess
from pathlib import Path

import pytest
import redis

from ..conftest import Orc, RunningDaemon, clean_environ


@pytest.mark.subprocess
def test_a_shell_gets_the_addresses_of_the_running_daemon(daemon: RunningDaemon) -> None:
    script = daemon.orc("env").out + 'printf "%s\\n" "$REDIS_URL" "$PG_URL" "$ORCHESTRATOR_URL"'

    done = subprocess.run(
        ["sh", "-ec", script], capture_output=True, text=True, check=True, env=clean_environ()
    )

    redis_url, pg_url, url = done.stdout.split()
    assert url == daemon.url
    assert pg_url.startswith("postgresql://")
    with redis.Redis.from_url(redis_url) as bus:
        assert bus.ping()


def test_servers_of_ones_own_are_taken_from_the_settings(orc: Orc) -> None:
    done = orc(
        "env", "-o", "json", REDIS_URL="redis://r:1/0", PG_URL="postgresql://p/d", PORT="9000"
    )

    assert done.json["REDIS_URL"] == "redis://r:1/0"
    assert done.json["PG_URL"] == "postgresql://p/d"
    assert done.json["ORCHESTRATOR_URL"] == "http://127.0.0.1:9000"


def test_one_address_alone_needs_no_other(orc: Orc, tmp_path: Path) -> None:
    (tmp_path / "supervisor.toml").write_text('[postgres]\nurl = "embedded"\n[data]\ndir = "d"\n')

    done = orc("env", "REDIS_URL", REDIS_URL="redis://r:1/0")

    assert (done.code, done.out) == (0, "redis://r:1/0\n")
    assert orc("env", "PG_URL", REDIS_URL="redis://r:1/0").code == 3


def test_embedded_servers_that_do_not_run_have_no_address(orc: Orc, tmp_path: Path) -> None:
    (tmp_path / "supervisor.toml").write_text('[redis]\nurl = "embedded"\n[data]\ndir = "d"\n')

    done = orc("env")

    assert (done.code, done.out) == (3, "")
    assert "next   start the daemon with `orchestrator run`" in done.err
