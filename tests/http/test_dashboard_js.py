"""The page's pure modules, tested by Node's own runner (tests/browser/unit)."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "browser" / "unit"
MODULES = UNIT.parent / "as_modules.mjs"
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="Node is not installed: it runs the page's unit tests")
@pytest.mark.subprocess
@pytest.mark.parametrize("file", sorted(UNIT.glob("*.test.mjs")), ids=lambda file: file.name)
def test_pure_modules_of_the_page_keep_their_promises(file: Path) -> None:
    done = subprocess.run(
        [str(NODE), "--no-warnings", f"--import={MODULES.as_uri()}", "--test", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
