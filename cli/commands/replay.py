"""``event replay``."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ...protocol.bus_url import read_bus_url
from ..errors import BadUsage, ExitCode, Failure
from ..filters import Filter
from ..formatting import read_iso
from ..local_settings import Place, config_option, missing_extra, read_settings
from ..offline.checkpoint import Checkpoint, load_checkpoint
from ..offline.progress import Progress
from ..offline.replay_rules import ReplayClock, catching, channel_for, is_target, read_speed
from ..offline.time_range import History, open_history, selected_times, selection_options
from ..options import Invocation, command, confirm, pass_invocation

if TYPE_CHECKING:
    from ...settings import Settings
    from ...sql.events.event_reader import EventRow

BATCH_EVENTS: Final = 200
"""Published in one round trip."""
SLICE_S: Final = 0.5
"""Longest sleep, so that Ctrl-C is handled and the bar moves."""
SAVE_EVERY_S: Final = 1.0
REDIS_LIMIT_S: Final = 30.0


@command(
    "replay",
    examples="""
        orc event replay --since 09:30 --until 10:00 --speed 10x --to replay.monday
        orc event replay 'data.market.*' --since 1d --speed max --to replay.test --yes
        orc event replay --to replay.monday --since 09:30 --resume
    """,
)
@selection_options
@click.option(
    "--speed",
    default="1x",
    show_default=True,
    metavar="1x|10x|max",
    help="Factor of the original speed.",
)
@click.option(
    "--to", "target", required=True, metavar="replay.NAME", help="Channel to publish below."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Checkpoint file.  [replay.NAME.state]",
)
@click.option("--resume", is_flag=True, help="Resume an interrupted replay.")
@config_option
@pass_invocation
def replay_command(  # noqa: PLR0913 - its options
    invocation: Invocation,
    *,
    wanted: Filter,
    since: str | None,
    until: str | None,
    speed: str,
    target: str,
    state: Path | None,
    resume: bool,
    config: Path | None,
) -> None:
    """Publish stored events again, each on replay.NAME.<its channel>, in their order.

    Never on a live channel, and never stored again: it refuses if the daemon subscribes to a
    pattern that matches them. After Ctrl-C or SIGTERM --resume continues exactly where it was.
    After a kill -9 the last second may be published twice; after a lost connection to Redis (which
    is reported) the last 200 events.
    """
    times_as_fast = _check(speed, target)
    settings = read_settings(config)
    _refuse_if_caught(settings, target)
    options = {"types": list(wanted.types), "filter": wanted.whole, "to": target}
    options |= {"since": since, "until": until}
    path = state or Path(f"{target}.state")
    if resume:
        checkpoint = load_checkpoint(path, options)
    else:
        times = selected_times(since, until)
        checkpoint = Checkpoint(path, options, *times)
    _ask(invocation, settings, target)
    progress = Progress(invocation.screen, "events")
    wanted = replace(wanted, begin=checkpoint.since, end=checkpoint.until)
    with open_history(config, wanted) as history, _redis(settings) as redis:
        if not resume:
            bounds = history.bounds()
            checkpoint.last_id, checkpoint.up_to = bounds.after, bounds.up_to
        _Replay(redis, checkpoint, progress, target, times_as_fast).run(history)
    invocation.screen.note(f"{progress.end()} published below {target}")


def _check(speed: str, target: str) -> float:
    times_as_fast = read_speed(speed)
    if times_as_fast is None:
        raise BadUsage(
            f"--speed {speed!r} is not a speed", advice="write 1x, 10x (1000x at most) or max"
        )
    if not is_target(target):
        raise BadUsage(
            f"--to {target!r} is not allowed",
            cause="history is published below replay.NAME only, never on live channels",
            advice="such as --to replay.monday",
        )
    return times_as_fast


def _refuse_if_caught(settings: "Settings", target: str) -> None:
    bus = settings.bus
    caught = catching((*bus.control_patterns, *bus.data_patterns), target)
    if caught:
        raise BadUsage(
            "the daemon would store the replay again",
            cause=f"it subscribes to {', '.join(caught)}, which matches channels below {target}",
            advice="narrow the patterns of [bus] down",
        )


def _ask(invocation: Invocation, settings: "Settings", target: str) -> None:
    name, env = settings.instance.name, settings.instance.env
    effect = f"{name} ({env}): history is published on its Redis, below {target}"
    confirm(invocation, effect, typed=name if env == "live" else None)


@contextmanager
def _redis(settings: "Settings") -> Iterator[Any]:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
    url = Place(settings).needed_redis_url()
    from ...agents.publisher import greeting

    place = read_bus_url(url)
    client = redis.Redis(
        **place.client_options(),
        redis_connect_func=None if place.client_name else greeting("orchestrator-cli"),
        socket_timeout=REDIS_LIMIT_S,
        socket_connect_timeout=settings.redis.connect_timeout_s,
        retry=Retry(NoBackoff(), 0),  # a silent retry would publish twice
    )
    try:
        with client:
            yield client
    except redis.RedisError as error:
        raise Failure(
            "Redis did not accept the events",
            code="unreachable",
            cause=str(error),
            advice="resume with --resume when it is back; it is unknown which of the last"
            f" {BATCH_EVENTS} events arrived: those may be published twice",
            exit_code=ExitCode.UNREACHABLE,
        ) from error


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _signals_handled_by(handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM by ``handler`` inside the block."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Defer Ctrl-C and SIGTERM to the end of the block."""
    heard: list[int] = []
    with _signals_handled_by(lambda number, _frame: heard.append(number)):
        yield
    if heard:
        raise KeyboardInterrupt


class _Replay:
    """One run: publishes batches when they are due, and keeps the checkpoint."""

    def __init__(
        self, redis: Any, checkpoint: Checkpoint, progress: Progress, target: str, speed: float
    ) -> None:
        self._redis = redis
        self._checkpoint = checkpoint
        self._progress = progress
        self._target = target
        self._first = checkpoint.last_id
        self._saved = time.monotonic()
        self._batch: list[EventRow] = []
        self._clock = ReplayClock(speed, time.monotonic())
        progress.done = checkpoint.done

    def run(self, history: History) -> None:
        """Publish the rest; on any exit the checkpoint is saved."""
        checkpoint = self._checkpoint
        with _signals_handled_by(_interrupt):
            self._run(history, checkpoint)

    def _run(self, history: History, checkpoint: Checkpoint) -> None:
        try:
            checkpoint.save()
            for page in history.pages(checkpoint.last_id, checkpoint.up_to):
                for event in page.events:
                    self._take(event)
                self._publish()
                checkpoint.last_id = page.last_id
                self._record(0)
            checkpoint.remove()
        except BaseException:
            with _uninterrupted():
                checkpoint.save()
            raise

    def _take(self, event: "EventRow") -> None:
        """Wait until the event is due; events already due are published first."""
        due_s = self._clock.due_s(read_iso(event.ts))
        while (left_s := due_s - time.monotonic()) > 0:
            self._publish()
            self._record(0)
            time.sleep(min(left_s, SLICE_S))
        self._batch.append(event)
        if len(self._batch) >= BATCH_EVENTS:
            self._publish()

    def _publish(self) -> None:
        if not self._batch:
            return
        pipe = self._redis.pipeline(transaction=False)
        for event in self._batch:
            channel = channel_for(self._target, event.type, event.source)
            pipe.publish(channel, bytes(event.payload))
        count = len(self._batch)
        with _uninterrupted():  # published and recorded together
            pipe.execute()
            self._checkpoint.last_id = self._batch[-1].id
            self._checkpoint.done += count
            self._batch.clear()
        self._record(count)

    def _record(self, count: int) -> None:
        checkpoint, now_s = self._checkpoint, time.monotonic()
        part = (checkpoint.last_id - self._first) / max(1, checkpoint.up_to - self._first)
        self._progress.advance(count, part)
        if now_s - self._saved >= SAVE_EVERY_S:
            self._saved = now_s
            checkpoint.save()
