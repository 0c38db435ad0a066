"""Reads an agent's permit, and tells at once when its gate has shut: a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable

import redis

from ..protocol.drill import CHANNEL as DRILL
from ..protocol.drill import read_drill
from ..protocol.heartbeat import GateBeat
from ..protocol.permit import READ_S
from ..protocol.targets import Permission
from .gate import AgentGate, Halt
from .killswitch import read_message
from .pace import Throttle
from .surroundings import REAL, Bus, Clock

ANSWER_S = 0.5
"""A read that is not answered by then is given up; the permit that was read before runs out."""
LEAST_GAP_S = 0.05
"""A flood on ``risk.killswitch`` causes 20 reads a second; the first is at once."""


class PermitReader:
    """Keeps one gate supplied, every `READ_S` and whenever it is woken.

    Args:
        bus: to read from, with a limit of `ANSWER_S`.
        gate: what is kept.
        on_halt: called for each time that it shut, at the start too. Must not block.
        beat: the gate's part of a heartbeat.
        send: publishes a heartbeat; returns whether the bus took it.
        log: the agent's.
        clock: the agent's.
    """

    def __init__(  # noqa: PLR0913 - wiring
        self,
        bus: Bus,
        gate: AgentGate,
        *,
        on_halt: Callable[[Halt], None],
        beat: Callable[[], GateBeat],
        send: Callable[[], bool],
        log: logging.Logger,
        clock: Clock = REAL.clock,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._gate = gate
        self._on_halt = on_halt
        self._beat = beat
        self._send = send
        self._log = log
        self._throttle = Throttle()
        self._said: GateBeat | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self.looked = threading.Event()
        """Set once the first read has succeeded or failed."""

    def run(self) -> None:
        """Read until `stop`. Blocks."""
        while not self._stopping.is_set():
            began = time.monotonic()
            self.look()
            self._stopping.wait(LEAST_GAP_S)
            self._wake.wait(max(0.0, began + READ_S - time.monotonic()))

    def look(self) -> None:
        """Read once, and say what has changed. Blocks for `ANSWER_S` at most."""
        self._wake.clear()
        self._read()
        self._tell()

    def heard(self, channel: str, data: bytes) -> None:
        """A stop or a drill on the bus; answered at once. Any thread."""
        if channel != DRILL:
            self._gate.hear(read_message(data))
        elif (nonce := read_drill(data)) is not None:
            self._gate.drilled(nonce)
        self.wake()

    def wake(self) -> None:
        """Look now: there is news. Any thread."""
        self._wake.set()

    def stop(self) -> None:
        """End `run` within `ANSWER_S`."""
        self._stopping.set()
        self.looked.set()
        self._wake.set()

    def close(self) -> None:
        """Close the connection, once `run` has ended."""
        self._bus.close()

    def _read(self) -> None:
        sent_at_s = self._clock.steady_s()
        try:
            value, pttl_ms = self._bus.read_permit()
        except (redis.RedisError, OSError) as error:
            if self._throttle.admit("read", self._clock.monotonic_s()) is not None:
                self._log.warning("the permit cannot be read: %s", error)
        else:
            self._gate.read(value, pttl_ms=pttl_ms, sent_at_s=sent_at_s)

    def _tell(self) -> None:
        for halt in self._gate.take_halts():
            self._log.warning("halted: %s", " · ".join(filter(None, (halt.why, halt.reason))))
            self._on_halt(halt)
        beat = self._beat()
        if self._said is None:
            self._said = beat  # the first heartbeat is the heart's
            self.looked.set()
        elif self._is_news(beat, self._said) and not self._stopping.is_set() and self._send():
            self._log_change(beat, self._said)
            self._said = beat

    def _log_change(self, beat: GateBeat, said: GateBeat) -> None:
        if beat.permission is Permission.REDUCE is not said.permission:
            self._log.warning("may only reduce positions")
        elif beat.permission is Permission.ALLOWED is not said.permission:
            self._log.info("may act again (generation %s)", beat.generation)

    @staticmethod
    def _is_news(beat: GateBeat, said: GateBeat) -> bool:
        """Whether the last that was said is no receipt for what is so now."""
        if (beat.permission, beat.trip_id, beat.drill) != (
            said.permission,
            said.trip_id,
            said.drill,
        ):
            return True
        return beat.is_quiet and not said.is_quiet
