import json
import os
from pathlib import Path

import pytest
from orchestrator.cli.errors import ExitCode, Failure
from orchestrator.cli.local_settings import ANNOUNCEMENT, Place, read_settings
from orchestrator.settings import load

FREE_PID = 2**22 + 1
"""Above the most that Linux gives."""


def place(folder: Path, **environ: str) -> Place:
    return Place(load(None, {"ORCHESTRATOR_DATA_DIR": str(folder), **environ}))


def announce(folder: Path, pid: int) -> None:
    told = {"http": "http://127.0.0.1:1234", "redis": "redis://r", "postgres": "pg", "pid": pid}
    (folder / ANNOUNCEMENT).write_text(json.dumps(told))


def test_a_running_daemon_says_where_everything_is(tmp_path: Path) -> None:
    announce(tmp_path, os.getpid())

    there = place(tmp_path, PORT="0", REDIS_URL="embedded")

    assert there.http_url == "http://127.0.0.1:1234"
    assert (there.redis_url(), there.pg_url()) == ("redis://r", "pg")


def test_what_a_killed_daemon_left_is_not_believed(tmp_path: Path) -> None:
    announce(tmp_path, FREE_PID)

    there = place(tmp_path, REDIS_URL="embedded", PG_URL="embedded")

    assert there.http_url == "http://127.0.0.1:8090"
    assert there.redis_url() is there.pg_url() is None
    with pytest.raises(Failure) as caught:
        there.needed_redis_url()
    assert caught.value.exit_code == ExitCode.UNREACHABLE


@pytest.mark.parametrize("text", ["", "[]", '{"http": "x"}', '{"pid": "many"}'])
def test_a_damaged_announcement_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ANNOUNCEMENT).write_text(text)

    assert place(tmp_path).announced == {}


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8090"),
        ("0.0.0.0", "http://127.0.0.1:8090"),  # noqa: S104 - a setting
        ("::1", "http://[::1]:8090"),
        ("localhost", "http://localhost:8090"),
    ],
)
def test_clients_are_sent_to_an_address_they_can_reach(tmp_path: Path, host: str, url: str) -> None:
    environ = {"ORCHESTRATOR_HTTP__HOST": host, "ORCHESTRATOR_HTTP__INSECURE": "true"}

    assert place(tmp_path, **environ).http_url == url


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:1", True),
        ("https://localhost", True),
        ("http://[::1]:1", True),
        ("unix:///run/o", True),
        ("http://10.0.0.5:8090", True),
        ("http://10.0.0.5:8091", False),
        ("http://desk-b:8090", False),
    ],
)
def test_only_a_daemon_of_this_machine_reads_its_files(
    tmp_path: Path, url: str, *, here: bool
) -> None:
    file = tmp_path / "supervisor.toml"
    file.write_text('[data]\ndir = "data"\n[http]\nhost = "10.0.0.5"\ninsecure = true\n')

    assert Place(read_settings(file)).is_here(url) is here
