"""Formulas: ``response ~ fixed effects + special terms``.

The text is split here; fixed effects go on to formulae, special terms (``spde(...)``, ``iid(g)``, ``(1 | g)``) are
read with `ast`, without evaluating anything.
"""

import ast
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from geospde.errors import InputError

SPECIAL = ("spde", "iid", "offset")


@dataclass(frozen=True)
class TermCall:
    """A special term as written: its name, arguments (literals, or `Name` for bare words) and text."""

    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    text: str = ""


class Name(str):
    """A bare word in a term: the name of a column or of a mesh."""


@dataclass(frozen=True)
class Formula:
    """A formula taken apart.

    Attributes
    ----------
    text : str
    response : str
        Left side as written.
    intercept : bool
    fixed : tuple of str
        Fixed-effect terms besides the intercept, as formulae reads them.
    terms : tuple of TermCall
        Special terms.
    """

    text: str
    response: str
    intercept: bool
    fixed: tuple[str, ...]
    terms: tuple[TermCall, ...]


def parse_formula(text: str) -> Formula:
    """Take a formula apart.

    Raises
    ------
    InputError
        Naming the place that cannot be read.

    Examples
    --------
    >>> f = parse_formula("counts ~ 1 + depth + spde(mesh, alpha=1.5, constr=True)")
    >>> f.response, f.intercept, f.fixed
    ('counts', True, ('depth',))
    >>> f.terms[0].name, f.terms[0].options
    ('spde', {'alpha': 1.5, 'constr': True})
    """
    if not isinstance(text, str):
        raise InputError(f"a formula is a string such as 'y ~ 1 + x', not a {type(text).__name__}")
    sides = text.split("~")
    if len(sides) != 2 or not sides[0].strip() or not sides[1].strip():
        raise InputError(f"a formula reads 'response ~ terms', this one does not: {text!r}")
    intercept, fixed, terms = True, [], []
    for sign, piece in _split_sum(sides[1], text):
        call = _special(piece, text)
        if piece in ("0", "1"):
            intercept = (piece == "1") == (sign == "+")
        elif sign == "-":
            raise InputError(f"only the intercept can be taken out of a formula (- 1), not {piece!r}: {text!r}")
        elif call is not None:
            terms.append(call)
        else:
            fixed.append(piece)
    return Formula(text, sides[0].strip(), intercept, tuple(fixed), tuple(terms))


def _split_sum(side: str, text: str) -> list[tuple[str, str]]:
    """Split at + and - outside brackets and quotes: (sign, piece) pairs."""
    pieces: list[tuple[str, str]] = []
    depth, quote, sign, start = 0, "", "+", 0

    def close(end: int) -> None:
        piece = side[start:end].strip()
        if piece:
            pieces.append((sign, piece))
        elif pieces or end == len(side):
            raise InputError(f"a term is missing beside {side[max(0, end - 1)]!r} in the formula {text!r}")

    for i, c in enumerate(side):
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth < 0:
                raise InputError(f"a bracket closes that was not opened in the formula {text!r}")
        elif c in "+-" and depth == 0:
            close(i)
            sign, start = c, i + 1
    if depth or quote:
        raise InputError(f"a {'quote' if quote else 'bracket'} is not closed in the formula {text!r}")
    close(len(side))
    return pieces


def _special(piece: str, text: str) -> TermCall | None:
    """The special term in a piece of a formula, or None for a fixed effect."""
    group = re.fullmatch(r"\((.*)\|(.*)\)", piece, re.DOTALL)
    if group:
        left, right = group[1].strip(), group[2].strip()
        if left != "1" or not right.isidentifier():
            raise InputError(
                f"of the group terms only a random intercept, (1 | g), can be fitted yet, not {piece!r}"
            )
        return TermCall("iid", (Name(right),), {}, piece)
    call = re.match(r"([A-Za-z_]\w*)\s*\(", piece)
    if not call:
        return None
    name = call[1]
    if name not in SPECIAL:
        near = get_close_matches(name, SPECIAL, 1, 0.7)
        if near:
            raise InputError(f"no term {name!r} in {text!r}; did you mean {near[0]!r}?")
        if name in ("s", "gp", "te", "ti"):
            raise InputError(f"the smooth term {name!r} cannot be fitted yet; spde(mesh) is a spatial smooth")
        return None
    try:
        node = ast.parse(piece, mode="eval").body
    except SyntaxError as error:
        raise InputError(f"cannot read the term {piece!r} in the formula: {error.msg}") from None
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise InputError(f"the term {piece!r} must stand alone, joined to others by +")
    arguments = tuple(_literal(a, piece) for a in node.args)
    options = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise InputError(f"** is not allowed in the term {piece!r}")
        options[keyword.arg] = _literal(keyword.value, piece)
    return TermCall(name, arguments, options, piece)


def _literal(node: ast.expr, piece: str) -> Any:
    if isinstance(node, ast.Name):
        return Name(node.id)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise InputError(f"arguments of a term are numbers, names, strings and tuples: {piece!r}") from None
