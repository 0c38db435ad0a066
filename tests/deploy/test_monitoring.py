"""Prometheus' and Grafana's files, tried with promtool, a real Prometheus and a real daemon."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from faults.certificates import Authority
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from ports import free_port
from prometheus_client.parser import text_string_to_metric_families

from ..conftest import wait_until
from ..edge.conftest import TOKENS, Served, auth, shared

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
BOARD = ROOT / "deploy" / "grafana" / "orchestrator.json"
RULE_FILES = ("rules.yml", "alerts.yml")

HEALTHY = {
    'up{job="orchestrator"}': "1x40",
    'orchestrator_killswitch_level{scope="all"}': "0x40",
    "orchestrator_redis_up": "1x40",
    "orchestrator_bus_connected": "1x40",
    "orchestrator_bus_visible": "1x40",
    "orchestrator_postgres_up": "1x40",
    "orchestrator_persist_behind_seconds": "0.2x40",
    "orchestrator_journal_bytes": "1000x40",
    "orchestrator_ids_left": "50000x40",
    "orchestrator_events_lost_total": "0x40",
    "orchestrator_events_rejected_total": "0+1x40",
    'orchestrator_events_received_total{class="data"}': "0+1000x40",
    'orchestrator_books{source="data",entry="difference"}': "0x40",
    "orchestrator_sequence_missing_total": "0x40",
    'orchestrator_agents{state="up",kind="external"}': "3x40",
    'orchestrator_agents{state="down",kind="external"}': "0x40",
    'orchestrator_agents{state="late",kind="external"}': "0x40",
    'orchestrator_agent_up{agent="a"}': "1x40",
    'orchestrator_state_age_seconds{key="regime_state"}': "15x40",
    'orchestrator_actor_restarts_total{actor="a"}': "0x40",
    "orchestrator_loop_stall_seconds_sum": "0+0.1x40",
    'orchestrator_http_requests_total{code="200",route="/health"}': "0+60x40",
    "orchestrator_ws_dropped_total": "0x40",
    'orchestrator_notifications_total{result="given_up"}': "0x40",
    "orchestrator_tls_certificate_expiry_timestamp_seconds": "5000000x40",
}
"""By minute, of a daemon that has nothing to complain of."""

FAULTS: dict[str, dict[str, str]] = {
    "OrchestratorDown": {'up{job="orchestrator"}': "0x40"},
    "OrchestratorStopUnknown": {'orchestrator_killswitch_level{scope="all"}': "-1x40"},
    "OrchestratorStopped": {'orchestrator_killswitch_level{scope="all"}': "1x40"},
    "OrchestratorRedisDown": {
        "orchestrator_redis_up": "0x40",
        "orchestrator_bus_connected": "0x40",
    },
    "OrchestratorBusPartlyConnected": {"orchestrator_bus_connected": "0x40"},
    "OrchestratorHeartbeatsInvisible": {"orchestrator_bus_visible": "0x40"},
    "OrchestratorPostgresDown": {
        "orchestrator_postgres_up": "0x40",
        "orchestrator_persist_behind_seconds": "0+60x40",
    },
    "OrchestratorStoresLate": {"orchestrator_persist_behind_seconds": "0+60x40"},
    "OrchestratorJournalGrows": {"orchestrator_journal_bytes": "5000000000x40"},
    "OrchestratorIdsRunOut": {"orchestrator_ids_left": "0x40"},
    "OrchestratorEventsLost": {"orchestrator_events_lost_total": "0+1x40"},
    "OrchestratorEventsRejected": {"orchestrator_events_rejected_total": "0+20x40"},
    "OrchestratorBooksDiffer": {'orchestrator_books{source="data",entry="difference"}': "-1x40"},
    "OrchestratorSequenceGaps": {"orchestrator_sequence_missing_total": "0+1x40"},
    "OrchestratorAgentsDown": {'orchestrator_agents{state="down",kind="external"}': "1x40"},
    "OrchestratorAgentsLate": {'orchestrator_agents{state="late",kind="external"}': "1x40"},
    "OrchestratorAgentNotRunning": {'orchestrator_agent_up{agent="a"}': "0x40"},
    "OrchestratorRegimeStale": {'orchestrator_state_age_seconds{key="regime_state"}': "400x40"},
    "OrchestratorActorRestarts": {'orchestrator_actor_restarts_total{actor="a"}': "0+1x40"},
    "OrchestratorLoopBlocked": {"orchestrator_loop_stall_seconds_sum": "0+6x40"},
    "OrchestratorHttpErrors": {
        'orchestrator_http_requests_total{code="503",route="/state"}': "0+6x40"
    },
    "OrchestratorSlowClients": {"orchestrator_ws_dropped_total": "0+1x40"},
    "OrchestratorNotificationsLost": {
        'orchestrator_notifications_total{result="given_up"}': "0+1x40"
    },
    "OrchestratorCertificateExpires": {
        "orchestrator_tls_certificate_expiry_timestamp_seconds": "1000000x40"
    },
}
"""What differs from it when an alert is to fire, and no other."""


def rules(file: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = [rule["alert"] for rule in rules("alerts.yml")]


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing (Debian: apt-get install prometheus)"
    return found


def promtool(*arguments: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(
        [program("promtool"), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def configured(folder: Path, **scrape: Any) -> Path:
    """The example and its rules, with ``scrape`` in place of its own settings."""
    for name in RULE_FILES:
        shutil.copy(PROMETHEUS / name, folder)
    (folder / "orchestrator.token").write_text(TOKENS["viewer"])
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["scrape_configs"][0] |= scrape
    if scrape:
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return folder / "prometheus.yml"


def test_promtool_takes_the_example_and_its_rules(tmp_path: Path) -> None:
    promtool("check", "config", configured(tmp_path))
    promtool("check", "rules", *(PROMETHEUS / name for name in RULE_FILES))


def firing(series: dict[str, str], expected: list[str]) -> dict[str, Any]:
    """A test of promtool's: these alerts fire after half an hour, and no others."""
    return {
        "interval": "1m",
        "input_series": [{"series": k, "values": v} for k, v in (HEALTHY | series).items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "30m",
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in expected
                ],
            }
        ],
    }


def test_each_alert_fires_on_its_fault_alone_and_none_on_a_healthy_daemon(tmp_path: Path) -> None:
    assert [*FAULTS] == ALERTS
    tests = [firing({}, []), *(firing(series, [name]) for name, series in FAULTS.items())]
    file = tmp_path / "tests.yml"
    files = [str(PROMETHEUS / name) for name in RULE_FILES]
    file.write_text(yaml.safe_dump({"rule_files": files, "tests": tests}))

    promtool("test", "rules", file)


def test_each_alert_has_a_severity_a_summary_and_a_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)

    assert headings == ALERTS
    for rule in rules("alerts.yml"):
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook_url"].endswith(f"/alerts/#{rule['alert'].lower()}")


# -- with a daemon -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def secured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[Served]:
    """A daemon with TLS and tokens, which has stored an event."""
    pair = authority.issue()
    http = auth(tls={"cert": str(pair.cert), "key": str(pair.key)})
    with shared(
        request,
        tmp_path_factory,
        http=http,
        trust=authority.trusting(),
        token=TOKENS["operator"],
    ) as daemon:
        daemon.wait_committed(daemon.stored("quant.regime.state", {"regime": "stable"}))
        yield daemon


def families(served: Served) -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of the metrics on the page, by name."""
    page = served.get("/metrics").body.decode()
    return {
        family.name: (
            family.type,
            frozenset(label for sample in family.samples for label in sample.labels) - {"le"},
        )
        for family in text_string_to_metric_families(page)
        if family.name.startswith("orchestrator_") and not family.name.endswith("_created")
    }


def series_of(name: str, kind: str) -> set[str]:
    if kind == "counter":
        return {f"{name}_total"}
    return (
        {f"{name}_{end}" for end in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    )


def expressions() -> list[str]:
    """Of rules, alerts and the board."""
    board = json.loads(BOARD.read_text())
    targets = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    variables = [one["query"] for one in board["templating"]["list"]]
    marks = [one["expr"] for one in board["annotations"]["list"]]
    ruled = [rule["expr"] for file in RULE_FILES for rule in rules(file)]
    return [*ruled, *targets, *variables, *marks]


def test_each_expression_names_metrics_that_a_daemon_has(secured: Served) -> None:
    known = {one for name, (kind, _) in families(secured).items() for one in series_of(name, kind)}
    known |= {rule["record"] for rule in rules("rules.yml")}

    named = {name for text in expressions() for name in re.findall(r"orchestrator[:_][\w:]+", text)}

    assert named - known == set()
    assert len(named) > 30


def test_the_reference_has_every_metric_with_its_type(secured: Served) -> None:
    measured = "orchestrator_bus_canary_rtt_seconds", "orchestrator_bus_ping_rtt_seconds"
    secured.wait_until(lambda: families(secured).keys() >= {*measured})
    text = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(orchestrator_\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", text, re.MULTILINE)
    documented = {name: (kind, frozenset(labels.split(",")) - {""}) for name, labels, kind in rows}
    assert documented.pop("orchestrator_output_lost_total")  # of a process, not of a daemon in one
    found = families(secured)

    assert {name: kind for name, (kind, _) in documented.items()} == {
        (f"{name}_total" if kind == "counter" else name): kind for name, (kind, _) in found.items()
    }
    for name, (kind, labels) in found.items():
        assert labels <= documented[f"{name}_total" if kind == "counter" else name][1], name


def test_grafanas_own_types_know_every_field_of_the_board() -> None:
    board = json.loads(BOARD.read_text())

    # What the types do not know is not written again.
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))

    assert_within(board, again)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


def assert_within(part: Any, whole: Any, path: str = "board") -> None:
    """Everything of ``part`` is in ``whole``, which may say more (defaults)."""
    if isinstance(part, dict):
        for key, value in part.items():
            assert key in whole, f"{path}.{key}"
            assert_within(value, whole[key], f"{path}.{key}")
    elif isinstance(part, list):
        assert len(part) == len(whole), path
        for number, value in enumerate(part):
            assert_within(value, whole[number], f"{path}[{number}]")
    else:
        assert part == whole, path


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_real_prometheus_scrapes_a_daemon_and_evaluates_every_rule(
    secured: Served, authority: Authority, tmp_path: Path
) -> None:
    config = configured(
        tmp_path,
        scheme="https",
        tls_config={"ca_file": str(authority.cert)},
        static_configs=[{"targets": [f"{secured.host}:{secured.port}"]}],
    )
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )

    def asked(path: str) -> Any:
        try:
            with closing(urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}")) as reply:
                return json.load(reply)["data"]
        except OSError:
            return {}

    def evaluated() -> list[dict[str, Any]]:
        groups = asked("rules").get("groups", ())
        return [rule for group in groups for rule in group["rules"]]

    try:
        wait_until(
            lambda: [t["health"] for t in asked("targets").get("activeTargets", ())] == ["up"],
            limit_s=60,
            what="the target is up",
        )
        wait_until(
            lambda: "unknown" not in {rule["health"] for rule in evaluated()} and evaluated(),
            limit_s=60,
            what="every rule is evaluated",
        )
        found = evaluated()
        names = asked("label/__name__/values")
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert {rule["health"] for rule in found} == {"ok"}
    assert {"orchestrator_postgres_up", "orchestrator_events_received_total"} <= {*names}
    said = (tmp_path / "log").read_text()
    assert "duplicate" not in said
    assert "out of order" not in said
