"""The guard's orders, as they go through its pipe."""

from orchestrator.killswitch.guard.orders import Orders, read_orders

ORDERS = Orders(
    redis_url="redis://:pässword@h:1/0",
    folder="/data",
    on_silence="stop",
    silence_s=6.0,
    hang_exit_s=10.0,
    daemon_pid=7,
    mark="A=b",
    run="01M8JCDEET712FAJXJC5W3GV93",
)


def test_orders_are_one_line_and_read_as_they_were() -> None:
    line = ORDERS.line()

    assert (line.count(b"\n"), line[-1:]) == (1, b"\n")
    assert read_orders(line) == ORDERS


def test_no_password_is_shown() -> None:
    assert "ssword" not in repr(ORDERS)
