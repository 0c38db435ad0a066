import base64
from pathlib import Path

import pytest
from orchestrator.actors.notifier.settings import NotifySettings, signing_key
from pydantic import ValidationError

from .receiver import KEY, SECRET


def test_nobody_is_notified_by_default() -> None:
    assert not NotifySettings().on


def test_a_webhook_needs_a_secret_by_which_it_is_known() -> None:
    with pytest.raises(ValidationError, match="secret"):
        NotifySettings(url="https://x.example/hook")

    assert NotifySettings.model_validate({"url": "https://x.example", "secret": SECRET}).on


def test_the_secret_may_be_in_a_file_and_change(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    settings = NotifySettings(url="https://x.example", secret_file=file)
    file.write_text(f"{SECRET}\n")
    assert settings.key() == KEY

    file.write_text("whsec_" + base64.b64encode(b"n" * 24).decode())

    assert settings.key() == b"n" * 24


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!", "whsec_c2hvcnQ=", "a" * 64])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        signing_key(secret)


def test_a_url_of_another_scheme_is_refused() -> None:
    with pytest.raises(ValidationError, match="https"):
        NotifySettings.model_validate({"url": "ftp://x", "secret": SECRET})
