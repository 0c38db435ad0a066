import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.database import Database
from orchestrator.sql.errors import RefusedRows
from orchestrator.sql.registry import AgentRegistry, AgentRow

pytestmark = pytest.mark.db

BEAT = "2026-01-31T09:30:00.123Z"


def agent(agent_id: str, status: str = "active") -> AgentRow:
    return AgentRow(agent_id, agent_id.title(), None, status, BEAT, None)


def test_agents_come_back_as_they_were_written(database: Database) -> None:
    registry = AgentRegistry(database)
    written = AgentRow("b", "Bee", "signals", "error", None, "it broke")

    registry.upsert([written, agent("a")])

    first, second = registry.load()
    assert (first.id, first.last_beat, first.agent_group) == ("a", BEAT, None)
    assert (second.name, second.agent_group, second.last_error) == ("Bee", "signals", "it broke")
    assert second.last_beat is None
    assert second.updated_at is not None


def test_a_known_agent_is_changed_but_its_first_day_stays(
    database: Database, admin: Connection
) -> None:
    registry = AgentRegistry(database)
    admin.execute("INSERT INTO agents (id, name, created_at) VALUES ('a', 'x', '2020-01-01Z')")

    registry.upsert([agent("a", "halted")])

    (row,) = registry.load()
    assert (row.name, row.status, row.created_at) == ("A", "halted", "2020-01-01T00:00:00.000Z")


def test_of_two_rows_with_one_id_the_later_counts(database: Database) -> None:
    registry = AgentRegistry(database)

    registry.upsert([agent("a"), agent("a", "halted")])

    assert [row.status for row in registry.load()] == ["halted"]


def test_writing_nobody_is_fine(database: Database) -> None:
    AgentRegistry(database).upsert([])

    assert AgentRegistry(database).load() == []


def test_one_bad_row_refuses_the_whole_statement(database: Database) -> None:
    registry = AgentRegistry(database)

    with pytest.raises(RefusedRows):
        registry.upsert([agent("a"), agent("b\0")])

    assert registry.load() == []
