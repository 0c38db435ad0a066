"""The examples of docs/runtime.md, run as they stand there, from top to bottom."""

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "runtime.md"


def test_the_examples_of_the_page_run() -> None:
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "runtime_page"}

    for number, example in enumerate(examples, 1):
        exec(compile(example, f"docs/runtime.md, example {number}", "exec"), names)  # noqa: S102

    assert len(examples) >= 7
