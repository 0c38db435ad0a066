"""Every module has a test file of its own; those that have none name the one that covers them."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Module → the test file that covers it, and why it has none of its own.
COVERED_BY = {
    # Nothing but declarations of messages and records, used by every test of their owner.
    "runtime/messages.py": "tests/runtime/test_actor.py",
    "actors/heartbeat_monitor/changes.py": "tests/actors/heartbeat_monitor/test_agent_table.py",
    "runtime/child.py": "tests/runtime/test_supervisor.py",
    "protocol/limits.py": "tests/http/api/test_event_routes.py",
    "actors/messages/broadcaster.py": "tests/actors/broadcaster/test_actor.py",
    "actors/messages/events.py": "tests/actors/event_persister/test_actor.py",
    "actors/messages/redis_listener.py": "tests/actors/redis_listener/test_actor.py",
    "actors/messages/event_persister.py": "tests/actors/event_persister/test_actor.py",
    "actors/messages/heartbeat_monitor.py": "tests/actors/heartbeat_monitor/test_actor.py",
    "actors/messages/killswitch.py": "tests/killswitch/test_keeper.py",
    "actors/messages/state_keeper.py": "tests/actors/state_keeper/test_actor.py",
    # Parts of one actor that only its whole shows at work.
    "actors/event_persister/status.py": "tests/actors/event_persister/test_actor.py",
    "actors/event_persister/storer.py": "tests/actors/event_persister/test_actor.py",
    "actors/journal/reader.py": "tests/actors/journal/test_journal.py",
    "actors/journal/segment_writer.py": "tests/actors/journal/test_journal.py",
    "actors/redis_listener/publisher.py": "tests/actors/redis_listener/test_actor.py",
    "actors/redis_listener/subscription.py": "tests/actors/redis_listener/test_actor.py",
    "killswitch/rules/flood.py": "tests/killswitch/rules/test_rules.py",
    "killswitch/rules/sent.py": "tests/killswitch/rules/test_rules.py",
    "killswitch/rules/verdicts.py": "tests/killswitch/rules/test_rules.py",
    "killswitch/announcer.py": "tests/killswitch/test_keeper.py",
    "killswitch/copies.py": "tests/killswitch/test_keeper.py",
    "killswitch/knowledge.py": "tests/killswitch/test_keeper.py",
    "killswitch/redis_link.py": "tests/killswitch/test_keeper.py",
    "killswitch/state.py": "tests/killswitch/test_keeper.py",
    "runtime/processes/groups.py": "tests/runtime/processes/test_actor.py",
    "cli/commands/agent_rows.py": "tests/cli/commands/test_agent.py",
    "cli/offline/token_revocation.py": "tests/cli/commands/test_reload.py",
    # An archive is read as its readers get it.
    "cli/incident/export.py": "tests/cli/commands/test_incident.py",
    "cli/incident/left_files.py": "tests/cli/commands/test_incident.py",
    "cli/incident/sources.py": "tests/cli/commands/test_incident.py",
    # Servers as a whole.
    "runtime/embedded/postgres.py": "tests/runtime/embedded/test_embedded.py",
    "runtime/embedded/postgres_binaries.py": "tests/runtime/embedded/test_embedded.py",
    "runtime/embedded/server.py": "tests/runtime/embedded/test_embedded.py",
    "runtime/embedded/system_account.py": "tests/runtime/embedded/test_embedded.py",
    "runtime/embedded/valkey.py": "tests/runtime/embedded/test_embedded.py",
    "runtime/telemetry/log_writer.py": "tests/runtime/telemetry/test_log.py",
    # Read together, as users meet them.
    "settings/errors.py": "tests/settings/test_settings.py",
    "settings/layers.py": "tests/settings/test_settings.py",
    "settings/sections.py": "tests/settings/test_settings.py",
    # The shapes that AsyncAPI is written from; held against what is really sent.
    "http/docs/bus_messages.py": "tests/http/docs/test_asyncapi.py",
    "http/docs/feed_messages.py": "tests/http/docs/test_asyncapi.py",
    # The answers of its routes, read back by their tests.
    "http/api/runtime_schemas.py": "tests/http/api/test_runtime_routes.py",
    "http/api/event_schemas.py": "tests/http/api/test_event_routes.py",
    "http/reloads.py": "tests/daemon/test_reload.py",
    "http/api/settings_routes.py": "tests/daemon/test_reload.py",
    "http/acts.py": "tests/http/api/test_audit_routes.py",
    # Nothing but declarations; the others are parts of an agent that mean nothing without it.
    "agents/definition.py": "tests/agents/test_agent.py",
    "agents/handlers.py": "tests/agents/test_agent.py",
    "agents/engine.py": "tests/agents/test_agent.py",
    # The harness by which all other actors are tested alone.
    "runtime/standalone.py": "tests/runtime/test_actor.py",
    # Halves that mean nothing without the other one.
    "actors/redis_listener/connections.py": "tests/actors/redis_listener/test_actor.py",
    # Only a whole daemon shows what they do.
    "daemon/tree.py": "tests/e2e/test_whole_way.py",
    "daemon/process.py": "tests/e2e/test_shutdown.py",
    "cli/commands/backup.py": "tests/e2e/test_backup.py",
    # Only clients outside show what they do.
    "http/auth.py": "tests/edge/test_access.py",
    "http/edge/connections.py": "tests/edge/test_slow.py",
    "actors/http_client.py": "tests/actors/notifier/test_delivery.py",
    "http/edge/request_head.py": "tests/edge/test_strict.py",
    "http/edge/tls.py": "tests/edge/test_tls.py",
    "http/edge/listener.py": "tests/http/test_server.py",
}


def modules() -> list[str]:
    """The package's public modules; a private one is tested through those that it serves."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        name
        for name in listed.stdout.splitlines()
        if not name.startswith(("tests/", "bench/", "docs/"))
        and not Path(name).name.startswith("_")
        and (ROOT / name).exists()
    ]


def has_tests(path: Path) -> bool:
    found = ast.walk(ast.parse(path.read_text()))
    return any(isinstance(n, ast.FunctionDef) and n.name.startswith("test_") for n in found)


@pytest.mark.parametrize("module", modules())
def test_a_module_has_a_test_file(module: str) -> None:
    path = Path(module)
    own = ROOT / "tests" / path.with_name(f"test_{path.name}")
    covered_by = ROOT / COVERED_BY[module] if module in COVERED_BY else own

    assert covered_by.is_file(), f"{module} needs {own.relative_to(ROOT)}"
    assert has_tests(covered_by)


@pytest.mark.parametrize("module", COVERED_BY)
def test_an_exception_is_still_needed(module: str) -> None:
    path = Path(module)

    assert (ROOT / module).is_file(), "the module is gone"
    assert not (ROOT / "tests" / path.with_name(f"test_{path.name}")).exists()
