"""Settings whose secret is in a file of its own."""

from pathlib import Path

import pytest
from orchestrator.settings import Settings, SettingsError, config_doc, load
from orchestrator.settings.reload import changes
from orchestrator.settings.schema import json_schema
from orchestrator.settings.secret_files import READ_AT_USE, SECRETS

REDIS = "redis://:s3cret@bus:6379/0"
POSTGRES = "postgresql://desk:s3cret@db/desk"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("bus", REDIS), ("db", POSTGRES)):
        (tmp_path / name).write_text(text + "\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def read(folder: Path, text: str = "", **environ: str) -> Settings:
    path = folder / "supervisor.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load(path, environ)


def faults(folder: Path, text: str = "", **environ: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read(folder, text, **environ)
    assert "s3cret" not in str(refused.value)
    return str(refused.value)


def test_it_is_read_from_beside_the_settings_file(folder: Path) -> None:
    settings = read(folder, '[redis]\nurl_file = "bus"\n[postgres]\nurl_file = "db"\n')

    assert settings.redis.url == REDIS
    assert settings.postgres.url.get_secret_value() == POSTGRES
    assert settings.warnings == ()


def test_variables_name_files_as_container_engines_have_it(folder: Path) -> None:
    settings = read(
        folder,
        REDIS_URL_FILE=str(folder / "bus"),
        ORCHESTRATOR_POSTGRES__URL_FILE=str(folder / "db"),
    )

    assert settings.redis.url == REDIS
    assert settings.postgres.url.get_secret_value() == POSTGRES
    origins = {one.key: (one.value, one.origin) for one in config_doc(settings)}
    assert origins["redis.url"] == ("***", "environment REDIS_URL_FILE")
    assert origins["postgres.url"] == ("***", "environment ORCHESTRATOR_POSTGRES__URL_FILE")


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ('[redis]\nurl = "redis://a"\nurl_file = "bus"\n', {}),
        ("", {"REDIS_URL": "redis://a", "REDIS_URL_FILE": "bus"}),
        ("", {"REDIS_URL_FILE": "bus", "ORCHESTRATOR_REDIS__URL": "redis://a"}),
        ('[notify]\nsecret = "whsec_x"\nsecret_file = "bus"\n', {}),
    ],
)
def test_both_in_one_place_are_an_error(folder: Path, text: str, environ: dict[str, str]) -> None:
    assert "given together with" in faults(folder, text, **environ)


def test_a_later_place_wins_whichever_of_the_two_it_has(folder: Path) -> None:
    by_file = '[redis]\nurl_file = "bus"\n'
    plain = '[redis]\nurl = "redis://plain"\n'

    assert read(folder, by_file, REDIS_URL="redis://env").redis.url == "redis://env"
    assert read(folder, by_file, REDIS_URL="redis://env").redis.url_file is None
    assert read(folder, plain, REDIS_URL_FILE=str(folder / "bus")).redis.url == REDIS


def test_all_that_is_wrong_is_said_at_once(folder: Path) -> None:
    (folder / "db").write_text("mysql://s3cret@x\n")
    text = '[redis]\nurl_file = "none"\nnonsense = 1\n[postgres]\nurl_file = 7\n'

    found = faults(folder, text)

    assert "redis.url_file" in found
    assert "No such file" in found
    assert "redis.nonsense" in found
    assert "postgres.url_file" in found
    assert "postgres.url" in faults(folder, '[postgres]\nurl_file = "db"\n')


def test_a_file_that_others_may_read_is_said(folder: Path) -> None:
    (folder / "bus").chmod(0o644)

    settings = read(folder, '[redis]\nurl_file = "bus"\n')

    [warning] = settings.warnings
    assert "redis.url_file" in warning
    assert "s3cret" not in warning


def test_a_secret_that_is_read_at_use_is_only_looked_at(folder: Path) -> None:
    text = '[notify]\nurl = "https://x.example"\nsecret_file = "none"\n'

    [warning] = read(folder, text).warnings

    assert "notify.secret_file" in warning


def test_a_reload_reads_it_again(folder: Path) -> None:
    text = '[postgres]\nurl_file = "db"\n'
    before = read(folder, text)
    (folder / "db").write_text(POSTGRES.replace("s3cret", "an0ther"))

    found = changes(before, read(folder, text))

    assert found.at_restart == ("postgres.url",)


def test_the_schema_has_a_file_for_each() -> None:
    schema = json_schema()
    for section, key in (*SECRETS, READ_AT_USE):
        name = schema["properties"][section]["$ref"].rsplit("/", 1)[-1]
        assert f"{key}_file" in schema["$defs"][name]["properties"]


def test_the_file_that_is_looked_at_is_the_one_that_is_read_at_use(folder: Path) -> None:
    (folder / "hook").write_text("whsec_" + "a" * 40 + "\n")
    (folder / "hook").chmod(0o600)

    settings = read(folder, '[notify]\nurl = "http://h"\nsecret_file = "hook"\n')

    assert settings.notify.secret_file == folder / "hook"


@pytest.mark.parametrize("path", ["~no-such-account-here/x", "a\\u0000b"])
def test_a_path_that_cannot_be_is_a_fault(folder: Path, path: str) -> None:
    assert "cannot be read" in faults(folder, f'[redis]\nurl_file = "{path}"\n')
