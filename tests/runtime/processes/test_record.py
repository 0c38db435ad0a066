"""What is kept of a child process."""

import os
import time

import pytest
from orchestrator.runtime.processes.output import OutputLine
from orchestrator.runtime.processes.record import ProcessRecord, ProcessUsage, UsageMeter


def test_what_was_printed_before_an_end_is_kept_until_the_next_end() -> None:
    record = ProcessRecord()
    record.begin(1)
    record.output.add(OutputLine(1.0, "stdout", "first"))
    record.end()
    record.note_exit(None, "SIGSEGV")
    record.output.add(OutputLine(2.0, "stdout", "second"))

    assert record.exit is not None
    assert (record.exit.code, record.exit.signal) == (None, "SIGSEGV")
    assert [line.text for line in record.exit.last_lines] == ["first"]
    assert record.exit.at == pytest.approx(time.time(), abs=5)

    record.note_exit(3, None)
    assert [line.text for line in record.exit.last_lines] == ["first", "second"]


def test_one_that_does_not_run_uses_nothing() -> None:
    record = ProcessRecord()
    record.begin(7)
    record.usage = ProcessUsage(5.0, 100, 1)
    assert record.pid == 7

    record.end()

    assert (record.pid, record.usage) == (None, ProcessUsage())


def test_this_process_is_measured() -> None:
    meter = UsageMeter(os.getpid())
    meter.sample()
    began, end = time.perf_counter(), time.process_time() + 0.3
    while time.process_time() < end:
        pass

    usage = meter.sample()
    busy_percent = 100 * 0.3 / (time.perf_counter() - began)  # of a machine that others share

    assert usage.processes >= 1
    assert usage.memory_bytes > 10 * 2**20
    assert usage.cpu_percent > busy_percent / 2


def test_a_process_that_is_gone_uses_nothing() -> None:
    assert UsageMeter(2**22 - 1).sample() == ProcessUsage()
