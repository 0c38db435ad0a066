"""Which settings change while the daemon runs."""

from pathlib import Path

import pytest
from orchestrator.settings import Settings, load
from orchestrator.settings.reload import LIVE, changes


def settings(folder: Path, text: str) -> Settings:
    path = folder / "supervisor.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load(path, {})


def test_nothing_has_changed(tmp_path: Path) -> None:
    old = settings(tmp_path, "[http]\nport = 1\n")

    found = changes(old, settings(tmp_path, "[http]\nport = 1\n"))

    assert (found.now, found.at_restart) == ((), ())
    assert found.settings == old


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[log]\nlevel = "error"\n', "log.level"),
        ('[retention]\n"data.market.*" = "7d"\n', "retention.data.market.*"),
        ("[registry]\ntimeout_s = 5\n", "registry.timeout_s"),
        ('[registry.group_timeouts]\n"ingest*" = 9\n', "registry.group_timeouts.ingest*"),
        ("[http]\nrate_limit_max = 7\n", "http.rate_limit_max"),
        ("[http.auth]\nmax_failures_per_minute = 7\n", "http.auth.max_failures_per_minute"),
        (
            f'[[http.auth.tokens]]\nname = "a"\nrole = "viewer"\nsha256 = "{"0" * 64}"\n',
            "http.auth.tokens",
        ),
        ("[http]\nrate_limit_window_ms = 7000\n", "http.rate_limit_window_ms"),
    ],
)
def test_what_can_change_is_in_force_at_once(tmp_path: Path, text: str, key: str) -> None:
    old, new = settings(tmp_path, ""), settings(tmp_path, text)

    found = changes(old, new)

    assert key in found.now
    assert found.at_restart == ()
    assert found.settings.model_dump() == new.model_dump()


def test_what_cannot_change_is_named_and_stays_as_it_was(tmp_path: Path) -> None:
    old = settings(tmp_path, "[http]\nport = 1\n")
    new = settings(
        tmp_path,
        '[http]\nport = 2\nrate_limit_max = 7\n[postgres]\nurl = "postgresql://u:secret@h/d"\n'
        '[agents.a]\ncommand = ["x"]\n',
    )

    found = changes(old, new)

    assert found.now == ("agents.a", "http.rate_limit_max")
    assert {"http.port", "postgres.url"} == set(found.at_restart)
    assert "secret" not in str(found.at_restart)
    assert (found.settings.http.port, found.settings.http.rate_limit_max) == (1, 7)
    assert list(found.settings.agents) == ["a"]


def test_every_live_key_exists() -> None:
    for section, *keys in LIVE:
        model = Settings.model_fields[section].annotation
        assert not keys or set(keys) <= set(model.model_fields)


def test_the_last_token_is_not_taken_where_strangers_could_call(tmp_path: Path) -> None:
    here, everywhere = '[http]\nhost = "127.0.0.1"\n', '[http]\nhost = "192.0.2.7"\n'
    token = f'[[http.auth.tokens]]\nname = "a"\nrole = "viewer"\nsha256 = "{"0" * 64}"\n'
    old = settings(tmp_path, everywhere + token)

    for text in (here, everywhere + "insecure = true\n"):  # both count at the next start only
        found = changes(old, settings(tmp_path, text + "rate_limit_max = 7\n"))
        assert found.settings.http.auth == old.http.auth
        assert found.settings.http.rate_limit_max == 7
        assert "http.auth.tokens" not in found.now
        assert found.refused is not None
        assert "192.0.2.7" in found.refused


def test_the_last_token_may_be_taken_on_loopback(tmp_path: Path) -> None:
    token = f'[[http.auth.tokens]]\nname = "a"\nrole = "viewer"\nsha256 = "{"0" * 64}"\n'
    old, new = settings(tmp_path, token), settings(tmp_path, "")

    found = changes(old, new)

    assert (found.settings.http.auth.tokens, found.refused) == ((), None)
