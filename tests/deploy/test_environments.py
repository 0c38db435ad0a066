"""The settings of the three environments, and test mode, as an operator starts them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..cli.conftest import Orc, clean_environ, orc
from ..conftest import wait_until

__all__ = ["orc"]

FOLDER = Path(__file__).parents[2] / "deploy" / "settings"
ENVIRONMENTS = {
    "development": ("dev", "orch_dev"),
    "staging": ("staging", "orch_staging"),
    "production": ("live", "orch_prod"),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_config_check_accepts_it(orc: Orc, name: str) -> None:
    env, database = ENVIRONMENTS[name]
    file = str(FOLDER / f"{name}.toml")

    checked = orc("config", "check", "-c", file)
    shown = orc("config", "show", "-c", file, "-o", "json").out

    assert (checked.code, checked.err) == (0, "")
    assert f'"{env}"' in shown
    assert database in shown


def test_there_is_no_other_environment() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {*ENVIRONMENTS}


@pytest.mark.slow
@pytest.mark.subprocess
def test_node_env_test_starts_a_daemon_that_leaves_nothing(tmp_path: Path) -> None:
    environ = clean_environ(NODE_ENV="test", PORT="0", TMPDIR=str(tmp_path))
    environ |= {"REDIS_URL": "redis://redis-prod:6379", "PG_URL": "postgresql://prod-db/orch_prod"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "run"],
            cwd=tmp_path,
            env=environ,
            stdout=output,
            stderr=output,
        )
    found = "orchestrator-test-*/data/servers.json"
    wait_until(lambda: [*tmp_path.glob(found)] or process.poll(), limit_s=120, what="a daemon")
    assert process.poll() is None, log.read_text()

    os.kill(process.pid, signal.SIGTERM)

    assert process.wait(90) == 0, log.read_text()
    assert "test mode" in log.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.slow
@pytest.mark.subprocess
def test_selftest_in_test_mode_tries_all_and_leaves_nothing(orc: Orc, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    done = orc("selftest", "--timeout", "30", "-o", "json", NODE_ENV="test", TMPDIR=str(temporary))

    assert done.code == 0, done.out + done.err
    names = [item["name"] for item in done.json["items"]]
    assert {"killswitch release", "publish -> REST", "offline -> registry"} <= {*names}
    assert [*temporary.iterdir()] == []
