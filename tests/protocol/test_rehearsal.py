from pathlib import Path

import pytest
from orchestrator.protocol.rehearsal import test_variables as variables
from orchestrator.protocol.rehearsal import wants_test
from orchestrator.settings import EMBEDDED, load


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"NODE_ENV": "test"}, True),
        ({"ORCHESTRATOR_ENV": "Test"}, True),
        ({"NODE_ENV": "production"}, False),
        ({"ORCHESTRATOR_ENV": "live", "NODE_ENV": "test"}, False),
        ({"ORCHESTRATOR_ENV": "", "NODE_ENV": "test"}, True),
    ],
)
def test_the_first_variable_that_is_set_decides(environ: dict[str, str], wanted: bool) -> None:
    assert wants_test(environ) is wanted


def test_no_test_reaches_configured_servers_or_data(tmp_path: Path) -> None:
    configured = {
        "REDIS_URL": "redis://redis-prod:6379",
        "ORCHESTRATOR_REDIS__URL": "redis://redis-prod:6379",
        "PG_URL": "postgresql://prod-db/orch",
        "ORCHESTRATOR_DATA_DIR": "/var/lib/orchestrator",
    }

    settings = load(None, configured | variables(tmp_path))

    assert settings.redis.url == settings.postgres.url.get_secret_value() == EMBEDDED
    assert settings.data.dir == tmp_path / "data"
    assert settings.instance.env == "test"
