"""How objects look in a notebook: a heading, facts, tables and a small picture, as HTML.

Every text is escaped here: a column or a site may be called whatever it likes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from geospde.text.words import number

_CELL = "padding:0.1em 0.7em 0.1em 0;border:0;vertical-align:top;font-weight:normal"
_RULE = ";border-bottom:1px solid rgba(128,128,128,0.5)"
MOST_ROWS = 30
"""Rows of a table that are shown; a line tells of the others."""


def card(title: str, subtitle: str, *parts: str) -> str:
    """Return the HTML of an object.

    Parameters
    ----------
    title, subtitle : str
        Plain text.
    *parts : str
        What `facts`, `table` and `picture` return; they stand side by side where there is room.

    Examples
    --------
    >>> print(card("Survey <bay>", "3 sites"))
    <div class="geospde"><div><b>Survey &lt;bay&gt;</b></div><div style="opacity:0.7">3 sites</div></div>
    """
    body = "".join(f"<div>{part}</div>" for part in parts if part)
    beside = f'<div style="display:flex;flex-wrap:wrap;gap:0.5em 2em;margin-top:0.4em">{body}</div>' if body else ""
    below = f'<div style="opacity:0.7">{escape(subtitle)}</div>' if subtitle else ""
    return f'<div class="geospde"><div><b>{escape(title)}</b></div>{below}{beside}</div>'


def facts(rows: Mapping[str, str], caption: str = "") -> str:
    """Return a table of names and what they are; after `MOST_ROWS` it tells how many more there are."""
    if not rows:
        return ""
    return _table([], [list(row) for row in rows.items()][:MOST_ROWS], caption, "left", len(rows) - MOST_ROWS)


def frame_table(frame: Any, caption: str = "") -> str:
    """Return a DataFrame of numbers with its index, as `facts`; an empty one is left out."""
    if not len(frame):
        return ""
    some = frame.iloc[:MOST_ROWS]
    rows = [[str(name), *map(number, row)] for name, row in zip(some.index, some.to_numpy(dtype=float))]
    return _table(["", *map(str, frame.columns)], rows, caption, "right", len(frame) - MOST_ROWS)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, side: str, more: int) -> str:
    """Rows of text, the first cell of each its name, the others on one side; and a line for those left out."""
    parts = [f'<caption style="text-align:left;opacity:0.7">{escape(caption)}</caption>'] if caption else []
    if head:
        parts.append(f"<thead>{_row(head, 'th', side, _RULE)}</thead>")
    parts += ["<tbody>", *(_row(row, "td", side) for row in rows)]
    if more > 0:
        parts.append(_row([f"… and {more:,} more"], "td", side))
    return f'<table style="border-collapse:collapse;margin:0">{"".join(parts)}</tbody></table>'


def _row(cells: Sequence[str], kind: str, side: str, rule: str = "") -> str:
    marked = [
        f'<{kind} style="{_CELL}{rule};text-align:{"left" if k == 0 else side}">{escape(cell)}</{kind}>'
        for k, cell in enumerate(cells)
    ]
    return f"<tr>{''.join(marked)}</tr>"


def picture(png: bytes, alt: str) -> str:
    """Return a picture that is part of the page, at half its pixels: sharp on fine screens."""
    width = int.from_bytes(png[16:20], "big") // 2
    uri = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return f'<img src="{uri}" alt="{escape(alt)}" width="{width}" style="max-width:100%">'
