"""The tree of a formula: what the parser makes of a text, and how it is written as a text again.

Signs of one rank that are joined from the left, as in ``a - b + c``, are one node with many operands, so that a long
sum is no deep tree.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

NAME = re.compile(r"[^\W\d][\w.]*")
WORDS: dict[str, bool | None] = {"True": True, "False": False, "None": None, "TRUE": True, "FALSE": False}
# signs by rank, the loosest first; those before an operand stand between 2 and 3, powers above all
RANKS = (("==", "!=", "<=", ">=", "<", ">"), ("+", "-"), ("*", "/", "//", "%"), (":", "%in%"))
BEFORE, POWER, ATOM = 2.5, 4.0, 5.0


class Node:
    """A part of a formula; ``str`` writes it so that it is read as the same tree."""

    def __str__(self) -> str:
        return _written(self, True)[0]


@dataclass(frozen=True)
class Symbol(Node):
    """A name: of a column, or of a mesh."""

    name: str


@dataclass(frozen=True)
class Constant(Node):
    """A number, a text, or ``True``, ``False``, ``None``."""

    value: float | str | bool | None


@dataclass(frozen=True)
class Call(Node):
    """A function of arguments, and of options by name."""

    function: str
    arguments: tuple[Node, ...] = ()
    options: tuple[tuple[str, Node], ...] = ()


@dataclass(frozen=True)
class Chain(Node):
    """Operands joined by signs of one rank, from the left: pairs of a sign and an operand follow the first."""

    first: Node
    rest: tuple[tuple[str, Node], ...]

    @property
    def rank(self) -> int:
        """Place of the signs in `RANKS`."""
        return next(k for k, signs in enumerate(RANKS) if self.rest[0][0] in signs)


@dataclass(frozen=True)
class Signed(Node):
    """An operand with ``-`` or ``+`` before it."""

    sign: str
    operand: Node


@dataclass(frozen=True)
class Power(Node):
    """A base and its exponent."""

    base: Node
    exponent: Node


@dataclass(frozen=True)
class Listing(Node):
    """Values in brackets: ``(a, b)`` or ``[a, b]``."""

    items: tuple[Node, ...]
    bracket: str


@dataclass(frozen=True)
class Bar(Node):
    """Effects of the levels of a group, ``(effects | group)``.

    Attributes
    ----------
    effects : Node
    nested : tuple of tuple of str
        Columns of the group, those of ``a:b/c`` as ``(("a", "b"), ("c",))``.
    independent : bool
        Whether the effects have no correlations: ``||``.
    """

    effects: Node
    nested: tuple[tuple[str, ...], ...]
    independent: bool


def quoted(name: str) -> str:
    """A name as a formula writes it: in backquotes where it would be read as something else."""
    return name if NAME.fullmatch(name) and name not in WORDS else f"`{name}`"


def spelling(node: Node) -> str:
    """A node as tables and pictures name it: without backquotes."""
    return _written(node, False)[0]


def parts(node: Node) -> Iterator[Node]:
    """A node and all nodes in it, in order."""
    yield node
    match node:
        case Call(_, arguments, options):
            inside = [*arguments, *(value for _, value in options)]
        case Chain(first, rest):
            inside = [first, *(operand for _, operand in rest)]
        case Signed(_, operand):
            inside = [operand]
        case Power(base, exponent):
            inside = [base, exponent]
        case Listing(items, _):
            inside = list(items)
        case Bar(effects, _, _):
            inside = [effects]
        case _:
            inside = []
    for each in inside:
        yield from parts(each)


def symbols(node: Node) -> Iterator[str]:
    """Names that a node has in it; those of functions and options are none."""
    for part in parts(node):
        if isinstance(part, Symbol):
            yield part.name
        elif isinstance(part, Bar):
            yield from (name for names in part.nested for name in names)


def literal(node: Node) -> Any:
    """The value of a constant, a fraction such as 5/4, or a list or tuple of them; raises ValueError for others."""
    match node:
        case Constant(value):
            return value
        case Listing(items, bracket):
            values = [literal(each) for each in items]
            return values if bracket == "[" else tuple(values)
        case Signed(sign, operand):
            value = _number(operand)
            return -value if sign == "-" else value
        case Chain(first, (("/", divisor),)) if _number(divisor) != 0:
            return _number(first) / _number(divisor)
    raise ValueError(node)


def _number(node: Node) -> Any:
    value = literal(node)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(node)
    return value


def _written(node: Node, exact: bool) -> tuple[str, float]:
    """The text of a node and its rank; exact, or as tables have it."""
    match node:
        case Symbol(name):
            return quoted(name) if exact else name, ATOM
        case Constant(value):
            return _text(value) if isinstance(value, str) else repr(value), ATOM
        case Call(function, arguments, options):
            parts = [_written(part, exact)[0] for part in arguments]
            parts += [f"{name}={_written(value, exact)[0]}" for name, value in options]
            return f"{function}({', '.join(parts)})", ATOM
        case Listing(items, bracket):
            inside = ", ".join(_written(part, exact)[0] for part in items)
            if bracket == "[":
                return f"[{inside}]", ATOM
            return f"({inside}{',' if len(items) == 1 else ''})", ATOM
        case Bar(effects, nested, independent):
            group = "/".join(":".join(quoted(name) if exact else name for name in names) for names in nested)
            return f"({_written(effects, exact)[0]} {'||' if independent else '|'} {group})", ATOM
        case Signed(sign, operand):
            return sign + _within(operand, BEFORE, exact), BEFORE
        case Power(base, exponent):
            return f"{_within(base, ATOM, exact)} ** {_exponent(exponent, exact)}", POWER
        case Chain(first, rest):
            parts = [_within(first, node.rank + 0.5, exact)]
            for sign, operand in rest:
                text = _within(operand, node.rank + 0.5, exact)
                text = f"({text})" if node.rank <= 1 and text[0] in "+-" else text
                parts.append(f":{text}" if sign == ":" else f" {sign} {text}")
            return "".join(parts), node.rank
    raise TypeError(node)


def _within(node: Node, rank: float, exact: bool) -> str:
    """The text of an operand, in brackets where its own signs are looser."""
    text, own = _written(node, exact)
    return text if own >= rank else f"({text})"


def _exponent(node: Node, exact: bool) -> str:
    if isinstance(node, Signed):
        return node.sign + _exponent(node.operand, exact)
    return _within(node, POWER, exact)


def _text(value: str) -> str:
    """A text in quotes."""
    quote = '"' if "'" in value and '"' not in value else "'"
    return quote + re.sub(rf"([\\{quote}])", r"\\\1", value) + quote
