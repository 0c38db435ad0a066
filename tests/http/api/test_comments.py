import pytest
from orchestrator.http.api.comments import without_comments


def test_lines_that_are_comments_leave_empty_lines() -> None:
    script = "/** What it is. */\nconst a = 1; // Why.\n  // Because.\n/*\n * More.\n */\nlet b;\n"

    assert without_comments(script, ".js") == "\nconst a = 1; // Why.\n\n\n\n\nlet b;\n"


def test_a_style_sheet_has_blocks_only() -> None:
    assert without_comments("/* One. */\na { b: c; } /* kept */\n//x", ".css") == (
        "\na { b: c; } /* kept */\n//x"
    )


def test_a_page_has_comments_of_its_own_kind() -> None:
    assert without_comments("<!-- a\nb -->\n/* text */\n<p>", ".html") == "\n\n/* text */\n<p>"


@pytest.mark.parametrize("suffix", [".svg", ".json", ".png"])
def test_other_files_are_left_alone(suffix: str) -> None:
    assert without_comments("// a\n<!-- b -->", suffix) == "// a\n<!-- b -->"


@pytest.mark.parametrize(
    "script",
    [
        'const url = "//host/";\nconst glob = "/*";',
        "const text = `\n// not a comment\n/* nor this */\n`;",
        "const text = `a ${f(`b`)}\n// not a comment ${`c`}\n`;",
        'const text = "a \\\n// not a comment";',
        "/* a */ const b = 1;",
        "/* a\n */ const b = 1;",
        "/* a */ const text = `\n// not a comment\n`;",
        "a\n  / 2 / b;\nconst c = /\\/\\*/;",
    ],
)
def test_what_only_looks_like_a_comment_survives(script: str) -> None:
    assert without_comments(script, ".js") == script


def test_a_backtick_in_a_comment_opens_nothing() -> None:
    assert without_comments("// a `b\n/* c `d */\n// e\nf", ".js") == "\n\n\nf"


def test_after_a_line_that_may_open_a_template_all_is_kept() -> None:
    script = 'text.split("`");\n// kept, since no parser tells it from text\n'

    assert without_comments(script, ".js") == script


def test_a_block_ends_at_its_first_end() -> None:
    assert without_comments("/*/\na\n*/\nb", ".js") == "\n\n\nb"
