"""An agent with a gate that acts whenever it may, and writes down when: monotonic seconds.

``python -m orchestrator.agents.runner trader:Trader --option file=…``, or managed by a daemon.
"""

import os
import time
from typing import ClassVar

import msgspec
from orchestrator.agents import Agent, Halt, acts, every


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the trader."""

    file: str
    """Where it writes, added to."""


class Trader(Agent):
    """Acts a hundred times a second."""

    agent_id = "trader"
    group = "execution"
    resume = "on_permit"
    Options: ClassVar[type[msgspec.Struct]] = Options

    def on_start(self) -> None:
        """Two orders work at the venue."""
        self._file = os.open(self.options.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.open_orders = 0

    @every(0.01)
    @acts
    def trade(self) -> None:
        """One act."""
        self.open_orders = 2
        os.write(self._file, b"%.6f\n" % time.monotonic())

    def on_halt(self, halt: Halt) -> None:
        """Both are cancelled."""
        del halt
        self.open_orders = 0
