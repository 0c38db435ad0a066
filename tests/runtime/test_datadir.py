import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from orchestrator.runtime.datadir import (
    DataDir,
    DataDirExposed,
    DataDirInUse,
    DataDirUnusable,
    read_holder,
)


def test_a_missing_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with DataDir.open(tmp_path / "deep" / "data") as data:
        assert data.path == tmp_path / "deep" / "data"
        assert data.path.stat().st_mode & 0o066 == 0


def test_the_lock_says_who_holds_it(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data:
        holder = json.loads((tmp_path / "lock").read_text())

        assert holder["pid"] == os.getpid()
        assert holder["instance"] == data.instance
        assert holder["started_at"].endswith("Z")
        assert read_holder(tmp_path) == holder


def test_a_second_daemon_is_told_which_one_holds_it(tmp_path: Path) -> None:
    with DataDir.open(tmp_path), pytest.raises(DataDirInUse) as caught:
        DataDir.open(tmp_path)

    assert f"pid {os.getpid()}" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "ORCHESTRATOR_DATA_DIR" in str(caught.value)


def test_a_refused_daemon_leaves_the_holders_lock_as_it_is(tmp_path: Path) -> None:
    with DataDir.open(tmp_path):
        before = (tmp_path / "lock").read_bytes()
        with pytest.raises(DataDirInUse):
            DataDir.open(tmp_path)

        assert (tmp_path / "lock").read_bytes() == before


def test_the_instance_id_outlives_the_daemon(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as first:
        known = first.instance

    with DataDir.open(tmp_path) as second:
        assert second.instance == known


def test_two_directories_have_two_instance_ids(tmp_path: Path) -> None:
    with DataDir.open(tmp_path / "a") as one, DataDir.open(tmp_path / "b") as other:
        assert one.instance != other.instance


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    data = DataDir.open(tmp_path)

    data.close()
    data.close()

    DataDir.open(tmp_path).close()


def test_a_holder_without_json_is_reported_as_unknown(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        with pytest.raises(DataDirInUse, match="pid unknown"):
            DataDir.open(tmp_path)


def test_a_path_through_a_file_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(DataDirUnusable, match="Not a directory"):
        DataDir.open(tmp_path / "file" / "data")


def test_a_directory_that_cannot_be_written_is_unusable() -> None:
    with pytest.raises(DataDirUnusable) as caught:
        DataDir.open("/proc/orchestrator")

    assert str(caught.value).startswith("cannot write to the data directory /proc/orchestrator: ")


@pytest.mark.subprocess
def test_the_lock_ends_with_a_killed_daemon(tmp_path: Path) -> None:
    code = (
        "import sys, time; from orchestrator.runtime.datadir import DataDir\n"
        "data = DataDir.open(sys.argv[1]); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, cwd="/"
    ) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"held\n"
        with pytest.raises(DataDirInUse, match=f"pid {daemon.pid}"):
            DataDir.open(tmp_path)
        daemon.kill()

    with DataDir.open(tmp_path) as data:
        assert read_holder(tmp_path)["pid"] == os.getpid()
        assert data.instance


@pytest.mark.parametrize("mode", [0o777, 0o702, 0o1777])
def test_a_directory_that_everybody_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "the data"
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(DataDirExposed) as caught:
        DataDir.open(folder)

    assert "writable for everybody" in str(caught.value)
    assert f"chmod go-w '{folder}'" in str(caught.value)
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o7777 == mode


@pytest.mark.parametrize(("mode", "left"), [(0o770, 0o750), (0o2775, 0o2755), (0o720, 0o700)])
def test_one_that_its_group_may_write_to_is_mended_once(
    tmp_path: Path, mode: int, left: int
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)

    with DataDir.open(folder) as data:
        assert data.mended

    assert folder.stat().st_mode & 0o7777 == left
    with DataDir.open(folder) as data:
        assert not data.mended
