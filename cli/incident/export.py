"""Fills an incident's archive, part by part; a part that fails is named and the others go on."""

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ... import __version__
from ...protocol.patterns import matches
from ...protocol.timestamps import utc_now
from ..client.rest import Client, path_with, segment
from ..offline.progress import Progress
from . import left_files
from .archive import Archive, Missing
from .log_lines import log_lines
from .page import Story, line_of_act, line_of_event, page
from .sources import Source
from .span import Span
from .state_at import AGENTS, TYPES, state_at

if TYPE_CHECKING:
    from ...settings import Settings

MAX_EVENT_BYTES: Final = 1024 * 1024 * 1024
MAX_ACTS: Final = 10_000
MAX_TIMELINE: Final = 2_000
MAX_AGENT_LOGS: Final = 200
TOLD: Final = ("risk.*", "agent.*", "runtime.*", "bus.*", "quant.regime.state")
"""Types that the page lists one by one."""
ANSWERS: Final = {
    "now/health.json": "/health",
    "now/ready.json": "/ready",
    "now/killswitch.json": "/risk/killswitch",
    "now/agents.json": "/health/agents",
    "now/state.json": "/state",
    "now/regime.json": "/regime/state",
    "now/actors.json": "/runtime/actors",
    "now/managed.json": "/runtime/agents",
    "now/books.json": "/runtime/books",
    "now/dead_letters.json": "/runtime/dead-letters",
    "now/types.json": "/bus/types",
}
"""What the daemon says at the time of the export."""
NO_EVENTS: Final[dict[str, Any]] = state_at([])


@dataclass
class Export:
    """One export.

    Args:
        archive: Where it goes.
        span: Which time.
        source: Of events and acts; ``None`` without any.
        client: The daemon; ``None`` if it does not answer.
        settings: Those of this machine; ``None`` if they cannot be used.
        max_events: How many events at most.
        progress: Counts events.
    """

    archive: Archive
    span: Span
    source: Source | None
    client: Client | None
    settings: "Settings | None"
    max_events: int
    progress: Progress
    _counts: Counter[str] = field(default_factory=Counter)
    _timeline: list[tuple[str, str, str, str]] = field(default_factory=list)
    _cut: int = 0
    _state: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self) -> None:
        """Add everything, the page last."""
        archive = self.archive
        if self.source is None:
            why = "neither the daemon nor the database answers"
            missing = ("events.jsonl", "agents.jsonl", "acts.jsonl", "state_before.json")
            archive.missing += [Missing(part, why) for part in (*missing, "state_after.json")]
        else:
            archive.try_part("events.jsonl", lambda: self._events(self.source))
            archive.try_part("acts.jsonl", lambda: self._acts(self.source))
            archive.try_part("state_before.json", lambda: self._state_at(self.source, "before"))
            archive.try_part("state_after.json", lambda: self._state_at(self.source, "after"))
        self._from_daemon()
        archive.try_part("log.txt", self._log)
        self._left()
        archive.try_part("settings.json", self._settings)
        archive.json("versions.json", "versions of the program and what it uses", versions())
        self._end()

    # -- history --------------------------------------------------------------------------------

    def _events(self, source: Source | None) -> None:
        assert source is not None  # noqa: S101 - for mypy
        written, changes = 0, []
        what = f"events of the time, a JSON object a line, from {source.name}"
        with self.archive.opened("events.jsonl", what) as write:
            for event in source.events(self.span):
                text = json.dumps(event, ensure_ascii=False) + "\n"
                written += len(text)
                if self.progress.done >= self.max_events or written > MAX_EVENT_BYTES:
                    why = f"cut after {self.progress.done} events (--max-events)"
                    self.archive.missing.append(Missing("events.jsonl", why))
                    break
                write(text)
                self.progress.advance(1, None)
                self._note(event)
                if event.get("type") in AGENTS:
                    changes.append(text)
        self.archive.text("agents.jsonl", "changes of agents among them", "".join(changes))

    def _note(self, event: Mapping[str, Any]) -> None:
        kind = str(event.get("type"))
        self._counts[kind] += 1
        if any(matches(pattern, kind) for pattern in TOLD):
            self._tell(line_of_event(event))

    def _tell(self, line: tuple[str, str, str, str]) -> None:
        if len(self._timeline) < MAX_TIMELINE:
            self._timeline.append(line)
        else:
            self._cut += 1

    def _acts(self, source: Source | None) -> None:
        assert source is not None  # noqa: S101 - for mypy
        acts = list(self._acts_within(source))
        for act in acts:
            self._tell(line_of_act(act))
        text = "".join(json.dumps(act, ensure_ascii=False) + "\n" for act in acts[::-1])
        self.archive.text("acts.jsonl", "acts of operators, and refused attempts", text)

    def _acts_within(self, source: Source) -> Iterator[dict[str, Any]]:
        """Newest first; stops at the first that is older."""
        found = 0
        for act in source.acts():
            at = str(act.get("at"))
            if at < self.span.begin_text:
                return
            if self.span.holds(at):
                found += 1
                if found > MAX_ACTS:
                    why = f"only the latest {MAX_ACTS}"
                    self.archive.missing.append(Missing("acts.jsonl", why))
                    return
                yield act

    def _state_at(self, source: Source | None, which: str) -> None:
        assert source is not None  # noqa: S101 - for mypy
        moment = self.span.begin if which == "before" else self.span.end
        self._state[which] = state_at(source.newest(TYPES, moment))
        what = f"the state {which} it, as far as events tell"
        self.archive.json(f"state_{which}.json", what, self._state[which])

    # -- the daemon of now ----------------------------------------------------------------------

    def _from_daemon(self) -> None:
        client, archive = self.client, self.archive
        if client is None:
            parts = (*ANSWERS, "metrics.txt", "metrics_by_minute.json", "agent_logs/")
            archive.missing += [Missing(part, "the daemon does not answer") for part in parts]
            return
        for name, path in ANSWERS.items():
            what = f"GET {path}, at the time of the export"
            archive.try_part(name, lambda: archive.json(name, what, client.ask("GET", path).body))  # noqa: B023
        what = "GET /metrics, at the time of the export"
        archive.try_part(
            "metrics.txt", lambda: archive.text("metrics.txt", what, client.text("/metrics"))
        )
        archive.try_part("metrics_by_minute.json", lambda: self._histogram(client))
        archive.try_part("agent_logs/", lambda: self._agent_logs(client))

    def _histogram(self, client: Client) -> None:
        seconds = (self.span.end - self.span.begin).total_seconds()
        query = {
            "from": self.span.begin_text,
            "to": self.span.end_text,
            "buckets": max(1, min(240, round(seconds / 60))),
        }
        counted = client.get(path_with("/bus/histogram", query))
        self.archive.json("metrics_by_minute.json", "events over the time, by class", counted)

    def _agent_logs(self, client: Client) -> None:
        for row in client.get("/runtime/agents")["agents"][:MAX_AGENT_LOGS]:
            name = f"agent_logs/{segment(str(row['id']))}.json"
            path = f"/runtime/agents/{segment(str(row['id']))}/logs"
            answer = client.ask("GET", path)
            if answer.status == 200:  # noqa: PLR2004 - only child processes have lines
                self.archive.json(name, f"the last lines of agent {row['id']}", answer.body)

    # -- this machine ---------------------------------------------------------------------------

    def _log(self) -> None:
        if self.settings is None or self.settings.log.file is None:
            begin, end = (
                f"{time:%Y-%m-%d %H:%M:%S} UTC" for time in (self.span.begin, self.span.end)
            )
            why = f"[log] file is not set; try journalctl --since '{begin}' --until '{end}'"
            self.archive.missing.append(Missing("log.txt", why, expected=True))
            return
        log = self.settings.log
        lines = log_lines(self.settings.log.file, log.rotate_keep, self.span)
        what = f"the daemon's log of the time, else its last lines: {log.file}"
        self.archive.text("log.txt", what, "".join(f"{line}\n" for line in lines))

    def _left(self) -> None:
        """What lies in the data directory at the time of the export."""
        if self.settings is None:
            return
        data, archive = self.settings.data.dir, self.archive
        parts = {
            "left/journal.json": ("the journal's files", left_files.journal),
            "left/stop.json": ("the stop on disk", left_files.latch),
        }
        for name, (what, read) in parts.items():
            archive.try_part(name, partial(self._left_document, name, what, read, data))
        name, what = "left/acts.jsonl", "acts that are not in PostgreSQL yet"
        archive.try_part(name, lambda: archive.text(name, what, left_files.pending_acts(data)))

    def _left_document(
        self, name: str, what: str, read: Callable[[Path], dict[str, Any]], data: Path
    ) -> None:
        self.archive.json(name, what, read(data))

    def _settings(self) -> None:
        if self.settings is None:
            why = "the settings cannot be read here"
            self.archive.missing.append(Missing("settings.json", why, expected=True))
            return
        from ...settings import config_doc

        rows = [setting._asdict() for setting in config_doc(self.settings)]
        document = {"sha256": settings_hash(rows), "settings": rows}
        self.archive.json("settings.json", "settings in force here, passwords as stars", document)

    # -- the end --------------------------------------------------------------------------------

    def _end(self) -> None:
        archive = self.archive
        about = {"made at": utc_now(), "made by": f"orchestrator {__version__}"}
        if self.source is not None:
            about["history from"] = self.source.name
        if self.settings is not None:
            about["instance"] = f"{self.settings.instance.name} ({self.settings.instance.env})"
        story = Story(
            self.span,
            about,
            self._state.get("before", NO_EVENTS),
            self._state.get("after", NO_EVENTS),
            self._counts,
            self._timeline,
            self._cut,
            archive.parts,
            archive.missing,
        )
        archive.text("index.html", "what happened, to be read", page(story))
        manifest = {
            "version": 1,
            "from": self.span.begin_text,
            "around": self.span.moment_text,
            "to": self.span.end_text,
            **{name.replace(" ", "_"): value for name, value in about.items()},
            "parts": archive.parts,
            "missing": [vars(one) for one in archive.missing],
        }
        archive.json("manifest.json", "this list", manifest)


def settings_hash(rows: list[dict[str, Any]]) -> str:
    """Of keys and values without origins; the same for settings that differ in secrets only."""
    pairs = sorted((row["key"], row["value"]) for row in rows)
    return hashlib.sha256(json.dumps(pairs, default=str).encode()).hexdigest()


def versions() -> dict[str, Any]:
    """Of this program, of Python and of the packages it needs."""
    packages = {}
    try:
        required = metadata.requires("orchestrator-lite") or []
    except metadata.PackageNotFoundError:
        required = []
    for line in required:
        name = line.split(";")[0].strip()
        for end in "[<>=!~ ":
            name = name.split(end)[0]
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "orchestrator": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }
