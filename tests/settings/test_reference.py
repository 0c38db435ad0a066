from pathlib import Path

from orchestrator.settings import Settings
from orchestrator.settings.keys import all_keys
from orchestrator.settings.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_the_page_is_what_the_settings_say() -> None:
    assert PAGE.read_text("utf-8") == reference(), "orc config doc > docs/reference/settings.md"


def test_every_key_has_a_row_below_its_section() -> None:
    sections = {part.split("`", 1)[0]: part for part in reference().split("\n## `")[1:]}

    for key in all_keys(Settings):
        section, name = key.split(".")
        nested = [header for header in sections if header.strip("[]").startswith(f"{section}.")]
        rows = "".join(
            sections[header] for header in [f"[{section}]", *nested] if header in sections
        )
        assert f"| `{name}`" in rows or f"[{key}]" in nested, key


def test_what_a_reload_takes_is_marked() -> None:
    page = reference()

    assert "| `level` ↻ |" in page
    assert "| `port` |" in page
    assert "`PORT` (`http.port`)" in page


def test_a_tables_cells_are_not_broken_by_what_is_in_them() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| ")]

    assert {row.replace("\\|", "").count("|") for row in rows} == {5}
