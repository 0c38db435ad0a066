import pytest
from orchestrator.killswitch.unheard import JOURNAL_LIMIT_S, LIMIT_S, Unheard


class Bench:
    def __init__(self) -> None:
        self.now = 100.0
        self.reads = 0
        self.unheard = Unheard(self._on_read, lambda: self.now)
        self.end = (5, 1)

    def _on_read(self) -> None:
        self.reads += 1

    def is_over(self) -> bool:
        return self.unheard.is_over(lambda: self.end)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_nothing_is_waited_for_while_permits_are_renewed(bench: Bench) -> None:
    assert bench.is_over()


def test_the_stream_is_read_to_where_it_ended_when_it_was_asked(bench: Bench) -> None:
    bench.unheard.begin(lapsed=False)
    assert not bench.is_over()

    bench.end = (9, 0)
    bench.unheard.stream_read_to((5, 0))
    assert (bench.is_over(), bench.reads) == (False, 0)
    bench.unheard.stream_read_to((5, 1))

    assert (bench.is_over(), bench.reads) == (True, 1)
    assert bench.is_over()


def test_after_a_lapse_each_connection_has_to_bring_a_canary_of_after_it(bench: Bench) -> None:
    bench.unheard.stream_read_to((5, 1))
    bench.unheard.bus_read_to("control", 99.0)
    bench.unheard.bus_read_to("data", 99.0)
    bench.unheard.begin(lapsed=True)
    assert not bench.is_over()

    bench.unheard.bus_read_to("control", 100.0)
    bench.unheard.bus_read_to("data", 99.9)
    assert (bench.is_over(), bench.reads) == (False, 0)
    bench.unheard.bus_read_to("data", 100.0)

    assert (bench.is_over(), bench.reads) == (True, 1)


def test_the_bus_is_not_waited_for_after_a_cut_or_where_it_was_never_heard(bench: Bench) -> None:
    bench.unheard.stream_read_to((5, 1))
    bench.unheard.begin(lapsed=True)
    assert bench.is_over()

    bench.unheard.bus_read_to("control", 99.0)
    bench.unheard.begin(lapsed=False)
    assert bench.is_over()


@pytest.mark.parametrize("what", ["stream", "bus"])
def test_what_cannot_be_read_delays_permits_for_a_while_only(bench: Bench, what: str) -> None:
    if what == "bus":
        bench.unheard.stream_read_to((5, 1))
        bench.unheard.bus_read_to("control", 99.0)
    bench.unheard.begin(lapsed=True)

    bench.now += 9.9
    assert not bench.is_over()
    bench.now += 0.1

    assert bench.is_over()


def test_permits_wait_for_the_journal_that_a_start_has_found(bench: Bench) -> None:
    bench.unheard.stream_read_to((5, 1))
    bench.unheard.journal_is_read(read=False)
    bench.unheard.begin(lapsed=False)
    bench.now += LIMIT_S + 1
    assert not bench.is_over()

    bench.unheard.journal_is_read(read=True)

    assert (bench.is_over(), bench.reads) == (True, 1)


def test_the_journal_has_a_limit_of_its_own(bench: Bench) -> None:
    bench.unheard.stream_read_to((5, 1))
    bench.unheard.journal_is_read(read=False)
    bench.now += JOURNAL_LIMIT_S - 0.1
    assert not bench.is_over()

    bench.now += 0.1

    assert bench.is_over()


def test_the_stream_is_not_waited_for_as_long_as_the_journal(bench: Bench) -> None:
    bench.unheard.begin(lapsed=False)
    bench.unheard.journal_is_read(read=False)
    bench.unheard.journal_is_read(read=True)
    bench.now += LIMIT_S

    assert bench.is_over()


def test_the_stream_has_its_whole_time_from_when_the_journal_is_read(bench: Bench) -> None:
    bench.unheard.begin(lapsed=False)
    bench.unheard.journal_is_read(read=False)
    bench.now += 3 * LIMIT_S
    bench.unheard.journal_is_read(read=True)
    bench.now += LIMIT_S - 0.1
    assert not bench.is_over()

    bench.unheard.stream_read_to((5, 1))

    assert bench.is_over()
