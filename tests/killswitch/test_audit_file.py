from pathlib import Path

import pytest
from orchestrator.killswitch.audit_file import PENDING, AuditFile
from orchestrator.killswitch.regular_files import NotRegular
from orchestrator.sql.audit import AuditRow

ROWS = [AuditRow(f"id-{n}", "at", "agent.stop", reason="é\n") for n in range(3)]


def drained(file: AuditFile) -> list[AuditRow]:
    found: list[AuditRow] = []
    while part := file.read():
        found += part
    file.keep([])
    return found


def test_rows_are_read_back_in_order_by_the_next_start(tmp_path: Path) -> None:
    first = AuditFile(tmp_path)
    first.append(ROWS[:1])
    first.append(ROWS[1:])
    first.close()

    file = AuditFile(tmp_path)

    assert file.count() == 3
    assert drained(file) == ROWS
    assert (tmp_path / PENDING).stat().st_size == 0
    assert (tmp_path / PENDING).stat().st_mode & 0o777 == 0o600


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    file = AuditFile(tmp_path)
    file.append(ROWS)
    assert file.read() == ROWS
    assert file.read() is None

    file.rewind()
    assert file.read() == ROWS
    file.keep(ROWS[1:2])
    file.append(ROWS[:1])

    assert drained(file) == [ROWS[1], ROWS[0]]


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    file = AuditFile(tmp_path)
    file.append(ROWS[:1])
    file.close()
    with (tmp_path / PENDING).open("ab") as raw:
        raw.write(b'{"id": "half')

    file = AuditFile(tmp_path)
    file.append(ROWS[1:])

    assert drained(file) == ROWS


def test_it_takes_what_there_is_room_for(tmp_path: Path) -> None:
    file = AuditFile(tmp_path, max_bytes=600)

    taken = file.append(ROWS)

    assert 0 < taken < 3
    assert drained(file) == ROWS[:taken]
    assert file.append(ROWS[taken:]) > 0


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / PENDING).symlink_to(tmp_path / "elsewhere")
    file = AuditFile(tmp_path)

    with pytest.raises(NotRegular):
        file.append(ROWS)
    assert file.count() == 0
    assert not (tmp_path / "elsewhere").exists()
