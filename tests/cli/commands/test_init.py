import json
from pathlib import Path

from ..conftest import Orc

SHIPPED = Path(__file__).parents[3] / "deploy"


def shipped() -> set[str]:
    return {str(path.relative_to(SHIPPED)) for path in SHIPPED.rglob("*") if path.is_file()}


def test_every_file_is_written_as_it_is_shipped(orc: Orc, tmp_path: Path) -> None:
    done = orc("init", "--deploy", str(tmp_path / "new"), "-o", "json")

    assert done.code == 0, done.err
    written = {name: (tmp_path / "new" / name).read_bytes() for name in done.json["files"]}
    assert written == {name: (SHIPPED / name).read_bytes() for name in shipped()}
    assert {"orchestrator.service", "docker/Dockerfile", "prometheus/alerts.yml"} <= written.keys()


def test_a_file_that_was_changed_is_kept_unless_forced(orc: Orc, tmp_path: Path) -> None:
    changed = tmp_path / "nginx.conf"
    changed.write_text("mine")

    refused = orc("init", "--deploy", str(tmp_path), "-o", "json")
    assert refused.code != 0
    assert changed.read_text() == "mine"
    assert "nginx.conf" in json.dumps(json.loads(refused.err or refused.out))
    assert [path.name for path in tmp_path.iterdir()] == ["nginx.conf"]

    forced = orc("init", "--deploy", str(tmp_path), "--force")
    assert forced.code == 0
    assert changed.read_bytes() == (SHIPPED / "nginx.conf").read_bytes()
    assert orc("init", "--deploy", str(tmp_path)).code == 0  # nothing differs any more


def test_a_folder_that_cannot_be_written_is_said(orc: Orc, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = orc("init", "--deploy", str(tmp_path / "file" / "below"))

    assert done.code != 0
    assert "cannot write the files" in done.err
