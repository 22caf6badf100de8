"""Output that gets through: to streams that lack characters, to pipes that close, to devices that are full."""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from typing import IO

_PLAIN = {
    "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{EM DASH}": "-", "\N{RIGHTWARDS ARROW}": "->",
    "\N{DEGREE SIGN}": " deg",
    "\N{MULTIPLICATION SIGN}": "x", "\N{SUPERSCRIPT TWO}": "2", "\N{MICRO SIGN}": "u", "\N{MIDDLE DOT}": ".",
    "\N{LESS-THAN OR EQUAL TO}": "<=", "\N{GREATER-THAN OR EQUAL TO}": ">=", "\N{ALMOST EQUAL TO}": "~",
    "\N{HORIZONTAL ELLIPSIS}": "...", "\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"', "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}  # fmt: skip
_HANDLER = "geospde.plain"


def plain(character: str) -> str:
    """Return a character in ASCII: what stands for it, its base letter, a dash or bar for a line, else ``?``.

    Examples
    --------
    >>> [plain(c) for c in "→−é─│語"]
    ['->', '-', 'e', '-', '|', '?']
    """
    if character in _PLAIN:
        return _PLAIN[character]
    name = unicodedata.name(character, "")
    if name.startswith("BOX DRAWINGS"):
        return "-" if "HORIZONTAL" in name else "|" if "VERTICAL" in name else "+"
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return base or "?"


def open_closed() -> None:
    """Put the null device in place of standard streams that are closed (``>&-``), before a file takes their number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))


def write_anywhere(*streams: IO[str]) -> None:
    """Let streams write plain ASCII in place of a character that their encoding lacks."""
    codecs.register_error(_HANDLER, _replaced)
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def written_out(stream: IO[str]) -> OSError | None:
    """Write out what a stream still holds, or return why that fails; the rest then goes nowhere."""
    try:
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end
