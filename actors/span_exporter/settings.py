"""Section ``[otel]`` of supervisor.toml."""

from importlib.util import find_spec
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

PACKAGES: Final = ("opentelemetry.exporter.otlp.proto.common", "opentelemetry.sdk.trace")


def _check_endpoint(endpoint: str) -> str:
    if endpoint and not endpoint.startswith(("https://", "http://")):
        raise ValueError("expected a URL such as http://127.0.0.1:4318/v1/traces")
    if endpoint and not is_installed():
        raise ValueError("needs OpenTelemetry: install this program's wheel with its extra [otel]")
    return endpoint


def is_installed() -> bool:
    """Whether OpenTelemetry's SDK and encoder are there."""
    try:
        return all(find_spec(package) is not None for package in PACKAGES)
    except ModuleNotFoundError:
        return False


class OtelSettings(BaseModel):
    """Where spans go; off without ``endpoint``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = ""
    """OTLP/HTTP of a collector, path included: ``http://127.0.0.1:4318/v1/traces``."""
    timeout_s: float = Field(default=10.0, ge=0.1, le=120)
    """Limit of one attempt."""

    @property
    def on(self) -> bool:
        """Whether spans are exported."""
        return bool(self.endpoint)
