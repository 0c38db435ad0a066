"""The Dockerfile by hadolint, the compose file by its rules. No engine builds them here."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from orchestrator.settings import load

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


def test_hadolint_finds_no_fault() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint

    checked = subprocess.run(
        [hadolint, str(DOCKER / "Dockerfile")], capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_image_has_stages_a_user_a_healthcheck_and_an_init() -> None:
    lines = DOCKERFILE.splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]

    assert sum(line.startswith("FROM ") for line in lines) == 2
    assert users == ["10001"]
    assert [line for line in lines if line.startswith("HEALTHCHECK ")]
    assert 'ENTRYPOINT ["tini", "--", "orchestrator"]' in lines


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_on_loopback_pinned_and_checked(name: str) -> None:
    service = SERVICES[name]

    assert [port for port in service["ports"] if not port.startswith("127.0.0.1:")] == []
    if "image" in service:
        assert re.search(r":v?\d+\.?\d*", service["image"]), service["image"]
        assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_mounts_is_there(name: str) -> None:
    for mount in SERVICES[name]["volumes"]:
        source = mount.split(":")[0]
        if source.startswith("."):
            made_by_the_operator = source.startswith("./secrets/")
            assert made_by_the_operator or (DOCKER / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]


def test_what_a_service_depends_on_is_there() -> None:
    for service in SERVICES.values():
        assert {*service.get("depends_on", ())} <= {*SERVICES}
        assert {*service.get("secrets", ())} <= {*COMPOSE["secrets"]}
    build = SERVICES["orchestrator"]["build"]
    assert (DOCKER / build["context"] / build["dockerfile"]).resolve() == DOCKER / "Dockerfile"


def test_the_daemon_takes_the_settings_with_the_images_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for line in re.findall(r"(ORCHESTRATOR_\w+=\S+)", DOCKERFILE):
        monkeypatch.setenv(*line.split("="))
    for key, value in SERVICES["orchestrator"]["environment"].items():
        monkeypatch.setenv(key, value)

    settings = load(DOCKER / "supervisor.toml")

    assert settings.http.host == "0.0.0.0"  # noqa: S104 in a container
    assert settings.guard.on_silence == "stop"
    assert "passfile" in settings.postgres.url.get_secret_value()


def test_prometheus_in_the_compose_file_scrapes_the_daemon_by_its_service() -> None:
    config = yaml.safe_load((DOCKER / "prometheus.yml").read_text())
    targets = config["scrape_configs"][0]["static_configs"][0]["targets"]
    port = re.search(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)

    assert port
    assert targets == [f"orchestrator:{port[1]}"]


def test_the_log_has_one_place_in_all_files() -> None:
    place = "/var/log/orchestrator/orchestrator.log"
    filebeat = yaml.safe_load((ROOT / "deploy" / "filebeat.yml").read_text())

    assert filebeat["filebeat.inputs"][0]["paths"] == [place]
    for name in ("logrotate.conf", "supervisord.conf", "ecosystem.config.js"):
        assert place in (ROOT / "deploy" / name).read_text(), name
