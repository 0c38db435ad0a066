from pathlib import Path

import pytest
from orchestrator.cli.doctor.own_daemon import own_daemon
from orchestrator.cli.errors import Failure


@pytest.mark.subprocess
def test_a_daemon_that_does_not_start_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("RATE_LIMIT_MAX", "none")

    with pytest.raises(Failure) as caught, own_daemon():
        pytest.fail("it started")

    assert "rate_limit_max" in (caught.value.cause or "").lower()
    assert [*tmp_path.iterdir()] == []
