import pytest
from orchestrator.actors.span_exporter import settings
from orchestrator.actors.span_exporter.settings import OtelSettings
from pydantic import ValidationError


def test_it_is_off_by_default() -> None:
    assert not OtelSettings().on
    assert OtelSettings(endpoint="http://127.0.0.1:4318/v1/traces").on


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "grpc://collector:4317"])
def test_what_is_no_http_url_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="4318/v1/traces"):
        OtelSettings(endpoint=endpoint)


@pytest.mark.parametrize(("package", "there"), [("json", True), ("no_such.package", False)])
def test_what_is_not_installed_is_seen(
    monkeypatch: pytest.MonkeyPatch, package: str, *, there: bool
) -> None:
    monkeypatch.setattr(settings, "PACKAGES", ("json", package))

    assert settings.is_installed() is there


def test_without_the_extra_the_way_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PACKAGES", ("no_such.package",))

    with pytest.raises(ValidationError, match=r"with its extra \[otel\]"):
        OtelSettings(endpoint="http://127.0.0.1:4318/v1/traces")
