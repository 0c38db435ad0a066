from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from orchestrator.runtime.policy import Restart
from orchestrator.settings import (
    Settings,
    SettingsError,
    config_doc,
    default_data_dir,
    find_file,
    load,
    masked,
    shipped_file,
)
from pydantic import ValidationError


def settings_of(
    tmp_path: Path, toml: str = "", environ: Mapping[str, str] | None = None, *, dotenv: str = ""
) -> Settings:
    (tmp_path / "supervisor.toml").write_text(toml)
    (tmp_path / ".env").write_text(dotenv)
    for name in ("supervisor.toml", ".env"):
        (tmp_path / name).chmod(0o600)
    return load(tmp_path / "supervisor.toml", environ or {})


def faults_of(
    tmp_path: Path, toml: str = "", environ: Mapping[str, str] | None = None, *, dotenv: str = ""
) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings_of(tmp_path, toml, environ, dotenv=dotenv)
    return str(caught.value).splitlines()


def origin(settings: Settings, key: str) -> str:
    return next(line.origin for line in config_doc(settings) if line.key == key)


# Where values come from


def test_without_any_settings_the_defaults_are_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    settings = load(environ={})

    assert settings.http.host == "127.0.0.1"
    assert settings.http.port == 8090
    assert settings.http.rate_limit_max == 60
    assert settings.registry.timeout_s == 300
    assert settings.data.dir == default_data_dir()
    assert settings.file is None


def test_the_default_patterns_are_the_contracts(tmp_path: Path) -> None:
    bus = settings_of(tmp_path).bus

    assert sorted(bus.control_patterns + bus.data_patterns) == [
        "data.market.*",
        "heartbeat.*",
        "news.signal.entity",
        "quant.regime.state",
        "risk.*",
        "strategy.*",
    ]


def test_the_environment_wins_over_dotenv_and_that_over_the_file(tmp_path: Path) -> None:
    toml = "[http]\nport = 1\nrate_limit_max = 1\nmax_body_bytes = 2048"
    dotenv = "PORT=2\nRATE_LIMIT_MAX=2\n"

    settings = settings_of(tmp_path, toml, {"PORT": "3"}, dotenv=dotenv)

    assert settings.http.port == 3
    assert settings.http.rate_limit_max == 2
    assert settings.http.max_body_bytes == 2048


def test_each_value_knows_where_it_comes_from(tmp_path: Path) -> None:
    toml = "[http]\nport = 1\nmax_body_bytes = 2048"

    settings = settings_of(tmp_path, toml, {"PORT": "3"}, dotenv="RATE_LIMIT_MAX=2")

    assert origin(settings, "http.port") == "environment PORT"
    assert origin(settings, "http.rate_limit_max") == ".env RATE_LIMIT_MAX"
    assert origin(settings, "http.max_body_bytes") == "supervisor.toml"
    assert origin(settings, "http.host") == "default"


def test_the_names_of_the_seed_are_understood(tmp_path: Path) -> None:
    environ = {
        "PORT": "1234",
        "FRONT_ORIGIN": "https://a.example,https://b.example",
        "REDIS_URL": "redis://r:6379",
        "PG_URL": "postgres://u:p@h:5432/orch",
        "RATE_LIMIT_WINDOW": "5000",
        "RATE_LIMIT_MAX": "7",
        "DEBUG": "*",
    }

    settings = settings_of(tmp_path, environ=environ)

    assert settings.http.port == 1234
    assert settings.http.front_origin == "https://a.example,https://b.example"
    assert settings.redis.url == "redis://r:6379"
    assert settings.postgres.url.get_secret_value() == "postgres://u:p@h:5432/orch"
    assert settings.http.rate_limit_window_ms == 5000
    assert settings.http.rate_limit_max == 7
    assert settings.log.level == "debug"


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_debug_can_be_off(tmp_path: Path, value: str) -> None:
    assert settings_of(tmp_path, environ={"DEBUG": value}).log.level == "info"


def test_any_key_can_be_a_variable(tmp_path: Path) -> None:
    environ = {
        "ORCHESTRATOR_WEBSOCKET__MAX_CLIENTS": "5",
        "ORCHESTRATOR_BUS__DATA_PATTERNS": "a.*, b.*",
        "ORCHESTRATOR_HTTP__ALLOWED_HOSTS": '["x.example"]',
        "ORCHESTRATOR_REGISTRY__GROUP_TIMEOUTS": '{"slow": 900}',
        "ORCHESTRATOR_RETENTION": '{"data.market.*": "3d"}',
        "ORCHESTRATOR_AGENTS": '{"a-1": {"class": "m:C"}}',
        "ORCHESTRATOR_LOG__LEVEL": "error",
    }

    settings = settings_of(tmp_path, "[retention]\nheartbeat = '1d'", environ)

    assert settings.websocket.max_clients == 5
    assert settings.bus.data_patterns == ("a.*", "b.*")
    assert settings.http.allowed_hosts == ("x.example",)
    assert settings.registry.group_timeouts == {"slow": 900}
    assert list(settings.retention) == ["heartbeat", "data.market.*"]
    assert settings.agents["a-1"].class_ == "m:C"
    assert settings.log.level == "error"


def test_the_long_name_wins_over_the_short_one(tmp_path: Path) -> None:
    environ = {"ORCHESTRATOR_HTTP__PORT": "1", "PORT": "2"}

    assert settings_of(tmp_path, environ=environ).http.port == 1
    assert settings_of(tmp_path, environ=dict(reversed(environ.items()))).http.port == 1


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    environ = {"PORT": "", "ORCHESTRATOR_REDIS__URL": ""}

    settings = settings_of(tmp_path, "[http]\nport = 5", environ)

    assert settings.http.port == 5
    assert settings.redis.url.startswith("redis://")


def test_variables_of_commands_and_other_programs_are_left_alone(tmp_path: Path) -> None:
    environ = {"ORCHESTRATOR_URL": "http://x", "ORCHESTRATOR_TOKEN": "t", "HTTP__PORT": "x"}

    settings_of(tmp_path, environ=environ)


def test_a_dollar_in_dotenv_is_a_dollar(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, dotenv="PG_URL=postgresql://u:a${HOME}b@h/d")

    assert settings.postgres.url.get_secret_value() == "postgresql://u:a${HOME}b@h/d"


def test_a_relative_data_directory_is_relative_to_what_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    toml = "[data]\ndir = 'd'"

    assert settings_of(tmp_path, toml).data.dir == tmp_path / "d"
    by_variable = settings_of(tmp_path, toml, {"ORCHESTRATOR_DATA_DIR": "d"})
    assert by_variable.data.dir == tmp_path / "elsewhere" / "d"


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)

    with pytest.raises(ValidationError):
        settings.http = settings.http
    with pytest.raises(ValidationError):
        settings.http.port = 1


def test_a_file_is_found_in_the_current_folder_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert find_file() is None
    (tmp_path / "supervisor.toml").write_text("")
    assert find_file() == tmp_path / "supervisor.toml"


# Faults


def test_all_faults_are_told_at_once_with_place_and_expectation(tmp_path: Path) -> None:
    toml = "[http]\nport = 'x'\nprot = 1\n[htpp]\n[log]\nlevel = 'loud'"

    faults = faults_of(tmp_path, toml, {"RATE_LIMIT_MAX": "0"}, dotenv="REDIS_URL=http://x")

    url = "expected redis://…, rediss://… (TLS) or unix://…"
    number = "expected a valid integer, unable to parse string as an integer, found 'x'"
    level = "expected 'debug', 'info', 'warning' or 'error', found 'loud'"
    least = "expected greater than or equal to 1, found '0'"
    assert sorted(faults) == [
        f".env REDIS_URL: redis.url: {url}",
        f"environment RATE_LIMIT_MAX: http.rate_limit_max: {least}",
        "supervisor.toml: htpp: unknown key; did you mean http?",
        f"supervisor.toml: http.port: {number}",
        "supervisor.toml: http.prot: unknown key; did you mean http.port?",
        f"supervisor.toml: log.level: {level}",
    ]


def test_a_key_in_the_wrong_section_is_led_to_the_right_one(tmp_path: Path) -> None:
    assert faults_of(tmp_path, "port = 1") == [
        "supervisor.toml: port: unknown key; did you mean http.port?"
    ]


def test_a_key_like_no_other_gets_the_list_of_those_there_are(tmp_path: Path) -> None:
    assert faults_of(tmp_path, "[instance]\nzzz = 1") == [
        "supervisor.toml: instance.zzz: unknown key; known here: name, env"
    ]


def test_an_unknown_key_of_an_agent_is_found(tmp_path: Path) -> None:
    assert faults_of(tmp_path, "[agents.a]\nclass = 'm:C'\ngruop = 'g'") == [
        "supervisor.toml: agents.a.gruop: unknown key; did you mean agents.a.group?"
    ]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("mode = 'process'", "expected either class ="),
        ("class = 'm:C'\ncommand = ['x']", "expected either class ="),
        ("mode = 'in_process'\ncommand = ['x']", "expected a class"),
        ("mode = 'in_process'\nclass = 'm:C'\nenv = {A = 'b'}", "expected no env"),
        ("class = 'no-colon'", "String should match pattern"),
        ("command = []", "at least 1 item"),
    ],
)
def test_an_agent_needs_one_program_that_its_mode_can_run(
    tmp_path: Path, table: str, expected: str
) -> None:
    [fault] = faults_of(tmp_path, f"[agents.a]\n{table}")

    assert fault.startswith("supervisor.toml: agents.a")
    assert expected in fault


@pytest.mark.parametrize(
    ("section", "entry"),
    [
        ("bus", "control_patterns = ['{}']"),
        ("bus", "data_patterns = ['risk.*', '{}']"),
        ("retention", "'{}' = '7d'"),
        ("registry.group_timeouts", "'{}' = 9"),
    ],
)
def test_a_pattern_has_at_most_sixteen_stars(tmp_path: Path, section: str, entry: str) -> None:
    [fault] = faults_of(tmp_path, f"[{section}]\n{entry.format('*a' * 17)}")

    assert fault.startswith(f"supervisor.toml: {section}.")
    assert "a pattern has at most 16 stars (*)" in fault


def test_a_variable_of_an_unknown_section_is_a_fault(tmp_path: Path) -> None:
    assert faults_of(tmp_path, environ={"ORCHESTRATOR_HTPP__PORT": "1"}) == [
        "environment ORCHESTRATOR_HTPP__PORT: htpp: unknown key; did you mean http?"
    ]


def test_broken_toml_is_told_with_its_line(tmp_path: Path) -> None:
    [fault] = faults_of(tmp_path, "[http]\nport = = 1\n")

    assert fault.startswith(f"{tmp_path}/supervisor.toml: not valid TOML: ")
    assert "line 2" in fault


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "none.toml", {})

    assert str(caught.value) == f"{tmp_path}/none.toml: cannot be read: No such file or directory"


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "trading.example"])  # noqa: S104
def test_an_open_address_is_refused_unless_told(tmp_path: Path, host: str) -> None:
    [fault] = faults_of(tmp_path, f"[http]\nhost = '{host}'")

    assert fault.startswith(f"supervisor.toml: http.host: {host} is reachable from other machines")
    assert settings_of(tmp_path, f"[http]\nhost = '{host}'\ninsecure = true").http.insecure


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_addresses_are_fine(tmp_path: Path, host: str) -> None:
    assert settings_of(tmp_path, f"[http]\nhost = '{host}'").http.host == host


def test_a_url_of_another_kind_is_refused_for_postgres(tmp_path: Path) -> None:
    [fault] = faults_of(tmp_path, environ={"PG_URL": "mysql://u:p@h/d"})

    assert fault == "environment PG_URL: postgres.url: expected postgresql://… or embedded"


def test_a_backoff_that_ends_before_it_begins_is_refused(tmp_path: Path) -> None:
    toml = "[supervisor]\nbackoff_initial_s = 5\nbackoff_max_s = 1"

    assert faults_of(tmp_path, toml) == [
        "supervisor.toml: supervisor.backoff_max_s: expected at least supervisor.backoff_initial_s"
    ]


@pytest.mark.parametrize("value", ["7", "7y", "", "0d", "-1d", "P7D"])
def test_a_retention_without_a_unit_is_refused(tmp_path: Path, value: str) -> None:
    [fault] = faults_of(tmp_path, f"[retention]\nheartbeat = '{value}'")

    assert "expected a duration such as 90s, 5m, 12h, 7d or 4w" in fault


@pytest.mark.parametrize("value", ["trading.example", "ftp://x", "https://x/path", "*"])
def test_an_origin_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    [fault] = faults_of(tmp_path, environ={"FRONT_ORIGIN": value})

    assert "is not an origin such as" in fault


# Secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("redis://:secret@h", "redis://:***@h"),
        ("postgresql://u:se/cr@et@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h/d?user=u&password=secret&x=1", "postgresql://h/d?user=u&password=***&x=1"),
        ("postgresql://h:5432/d", "postgresql://h:5432/d"),
        ("embedded", "embedded"),
    ],
)
def test_passwords_print_as_stars(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_no_secret_is_shown_by_the_list_of_settings(tmp_path: Path) -> None:
    toml = "[agents.a]\ncommand = ['x']\nenv = {API_KEY = 'geheim'}"
    environ = {"PG_URL": "postgresql://u:geheim@h/d", "REDIS_URL": "redis://:geheim@h"}

    settings = settings_of(tmp_path, toml, environ)

    assert "geheim" not in str(config_doc(settings))
    assert "geheim" not in repr(settings.postgres)


def test_no_secret_is_shown_by_a_fault(tmp_path: Path) -> None:
    [fault] = faults_of(tmp_path, environ={"REDIS_URL": "http://u:geheim@h"})

    assert fault.startswith("environment REDIS_URL: redis.url: expected")
    assert "geheim" not in fault


# What is shipped


def test_the_shipped_file_runs_embedded_servers_and_three_agents() -> None:
    settings = load(shipped_file(), {})

    assert settings.redis.url == "embedded"
    assert settings.postgres.url.get_secret_value() == "embedded"
    assert {name: agent.mode for name, agent in settings.agents.items()} == {
        "quotes-agent": "process",
        "dev-agent": "in_process",
        "regime-detector": "in_process",
    }


def test_the_shipped_file_keeps_the_disk_from_filling() -> None:
    retention = load(shipped_file(), {}).retention

    assert retention == {"heartbeat": timedelta(days=1), "data.market.*": timedelta(days=7)}


def test_the_classes_of_the_shipped_agents_exist() -> None:
    for agent_id, agent in load(shipped_file(), {}).agents.items():
        module, _, name = str(agent.class_).partition(":")
        found = getattr(__import__(module, fromlist=[name]), name)

        assert found.agent_id == agent_id
        assert found.group == agent.group


def test_durations_are_shown_as_they_are_written(tmp_path: Path) -> None:
    toml = "[retention]\na = '7d'\nb = '90s'\nc = '12h'\nd = '4w'\ne = '60m'"

    shown = {line.key: line.value for line in config_doc(settings_of(tmp_path, toml))}

    assert [shown[f"retention.{key}"] for key in "abcde"] == ["7d", "90s", "12h", "4w", "1h"]


def test_supervisor_settings_become_the_runtimes_limits(tmp_path: Path) -> None:
    limits = settings_of(tmp_path, "[supervisor]\nintensity = 3\nperiod_s = 9").supervisor.limits()

    assert (limits.intensity, limits.period_s, limits.backoff_initial_s) == (3, 9, 0.1)


def test_an_agent_is_permanent_unless_told_otherwise(tmp_path: Path) -> None:
    toml = "[agents.a]\nclass = 'm:C'\n[agents.b]\ncommand = ['x']\nrestart = 'transient'"

    agents = settings_of(tmp_path, toml).agents

    assert agents["a"].restart is Restart.PERMANENT
    assert agents["b"].restart is Restart.TRANSIENT


def test_a_byte_order_mark_before_the_settings_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "supervisor.toml").write_text("[http]\nport = 1234\n", encoding="utf-8-sig")
    (tmp_path / ".env").write_text("RATE_LIMIT_MAX=7\n", encoding="utf-8-sig")

    settings = load(tmp_path / "supervisor.toml", {})

    assert (settings.http.port, settings.http.rate_limit_max) == (1234, 7)


def test_a_variable_for_a_key_wins_over_the_one_for_its_section() -> None:
    environ = {
        "ORCHESTRATOR_HTTP__PORT": "1",
        "ORCHESTRATOR_HTTP": '{"port": 2, "host": "127.0.0.2"}',
    }

    http = load(None, environ).http

    assert (http.port, http.host) == (1, "127.0.0.2")
