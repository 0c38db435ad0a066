"""Section ``[guard]``."""

import pytest
from orchestrator.killswitch.guard.settings import GuardSettings
from orchestrator.runtime.hang_watch import HANG_TIMEOUT_S, PING_INTERVAL_S
from pydantic import ValidationError


def test_silence_never_comes_before_the_supervisors_turn_with_a_hang() -> None:
    supervisor_s = HANG_TIMEOUT_S + 2 * PING_INTERVAL_S

    assert GuardSettings().silence_s == 6.0
    assert GuardSettings(silence_s=5.5).silence_s > supervisor_s
    with pytest.raises(ValidationError, match="silence_s"):
        GuardSettings(silence_s=supervisor_s)


def test_by_default_no_end_of_the_daemon_makes_a_trip() -> None:
    settings = GuardSettings()

    assert (settings.on_silence, settings.unclean_ends) == ("hold", 0)


def test_a_misspelt_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="unclean_end"):
        GuardSettings.model_validate({"unclean_end": 3})
