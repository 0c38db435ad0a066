"""All settings in one frozen object: ``supervisor.toml``, ``.env`` in its folder, the environment.

The environment wins over ``.env``, that over the file. Variables: the seed's (``PORT``,
``FRONT_ORIGIN``, ``REDIS_URL``, ``PG_URL``, ``RATE_LIMIT_WINDOW``, ``RATE_LIMIT_MAX``, ``DEBUG``),
``ORCHESTRATOR_DATA_DIR``, and ``ORCHESTRATOR_<SECTION>__<KEY>`` for every key; lists with commas
or as JSON, tables as JSON; of secrets also ``…_FILE``, which names a file that holds it. Nothing
else in the daemon reads the environment.

A section's model is in the module that uses it; those of the daemon as a whole are in
``settings.sections``.
"""

import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_serializer

from ..actors.agent_host.child_spec import AgentSettings
from ..actors.heartbeat_monitor.agent_table import RegistrySettings
from ..actors.journal.journal import JournalSettings
from ..actors.notifier.settings import NotifySettings
from ..actors.span_exporter.settings import OtelSettings
from ..http.settings import HttpSettings, WebSocketSettings, is_loopback
from ..killswitch.guard.settings import GuardSettings
from ..killswitch.rules.settings import MAX_RULES, RuleName, RuleSettings
from ..runtime.telemetry.log import LogSettings
from ..sql.database import PostgresSettings
from .errors import STARS, Fault, SettingsError, faults_of, masked, origin_of
from .keys import KeyPath, leaves
from .layers import Layer, merge, read_dotenv, read_file, read_variables
from .secret_files import SECRETS, Read, with_secrets
from .secrets import exposed
from .sections import (
    EMBEDDED,
    AgentId,
    BusSettings,
    DataSettings,
    Duration,
    InstanceSettings,
    Pattern,
    RedisSettings,
    SupervisorSettings,
    default_data_dir,
    duration_text,
)
from .urls import postgres_problem

__all__ = [
    "EMBEDDED",
    "AgentSettings",
    "BusSettings",
    "DataSettings",
    "Fault",
    "GuardSettings",
    "HttpSettings",
    "InstanceSettings",
    "RedisSettings",
    "RuleSettings",
    "Setting",
    "Settings",
    "SettingsError",
    "SupervisorSettings",
    "WebSocketSettings",
    "config_doc",
    "default_data_dir",
    "find_file",
    "load",
    "masked",
    "shipped_file",
]

FILE_NAME = "supervisor.toml"


class Settings(BaseModel):
    """Everything in force, section by section. Made by `load` only."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    instance: InstanceSettings = InstanceSettings()
    data: DataSettings = Field(default_factory=DataSettings)
    redis: RedisSettings = RedisSettings()
    postgres: PostgresSettings = PostgresSettings()
    http: HttpSettings = HttpSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    bus: BusSettings = BusSettings()
    journal: JournalSettings = JournalSettings()
    registry: RegistrySettings = RegistrySettings()
    retention: dict[Pattern, Duration] = Field(default_factory=dict)
    """Pattern of types → how long their events are kept. The first that matches counts; without a
    match they are kept forever."""
    supervisor: SupervisorSettings = SupervisorSettings()
    guard: GuardSettings = GuardSettings()
    rules: dict[RuleName, RuleSettings] = Field(default_factory=dict, max_length=MAX_RULES)
    notify: NotifySettings = NotifySettings()
    otel: OtelSettings = OtelSettings()
    log: LogSettings = LogSettings()
    agents: dict[AgentId, AgentSettings] = Field(default_factory=dict)

    _file: Path | None = PrivateAttr(default=None)
    _layers: tuple[Layer, ...] = PrivateAttr(default=())
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def file(self) -> Path | None:
        """The file they were read from, if any."""
        return self._file

    @property
    def warnings(self) -> tuple[str, ...]:
        """Files with secrets that others may read."""
        return self._warnings

    @field_serializer("retention")
    def _retention_as_text(self, retention: dict[str, timedelta]) -> dict[str, str]:
        return {pattern: duration_text(kept) for pattern, kept in retention.items()}


class Setting(NamedTuple):
    """One setting in force."""

    key: str
    """``section.key``."""
    value: str
    """As text; passwords are stars."""
    origin: str
    """``default``, the file's name, ``.env VARIABLE`` or ``environment VARIABLE``."""


def shipped_file() -> Path:
    """The settings that come with the package: embedded servers and the three sample agents."""
    return Path(__file__).parents[1] / FILE_NAME


def find_file(folder: Path | None = None) -> Path | None:
    """``supervisor.toml`` of a folder (the current one by default), if it has one."""
    found = (folder or Path.cwd()) / FILE_NAME
    return found if found.is_file() else None


def load(
    path: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    text: str | None = None,
) -> Settings:
    """Read, merge and check all settings.

    Args:
        path: the file; None: no file, only ``.env`` of the current folder and the environment.
        environ: the process's own by default.
        text: read in place of the file's, which it is about to become.

    Raises:
        SettingsError: with all faults at once.
    """
    file = Path(path).expanduser().absolute() if path is not None else None
    folder = file.parent if file else Path.cwd()
    layers = [_file_layer(file, text)] if file else []
    layers.append(read_dotenv(Settings, folder / ".env"))
    layers.append(read_variables(Settings, os.environ if environ is None else environ))
    _check_exposed([*([file] if file else []), folder / ".env"], layers)
    secrets = with_secrets(layers, folder)
    settings = _validated(secrets, folder)
    settings._file = file  # noqa: SLF001 it is ours
    settings._layers = tuple(secrets.layers)  # noqa: SLF001
    settings._warnings = tuple(secrets.warnings)  # noqa: SLF001
    _check_together(settings)
    return settings


def config_doc(settings: Settings) -> list[Setting]:
    """Every setting in force with its value and origin, in the order of the sections."""
    tree = settings.model_dump(by_alias=True)
    hidden = {(section, key) for section, key in SECRETS if tree[section][f"{key}_file"]}
    return [
        Setting(
            ".".join(path),
            _shown(path, value, from_file=path in hidden),
            origin_of(path, settings._layers),  # noqa: SLF001
        )
        for path, value in leaves(tree)
    ]


def _file_layer(file: Path, text: str | None) -> Layer:
    try:
        return read_file(file, text)
    except OSError as error:
        fault = Fault(str(file), "", f"cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fault = Fault(str(file), "", f"not valid TOML: {error}")
    raise SettingsError([fault])


def _check_exposed(files: list[Path], layers: list[Layer]) -> None:
    """Layers beyond the files are not on disk."""
    found = [exposed(file, layer.values) for file, layer in zip(files, layers, strict=False)]
    if faults := [fault for fault in found if fault]:
        raise SettingsError(faults)


def _validated(secrets: Read, folder: Path) -> Settings:
    layers = secrets.layers
    merged = merge(layers)
    data = merged.get("data")
    if isinstance(data, dict) and isinstance(data.get("dir"), str):
        from_file = layers[-1].origin_of(("data", "dir")) is None
        base = folder if from_file else Path.cwd()
        merged["data"] = data | {"dir": base / Path(data["dir"]).expanduser()}
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise SettingsError([*secrets.faults, *faults_of(error, Settings, layers)]) from error
    if secrets.faults:
        raise SettingsError(secrets.faults)
    return settings


def _check_together(settings: Settings) -> None:
    """Check what spans sections."""
    faults = []
    http = settings.http
    if not (http.insecure or http.auth.tokens or is_loopback(http.host)):
        problem = f"{http.host} is reachable from other machines and no tokens are set"
        hint = 'use "127.0.0.1", make tokens (orc token new), or set http.insecure = true'
        faults.append(_fault_at(("http", "host"), problem, hint, settings))
    url = settings.postgres.url.get_secret_value()
    if url != EMBEDDED and (expected := postgres_problem(url)):
        faults.append(_fault_at(("postgres", "url"), expected, "", settings))
    if settings.supervisor.backoff_max_s < (settings.supervisor.backoff_initial_s):
        problem = "expected at least supervisor.backoff_initial_s"
        faults.append(_fault_at(("supervisor", "backoff_max_s"), problem, "", settings))
    if faults:
        raise SettingsError(faults)


def _fault_at(path: KeyPath, problem: str, hint: str, settings: Settings) -> Fault:
    return Fault(origin_of(path, settings._layers), ".".join(path), problem, hint)  # noqa: SLF001


def _token_words(token: dict[str, Any]) -> str:
    until = f", until {token['expires'].isoformat()}" if token["expires"] else ""
    return f"{token['name']} ({token['role']}{until})"


def _shown(path: KeyPath, value: Any, *, from_file: bool) -> str:
    if path[0] == "agents" and "env" in path[2:-1]:
        return STARS  # variables of programs: which of them are secrets only those know
    if from_file:
        return STARS
    if path[-2:] == ("auth", "tokens"):
        return ", ".join(_token_words(token) for token in value)
    if isinstance(value, tuple | list):
        return ", ".join(masked(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or value == {} else masked(value)
