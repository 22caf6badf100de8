"""Formulas: ``response ~ fixed effects + special terms``.

The text is split here; fixed effects go on to formulae, special terms (``spde(...)``, ``iid(g)``, ``(x | g)``) are
read with `ast`, without evaluating anything. The grammar of groups is that of lme4 (Bates, Maechler, Bolker & Walker
2015, J. Stat. Soft. 67(1), section 2.2).
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import combinations
from typing import Any

from geospde.errors import InputError

SPECIAL = ("spde", "iid", "s", "offset")


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
        calls = _special(piece, text)
        if piece in ("0", "1"):
            intercept = (piece == "1") == (sign == "+")
        elif sign == "-":
            raise InputError(f"only the intercept can be taken out of a formula (- 1), not {piece!r}: {text!r}")
        elif calls is not None:
            terms += calls
        else:
            fixed.append(piece)
    return Formula(text, sides[0].strip(), intercept, tuple(fixed), tuple(terms))


def _depths(text: str, formula: str) -> Iterator[tuple[int, str, int]]:
    """Characters outside quotes: place, character and the number of brackets around it."""
    depth, quote = 0, ""
    for i, c in enumerate(text):
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"`":
            quote = c
        else:
            depth -= c in ")]}"
            if depth < 0:
                raise InputError(f"a bracket closes that was not opened in the formula {formula!r}")
            yield i, c, depth
            depth += c in "([{"
    if depth or quote:
        raise InputError(f"a {'quote' if quote else 'bracket'} is not closed in the formula {formula!r}")


def _split(text: str, separators: str, formula: str) -> list[tuple[str, str]]:
    """Split outside brackets and quotes: pairs of the separator before a piece (at first ``""``) and the piece."""
    pieces, before, start = [], "", 0
    for i, c, depth in _depths(text, formula):
        if depth == 0 and c in separators:
            pieces.append((before, text[start:i].strip()))
            before, start = c, i + 1
    pieces.append((before, text[start:].strip()))
    return pieces


def _split_sum(side: str, formula: str) -> list[tuple[str, str]]:
    """Split at + and - outside brackets and quotes: (sign, piece) pairs."""
    pieces = _split(side, "+-", formula)
    if len(pieces) > 1 and pieces[0][1] == "":  # a sign before the first term
        pieces = pieces[1:]
    for sign, piece in pieces:
        if not piece:
            raise InputError(f"a term is missing beside {sign!r} in the formula {formula!r}")
    return [(sign or "+", piece) for sign, piece in pieces]


def _special(piece: str, text: str) -> list[TermCall] | None:
    """The special terms that a piece of a formula stands for, or None for a fixed effect."""
    groups = _groups(piece, text)
    if groups is not None:
        return groups
    call = re.match(r"([A-Za-z_]\w*)\s*\(", piece)
    if not call:
        return None
    name = call[1]
    if name not in SPECIAL:
        near = get_close_matches(name, SPECIAL, 1, 0.7)
        if near:
            raise InputError(f"no term {name!r} in {text!r}; did you mean {near[0]!r}?")
        if name in ("gp", "te", "ti"):
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
    return [TermCall(name, arguments, options, piece)]


def _literal(node: ast.expr, piece: str) -> Any:
    if isinstance(node, ast.Name):
        return Name(node.id)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise InputError(f"arguments of a term are numbers, names, strings and tuples: {piece!r}") from None


def _groups(piece: str, text: str) -> list[TermCall] | None:
    """The group terms of ``(left | right)`` or ``(left || right)``, one for each covariance; None for other pieces."""
    depths = list(_depths(piece, text))
    bars = [depth for _, c, depth in depths if c == "|"]
    if not bars:
        return None
    alone = piece[0] == "(" and all(depth > 0 for _, c, depth in depths[1:-1])
    if not alone or any(depth != 1 for depth in bars):
        raise InputError(f"a group term stands in brackets of its own, as in + (x | g): {piece!r}")
    parts = _split(piece[1:-1], "|", text)
    left, right = parts[0][1], parts[-1][1]
    uncorrelated = len(parts) == 3 and parts[1][1] == ""
    if len(parts) > 2 + uncorrelated or not left or not right:
        raise InputError(f"a group term reads (effects | group) or (effects || group), not {piece!r}")
    lefts = _independent(left, piece, text) if uncorrelated else [left]
    return [TermCall("group", (each, by), {}, piece) for by in _nested(right, piece, text) for each in lefts]


def _nested(right: str, piece: str, text: str) -> list[tuple[Name, ...]]:
    """The groupings of a right side: the columns of each; a/b stands for a and a:b."""
    groupings: list[tuple[Name, ...]] = []
    before: tuple[Name, ...] = ()
    for _, step in _split(right, "/", text):
        names = [name for _, name in _split(step, ":", text)]
        if not all(re.fullmatch(r"[^\W\d][\w.]*|`[^`]+`", name) for name in names):
            raise InputError(
                f"the right side of a group term is a column, columns crossed as a:b, or nested as a/b, not {right!r}: "
                f"{piece!r}"
            )
        before += tuple(Name(name.strip("`")) for name in names)
        groupings.append(before)
    return groupings


def _independent(left: str, piece: str, text: str) -> list[str]:
    """The left sides that stand for effects without correlations: the intercept, and each term by itself."""
    lefts, intercept = [], True
    for sign, term in _split_sum(left, text):
        if term in ("0", "1"):
            intercept = (term == "1") == (sign == "+")
            continue
        crossed = [factor for _, factor in _split(term, "*", text)]
        if sign == "-" or any(not f or f.startswith("(") or "/" in f for f in crossed):
            raise InputError(f"the left side of || is a sum of terms, written out: {piece!r}")
        orders = range(1, len(crossed) + 1)
        lefts += [f"0 + {':'.join(some)}" for k in orders for some in combinations(crossed, k)]
    return ["1", *lefts] if intercept else lefts
