"""Watches the event loop from a real thread: what blocks it is logged, then interrupted.

All actors share one thread. A greenlet that computes without yielding blocks it, and nothing else
runs, not even the supervisor that would kill it. So a real thread watches: after 0.5 s it logs the
stack of what runs, and after 5 s it raises :class:`~.errors.ActorHung` in it, which is that actor's
failure and that actor's only. Code in C that does not come back to Python cannot be interrupted
from within the process; that is the guard's business.

Only the hanging greenlet may be hit, and the thread cannot know which one runs by the time its
exception arrives. So it has a function called between two bytecodes of the loop's thread
(``Py_AddPendingCall``), where that is certain; that one looks whether it is still the same, and has
the next switch noted (``greenlet.settrace``). If there was none when the thread holds the
interpreter again, its ``PyThreadState_SetAsyncExc`` arrives where it should.
"""

import ctypes
import math
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import gevent
import greenlet
import structlog
from gevent import Greenlet, monkey

from ..errors import ActorHung

BEAT_S: Final = 0.05
"""How often the loop shows that it runs."""

LOG_AFTER_S: Final = 0.5
"""A turn of 0.5 s is seen by users; the stack says whose it is."""

RAISE_AFTER_S: Final = 5.0
"""As long as a hung actor may wait."""

RAISE_AGAIN_S: Final = 1.0
"""Code that swallows every exception gets it again."""

NOTE_FROM_S: Final = 0.02
"""What an actor may compute without yielding; longer stalls are counted."""

_MAX_FRAMES: Final = 30
_LOOK_S: Final = 0.05

# Not gevent's: these run when the loop does not.
_get_ident: Final = monkey.get_original("_thread", "get_ident")
_start_thread: Final = monkey.get_original("_thread", "start_new_thread")
_allocate_lock: Final = monkey.get_original("_thread", "allocate_lock")

# Never released: waiting for it is a short sleep.
_pause: Final = _allocate_lock()
_pause.acquire()

_PENDING_CALL: Final = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class LoopHeld(ActorHung):
    """A greenlet blocked the loop and was interrupted."""

    def __str__(self) -> str:
        return f"{self.actor} has blocked the event loop for {self.silent_s:.1f} s"


class LoopWatchdog:
    """Watches the loop of the thread that starts it.

    Args:
        on_stall: Called with the seconds of each stall of more than 20 ms, in the loop, after it.
        log_after_s: When the stack is logged.
        raise_after_s: When ``ActorHung`` is raised in the greenlet that blocks the loop.
    """

    def __init__(
        self,
        on_stall: Callable[[float], None] = lambda _seconds: None,
        *,
        log_after_s: float = LOG_AFTER_S,
        raise_after_s: float = RAISE_AFTER_S,
    ) -> None:
        self._on_stall = on_stall
        self._log_after_s = log_after_s
        self._raise_after_s = raise_after_s
        self._log = structlog.get_logger(actor="watchdog")
        self._beats = 0
        self._beat_at = 0.0
        self._loop_thread = 0
        self._timer: Any = None
        self._stopping = _allocate_lock()
        self._ended = _allocate_lock()
        self._suspect: Greenlet | None = None
        self._suspect_beats = -1
        self._held_since = 0.0
        self._raised_at = -math.inf
        self._armed_s: float | None = None
        self._switched = False
        # ctypes must not free it while a call is pending, so it is made once.
        self._pending_call = _PENDING_CALL(self._look)
        self._call_pending = False

    def start(self) -> None:
        """Begin to watch the loop of this thread."""
        self._loop_thread = _get_ident()
        self._beat_at = time.monotonic()
        self._timer = gevent.get_hub().loop.timer(BEAT_S, BEAT_S)
        self._timer.start(self._beat, update=True)
        self._stopping.acquire()
        self._ended.acquire()
        _start_thread(self._run, ())

    def stop(self) -> None:
        """End the thread, and wait for it."""
        if self._timer is None:
            return
        self._stopping.release()
        self._timer.stop()
        self._timer.close()
        self._timer = None
        self._ended.acquire(True, 2.0)

    # -- in the loop -------------------------------------------------------------------------

    def _beat(self) -> None:
        """Record that the loop runs."""
        now = time.monotonic()
        stalled_s = now - self._beat_at - BEAT_S
        self._beat_at = now
        self._beats += 1
        if stalled_s >= NOTE_FROM_S:
            self._on_stall(stalled_s)

    def _look(self, _argument: object) -> int:
        """Between two bytecodes of the loop's thread, in whatever greenlet runs there."""
        try:
            self._look_at(gevent.getcurrent(), time.monotonic())
        finally:
            self._call_pending = False
        return 0

    def _look_at(self, current: greenlet.greenlet, now: float) -> None:
        if self._suspect_beats != self._beats:
            self._suspect, self._suspect_beats = None, self._beats
        if current is not self._suspect:
            # The first one found has blocked it since the last beat; another one since now.
            self._held_since = self._beat_at if self._suspect is None else now
            self._suspect = current
        held_s = now - self._held_since
        due = held_s >= self._raise_after_s and now - self._raised_at >= RAISE_AGAIN_S
        # The hub and the main greenlet belong to no actor.
        if due and isinstance(current, Greenlet):
            self._armed_s = held_s
            self._raised_at = now
            self._switched = False
            greenlet.settrace(self._note_switch)

    def _note_switch(self, _event: str, _switch: object) -> None:
        """It yielded by itself, at the last moment or with the exception."""
        self._switched = True
        greenlet.settrace(None)

    # -- in the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            logged = -1
            while not self._stopping.acquire(True, BEAT_S):
                beats, silent_s = self._beats, time.monotonic() - self._beat_at
                if silent_s < self._log_after_s:
                    continue
                if logged != beats:
                    logged = beats
                    self._log_stack(silent_s)
                self._have_looked()
                if self._armed_s is not None:
                    self._interrupt(self._armed_s)
        finally:
            self._ended.release()

    def _have_looked(self) -> None:
        """Have ``_look`` called, and wait briefly for it; code in C may prevent it."""
        if not self._call_pending:
            self._call_pending = True
            ctypes.pythonapi.Py_AddPendingCall(self._pending_call, None)
        until = time.monotonic() + _LOOK_S
        while self._call_pending and time.monotonic() < until:
            _pause.acquire(True, 0.001)

    def _interrupt(self, held_s: float) -> None:
        self._armed_s = None
        name = getattr(self._suspect, "name", "a greenlet")
        thread, error = ctypes.c_ulong(self._loop_thread), ctypes.py_object(_error(name, held_s))
        raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
        # The interpreter changes threads at neither of these: what is read here is still so there.
        if not self._switched:
            raise_in(thread, error)

    def _log_stack(self, silent_s: float) -> None:
        frame: FrameType | None = sys._current_frames().get(self._loop_thread)  # noqa: SLF001
        stack = traceback.extract_stack(frame)[-_MAX_FRAMES:]
        self._log.warning(
            "event loop blocked",
            seconds=round(silent_s, 3),
            trace=[f"{line.filename}:{line.lineno} {line.name}" for line in stack],
        )


def _error(name: str, held_s: float) -> type[LoopHeld]:
    """A class, since the interpreter makes the instance itself, without arguments."""

    class Interrupted(LoopHeld):
        """See :class:`LoopHeld`."""

        def __init__(self) -> None:
            super().__init__(name, held_s)

    Interrupted.__name__ = Interrupted.__qualname__ = ActorHung.__name__
    return Interrupted
