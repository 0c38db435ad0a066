"""Results of checks, and the exit code that follows. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ...protocol.printable import printable
from ..errors import ExitCode
from ..formatting import plural
from ..output import JSON_VERSION, Screen


class Level(StrEnum):
    """Severity."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class CheckResult:
    """The result of one check."""

    name: str
    """The subject, such as ``redis version``."""
    level: Level
    """Its severity."""
    said: str
    """What was found."""
    advice: str = ""
    """What to do about it; empty if nothing."""

    @property
    def row(self) -> dict[str, str | None]:
        """As JSON."""
        return {
            "name": self.name,
            "level": str(self.level),
            "said": self.said,
            "next": self.advice or None,
        }


def ok(name: str, said: str) -> CheckResult:
    """Healthy."""
    return CheckResult(name, Level.OK, said)


def warning(name: str, said: str, advice: str) -> CheckResult:
    """It works, but not under every condition."""
    return CheckResult(name, Level.WARNING, said, advice)


def critical(name: str, said: str, advice: str) -> CheckResult:
    """It does not work."""
    return CheckResult(name, Level.CRITICAL, said, advice)


def unknown(name: str, said: str, advice: str = "") -> CheckResult:
    """It could not be determined."""
    return CheckResult(name, Level.UNKNOWN, said, advice)


def exit_code(results: Iterable[CheckResult]) -> ExitCode:
    """2 if anything is critical, else 1 for a warning, else 0; what is unknown is a warning."""
    levels = {result.level for result in results}
    if Level.CRITICAL in levels:
        return ExitCode.USAGE
    return ExitCode.FAILED if levels - {Level.OK} else ExitCode.DONE


def show(kind: str, results: Sequence[CheckResult], screen: Screen) -> ExitCode:
    """Write all results; returns the exit code."""
    code = exit_code(results)
    rows = [result.row for result in results]
    if screen.output == "json":
        worst = ("ok", "warning", "critical")[int(code)]
        document = {"version": JSON_VERSION, "kind": kind, "status": worst, "items": rows}
        screen.json(document)
    elif screen.output == "jsonl":
        for row in rows:
            screen.json_line(row)
    else:
        for line in lines(results, screen):
            screen.line(line)
    return code


def lines(results: Sequence[CheckResult], screen: Screen) -> list[str]:
    """A line per result, advice below it, and a summary at the end."""
    width = max((len(result.name) for result in results), default=0)
    text = []
    for result in results:
        word = screen.state(str(result.level)) + " " * (8 - len(result.level))
        text.append(f"{word}  {result.name:<{width}}  {printable(result.said)}")
        if result.advice:
            text.append(f"{'':8}  {'':<{width}}  -> {printable(result.advice)}")
    counts = {level: sum(result.level is level for result in results) for level in Level}
    bad = [f"{count} {level}" for level, count in counts.items() if count and level is not Level.OK]
    said = plural(len(results), "check")
    return [*text, f"{said}: {', '.join(bad) if bad else 'all is well'}"]
