from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import gevent
import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.errors import Fenced, HostChanged, Unavailable, WriterClaimed
from orchestrator.sql.events.event_writer import EventWriter

pytestmark = pytest.mark.db
Block = Callable[..., bytes]


@pytest.fixture
def other(database: Database) -> Iterator[EventWriter]:
    other = EventWriter(database)
    yield other
    other.close()


def test_another_instance_is_refused_and_told_who_writes(
    writer: EventWriter, other: EventWriter
) -> None:
    with pytest.raises(WriterClaimed) as caught:
        other.claim(instance="two", host="there", pid=2, stale_after_s=10)

    assert (caught.value.instance, caught.value.host, caught.value.pid) == ("one", "here", 1)
    assert caught.value.renewed_s_ago < 10
    writer.renew()


def test_the_same_instance_takes_over_at_once_and_the_first_one_is_fenced(
    writer: EventWriter, other: EventWriter, block: Block, stored_ids: Callable[[], list[int]]
) -> None:
    epoch = writer.epoch

    assert other.claim(instance="one", host="here", pid=2, stale_after_s=10) == (epoch or 0) + 1

    with pytest.raises(Unavailable):  # its connection was ended
        writer.store(block(1))
    with pytest.raises(Fenced):
        writer.store(block(1))
    with pytest.raises(Fenced):
        writer.renew()
    with pytest.raises(Fenced):
        writer.resolve(block(1))
    other.store(block(2))
    assert stored_ids() == [2]


def test_a_holder_that_has_not_renewed_loses_the_fence(
    writer: EventWriter, other: EventWriter, admin: Connection
) -> None:
    admin.execute("UPDATE orchestrator_writer SET renewed_at = now() - interval '11 s'")

    other.claim(instance="two", host="there", pid=2, stale_after_s=10)

    writer.close()
    with pytest.raises(Fenced):
        writer.renew()


def test_renewing_keeps_the_fence(
    writer: EventWriter, other: EventWriter, admin: Connection
) -> None:
    admin.execute("UPDATE orchestrator_writer SET renewed_at = now() - interval '11 s'")
    writer.renew()

    with pytest.raises(WriterClaimed):
        other.claim(instance="two", host="there", pid=2, stale_after_s=10)


def test_a_released_fence_is_free_at_once(writer: EventWriter, other: EventWriter) -> None:
    writer.release()

    other.claim(instance="two", host="there", pid=2, stale_after_s=10)


def test_releasing_after_another_took_over_does_not_harm_it(
    writer: EventWriter, other: EventWriter
) -> None:
    other.claim(instance="one", host="here", pid=2, stale_after_s=10)

    writer.close()
    writer.release()

    other.renew()


def test_nothing_is_stored_without_a_claim(other: EventWriter, block: Block) -> None:
    with pytest.raises(Fenced):
        other.store(block(1))


def test_a_row_that_someone_deleted_is_made_anew(other: EventWriter, admin: Connection) -> None:
    admin.execute("DELETE FROM orchestrator_writer")

    assert other.claim(instance="two", host="there", pid=2, stale_after_s=10) == 1


def test_taking_over_ends_a_transaction_that_a_lost_socket_keeps_open(
    writer: EventWriter,
    other: EventWriter,
    admin: Connection,
    block: Block,
    wait_for_lock: Callable[[], None],
) -> None:
    admin.execute("BEGIN; LOCK TABLE events IN EXCLUSIVE MODE")
    job = gevent.spawn(writer.store, block(1))
    wait_for_lock()

    other.claim(instance="one", host="here", pid=2, stale_after_s=10)

    job.join(timeout=10)
    assert not job.successful()
    admin.execute("ROLLBACK")


def test_on_another_host_of_the_url_the_claim_is_made_again(
    admin: Connection, tmp_path: Path, block: Block, stored_ids: Callable[[], list[int]]
) -> None:
    there = admin.info
    (tmp_path / "other").symlink_to(there.host)
    hosts = [there.host, f"{tmp_path}/other"]
    url = f"postgresql://{there.user}@/{there.dbname}?host={quote(','.join(hosts), safe='')}"
    more = f"&port={there.port}&target_session_attrs=read-write"
    with closing(Database(PostgresSettings(), url=url + more)) as database:
        writer = EventWriter(database)
        epoch = writer.claim(instance="one", host="here", pid=1)
        writer.close()
        writer.renew()  # the same host: it is still ours

        database.use(hosts[1], there.port)
        writer.close()
        with pytest.raises(HostChanged, match=f"{tmp_path}/other:{there.port} takes writes now"):
            writer.store(block(1))
        assert writer.epoch is None
        assert stored_ids() == []

        assert writer.claim(instance="one", host="here", pid=1) == epoch + 1
        writer.store(block(1))
        writer.close()
    assert stored_ids() == [1]
