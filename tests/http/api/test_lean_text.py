import pytest
from orchestrator.http.api.lean_text import lean


def test_lines_that_are_comments_leave_empty_lines() -> None:
    script = "/** What it is. */\nconst a = 1; // Why.\n  // Because.\n/*\n * More.\n */\nlet b;\n"

    assert lean(script, ".js") == "\nconst a = 1; // Why.\n\n\n\n\nlet b;\n"


def test_a_style_sheet_has_blocks_only() -> None:
    assert lean("/* One. */\na { b: c; } /* kept */\n//x", ".css") == (
        "\na { b: c; } /* kept */\n//x"
    )


@pytest.mark.parametrize(
    ("line", "served"),
    [
        ("a :is(b, c) { d: e 1px; f: g }", "a :is(b,c){d:e 1px;f:g}"),
        (
            "  @media (a: 7px) and (b: c) { --d: calc(1px * 2 - 3px); }",
            "@media (a:7px) and (b:c){--d:calc(1px * 2 - 3px);}",
        ),
        ('a { content: ", "; }', 'a { content: ", "; }'),
        ("a::after { b: url(x\\, y); }", "a::after { b: url(x\\, y); }"),
        ("}", "}"),
    ],
)
def test_a_style_loses_spaces_that_mean_nothing(line: str, served: str) -> None:
    assert lean(line, ".css") == served


def test_a_page_has_comments_of_its_own_kind() -> None:
    assert lean("<!-- a\nb -->\n/* text */\n<p>", ".html") == "\n\n/* text */\n<p>"


@pytest.mark.parametrize("suffix", [".svg", ".json", ".png"])
def test_other_files_are_left_alone(suffix: str) -> None:
    assert lean("// a\n<!-- b -->", suffix) == "// a\n<!-- b -->"


@pytest.mark.parametrize(
    "script",
    [
        'const url = "//host/";\nconst glob = "/*";',
        "const text = `\n// not a comment\n/* nor this */\n`;",
        "const text = `a ${f(`b`)}\n// not a comment ${`c`}\n`;",
        'const text = "a \\\n// not a comment";',
        "/* a */ const b = 1;",
        "/* a\n*/ const b = 1;",
        "/* a */ const text = `\n// not a comment\n`;",
        "a\n/ 2 / b;\nconst c = /\\/\\*/;",
    ],
)
def test_what_only_looks_like_a_comment_survives(script: str) -> None:
    assert lean(script, ".js") == script


def test_a_backtick_in_a_comment_opens_nothing() -> None:
    assert lean("// a `b\n/* c `d */\n// e\nf", ".js") == "\n\n\nf"


def test_after_a_line_that_may_open_a_template_all_is_kept() -> None:
    script = 'text.split("`");\n// kept, since no parser tells it from text\n'

    assert lean(script, ".js") == script


def test_a_block_ends_at_its_first_end() -> None:
    assert lean("/*/\na\n*/\nb", ".js") == "\n\n\nb"


@pytest.mark.parametrize("suffix", [".js", ".css", ".html"])
def test_lines_are_not_indented(suffix: str) -> None:
    assert lean("a\n  b;\n    c\n}", suffix) == "a\nb;\nc\n}"


@pytest.mark.parametrize(
    "script",
    ["const text = `\n  kept\n`;", 'const text = "a \\\n  kept";'],
)
def test_spaces_that_may_be_part_of_a_string_are_kept(script: str) -> None:
    assert lean(script, ".js") == script
