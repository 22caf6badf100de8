"""Formulas: ``response ~ fixed effects + special terms``.

The text is split here: fixed effects and left sides of groups go on to `geospde.formula.columns`; special terms, such
as ``spde(mesh)``, are read with `ast`, without evaluating anything. The grammar of groups, ``(x | g)``, is that of lme4
(Bates, Maechler, Bolker & Walker 2015, J. Stat. Soft. 67(1), section 2.2).
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from geospde.errors import InputError
from geospde.formula.expressions import FUNCTIONS, unknown_function

SPECIAL = ("spde", "iid", "s", "gp", "offset")
TENSORS = ("te", "ti", "t2")
_QUOTED = r"`[^`]*`|'[^']*'|\"[^\"]*\""


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
        Fixed-effect terms besides the intercept.
    terms : tuple of TermCall
        Special terms.
    removed : tuple of str
        Terms taken out of the fixed effects again, as ``a:b`` of ``a * b - a:b``.
    """

    text: str
    response: str
    intercept: bool
    fixed: tuple[str, ...]
    terms: tuple[TermCall, ...]
    removed: tuple[str, ...] = ()

    @property
    def fixed_sum(self) -> str:
        """The fixed effects as one sum."""
        return " + ".join([str(int(self.intercept)), *self.fixed]) + "".join(f" - {term}" for term in self.removed)


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
    intercept = True
    fixed: list[str] = []
    removed: list[str] = []
    terms: list[TermCall] = []
    for sign, piece in split_sum(sides[1], text):
        calls = _special(piece, text)
        if piece in ("0", "1"):
            intercept = (piece == "1") == (sign == "+")
        elif calls is None:
            (fixed if sign == "+" else removed).append(piece)
        elif sign == "+":
            terms += calls
        else:
            raise InputError(f"only fixed effects can be taken out of a formula, not {piece!r}: {text!r}")
    return Formula(text, sides[0].strip(), intercept, tuple(fixed), tuple(terms), tuple(removed))


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


def bracket_end(text: str, start: int) -> int:
    """The place after the bracket that closes the one at `start`."""
    return next(start + i + 1 for i, c, depth in _depths(text[start:], text) if c in ")]}" and depth == 0)


def split_sum(side: str, formula: str) -> list[tuple[str, str]]:
    """Split at + and - outside brackets and quotes: (sign, piece) pairs; brackets around a mere sum are opened."""
    pieces = _split(side, "+-", formula)
    if len(pieces) > 1 and pieces[0][1] == "":  # a sign before the first term
        pieces = pieces[1:]
    for sign, piece in pieces:
        if not piece:
            where = f"beside {sign!r}" if sign else "between brackets"
            raise InputError(f"a term is missing {where} in the formula {formula!r}")
    out = []
    for sign, piece in pieces:
        if sign != "-" and piece[0] == "(" and bracket_end(piece, 0) == len(piece) and "|" not in piece:
            out += split_sum(piece[1:-1], formula)
        else:
            out.append((sign or "+", piece))
    return out


def _special(piece: str, text: str) -> list[TermCall] | None:
    """The special terms that a piece of a formula stands for, or None for a fixed effect."""
    groups = _groups(piece, text)
    if groups is not None:
        return groups
    called = re.findall(r"([^\W\d][\w.]*)\s*\(", re.sub(_QUOTED, "''", piece))
    if not called or not re.match(rf"({'|'.join(SPECIAL)})\s*\(", piece):
        for name in called:
            if name in SPECIAL:
                raise InputError(f"the term {name}(...) must stand alone, joined to others by +: {piece!r}")
            if name in TENSORS:
                raise InputError(f"{name}(...) cannot be fitted; s(x, y, bs='gp') and spde(mesh) are smooths: {text!r}")
            if name not in FUNCTIONS:
                raise InputError(unknown_function(name, text, SPECIAL))
        return None
    if called[0] == "offset" and bracket_end(piece, piece.index("(")) == len(piece):
        return [TermCall("offset", (piece[piece.index("(") + 1 : -1].strip(),), {}, piece)]
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
    return [TermCall(called[0], arguments, options, piece)]


def _literal(node: ast.expr, piece: str) -> Any:
    if isinstance(node, ast.Name):
        return Name(node.id)
    try:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):  # a fraction, such as 5/4
            return ast.literal_eval(node.left) / ast.literal_eval(node.right)
        return ast.literal_eval(node)
    except (ValueError, TypeError, ZeroDivisionError):
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
    for sign, term in split_sum(left, text):
        if term in ("0", "1"):
            intercept = (term == "1") == (sign == "+")
            continue
        crossed = [factor for _, factor in _split(term, "*", text)]
        if sign == "-" or any(not f or f.startswith("(") or "/" in f for f in crossed):
            raise InputError(f"the left side of || is a sum of terms, written out: {piece!r}")
        orders = range(1, len(crossed) + 1)
        lefts += [f"0 + {':'.join(some)}" for k in orders for some in combinations(crossed, k)]
    return ["1", *lefts] if intercept else lefts
