"""What checks find, and the exit code that follows. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..errors import ExitCode
from ..formatting import plural, printable
from ..output import JSON_VERSION, Screen


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    """What, such as ``redis version``."""
    level: Level
    """How it is."""
    said: str
    """What was found."""
    advice: str = ""
    """What to do about it; empty where nothing has to be done."""

    @property
    def row(self) -> dict[str, str | None]:
        """As JSON has it."""
        return {
            "name": self.name,
            "level": str(self.level),
            "said": self.said,
            "next": self.advice or None,
        }


def ok(name: str, said: str) -> Finding:
    """Nothing to do."""
    return Finding(name, Level.OK, said)


def warning(name: str, said: str, advice: str) -> Finding:
    """It works, but not for all that may come."""
    return Finding(name, Level.WARNING, said, advice)


def critical(name: str, said: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(name, Level.CRITICAL, said, advice)


def unknown(name: str, said: str, advice: str = "") -> Finding:
    """It could not be found out."""
    return Finding(name, Level.UNKNOWN, said, advice)


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """2 if anything is critical, else 1 for a warning, else 0; what is unknown is a warning."""
    levels = {finding.level for finding in findings}
    if Level.CRITICAL in levels:
        return ExitCode.USAGE
    return ExitCode.FAILED if levels - {Level.OK} else ExitCode.DONE


def show(kind: str, findings: Sequence[Finding], screen: Screen) -> ExitCode:
    """Write them all, and tell the exit code."""
    code = exit_code(findings)
    rows = [finding.row for finding in findings]
    if screen.output == "json":
        worst = ("ok", "warning", "critical")[int(code)]
        document = {"version": JSON_VERSION, "kind": kind, "status": worst, "items": rows}
        screen.json(document)
    elif screen.output == "jsonl":
        for row in rows:
            screen.json_line(row)
    else:
        for line in lines(findings, screen):
            screen.line(line)
    return code


def lines(findings: Sequence[Finding], screen: Screen) -> list[str]:
    """A line for each, what to do below it, and a sum at the end."""
    width = max((len(finding.name) for finding in findings), default=0)
    told = []
    for finding in findings:
        word = screen.state(str(finding.level)) + " " * (8 - len(finding.level))
        told.append(f"{word}  {finding.name:<{width}}  {printable(finding.said)}")
        if finding.advice:
            told.append(f"{'':8}  {'':<{width}}  -> {printable(finding.advice)}")
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    bad = [f"{count} {level}" for level, count in counts.items() if count and level is not Level.OK]
    said = plural(len(findings), "check")
    return [*told, f"{said}: {', '.join(bad) if bad else 'all is well'}"]
