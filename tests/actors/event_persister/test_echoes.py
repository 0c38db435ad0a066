from orchestrator.actors.event_persister.echoes import EchoTable


def test_an_echo_is_recognised_as_often_as_it_was_published() -> None:
    table = EchoTable()
    table.expect(b"c", b"p", now=0.0)
    table.expect(b"c", b"p", now=1.0)

    assert table.take(b"c", b"p", now=2.0)
    assert table.take(b"c", b"p", now=2.0)
    assert not table.take(b"c", b"p", now=2.0)
    assert len(table) == 0


def test_channel_and_bytes_must_be_exactly_the_same() -> None:
    table = EchoTable()
    table.expect(b"c", b"p", now=0.0)

    assert not table.take(b"c", b"p ", now=0.0)
    assert not table.take(b"d", b"p", now=0.0)
    assert not table.take(b"cp", b"", now=0.0)


def test_an_echo_that_comes_too_late_is_a_message() -> None:
    table = EchoTable(expire_s=10.0)
    table.expect(b"c", b"p", now=0.0)

    assert not table.take(b"c", b"p", now=11.0)
    assert len(table) == 0


def test_echoes_that_never_come_are_forgotten() -> None:
    table = EchoTable(capacity=3, expire_s=10.0)
    for number in range(5):
        table.expect(b"c", b"%d" % number, now=0.0)
    assert len(table) == 3
    assert not table.take(b"c", b"0", now=0.0)

    table.expect(b"d", b"new", now=11.0)
    assert len(table) == 1
    assert table.forgotten == 5
    assert not table.take(b"c", b"4", now=11.0)
