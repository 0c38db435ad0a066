import hashlib
import json
import tomllib

from orchestrator.http.settings import AuthSettings

from ..conftest import Orc


def test_new_tells_the_token_and_lines_that_let_it_in(orc: Orc) -> None:
    done = orc("token", "new", "--role", "operator", "--name", "anna")
    lines = done.out.splitlines()
    token = lines[2].strip()

    made = tomllib.loads("\n".join(lines[lines.index("  [[http.auth.tokens]]") :]))
    settings = AuthSettings.model_validate(made["http"]["auth"])

    assert settings.tokens[0].sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert (settings.tokens[0].name, settings.tokens[0].role) == ("anna", "operator")
    assert len(token) == 43


def test_every_token_is_another(orc: Orc) -> None:
    rows = [json.loads(orc("token", "new", "--role", "viewer", "-o", "json").out) for _ in "ab"]

    assert rows[0]["token"] != rows[1]["token"]
    assert rows[0]["name"] != rows[1]["name"]


def test_a_name_that_the_settings_would_refuse_is_refused(orc: Orc) -> None:
    assert orc("token", "new", "--role", "viewer", "--name", "a b").code == 2
