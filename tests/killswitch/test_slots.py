import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gevent
import pytest
from orchestrator.killswitch import slots
from orchestrator.killswitch.slots import SLOTS, SlotFile, Slots

ROOT = Path(__file__).parents[2]
SIZE = 4096


def made(path: Path, *bodies: bytes) -> SlotFile:
    file = SlotFile(path, SIZE)
    for body in bodies:
        file.write(body)
    return file


def descriptors() -> int:
    gevent.sleep(0.01)  # it closes folders and the like a little later
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def named(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def flip(path: Path, position: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def test_a_file_that_was_never_written_is_absent(tmp_path: Path) -> None:
    assert SlotFile(tmp_path / "f", SIZE).read() == Slots(exists=False)


def test_the_last_two_bodies_are_there_newest_first(tmp_path: Path) -> None:
    file = made(tmp_path / "f", b"one")
    assert file.read() == Slots(True, (b"one",))

    file.write(b"two")
    assert file.read().bodies == (b"two", b"one")
    for body in (b"three", b"four", b""):
        file.write(body)
    assert SlotFile(tmp_path / "f", SIZE).read() == Slots(True, (b"", b"four"))


def test_the_file_is_of_whole_blocks_and_ours_alone(tmp_path: Path) -> None:
    made(tmp_path / "f", b"x")
    SlotFile(tmp_path / "g", SIZE + 1).write(b"x")

    assert (tmp_path / "f").stat().st_size == SLOTS * SIZE
    assert (tmp_path / "g").stat().st_size == SLOTS * 2 * SIZE
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


def test_every_flipped_bit_of_a_record_is_damage_and_the_other_slot_still_counts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "f"
    file = made(path, b"older", b"newer")
    good = path.read_bytes()
    record = good.index(b"older") + len(b"older")

    for position in range(record):
        flip(path, position, position % 8)
        found = file.read()

        assert found.bodies == (b"newer",)
        assert found.torn == (path.read_bytes()[:SIZE],)
        assert found.why == "f: a slot does not hold what was written to it"
        path.write_bytes(good)


@pytest.mark.parametrize("written", range(0, 80, 7))
def test_a_record_of_which_only_the_beginning_was_written_is_torn(
    tmp_path: Path, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    file = made(path, b"a" * 50, b"b" * 50)
    before = path.read_bytes()
    real = os.pwrite

    def power_cut(descriptor: int, data: bytes, offset: int) -> int:
        real(descriptor, data[:written], offset)
        raise OSError(5, "power cut")

    monkeypatch.setattr(os, "pwrite", power_cut)
    with pytest.raises(OSError, match="power cut"):
        file.write(b"c" * 50)

    found = file.read()
    assert found.bodies[0] == b"b" * 50
    # as long as only what both records begin with was written the old one is whole
    assert len(found.torn) == (0 if path.read_bytes() == before else 1)


def test_a_write_mends_what_is_torn_and_keeps_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    file = made(path, b"older", b"newer")
    flip(path, SIZE + 80)
    torn = file.read().torn

    file.write(b"newest")

    assert file.read() == Slots(True, (b"newest", b"older"))
    (kept,) = tmp_path.glob("f.kept-*")
    assert (kept.read_bytes(),) == torn
    assert kept.stat().st_mode & 0o777 == 0o600


def test_where_both_are_torn_both_are_mended(tmp_path: Path) -> None:
    path = tmp_path / "f"
    file = made(path, b"older", b"newer")
    flip(path, 80)
    flip(path, SIZE + 80)

    assert file.read().bodies == ()
    file.write(b"newest")

    assert file.read() == Slots(True, (b"newest", b"newest"))
    assert len(list(tmp_path.glob("f.kept-*"))) == 2


def test_after_a_mend_the_older_is_overwritten_again(tmp_path: Path) -> None:
    file = made(tmp_path / "f", b"one", b"two")
    flip(tmp_path / "f", 80)

    file.write(b"three")
    file.write(b"four")

    assert file.read().bodies == (b"four", b"three")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(len(path.read_bytes())))


def odd(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:SIZE])


def text(path: Path) -> None:
    path.write_bytes(b"something else\n")


@pytest.mark.parametrize("harm", [truncated, emptied, zeroed, odd, text])
def test_a_file_of_another_form_is_damage_and_is_replaced(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "f"
    file = made(path, b"one", b"two")
    harm(path)
    data = path.read_bytes()

    assert file.read() == Slots(True, (), (data,), "f: not a file of slots")
    file.write(b"three")
    assert file.read().bodies[0] == b"three"
    assert file.read().torn == ()
    if harm is not zeroed:  # blank slots are simply written to
        (kept,) = tmp_path.glob("f.kept-*")
        assert kept.read_bytes() == data


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["directory", "link", "fifo"])
def test_what_is_no_file_is_damage_and_is_moved_away(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "f"
    if kind == "directory":
        path.mkdir()
        (path / "inside").write_bytes(b"x")
    elif kind == "link":
        (tmp_path / "target").write_bytes(b"target")
        path.symlink_to(tmp_path / "target")
    else:
        os.mkfifo(path)
    file = SlotFile(path, SIZE)

    found = file.read()
    assert (found.exists, found.bodies) == (True, ())
    assert found.torn == (b"f: not a regular file",)
    file.write(b"one")

    assert file.read() == Slots(True, (b"one",))
    assert len(list(tmp_path.glob("f.kept-*"))) == 1
    if kind == "link":
        assert (tmp_path / "target").read_bytes() == b"target"


def test_a_crash_before_the_new_file_is_in_place_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.mkdir()
    file = SlotFile(path, SIZE)

    def crash(_self: Path, target: Path) -> Path:
        if target == path:
            raise OSError(5, "crash")
        return _replace(_self, target)

    _replace = Path.replace
    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(OSError, match="crash"):
        file.write(b"one")
    monkeypatch.undo()

    assert not path.exists()
    assert file.read() == Slots(True, (b"one",))
    file.write(b"two")
    assert file.read().bodies == (b"two",)
    assert [entry.name for entry in tmp_path.glob("f.new")] == []


class Crash(BaseException):
    """The process is gone: nothing of ours runs after it."""


def crash_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """Let all calls that change the disk fail from the one of that number on."""
    steps = iter(range(1_000))

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **named: object) -> object:
            if next(steps) >= step:
                raise Crash
            return real(*args, **named)

        return call

    for owner, name in ((os, "pwrite"), (os, "fsync"), (Path, "replace"), (Path, "unlink")):
        patch.setattr(owner, name, counted(getattr(owner, name)))


@pytest.mark.parametrize("step", range(12))
@pytest.mark.parametrize("second", range(12))
def test_a_crash_at_any_step_and_one_in_the_recovery_lose_nothing(
    tmp_path: Path, step: int, second: int
) -> None:
    """A small file grows; the body is always all that was read before and more."""
    file = made(tmp_path / "f", b"one", b"two")
    for number, at in enumerate((step, second)):
        body = b"".join(sorted(file.read().bodies)) + b"%d" % number * 2 * SIZE
        with pytest.MonkeyPatch.context() as patch:
            crash_at(at, patch)
            try:
                file.write(body)
            except Crash:
                continue
        assert body in file.read().bodies

    found = file.read()
    assert b"two" in b"".join(found.bodies)
    assert found.torn == ()
    file.write(b"last")
    assert file.read().bodies[0] == b"last"
    assert {entry.name for entry in tmp_path.iterdir()} <= {"f", "f.draft"}


@pytest.mark.parametrize("step", range(12))
def test_a_crash_while_a_directory_is_moved_away_loses_neither(tmp_path: Path, step: int) -> None:
    (tmp_path / "f").mkdir()
    file = SlotFile(tmp_path / "f", SIZE)
    with pytest.MonkeyPatch.context() as patch:
        crash_at(step, patch)
        with suppress(Crash):
            file.write(b"one")

    found = file.read()
    assert found.torn or found.bodies == (b"one",)  # never as if there had been nothing
    file.write(b"two")
    assert b"two" in file.read().bodies


def test_a_new_file_that_is_not_whole_counts_for_nothing(tmp_path: Path) -> None:
    file = made(tmp_path / "f", b"one")
    (tmp_path / "f.new").write_bytes(b"half")

    assert file.read() == Slots(True, (b"one",))
    file.write(b"two")
    assert not (tmp_path / "f.new").exists()


def test_a_new_file_counts_beside_the_one_in_place(tmp_path: Path) -> None:
    file = made(tmp_path / "f", b"one")
    made(tmp_path / "g", b"other")
    (tmp_path / "g").rename(tmp_path / "f.new")

    assert file.read().bodies == (b"one", b"other")


def test_a_body_that_does_not_fit_gets_a_larger_file_with_room_to_grow(tmp_path: Path) -> None:
    path = tmp_path / "f"
    file = made(path, b"one")
    fits = SIZE - slots._HEADER_BYTES

    file.write(b"x" * fits)
    assert path.stat().st_size == SLOTS * SIZE
    assert file.read() == Slots(True, (b"x" * fits, b"one"))
    file.write(b"y" * (fits + 1))
    size = path.stat().st_size
    inode = path.stat().st_ino

    assert size >= 2 * SLOTS * SIZE
    assert file.read() == Slots(True, (b"y" * (fits + 1),))
    file.write(b"z" * (2 * fits))
    assert (path.stat().st_size, path.stat().st_ino) == (size, inode)
    assert list(tmp_path.glob("f.*")) == []


def test_a_write_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    file = made(path, b"one")
    before = path.stat()

    assert before.st_blocks * 512 >= SLOTS * SIZE
    for number in range(10):
        file.write(os.urandom(SIZE // 2) + b"%d" % number)

    assert (path.stat().st_blocks, path.stat().st_ino) == (before.st_blocks, before.st_ino)
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_file_and_folder_are_on_disk_before_a_first_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    real_replace = Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: done.append(named(fd)))

    def replace(self: Path, target: Path) -> Path:
        done.append("in place")
        return real_replace(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    file = SlotFile(tmp_path / "f", SIZE)

    file.write(b"one")
    folder = str(tmp_path)
    assert done == [f"{folder}/f.draft", "in place", folder, "in place", folder]
    done.clear()
    file.write(b"two")
    assert done == [str(tmp_path / "f")]


def test_a_disk_that_refuses_is_told_and_what_was_whole_still_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made(tmp_path / "f", b"one", b"two")

    def full(_descriptor: int, _data: bytes, _offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        file.write(b"three")
    with pytest.raises(OSError, match="No space"):
        file.write(b"x" * 3 * SIZE)

    assert file.read().bodies == (b"two", b"one")


def test_evidence_that_the_disk_does_not_take_keeps_no_stop_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    file = made(path, b"one", b"two")
    flip(path, 80)
    real = os.open

    def full(name: Path, flags: int, mode: int = 0o777) -> int:
        if ".kept-" in str(name):
            raise OSError(28, "No space left on device")
        return real(name, flags, mode)

    monkeypatch.setattr(os, "open", full)
    file.write(b"three")

    assert file.read() == Slots(True, (b"three", b"two"))


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SlotFile(tmp_path / "no" / "f", SIZE).write(b"x")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    file = made(tmp_path / "f", b"one")
    before = descriptors()

    for number in range(50):
        file.write(b"x" * SIZE * number)
        file.read()

    assert descriptors() < before + 5


def test_a_record_that_reaches_into_the_next_slot_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "f"
    record = slots._record(1, b"x" * (SIZE - slots._HEADER_BYTES + 1))
    path.write_bytes(record.ljust(2 * SIZE, b"\0"))

    assert SlotFile(path, SIZE).read().bodies == ()


@pytest.mark.parametrize("header", [b"orchestrator-slot 0 0 0\n", b"orchestrator-slot "])
def test_a_header_of_another_form_is_torn(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(header.ljust(2 * SIZE, b"\0"))

    assert SlotFile(path, SIZE).read().torn == (header.ljust(SIZE, b"\0"),)


@pytest.mark.subprocess
def test_the_guard_can_import_it_with_the_standard_library_alone(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.append({str(ROOT)!r})
from killswitch.slots import SlotFile
from killswitch.regular_files import read_regular
from protocol import announcement, document, gate, heartbeat, permit, trips, ulid
from pathlib import Path
trip = trips.Trip(ulid.new_ulid(), "why", "guard", "2026-01-31T09:30:00.000Z")
SlotFile(Path({str(tmp_path / "f")!r}), 4096).write(document.write_document(trips.stop_of([trip])))
files = {{name: getattr(module, "__file__", "") or "" for name, module in sys.modules.items()}}
ours = {{name.split(".")[0] for name, file in files.items() if file.startswith({str(ROOT)!r})}}
print(sorted(ours), "site-packages" in repr(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "['killswitch', 'protocol'] False\n"
    assert len(SlotFile(tmp_path / "f", SIZE).read().bodies) == 1


def test_what_a_failed_write_may_have_left_is_overwritten_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made(tmp_path / "f", b"one", b"two")

    def refused(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refused)
        with pytest.raises(OSError, match="Input"):
            file.write(b"not promised")
    assert file.read().bodies == (b"not promised", b"two")  # as far as anybody can tell
    file.write(b"three")

    assert file.read().bodies == (b"three", b"two")
    file.write(b"four")
    assert file.read().bodies == (b"four", b"three")
