import tomllib

import pytest
from orchestrator.cli.offline.settings_text import CannotEdit
from orchestrator.cli.offline.token_file import without_token

TEXT = """\
# desk
[http]
port = 8091  # not 8090

[[http.auth.tokens]]  # first
name = "anna"
role = "viewer"
sha256 = "00"

# Bob's, of the wall
[[ http.auth . tokens ]]
name = "bob"
role = "viewer"
sha256 = "01"
expires = 2027-01-31T00:00:00Z
# the bus
[bus]
data_patterns = ["a.*"]
"""


def test_one_table_goes_and_every_other_line_stays() -> None:
    found = without_token(TEXT, "anna")

    gone = ["[[http.auth.tokens]]  # first", 'name = "anna"', 'role = "viewer"', 'sha256 = "00"']
    lines = TEXT.splitlines()
    at = lines.index(gone[0])
    assert found.splitlines() == lines[:at] + lines[at + 4 :]


def test_a_comment_about_what_follows_stays() -> None:
    found = without_token(TEXT, "bob")

    assert found.endswith('# Bob\'s, of the wall\n# the bus\n[bus]\ndata_patterns = ["a.*"]\n')


def test_the_last_one_leaves_settings_without_tokens() -> None:
    found = without_token(without_token(TEXT, "anna"), "bob")

    assert tomllib.loads(found) == {"http": {"port": 8091}, "bus": {"data_patterns": ["a.*"]}}


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        '[http.auth]\ntokens = [{name = "carl", role = "viewer", sha256 = "00"}]\n',
        # Its name is after a line that looks like a header.
        '[[http.auth.tokens]]\nrole = """\n[x]\n"""\nname = "carl"\n',
    ],
)
def test_one_that_is_no_table_of_its_own_is_not_guessed_at(text: str) -> None:
    with pytest.raises(CannotEdit):
        without_token(text, "carl")


def test_a_table_that_goes_on_below_a_text_of_many_lines_is_left_whole() -> None:
    text = '[[http.auth.tokens]]\nname = "carl"\nrole = """\n[x]\n"""\n'

    with pytest.raises(CannotEdit):
        without_token(text, "carl")


def test_windows_line_ends_stay() -> None:
    text = TEXT.replace("\n", "\r\n")

    assert without_token(text, "anna") == without_token(TEXT, "anna").replace("\n", "\r\n")
