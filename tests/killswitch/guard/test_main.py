"""The guard as it is installed: ``python -I -S <folder>``, out of a wheel, with nothing else."""

import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ...test_packaging import _copied_root, _wheel_of
from .posts import slots, until
from .test_orders import ORDERS

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]

PURE = {
    *("killswitch", "killswitch.foreign", "killswitch.intake", "killswitch.latch"),
    *("killswitch.lease", "killswitch.readings", "killswitch.regular_files", "killswitch.slots"),
    "protocol",
}
"""What the guard may load of ours beside its own modules: standard library only, without effects
(`slots` and `regular_files` apart)."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guard's folder in an unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = _wheel_of(_copied_root(folder / "root"), Path(sys.executable).parent)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site" / "orchestrator" / "killswitch" / "guard"


def launch(guard: Path, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    orders = replace(ORDERS, folder=str(folder), redis_url="redis://127.0.0.1:1/0", run="")
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", *options, str(guard), "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={"PATH": os.defpath},
    )
    assert process.stdin is not None
    process.stdin.write(replace(orders, daemon_pid=os.getpid()).line())
    process.stdin.flush()
    return process


def test_it_works_out_of_a_wheel_and_loads_only_what_it_may(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "TRIP").write_text("out of a wheel")
    process = launch(installed, tmp_path, "-X", "importtime")
    assert process.stdout is not None
    events = (json.loads(line)["event"] for line in process.stdout)
    is_ready = "ready" in events  # after it, or before, comes that Redis refuses
    until(lambda: slots(tmp_path).in_force)

    _, imported = process.communicate(b"end\n", timeout=20)

    assert (is_ready, process.returncode) == (True, 0)
    assert slots(tmp_path).trips[0].reason == "out of a wheel"
    names = re.findall(r"\|\s+([\w.]+)$", imported.decode(), re.MULTILINE)
    ours = {name.removeprefix("orchestrator.") for name in names if name.startswith("orchestrator")}
    others = {name.partition(".")[0] for name in names} - {"orchestrator", "org"}  # org: Jython's
    assert others <= sys.stdlib_module_names
    wrong = {
        n for n in ours if not n.startswith(("protocol.", "killswitch.guard")) and n not in PURE
    }
    assert wrong == set()
    assert "killswitch.guard.bus" in ours
    assert not {"killswitch.guard.actor", "killswitch.guard.link"} & ours
    assert "ssl" not in names, "slow, and only needed for TLS"


def test_no_module_of_ours_can_take_the_place_of_the_standard_librarys(
    installed: Path, tmp_path: Path
) -> None:
    (installed / "json.py").write_text("raise SystemExit('the wrong json')")
    (installed.parent.parent / "select.py").write_text("raise SystemExit('the wrong select')")
    try:
        process = launch(installed, tmp_path)
        _, said = process.communicate(b"end\n", timeout=20)
    finally:
        (installed / "json.py").unlink()
        (installed.parent.parent / "select.py").unlink()

    assert (process.returncode, said) == (0, b"")
