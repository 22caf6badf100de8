"""Percent are written one way, in code and on pages: 15 %, as the SI has it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLOSE = re.compile(r"[0-9}]%(?![(}])|:[.0-9]*%\}")
"""A number, or what is put in for one, right before the sign; and the format that puts it there."""

AS_PANDAS = re.compile(r'"\d+%"')
"""Columns of a table in Python, as `DataFrame.describe` names them."""


def close_in(paths, allowed):
    """Return the lines of files where they stand together, by file; code in a page is not looked at."""
    found = {}
    for path in paths:
        text = path.read_text("utf-8")
        if path.suffix == ".md":
            text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
        lines = [line.strip() for line in text.splitlines() if CLOSE.search(AS_PANDAS.sub("", line))]
        if lines := [line for line in lines if not any(one in line for one in allowed)]:
            found[str(path.relative_to(ROOT))] = lines
    return found


def test_code_parts_a_number_from_its_percent():
    files = [path for path in sorted((ROOT / "geospde").rglob("*")) if path.suffix in (".py", ".html", ".js")]
    style = ("width:", "width=", "style.left", "{ display:")
    assert not close_in(files, style)


def test_pages_part_a_number_from_its_percent():
    typed = '"34%"'
    assert not close_in(
        [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))], (typed,)
    )
