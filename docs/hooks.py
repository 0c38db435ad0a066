"""mkdocs: links to files of the repository become their names; the site has only the pages."""

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s:]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by mkdocs with each page's text."""
    source = Path(page.file.abs_src_path)
    pages = Path(page.file.src_dir).resolve()

    def kept(match: re.Match[str]) -> str:
        target = (source.parent / match[2]).resolve()
        inside = target.is_relative_to(pages) and target.is_file()
        if inside or not target.exists():  # what is nowhere stays a link, and fails the build
            return match[0]
        return match[1]

    return _LINK.sub(kept, markdown)
