"""``halt``: stop, by whatever way works, and see who has halted."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from ...protocol.printable import printable
from ...protocol.ulid import new_ulid
from ..client.receipts import NOT_KNOWN, follow, is_complete, is_unknown_who, names
from ..client.rest import Answer, Client, refusal
from ..errors import ExitCode, Failure
from ..formatting import duration
from ..local_settings import config_option
from ..options import Invocation, command, pass_invocation
from ..output import Screen
from .killswitch import place_of, program, read_reason

if TYPE_CHECKING:
    from ..local_settings import Place
    from ..offline.halt_ways import Order, Outcome

SILENCE_S: Final = 2.0
"""How long one way may be silent before the next is tried; the daemon answers within 1.8 s, even
where nothing holds the stop yet."""
_MISSING: Final = ("pending", "unreachable")
# Latin-1 bytes that Python could not read as UTF-8 (PEP 383) → the characters meant.
_LATIN_1: Final = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}


@command(
    "halt",
    examples="""
        orc halt --reason "fat finger on AAPL"
        orc halt group:execution --level reduce --reason "data feed is wrong" -o json
    """,
)
@click.argument("scope", default="all")
@click.option(
    "--level",
    type=click.Choice(["halt", "reduce"], case_sensitive=False),
    default="halt",
    help="reduce: positions may only become smaller.  [halt]",
)
@click.option("--reason", metavar="TEXT", help="Why: everybody will read it.")
@click.option("--redis-url", envvar="REDIS_URL", help="The bus, where no daemon answers.")
@config_option
@pass_invocation
def halt_command(  # noqa: PLR0913 - its options
    invocation: Invocation,
    *,
    scope: str,
    level: str,
    reason: str | None,
    redis_url: str | None,
    config: Path | None,
) -> int:
    """Stop trading, at once. Nothing is asked.

    SCOPE is `all`, `group:<group>` or `agent:<id>`; anything else is all. Where HTTP is silent it
    goes on by itself: control socket, trip file, Redis, by the settings of this folder. Shows who
    has halted; exit code 7: an agent has not, or it is not known.
    """
    reason = read_reason(invocation, (reason or "").translate(_LATIN_1) or None, cut=True)
    scope = scope.translate(_LATIN_1)
    body = {"reason": reason, "level": level, "scope": scope, "trip_id": new_ulid()}
    began = time.monotonic()
    try:
        client = _client(invocation)
        answer = client.ask("POST", "/risk/killswitch", body)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other ways are left
        return _without_http(invocation, _failed(error), body, config=config, redis_url=redis_url)
    with client:
        try:
            tripped, held = _tripped(answer)
        except Failure as failure:
            if failure.exit_code != ExitCode.UNREACHABLE:
                raise
            return _without_http(invocation, failure, body, config=config, redis_url=redis_url)
        return _Report(invocation.screen, client, began).show(tripped, held=held, asked=scope)


def _client(invocation: Invocation) -> Client:
    """The daemon's; a file of contexts that cannot be used must not prevent a stop."""
    limit_s = min(invocation.timeout, SILENCE_S)
    try:
        return Client.of(invocation, timeout_s=limit_s)
    except Failure as failure:
        if failure.code != "bad_contexts" or invocation.context is not None:
            raise
        invocation.screen.warn(f"{failure.message}: {failure.cause}")
        # As if --url were given: no context is asked, the token and the CA bundle are kept.
        given = replace(invocation, sources={"url": ParameterSource.COMMANDLINE})
        return Client.of(given, timeout_s=limit_s)


def _failed(error: Exception) -> Failure:
    """What kept the request from an answer."""
    if isinstance(error, Failure):
        return error
    return Failure(
        "the daemon could not be asked",
        code="unreachable",
        cause=type(error).__name__,  # its text may have the token in it
        exit_code=ExitCode.UNREACHABLE,
    )


def _tripped(answer: Answer) -> tuple[dict[str, Any], bool]:
    """The stop in force, and whether anything holds it that outlives the daemon.

    Raises:
        Failure: the daemon has refused.
    """
    if answer.body.get("trip_id"):
        return answer.body, answer.status < 500  # noqa: PLR2004 - HTTP's
    failure = refusal(answer)
    if answer.status >= 500:  # noqa: PLR2004 - HTTP's
        failure.exit_code = ExitCode.UNREACHABLE
    raise failure


class _Report:
    """What a daemon has said, and who has halted since.

    Args:
        screen: where to.
        client: to the daemon that has it in force.
        began: monotonic time of the call.
    """

    def __init__(self, screen: Screen, client: Client, began: float) -> None:
        self._screen = screen
        self._client = client
        self._began = began

    def show(self, tripped: Mapping[str, Any], *, held: bool, asked: str = "all") -> int:
        """Show it all; returns the exit code."""
        screen = self._screen
        state: dict[str, Any] = {}
        for line in self._head(tripped, held=held, asked=asked):
            self._line(line)
        seen: dict[str, str] = {}
        for state in follow(self._client):
            for line in self._news(state, seen):
                self._line(line)
        known = {name: state.get(name) for name in ("agents", "complete")} if state else {}
        if screen.for_programs:
            screen.record("halt", {**tripped, **known}, lambda: (), "trip_id")
        for line in summary(state):
            self._line(line)
        self._line(f"Release: {program()} killswitch release {tripped.get('trip_id')} --reason ...")
        reached = held and bool(tripped.get("published_to"))
        return int(ExitCode.DONE if reached and is_complete(state) else ExitCode.PARTIAL)

    def _line(self, text: str) -> None:
        if not self._screen.for_programs:
            self._screen.line(text)

    def _head(self, tripped: Mapping[str, Any], *, held: bool, asked: str) -> Iterator[str]:
        level, scope = str(tripped.get("level") or "halt"), str(tripped.get("scope") or "all")
        effect = "Agents with a gate halt."
        if level == "reduce":
            effect = "Only what reduces positions goes on."
        again = " It was in force already." if tripped.get("already_active") else ""
        where = printable("ALL" if scope == "all" else scope)
        state = self._screen.state(level.upper())
        yield f"{self._place()}: level {state} for {where}. {effect}{again}"
        if scope != asked:
            yield f"{printable(asked)!r} is no scope: it is in force for {where}."
        yield "   ".join(_marks(tripped))
        if not held:
            yield "In force in the daemon's memory only, lost if it ends now; retried."

    def _place(self) -> str:
        """``desk-a (LIVE)``; asked after the stop, never before."""
        try:
            return place_of(self._client.get("/health"))
        except Failure:
            return self._client.url

    def _news(self, state: Mapping[str, Any], seen: dict[str, str]) -> Iterator[str]:
        """A line for each agent that has halted, or has become quiet, since the last look."""
        quiet = set(names(state, "quiet"))
        taken = duration(time.monotonic() - self._began)
        for name in names(state, "acknowledged"):
            word = "quiet" if name in quiet else "halted"
            if seen.get(name) not in (word, "quiet"):
                seen[name] = word
                yield f"  {printable(name)}  {word}  {taken}"


def _marks(tripped: Mapping[str, Any]) -> Iterator[str]:
    yield f"trip {tripped.get('trip_id')}"
    yield "on disk" if tripped.get("latched") else "NOT on disk yet"
    yield "in the database" if tripped.get("persisted") else "not in the database yet"
    receivers = tripped.get("published_to")
    yield f"sent to {receivers} receivers" if receivers else "no agent notified yet"


def summary(state: Mapping[str, Any]) -> Iterator[str]:
    """How many have halted, and who has not."""
    if not state or state.get("status") == "unknown":
        yield "Who has halted is not known."
        return
    halted = len(names(state, "acknowledged"))
    missing = {kind: names(state, kind) for kind in _MISSING}
    every = halted + sum(map(len, missing.values()))
    if every:
        yield f"{halted} of {every} agents have halted."
    else:
        yield "No agent is known that would acknowledge."
    if is_unknown_who(state):
        yield NOT_KNOWN
    for kind, found in {**missing, "without a gate": names(state, "without_gate")}.items():
        if found:
            yield f"  {kind}: {printable(', '.join(found))}"


def _without_http(
    invocation: Invocation,
    failure: Failure,
    body: Mapping[str, str],
    *,
    config: Path | None,
    redis_url: str | None,
) -> int:
    """Go on by the ways of this machine.

    Raises:
        Failure: none has worked.
    """
    from ..offline.halt_ways import Order

    screen, began = invocation.screen, time.monotonic()
    said = ": ".join(text for text in (failure.message, failure.cause) if text)
    screen.warn(printable(f"{said}. Other ways:"))
    outcomes = []
    for outcome in _local(Order(**body), config=config, redis_url=redis_url):
        outcomes.append(outcome)
        word = "worked" if outcome.done else "did not work"
        screen.warn(printable(f"  {outcome.way} {word}: {outcome.said}"))
        if outcome.answer is not None:
            return _by_socket(screen, outcome, began)
    if not any(outcome.done for outcome in outcomes):
        raise _not_halted(failure, outcomes)
    screen.record("halt", _row(outcomes, body), lambda: _local_lines(outcomes), "way")
    return int(ExitCode.PARTIAL)


def _local(order: "Order", *, config: Path | None, redis_url: str | None) -> Iterator["Outcome"]:
    from ..offline.halt_ways import Outcome, by_redis, local_ways

    try:
        place = _place(config)
    except Exception as error:  # noqa: BLE001 - no settings, not the packages to read them, no home
        said = f"{error.message}: {error.cause}" if isinstance(error, Failure) else str(error)
        yield Outcome("settings", done=False, said=said or type(error).__name__)
        if redis_url is not None:
            yield by_redis(redis_url, order)
        return
    yield from local_ways(place, order, timeout_s=SILENCE_S, redis_url=redis_url)


def _place(config: Path | None) -> "Place":
    from ..local_settings import Place, read_settings

    return Place(read_settings(config))


def _by_socket(screen: Screen, outcome: "Outcome", began: float) -> int:
    with Client(outcome.url, timeout_s=SILENCE_S) as client:
        return _Report(screen, client, began).show(
            outcome.answer or {}, held=outcome.held, asked=str((outcome.answer or {}).get("scope"))
        )


def _row(outcomes: list["Outcome"], body: Mapping[str, str]) -> dict[str, Any]:
    done = [outcome.way for outcome in outcomes if outcome.done]
    ways = [{"way": one.way, "done": one.done, "message": one.said} for one in outcomes]
    return {"way": done[-1], "in_force": outcomes[-1].in_force, **body, "ways": ways}


def _local_lines(outcomes: list["Outcome"]) -> Iterator[str]:
    last = outcomes[-1]
    if last.in_force:
        yield "In force: the daemon has taken the file. Who has halted is not known."
    elif last.done:
        yield "Sent without the daemon. Who has halted is not known."
    else:
        yield "Not in force yet, no agent notified yet: a file waits for the daemon."
    yield f"Look again: {program()} killswitch status"


def _not_halted(failure: Failure, outcomes: list["Outcome"]) -> Failure:
    """No way has worked: name the one that is left."""
    direct = 'redis-cli PUBLISH risk.killswitch \'{"enabled":true,"reason":"..."}\''
    causes = [failure.cause, *(f"{one.way}: {one.said}" for one in outcomes)]
    return Failure(
        f"NOT HALTED as far as is known: {failure.message}",
        code=failure.code,
        cause="; ".join(cause for cause in causes if cause),
        advice=f"notify the agents yourself: {direct}",
        exit_code=failure.exit_code,
    )
