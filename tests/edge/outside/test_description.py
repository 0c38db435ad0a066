"""`/openapi.json` and `/asyncapi.json` are what they claim to be, and the daemon keeps to them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from e2e.conftest import DaemonProcess
from openapi_spec_validator import OpenAPIV31SpecValidator

HERE = Path(__file__).parent
PACKAGES = HERE.parent
ASYNCAPI = PACKAGES / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.1.0.json"
FUZZ_LIMIT_S = 240


def told(daemon: DaemonProcess, path: str) -> dict[str, Any]:
    """A document of the daemon."""
    found: dict[str, Any] = daemon.get(path)
    return found


@pytest.fixture(scope="session")
def asyncapi_schema() -> dict[str, Any]:
    """AsyncAPI's own schema, installed if that is possible."""
    if not ASYNCAPI.exists():
        npm = shutil.which("npm")
        command = [npm or "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = npm and subprocess.run(command, cwd=PACKAGES, capture_output=True, check=False)
        if not done or done.returncode != 0:
            pytest.skip("AsyncAPI's schema is not installed: run npm ci in tests/edge")
    schema: dict[str, Any] = json.loads(ASYNCAPI.read_text())
    return schema


def faults(schema: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    """What does not fit AsyncAPI's schema."""
    for error in jsonschema_rs.Draft7Validator(schema).iter_errors(document):
        yield f"{'/'.join(map(str, error.instance_path))}: {error.message[:300]}"


def test_openapi_is_valid(shared_daemon: DaemonProcess) -> None:
    document = told(shared_daemon, "/openapi.json")

    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_asyncapi_is_valid(shared_daemon: DaemonProcess, asyncapi_schema: dict[str, Any]) -> None:
    document = told(shared_daemon, "/asyncapi.json")

    assert list(faults(asyncapi_schema, document)) == []
    del document["channels"]["stream"]["messages"]["Pong"]["$ref"]
    document["operations"]["hear_risk"]["action"] = "listen"
    assert list(faults(asyncapi_schema, document)), "a wrong one is found out"


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.timeout(FUZZ_LIMIT_S + 60)
def test_no_call_gets_an_undocumented_answer(shared_daemon: DaemonProcess, tmp_path: Path) -> None:
    examples, seed = os.environ.get("FUZZ_EXAMPLES", "10"), os.environ.get("FUZZ_SEED", "1")
    command = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"{shared_daemon.url}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", examples, "--seed", seed),
        *("--continue-on-failure", "--no-color"),
    ]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "fuzz_checks", "PYTHONPATH": str(HERE)}

    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=FUZZ_LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert shared_daemon.call("GET", "/ready")[0] == 200
