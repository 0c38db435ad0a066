import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from ..conftest import Done, Orc, clean_environ

pytestmark = pytest.mark.db

Export = Callable[..., Done]


@pytest.fixture
def database(orc: Orc, pg_url: str) -> Iterator[psycopg.Connection]:
    assert orc("db", "migrate", PG_URL=pg_url).code == 0
    with psycopg.connect(pg_url, autocommit=True) as connection:
        yield connection


def fill(database: psycopg.Connection, count: int = 12_000) -> None:
    database.execute(
        "INSERT INTO events (id, type, source, ts, payload) SELECT n,"
        " CASE n %% 4 WHEN 0 THEN 'heartbeat' ELSE 'data.market.AAPL.1m' END, 'q,1',"
        " '2026-01-31T00:00:00.123Z'::timestamptz + n * interval '1 second',"
        " jsonb_build_object('n', n, 'text', E'a\"b\nü') FROM generate_series(1, %s) AS n",
        [count],
    )


@pytest.fixture
def export(orc: Orc, pg_url: str, tmp_path: Path) -> Export:
    def run(*words: str, **environ: str) -> Done:
        place = {"PG_URL": pg_url, "ORCHESTRATOR_DATA_DIR": str(tmp_path / "none")}
        return orc("event", "export", *words, **(place | environ))

    return run


def test_json_lines_have_the_fields_of_rest(
    database: psycopg.Connection, export: Export, tmp_path: Path
) -> None:
    fill(database)

    done = export("--out", "all.jsonl")

    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert done.code == 0, done.err
    assert done.err.splitlines()[-1].startswith("12000 events in")
    assert [json.loads(line)["id"] for line in lines] == list(range(1, 12_001))
    assert json.loads(lines[0]) == {
        "id": 1,
        "type": "data.market.AAPL.1m",
        "payload": {"n": 1, "text": 'a"b\nü'},
        "ts": "2026-01-31T00:00:01.123Z",
        "source": "q,1",
        "processed": False,
    }
    assert not (tmp_path / "all.jsonl.state").exists()


def test_without_a_file_it_goes_to_stdout(database: psycopg.Connection, export: Export) -> None:
    fill(database, 3)

    done = export()

    assert [json.loads(line)["id"] for line in done.out.splitlines()] == [1, 2, 3]


def test_parquet_has_types_and_all_rows(
    database: psycopg.Connection, export: Export, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    fill(database)

    done = export("--format", "parquet", "--out", "all.parquet")

    assert done.code == 0, done.err
    table = parquet.read_table(tmp_path / "all.parquet")
    assert table.column("id").to_pylist() == list(range(1, 12_001))
    assert str(table.schema.field("ts").type) == "timestamp[ms, tz=UTC]"
    assert json.loads(table.column("payload")[0].as_py())["n"] == 1
    assert not (tmp_path / "all.parquet.parts").exists()


def test_parquet_without_pyarrow_says_what_to_install(
    database: psycopg.Connection, export: Export, tmp_path: Path
) -> None:
    fill(database, 1)
    (tmp_path / "hide").mkdir()
    raising = "raise ModuleNotFoundError('hidden', name='pyarrow')"
    (tmp_path / "hide" / "pyarrow.py").write_text(raising)

    done = export("--format", "parquet", "--out", "x.parquet", PYTHONPATH=str(tmp_path / "hide"))

    assert done.code == 1
    assert "-py3-none-any.whl[parquet]'" in done.err
    assert "there is no module pyarrow" in done.err


def test_patterns_sources_and_times_narrow_it_down(
    database: psycopg.Connection, export: Export
) -> None:
    fill(database)
    span = ("--since", "2026-01-31T01:00:00.123Z", "--until", "2026-01-31T01:00:08.123Z")

    done = export("heartbeat.*", *span)
    nobody = export("--source", "nobody")

    assert [json.loads(line)["id"] for line in done.out.splitlines()] == [3600, 3604, 3608]
    assert nobody.out == ""


def test_a_file_that_is_there_is_not_overwritten(
    database: psycopg.Connection, export: Export, tmp_path: Path
) -> None:
    fill(database, 2)
    (tmp_path / "x.jsonl").write_text("mine")

    refused = export("--out", "x.jsonl")
    forced = export("--out", "x.jsonl", "--force")

    assert refused.code == 2
    assert "already exists" in refused.err
    assert forced.code == 0


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_what_was_broken_off_goes_on_where_it_was(
    database: psycopg.Connection, export: Export, tmp_path: Path, pg_url: str, kind: str
) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    fill(database, 300_000)
    out = tmp_path / f"all.{kind}"
    words = ("event", "export", "--format", kind, "--out", str(out))

    broken_off(words, pg_url, tmp_path, out)
    done = export("--format", kind, "--out", str(out), "--resume")

    assert done.code == 0, done.err
    assert ids_in(out, kind) == list(range(1, 300_001))
    assert not Path(f"{out}.state").exists()


def broken_off(words: tuple[str, ...], pg_url: str, folder: Path, out: Path) -> None:
    """Start an export, and press Ctrl-C while it is at work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *words],
        cwd=folder,
        env=clean_environ(PG_URL=pg_url, ORCHESTRATOR_DATA_DIR=str(folder / "none")),
        stderr=subprocess.PIPE,
    )
    end = time.monotonic() + 30
    parts = Path(f"{out}.parts")
    while not ((out.exists() and out.stat().st_size > 1_000_000) or any_file(parts)):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, _err = process.communicate(timeout=30)
    assert process.returncode == 130
    state = json.loads(Path(f"{out}.state").read_text())
    assert 0 <= state["last_id"] < 300_000


def any_file(folder: Path) -> bool:
    return folder.exists() and any(path.name.isdigit() for path in folder.iterdir())


def ids_in(path: Path, kind: str) -> list[int]:
    if kind == "parquet":
        import pyarrow.parquet  # noqa: PLC0415 - an extra

        return list(pyarrow.parquet.read_table(path).column("id").to_pylist())
    with path.open(encoding="utf-8") as file:
        return [json.loads(line)["id"] for line in file]


def test_a_state_of_other_words_is_not_gone_on_with(
    database: psycopg.Connection, export: Export, tmp_path: Path
) -> None:
    fill(database, 2)
    (tmp_path / "x.jsonl").write_text("")

    done = export("--out", "x.jsonl", "--resume")

    assert done.code == 5
    assert "omit --resume" in done.err
