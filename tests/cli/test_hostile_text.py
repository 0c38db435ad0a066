"""Text of others in what commands write, from a real daemon that has seen all of it."""

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from orchestrator import cli

from ..hostile import HOSTILE
from .conftest import RunningDaemon, started_daemon

OURS = re.compile(r"\x1b\[(0|1|2|22|31|32|33|35)m")
NOT_TEXT = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}
FORMULA = re.compile(r'(?:^|,)"?[=+@\t\r\uff0b\uff0d\uff1d\uff20]', re.MULTILINE)
READS = (
    ("status",),
    ("agent", "ls"),
    ("event", "ls", "--limit", "200"),
    ("event", "topics"),
    ("tail", "--last", "200", "--until-idle", "200ms"),
    ("state", "ls"),
    ("regime",),
    ("killswitch", "status"),
    ("killswitch", "history"),
    ("audit", "ls"),
    ("books",),
)


@pytest.fixture(scope="module")
def bitten(server_folder: Path) -> Iterator[RunningDaemon]:
    """A daemon with an agent, an event and a regime of every hostile text, and a stop of one."""
    folder = server_folder / "hostile-daemon"
    folder.mkdir(mode=0o711)
    with started_daemon(folder) as daemon:
        with redis.Redis.from_url(daemon.redis_url) as bus:
            for text in HOSTILE:
                raw = text.encode("utf-8", "surrogatepass")
                fields = {"agent_id": text, "name": text, "group": text, "version": text}
                beat = json.dumps(fields | {"status": "error", "last_error": text})
                bus.publish(b"heartbeat." + raw, beat)
                bus.publish(b"strategy." + raw, json.dumps({"source": text, text: [text]}))
            regime = {"regime": "\x1b[35mx\x9b31m", "trend": "a\nb", "confidence": "\u202e"}
            bus.publish("quant.regime.state", json.dumps(regime | {"source": "=1\x1b[2J"}))
        daemon.orc("halt", "--reason", "\x1b[2J\u202e=x\x9b31m", "--level", "reduce")
        bus.close()
        yield daemon


@pytest.mark.subprocess
@pytest.mark.parametrize("output", ["table", "wide", "json", "jsonl", "csv", "name"])
@pytest.mark.parametrize("words", READS, ids=lambda words: "-".join(words[:2]))
def test_no_command_writes_what_bites(
    bitten: RunningDaemon, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], output: str
) -> None:
    cli.run(["--url", bitten.url, "--color", "always", "-o", output, *words])

    written = capsys.readouterr()
    assert written.out or "cannot be" in written.err or output == "name"
    plain = OURS.sub("", written.out + written.err).replace("\n", "")
    assert not [sign for sign in plain if unicodedata.category(sign) in NOT_TEXT]
    if output == "csv":
        assert not FORMULA.search(written.out)
    if output == "json":
        for line in written.out.splitlines() if words[0] == "tail" else [written.out]:
            json.loads(line)


@pytest.mark.subprocess
def test_an_id_that_looks_like_another_says_so(
    bitten: RunningDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run(["--url", bitten.url, "agent", "ls"])
    cli.run(["--url", bitten.url, "agent", "show", "quotes-\u0430gent"])

    listed, shown = (part for part in capsys.readouterr().out.split("\nid ", 1))
    assert "its id holds U+0430 CYRILLIC SMALL LETTER A" in listed
    assert "id note  holds U+0430" in shown
    assert "CYRILLIC SMALL LETTER A" in (bitten.folder / "daemon.log").read_text()


@pytest.mark.subprocess
def test_every_agent_is_shown_with_whatever_id_it_has(
    bitten: RunningDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run(["--url", bitten.url, "-o", "json", "agent", "ls"])
    ids = {row["id"] for row in json.loads(capsys.readouterr().out)["items"]}

    for one in sorted(ids):
        assert cli.run(["--url", bitten.url, "agent", "show", "--", one]) == 0, one
    plain = capsys.readouterr().out.replace("\n", "")
    assert not [sign for sign in plain if unicodedata.category(sign) in NOT_TEXT]
    assert len(ids) > len(HOSTILE) // 2
