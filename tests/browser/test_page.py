"""The page in a real browser, on a real daemon with real servers.

Each scenario is a small program under `scenarios/`; it fails by its exit code and says why. It may
ask us, a line at a time, to kill and to start the daemon.
"""

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from ..edge.outside.proxies import NAME, PREFIX, program, running
from .conftest import TOKENS, Daemon

HERE = Path(__file__).parent
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
NODE = shutil.which("node")
LIMIT_S = 500
"""Of one scenario; the longest waits for the page's own patience with a dead daemon."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.subprocess,
    pytest.mark.timeout(600),
    pytest.mark.skipif(NODE is None, reason="Node is not installed: it drives the browser"),
    pytest.mark.skipif(
        not Path(CHROMIUM).exists(), reason=f"there is no browser at {CHROMIUM} (set CHROMIUM)"
    ),
]


@pytest.fixture(scope="module")
def modules() -> Path:
    """The packages that the scenarios need, installed if that is possible."""
    if not (HERE / "node_modules" / "playwright-core").exists():
        npm = shutil.which("npm")
        command = [npm or "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = npm and subprocess.run(command, cwd=HERE, capture_output=True, check=False)
        if not done or done.returncode != 0:
            pytest.skip("playwright-core is not installed: run npm ci in tests/browser")
    return HERE / "node_modules"


def _play(name: str, daemon: Daemon, **more: str) -> str:
    """Run a scenario; returns what it printed."""
    environment = {
        **os.environ,
        "BASE_URL": daemon.base_url,
        "REDIS_URL": daemon.redis_url,
        "CHROMIUM": CHROMIUM,
        **more,
    }
    process = subprocess.Popen(
        [str(NODE), str(HERE / "scenarios" / f"{name}.mjs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    limit = threading.Timer(LIMIT_S, process.kill)
    limit.start()
    said = []
    assert process.stdout is not None
    assert process.stdin is not None
    for line in process.stdout:
        said.append(line)
        if line.strip() in {"kill", "start"}:
            getattr(daemon, line.strip())()
            process.stdin.write("done\n")
            process.stdin.flush()
    limit.cancel()
    process.stdin.close()
    process.stdout.close()
    assert process.wait() == 0, "".join(said)
    return "".join(said)


@pytest.mark.parametrize(
    "name",
    [
        "overview",
        "system",
        "header",
        "events",
        "charts",
        "hostile",
        "killswitch",
        "reference",
        "compression",
    ],
)
def test_an_operator_sees_and_does(name: str, modules: Path, daemon: Daemon) -> None:
    assert modules.exists()

    _play(name, daemon)


def test_strangers_sign_in_and_each_does_what_its_token_allows(
    modules: Path, guarded: Daemon
) -> None:
    assert modules.exists()

    _play("sign_in", guarded, **{f"{role.upper()}_TOKEN": text for role, text in TOKENS.items()})

    assert not any(token in guarded.log() for token in TOKENS.values())


def test_agents_and_actors_are_commanded_by_role(modules: Path, guarded: Daemon) -> None:
    assert modules.exists()

    _play("acting", guarded, **{f"{role.upper()}_TOKEN": text for role, text in TOKENS.items()})


@pytest.mark.skipif(
    not (program("nginx") and program("openssl")), reason="nginx and openssl are not installed"
)
def test_the_page_works_below_a_path_of_its_own(
    modules: Path, daemon: Daemon, tmp_path: Path
) -> None:
    assert modules.exists()

    with running("nginx-prefix", tmp_path, int(daemon.host.split(":")[1])) as proxy:
        _play(
            "prefix",
            daemon,
            BASE_URL=f"https://{NAME}:{proxy.tls_port}/{PREFIX}",
            CHROMIUM_ARGS=f"--host-resolver-rules=MAP {NAME} 127.0.0.1",
        )


@pytest.mark.timing
def test_a_burst_is_sampled_and_costs_little(modules: Path, daemon: Daemon) -> None:
    assert modules.exists()

    _play("burst", daemon)


@pytest.mark.slow
def test_a_dead_daemon_is_said_and_nothing_is_missed(modules: Path, daemon: Daemon) -> None:
    assert modules.exists()

    _play("link", daemon)


def test_five_hundred_agents_are_still_usable(modules: Path, daemon: Daemon) -> None:
    """The last one: its agents stay in the registry."""
    assert modules.exists()

    _play("agents", daemon)
