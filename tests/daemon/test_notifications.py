"""A daemon that notifies: of its stop, and never at its cost."""

from ..actors.notifier.receiver import SECRET, receiving
from ..http.conftest import Serve, serve

__all__ = ["serve"]


def test_a_stop_and_its_release_reach_the_receiver(serve: Serve) -> None:
    with receiving() as receiver:
        served = serve(notify={"url": receiver.url, "secret": SECRET})
        trip = served.post("/risk/killswitch", {"reason": "fat finger"}).json["trip_id"]
        served.wait_until(lambda: receiver.got)
        served.post("/risk/killswitch/release", {"reason": "known", "trip_id": trip})
        served.wait_until(lambda: len(receiver.got) == 2)
        served.wait_until(
            lambda: (
                b'orchestrator_notifications_total{result="delivered"} 2.0'
                in served.get("/metrics").body
            )
        )

    assert receiver.got[0]["text"].startswith("STOP (halt, all): fat finger")
    assert receiver.got[0]["instance"] == served.daemon.settings.instance.name
    assert receiver.got[1]["text"] == "trading is allowed again: known"
    assert receiver.forged == 0


def test_a_receiver_that_hangs_is_in_nobodys_way(serve: Serve) -> None:
    with receiving() as receiver:
        receiver.hangs.set()
        served = serve(notify={"url": receiver.url, "secret": SECRET, "timeout_s": 60})
        first = served.post("/risk/killswitch", {"reason": "first"})
        served.wait_until(lambda: receiver.ids)

        second = served.post("/risk/killswitch", {"reason": "second"})
        served.wait_committed(served.stored())

        assert (first.status, second.status) == (200, 200)
        assert served.get("/ready").status == 200


def test_without_a_receiver_there_is_no_notifier(serve: Serve) -> None:
    names = str(serve().get("/runtime/actors").json)

    assert "notifier" not in names
