"""Formulas: ``response ~ fixed effects + special terms``.

Special terms, such as ``spde(mesh)``, are taken out of the right side, and become calls of literals and names. The
grammar of groups, ``(x | g)``, is that of lme4 (Bates, Maechler, Bolker & Walker 2015, J. Stat. Soft. 67(1), section
2.2).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from geospde.errors import InputError
from geospde.formula.algebra import Sum
from geospde.formula.expressions import FUNCTIONS, unknown_function
from geospde.formula.parser import excerpt, parse_sides
from geospde.formula.syntax import Bar, Call, Chain, Listing, Node, Signed, Symbol, literal, parts, spelling, symbols

TENSORS = {"ti": "te(x, y), which has the main effects in it", "t2": "te(x, y), mgcv's other tensor product"}


@dataclass(frozen=True)
class TermCall:
    """A special term as written: its name, arguments (literals, or `Name` for bare words) and text."""

    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    text: str = ""

    @property
    def quoted(self) -> tuple[str, ...]:
        """Names in formulas that options hold, as in ``log_range="~ elev"``."""
        texts = (v for v in self.options.values() if isinstance(v, str) and v.lstrip().startswith("~"))
        return tuple(dict.fromkeys(name for text in texts for name in symbols(parse_sides(f"y {text}")[1])))


class Name(str):
    """A bare word in a term: the name of a column or of a mesh."""


@dataclass(frozen=True)
class Formula:
    """A formula taken apart.

    Attributes
    ----------
    text : str
    left : Node
        The left side.
    effects : Sum
        The fixed effects.
    terms : tuple of TermCall
        Special terms.
    columns : tuple of str
        Names on both sides, of columns and of meshes, and those in quoted formulas.
    """

    text: str
    left: Node
    effects: Sum
    terms: tuple[TermCall, ...]
    columns: tuple[str, ...]

    @property
    def response(self) -> str:
        """Left side as a text."""
        return str(self.left)

    @property
    def explaining(self) -> tuple[str, ...]:
        """Names on the right side, of columns and of meshes."""
        return tuple(dict.fromkeys(symbols(parse_sides(self.text)[1])))

    @property
    def response_name(self) -> str:
        """Left side as tables and pictures name it: without backquotes."""
        return spelling(self.left)

    @property
    def intercept(self) -> bool:
        """Whether the fixed effects have an intercept."""
        return self.effects.intercept

    @property
    def fixed(self) -> tuple[str, ...]:
        """Fixed-effect terms besides the intercept, as texts."""
        return self.effects.labels


def parse_formula(text: str, special: Sequence[str]) -> Formula:
    """Take a formula apart.

    Parameters
    ----------
    text : str
    special : sequence of str
        What special terms are called; any other call is of a function, in a fixed effect.

    Raises
    ------
    InputError
        Naming the place that cannot be read.

    Examples
    --------
    >>> f = parse_formula("counts ~ 1 + depth + spde(mesh, alpha=1.5, constr=True)", ["spde"])
    >>> f.response, f.intercept, f.fixed
    ('counts', True, ('depth',))
    >>> f.terms[0].name, f.terms[0].options
    ('spde', {'alpha': 1.5, 'constr': True})
    """
    left, right = parse_sides(text)
    fixed: list[tuple[str, Node]] = []
    terms: list[TermCall] = []
    for sign, node in _summands(right):
        calls = _special(node, text, special)
        if calls is None:
            fixed.append((sign, node))
        elif sign == "+":
            terms += calls
        else:
            raise InputError(f"only fixed effects can be taken out of a formula, not {node}: {excerpt(text)}")
    names = dict.fromkeys([*symbols(left), *symbols(right), *(name for call in terms for name in call.quoted)])
    return Formula(text, left, Sum.of(fixed, text), tuple(terms), tuple(names))


def _summands(node: Node) -> Iterator[tuple[str, Node]]:
    """Pairs of a sign and a summand; brackets around a mere sum are opened, unless it is taken out."""
    match node:
        case Chain(first, rest) if node.rank == 1:
            for sign, operand in (("+", first), *rest):
                if sign == "+":
                    yield from _summands(operand)
                else:
                    yield sign, operand
        case Signed("+", operand):
            yield from _summands(operand)
        case Signed(sign, operand):
            yield sign, operand
        case _:
            yield "+", node


def _special(node: Node, text: str, special: Sequence[str]) -> list[TermCall] | None:
    """The special terms that a summand stands for, or None for a fixed effect."""
    if isinstance(node, Bar):
        return _groups(node, text, special)
    if isinstance(node, Call) and node.function in special:
        return [_read_call(node)]
    for part in parts(node):
        if isinstance(part, Bar):
            raise InputError(f"a group term stands in brackets of its own, as in + (x | g): {node}")
        if isinstance(part, Call) and part.function in special:
            raise InputError(f"the term {part.function}(...) must stand alone, joined to others by +: {node}")
        if isinstance(part, Call) and part.function in TENSORS:
            raise InputError(
                f"there is no term {part.function}(...); there is {TENSORS[part.function]}: {excerpt(text)}"
            )
        if isinstance(part, Call) and part.function not in FUNCTIONS:
            raise InputError(unknown_function(part.function, text, special))
    return None


def _read_call(node: Call) -> TermCall:
    """A special term, its arguments as literals and names."""
    text = str(node)
    if node.function == "offset":
        if len(node.arguments) != 1 or node.options:
            raise InputError(f"cannot read {text}: an offset is one column, or arithmetic on columns")
        return TermCall("offset", (str(node.arguments[0]),), {}, text)
    arguments = tuple(_literal(each, text) for each in node.arguments)
    return TermCall(node.function, arguments, {name: _literal(each, text) for name, each in node.options}, text)


def _literal(node: Node, text: str) -> Any:
    """What an argument of a term stands for."""
    if isinstance(node, Symbol):
        return Name(node.name)
    if isinstance(node, Listing):
        values = [_literal(each, text) for each in node.items]
        return values if node.bracket == "[" else tuple(values)
    try:
        return literal(node)
    except ValueError:
        raise InputError(f"arguments of a term are numbers, names, strings and tuples: {text}") from None


def _groups(node: Bar, text: str, special: Sequence[str]) -> list[TermCall]:
    """The group terms of a ``(left | right)`` or ``(left || right)``, one for each covariance."""
    written = str(node)
    lefts = _independent(node.effects, written) if node.independent else [str(node.effects)]
    for part in parts(node.effects):
        if isinstance(part, Call) and part.function not in FUNCTIONS:
            raise InputError(unknown_function(part.function, text, special))
    groupings = accumulate(node.nested)  # a/b stands for a and a:b
    return [TermCall("group", (each, tuple(map(Name, names))), {}, written) for names in groupings for each in lefts]


def _independent(left: Node, written: str) -> list[str]:
    """The left sides that stand for effects without correlations: the intercept, and each term by itself."""
    if any(sign == "/" for _, node in _summands(left) if isinstance(node, Chain) for sign, _ in node.rest):
        raise InputError(f"the left side of || is a sum of terms, written out: {written}")
    effects = Sum.of([("+", left)], written)
    lefts = [f"0 + {':'.join(map(str, term))}" for term in effects.terms]
    return ["1", *lefts] if effects.intercept else lefts
