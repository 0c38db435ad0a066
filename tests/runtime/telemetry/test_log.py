import contextlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import msgspec
import pytest
import structlog
from gevent import monkey
from orchestrator.runtime.telemetry.log import LogSettings, configure_logging
from orchestrator.runtime.telemetry.log_writer import LogWriter
from quiet_clock import quiet_s
from structlog.contextvars import bound_contextvars

from ...hostile import HOSTILE

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        handler.close()
        root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


@contextlib.contextmanager
def logging_to(file: Path, **settings: Any) -> Iterator[None]:
    writer = configure_logging(LogSettings(file=file, **settings))
    try:
        yield
    finally:
        writer.close()


def text_of(file: Path) -> str:
    """Its text; none between being moved away and created again."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_line_is_a_json_object_with_time_level_event_and_fields(tmp_path: Path) -> None:
    file = tmp_path / "log"

    with logging_to(file):
        structlog.get_logger(actor="Persister").info("stored", rows=3)

    (line,) = lines_of(file)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["level"] == "info"
    assert line["event"] == "stored"
    assert line["actor"] == "Persister"
    assert line["rows"] == 3
    assert line["timestamp"].endswith("Z")
    assert len(line["timestamp"]) == len("2026-01-31T09:30:00.123Z")


def test_lines_of_libraries_join(tmp_path: Path) -> None:
    file = tmp_path / "log"

    with logging_to(file):
        logging.getLogger("some.library").warning("%d left", 3, extra={"table": "events"})

    (line,) = lines_of(file)
    assert line["event"] == "3 left"
    assert line["logger"] == "some.library"
    assert line["table"] == "events"


def test_lines_below_the_level_are_not_written(tmp_path: Path) -> None:
    file = tmp_path / "log"

    with logging_to(file, level="warning"):
        structlog.get_logger().info("one")
        logging.getLogger("library").info("two")
        structlog.get_logger().warning("three")

    assert [line["event"] for line in lines_of(file)] == ["three"]


def test_bound_fields_are_on_every_line_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "log"
    log = structlog.get_logger()

    with logging_to(file):
        with bound_contextvars(request_id="r-1"):
            log.info("inside")
        log.info("outside")

    assert [line.get("request_id") for line in lines_of(file)] == ["r-1", None]


def test_another_greenlets_fields_are_not_on_the_line(tmp_path: Path) -> None:
    file = tmp_path / "log"
    log = structlog.get_logger()

    def request(name: str) -> None:
        with bound_contextvars(request_id=name):
            gevent.sleep(0)
            log.info(name)

    with logging_to(file):
        gevent.joinall([gevent.spawn(request, name) for name in ("a", "b")], timeout=5)

    assert all(line["request_id"] == line["event"] for line in lines_of(file))


def test_an_exception_is_compact_with_its_causes(tmp_path: Path) -> None:
    file = tmp_path / "log"

    with logging_to(file):
        try:
            try:
                int("x")
            except ValueError as error:
                raise RuntimeError("no number") from error
        except RuntimeError:
            structlog.get_logger().exception("broken")

    (line,) = lines_of(file)
    assert line["error"] == "RuntimeError: no number"
    assert "test_log.py" in line["trace"][0]
    assert any(frame.startswith("<- ValueError: invalid literal") for frame in line["trace"])
    assert "exc_info" not in line


def test_a_deep_stack_is_shortened(tmp_path: Path) -> None:
    file = tmp_path / "log"

    def deep(level: int) -> None:
        if level == 0:
            raise RuntimeError("bottom")
        deep(level - 1)

    with logging_to(file):
        try:
            deep(200)
        except RuntimeError as error:
            structlog.get_logger().error("broken", exc_info=error)

    (line,) = lines_of(file)
    assert len(line["trace"]) < 20


def test_a_value_json_does_not_know_is_written_as_its_repr(tmp_path: Path) -> None:
    file = tmp_path / "log"

    with logging_to(file):
        structlog.get_logger().info("odd", value=object, lone="\ud800")

    (line,) = lines_of(file)
    assert "object" in line["value"]


def test_the_console_form_is_one_readable_line_and_frames_below(tmp_path: Path) -> None:
    file = tmp_path / "log"

    with logging_to(file, format="console"):
        try:
            int("x")
        except ValueError:
            structlog.get_logger().exception("broken", actor="Persister")

    first, *frames = file.read_text().splitlines()
    assert "broken" in first
    assert "actor=Persister" in first
    assert any("test_log.py" in frame for frame in frames)


def test_a_file_moved_away_is_created_anew(tmp_path: Path) -> None:
    file = tmp_path / "log"
    writer = LogWriter(file)
    writer.write(b"one\n")
    wait_for(lambda: file.read_bytes() == b"one\n")

    file.rename(tmp_path / "log.1")
    writer.write(b"two\n")
    writer.close()

    assert file.read_bytes() == b"two\n"
    assert (tmp_path / "log.1").read_bytes() == b"one\n"


def test_a_full_pipe_does_not_stop_the_loop_and_dropped_lines_are_counted_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read_end, write_end = os.pipe()

    class Pipe:
        def fileno(self) -> int:
            return write_end

    monkeypatch.setattr(sys, "stdout", Pipe())
    writer = LogWriter(capacity=100)
    line = b"x" * 10_000 + b"\n"

    for _ in range(1000):
        writer.write(line)

    assert writer.dropped > 0
    drain = monkey.get_original("os", "read")
    os.set_blocking(read_end, False)
    received = bytearray()

    def seen() -> bool:
        with contextlib.suppress(BlockingIOError):
            received.extend(drain(read_end, 1 << 20))
        return b'"log lines dropped"' in received

    wait_for(lambda: (writer.write(b"later\n"), seen())[1])
    writer.close()
    os.close(read_end)
    os.close(write_end)


def test_a_failed_write_counts_its_lines() -> None:
    writer = LogWriter(Path("/dev/full"))

    writer.write(b"lost\n")
    writer.close()

    assert writer.dropped == 1


def test_a_closed_writer_drops_and_closing_twice_is_harmless(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log")
    writer.close()
    writer.close()

    writer.write(b"late\n")

    assert writer.dropped == 1


def test_configuring_again_closes_the_former_writer(tmp_path: Path) -> None:
    with logging_to(tmp_path / "a"), logging_to(tmp_path / "b"):
        structlog.get_logger().info("hello")

    assert (tmp_path / "a").read_text() == ""
    assert len(lines_of(tmp_path / "b")) == 1


def wait_for(condition: Callable[[], bool], limit_s: float = 5.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, f"not within {limit_s:g} s"
        gevent.sleep(0.005)


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_text_of_others_moves_the_cursor_or_begins_a_line(tmp_path: Path, form: Any) -> None:
    file = tmp_path / "log"

    with logging_to(file, format=form):
        for text in HOSTILE:
            structlog.get_logger().info(f"seen {text}", channel=text, many=[text])

    lines = file.read_text().split("\n")
    assert len(lines) == len(HOSTILE) + 1
    signs = {unicodedata.category(sign) for line in lines for sign in line}
    assert "Cc" not in signs if form == "console" else "\x1b" not in file.read_text()


def test_ecs_lines_have_the_schemas_names(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with logging_to(file, format="ecs"), bound_contextvars(request_id="r-1"):
        structlog.get_logger(actor="http").info("request", status=200)
        logging.getLogger("a.library").warning("odd")

    first, second = lines_of(file)
    assert (first["message"], first["log.level"]) == ("request", "info")
    assert (first["http.request.id"], first["http.response.status_code"]) == ("r-1", 200)
    assert second["message"] == "odd"


def test_a_file_is_rotated_by_its_size_and_the_oldest_goes(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with logging_to(file, rotate_bytes=2_000, rotate_keep=2):
        for chunk in range(5):
            for number in range(chunk * 30, chunk * 30 + 30):
                structlog.get_logger().info("line", number=number)
            while f'"number":{number}}}' not in text_of(file):
                gevent.sleep(0.005)

    kept = [tmp_path / name for name in ("log.2", "log.1", "log")]
    assert {*tmp_path.iterdir()} == {*kept}
    numbers = [line["number"] for path in kept for line in lines_of(path)]
    assert numbers == list(range(numbers[0], 150))
    assert kept[1].stat().st_size >= 2_000


@pytest.mark.parametrize("way", ["nocreate", "copytruncate"])
def test_logrotate_moves_the_file_or_cuts_it_and_logging_goes_on(tmp_path: Path, way: str) -> None:
    logrotate = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    assert logrotate, "Debian: apt-get install logrotate"
    file, config = tmp_path / "log", tmp_path / "logrotate.conf"
    shipped = (Path(__file__).parents[3] / "deploy" / "logrotate.conf").read_text()
    text = shipped.replace("/var/log/orchestrator/orchestrator.log {", f"{file} {{\n    {way}")
    config.write_text(text.replace("    delaycompress\n", "").replace("    compress\n", ""))
    config.chmod(0o644)
    tmp_path.chmod(0o755)

    with logging_to(file):
        structlog.get_logger().info("before")
        while not file.read_text():
            gevent.sleep(0.005)
        done = subprocess.run(
            [logrotate, "--force", "--state", str(tmp_path / "state"), str(config)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        structlog.get_logger().info("after")

    assert [line["event"] for line in lines_of(tmp_path / "log.1")] == ["before"]
    assert [line["event"] for line in lines_of(file)] == ["after"]


class Told(msgspec.Struct, frozen=True):
    """A message as actors send it."""

    payloads: tuple[bytes, ...]


HUGE = "x" * 1_000_000
SIZED_BY_OTHERS: dict[str, Any] = {
    "reason": HUGE,
    "payload": HUGE.encode(),
    "message": Told((b"y" * 1_000_000,) * 64),
    "entries": [HUGE] * 1_000,
    "fields": {HUGE: HUGE},
}


@pytest.mark.parametrize("form", ["json", "ecs", "console"])
@pytest.mark.parametrize("field", SIZED_BY_OTHERS)
def test_what_others_size_is_cut_and_is_not_written_out_for_it(
    tmp_path: Path, form: Any, field: str
) -> None:
    file = tmp_path / "log"

    with logging_to(file, format=form):
        structlog.get_logger().warning("before", rows=1)
        tracemalloc.start()
        try:
            structlog.get_logger().warning("dropped", **{field: SIZED_BY_OTHERS[field]})
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    line = file.read_text().splitlines()[1]
    assert "dropped" in line
    assert "…" in line or "\\u2026" in line
    assert len(line) < 5_000
    assert peak_bytes < 500_000


def test_texts_of_errors_and_lines_of_libraries_are_cut(tmp_path: Path) -> None:
    file = tmp_path / "log"

    with logging_to(file):
        try:
            try:
                _ = SIZED_BY_OTHERS[HUGE]
            except KeyError as error:
                raise RuntimeError(HUGE) from error
        except RuntimeError:
            structlog.get_logger().exception(HUGE)
        logging.getLogger("library").warning("refused %s", HUGE, extra={"sent": HUGE})

    ours, theirs = lines_of(file)
    assert ours["error"].startswith("RuntimeError: xxx")
    assert ours["trace"][1].startswith("<- KeyError: 'xxx")
    assert theirs["event"].startswith("refused xxx")
    assert {len(ours[key]) for key in ("event", "error")} == {2_000}
    assert {len(theirs[key]) for key in ("event", "sent")} == {2_000}
    assert len(ours["trace"][1]) < 2_010


def test_what_fits_keeps_its_shape(tmp_path: Path) -> None:
    file, fields = tmp_path / "log", {"ids": [1, 2], "about": {"a": None}, "reason": "r" * 2_000}

    with logging_to(file):
        structlog.get_logger().info("kept", **fields)

    (line,) = lines_of(file)
    assert {key: line[key] for key in fields} == fields


def test_no_module_writes_a_message_out_for_a_log_line() -> None:
    root = Path(__file__).parents[3]
    rooms = ("actors", "daemon", "http", "killswitch", "runtime", "settings", "sql")
    whole = re.compile(r"\b\w+=(repr|str)\((message|reply|item|event|payload|letter)\b")

    modules = [path for room in rooms for path in (root / room).rglob("*.py")]

    assert len(modules) > 200
    assert [str(path) for path in modules if whole.search(path.read_text())] == []
