from pathlib import Path

import orchestrator.sql
from orchestrator.sql.named_queries import ascending, query

ROOM = Path(orchestrator.sql.__file__).parent


def test_each_query_is_used_and_says_what_it_is_for() -> None:
    code = "".join(path.read_text() for path in ROOM.rglob("*.py"))

    for path in ROOM.glob("queries/*.sql"):
        assert path.read_text().startswith("-- ")
        assert f'"{path.stem}"' in code


def test_pages_forward_differ_in_their_order_only() -> None:
    for name in ("events_near", "events_of_types", "events_of_source", "events_search"):
        assert b"DESC LIMIT" in query(name)
        assert b" DESC" not in ascending(name)
