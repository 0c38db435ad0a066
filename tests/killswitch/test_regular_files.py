import os
import socket
from pathlib import Path

import gevent
import pytest
from orchestrator.killswitch.regular_files import (
    READ_LIMIT,
    SAFE_FLAGS,
    NotRegular,
    open_regular,
    read_all,
    read_regular,
    sync_folder,
    write_all,
)


def descriptors() -> int:
    gevent.sleep(0.01)  # it closes folders and the like a little later
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abcdef")

    assert read_regular(path) == b"abcdef"
    assert read_regular(path, 4) == b"abcd"
    assert read_regular(path, 6) == b"abcdef"


def test_a_file_larger_than_one_read_is_read_whole(tmp_path: Path) -> None:
    data = os.urandom(3 * 1024 * 1024 + 5)
    (tmp_path / "f").write_bytes(data)

    assert read_regular(tmp_path / "f") == data
    assert READ_LIMIT >= 256 * 1024 * 1024


def test_an_absent_file_is_absent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "f")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
@pytest.mark.parametrize("kind", ["directory", "link", "dangling link", "fifo", "socket", "device"])
def test_nothing_but_a_regular_file_is_opened(
    tmp_path: Path, kind: str, flags: int, request: pytest.FixtureRequest
) -> None:
    path, target = tmp_path / "f", tmp_path / "target"
    target.write_bytes(b"secret")
    listener = socket.socket(socket.AF_UNIX)
    request.addfinalizer(listener.close)
    match kind:
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to(target)
        case "dangling link":
            path.symlink_to(tmp_path / "nowhere")
        case "fifo":
            os.mkfifo(path)
        case "socket":
            listener.bind(str(path))
        case "device":
            path = Path("/dev/null")
    before = descriptors()

    for _ in range(50):
        with pytest.raises(NotRegular, match="not a regular file"):
            open_regular(path, flags)

    assert descriptors() < before + 5


def test_another_trouble_is_told_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")

    with pytest.raises(NotADirectoryError):
        read_regular(tmp_path / "f" / "g")


def test_descriptors_are_not_inherited(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    descriptor = open_regular(tmp_path / "f", os.O_RDWR)

    assert not os.get_inheritable(descriptor)
    assert SAFE_FLAGS & os.O_CLOEXEC
    os.close(descriptor)


def test_bytes_are_written_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(b"........")
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:2], at))  # short writes
    descriptor = open_regular(tmp_path / "f", os.O_RDWR)

    write_all(descriptor, b"abcde", 2)

    assert read_all(descriptor) == b"..abcde."
    os.close(descriptor)


def test_a_folder_is_synced_and_its_descriptor_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    links = Path("/proc/self/fd")
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(str((links / str(fd)).readlink())))
    before = descriptors()

    for _ in range(50):
        sync_folder(tmp_path)

    assert set(synced) == {str(tmp_path)}
    assert descriptors() < before + 5
