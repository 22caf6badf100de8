"""Variables of a formula: a column, or a call such as ``log(x)`` or ``poly(x, 2)``, computed without `eval`.

Of the tree of a formula, only columns, constants, arithmetic, comparisons and the functions named here are taken.
"""

import inspect
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula import transforms
from geospde.formula.parser import excerpt, parse_expression
from geospde.formula.syntax import Call, Chain, Constant, Power, Signed, Symbol, literal, spelling
from geospde.formula.syntax import Node as Tree
from geospde.formula.table import Coding, column_of, kind_of, label, refuse_near_numbers, values_of
from geospde.formula.thresholds import Breakpoint, Curve, Logistic
from geospde.text.words import listed, nearest

Vector = NDArray[np.float64]
Node = Callable[[pd.DataFrame], Any]

# of one argument, without a memory
PLAIN: dict[str, Callable[[Vector], Vector]] = {
    name: getattr(np, name)
    for name in (
        "abs", "ceil", "cos", "exp", "expm1", "floor", "log", "log10", "log1p", "log2", "sign", "sin", "sqrt", "tan",
    )
} | {"I": np.positive}  # fmt: skip
# of values and options, learnt from the data of the fit
LEARNT: dict[str, Callable[..., Callable[[Any], Any]]] = {
    "C": Coding.learn,
    "factor": Coding.learn,
    "breakpt": Breakpoint.learn,
    "bs": transforms.bs,
    "center": transforms.center,
    "cr": transforms.cr,
    "logistic": Logistic.learn,
    "ns": transforms.ns,
    "poly": transforms.poly,
    "scale": transforms.scale,
    "standardize": transforms.scale,
}
FUNCTIONS = (*PLAIN, *LEARNT)
_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%": operator.mod,
    "//": operator.floordiv,
}  # fmt: skip
_SIGNS: dict[str, Callable[..., Any]] = {"+": operator.pos, "-": operator.neg}
_COMPARISONS: dict[str, Callable[..., Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
MOST_OPERANDS = 1_000  # of a sum in an expression


@dataclass(frozen=True)
class Column:
    """A column of the table, of the kind that the data of the fit have; see `geospde.formula.table.values_of`."""

    name: str
    kind: str

    def __call__(self, table: pd.DataFrame) -> Any:
        """Its values: floats, truth values, or labels."""
        return values_of(table, self.name, self.kind)


@dataclass(frozen=True)
class Value:
    """A number or a text."""

    value: Any

    def __call__(self, table: pd.DataFrame) -> Any:
        """The value."""
        return self.value


@dataclass(frozen=True)
class Applied:
    """A function of other nodes' values."""

    function: Callable[..., Any]
    parts: tuple[Node, ...]

    def __call__(self, table: pd.DataFrame) -> Any:
        """The function's value."""
        return self.function(*(part(table) for part in self.parts))


@dataclass(frozen=True)
class Calculation:
    """Operators between operands, from left to right."""

    operators: tuple[Callable[..., Any], ...]

    def __call__(self, first: Any, *rest: Any) -> Any:
        """The result."""
        for apply, operand in zip(self.operators, rest):
            first = apply(first, operand)
        return first


@dataclass(frozen=True)
class Comparison:
    """A comparison: truth values, which are labels, as those of a column are."""

    test: Callable[..., Any]

    def __call__(self, left: Any, right: Any) -> pd.Series:
        """Compare numbers, or labels with a text or a number; raises TypeError for an order of labels."""
        if any(isinstance(side, (pd.Series, str)) for side in (left, right)):
            if self.test not in (operator.eq, operator.ne):
                raise TypeError
            left, right = (np.array([label(v) for v in s]) if np.ndim(s) else label(s) for s in (left, right))
        return pd.Series(np.atleast_1d(np.asarray(self.test(left, right), dtype=bool)))


def _counted(truths: Any) -> Vector:
    """Truth values as numbers: 1 where they are true."""
    return np.asarray(truths, dtype=float)


@dataclass(frozen=True)
class Expression:
    """A variable of a formula, learnt from a table.

    Attributes
    ----------
    text : str
        In one spelling, whatever the spaces of the formula.
    columns : tuple of str
        Those it reads.
    node : callable
    """

    text: str
    columns: tuple[str, ...]
    node: Node

    @property
    def levels(self) -> tuple[Any, ...]:
        """Values of its column where they are labels, as in ``C(year)``, in the order of its levels; else none."""
        node = self.node
        if isinstance(node, Applied) and isinstance(node.function, Coding) and isinstance(node.parts[0], Column):
            return node.function.levels
        return ()

    def __call__(self, table: pd.DataFrame) -> Any:
        """Its values for a table: (m,) or (m, k) floats, or a Categorical.

        Raises
        ------
        InputError
            Where a value is missing, not finite, or a level that was not learnt; it names column and row.
        """
        with np.errstate(all="ignore"):
            values = self.node(table)
        if isinstance(values, pd.Categorical):
            levels = listed(values.categories)
            self._refuse(table, values.codes < 0, f"is a level that the fit has not seen; it has {levels}")
            return values
        values = np.broadcast_to(values, (len(table), *np.shape(values)[1:])).astype(float)
        self._refuse(table, ~np.isfinite(values if values.ndim == 1 else values.sum(axis=1)), "is no finite number")
        return values

    @property
    def curve(self) -> Curve | None:
        """The curve with a threshold that it is, if it is one."""
        function = getattr(self.node, "function", None)
        return function if isinstance(function, Curve) else None

    def with_curve(self, curve: Curve) -> "Expression":
        """The same along another curve."""
        assert isinstance(self.node, Applied)
        return replace(self, node=Applied(curve, self.node.parts))

    def along(self, table: pd.DataFrame) -> Vector:
        """What the curve goes along, (m,)."""
        assert isinstance(self.node, Applied)
        return np.broadcast_to(self.node.parts[0](table), (len(table),)).astype(float)

    def _refuse(self, table: pd.DataFrame, bad: NDArray[np.bool_], what: str) -> None:
        rows = np.flatnonzero(bad)
        if rows.size:
            values = " and ".join(f"{column} = {table[column].iloc[rows[0]]!s}" for column in self.columns)
            raise InputError(f"in {{row}}, {values}: {self.text} {what}", row=table.index[rows[0]])


def learn(variable: str | Tree, table: pd.DataFrame) -> Expression:
    """Read a variable of a formula and learn from a table what it must remember.

    Raises
    ------
    InputError
        For what cannot be read or computed; of a misspelt column or function it names the nearest.

    Examples
    --------
    >>> table = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    >>> variable = learn("scale(x)", table)
    >>> variable(table), variable(pd.DataFrame({"x": [5.0]}))
    (array([-1., 0., 1.]), array([3.]))
    """
    tree = parse_expression(variable) if isinstance(variable, str) else variable
    text = spelling(tree)
    reader = _Reader(text, table)
    try:
        with np.errstate(all="ignore"):
            node, value = reader.learn(tree)
    except OverflowError:
        raise InputError(f"cannot read {excerpt(text)}: a number is too large") from None
    if not reader.columns:
        raise InputError(f"{text!r} has no column in it")
    if isinstance(value, pd.Series):
        if isinstance(tree, Symbol):
            refuse_near_numbers(value, tree.name)
        node = Applied(Coding.learn(value), (node,))
    return Expression(text, tuple(reader.columns), node)


class _Reader:
    """Walks the tree of one variable, and learns on the way."""

    def __init__(self, text: str, table: pd.DataFrame):
        self.text = text
        self.table = table
        self.columns: dict[str, None] = {}

    def learn(self, tree: Tree) -> tuple[Node, Any]:
        """A node and its value for the table."""
        match tree:
            case Symbol(name):
                kind = kind_of(column_of(self.table, name), name)
                self.columns[name] = None
                return Column(name, kind), values_of(self.table, name, kind)
            case Constant(value) if value is not None:
                value = value if isinstance(value, str) else np.float64(value)
                return Value(value), value
            case Signed(sign, operand):
                return self._arithmetic(_SIGNS[sign], [operand])
            case Power(base, exponent):
                return self._arithmetic(operator.pow, [base, exponent])
            case Chain(first, ((sign, other),)) if sign in _COMPARISONS:
                return self._comparison(_COMPARISONS[sign], first, other)
            case Chain(first, rest) if all(sign in _ARITHMETIC for sign, _ in rest):
                if len(rest) >= MOST_OPERANDS:
                    raise InputError(f"more than {MOST_OPERANDS:,} operands in {excerpt(self.text)}")
                chain = Calculation(tuple(_ARITHMETIC[sign] for sign, _ in rest))
                return self._arithmetic(chain, [first, *(operand for _, operand in rest)])
            case Call():
                return self._call(tree)
        raise InputError(f"{str(tree)!r} cannot stand in a formula: {excerpt(self.text)}")

    def number(self, tree: Tree) -> tuple[Node, Any]:
        """As `learn`, truth values as the numbers 0 and 1."""
        node, value = self.learn(tree)
        if isinstance(value, pd.Series) and value.dtype == bool:
            return Applied(_counted, (node,)), _counted(value)
        return node, value

    def _arithmetic(self, function: Callable[..., Any], parts: list[Tree]) -> tuple[Node, Any]:
        learnt = [self.number(part) for part in parts]
        for part, (_, value) in zip(parts, learnt):
            if not isinstance(value, (np.ndarray, np.float64)) or np.ndim(value) > 1:
                raise InputError(f"{spelling(part)!r} is not a number to calculate with: {excerpt(self.text)}")
        return Applied(function, tuple(node for node, _ in learnt)), function(*(value for _, value in learnt))

    def _comparison(self, compare: Callable[..., Any], left: Tree, right: Tree) -> tuple[Node, Any]:
        learnt = [self.learn(left), self.learn(right)]
        test = Comparison(compare)
        try:
            return Applied(test, tuple(node for node, _ in learnt)), test(*(value for _, value in learnt))
        except TypeError:
            raise InputError(f"labels are only equal (==) or not (!=), in {excerpt(self.text)}") from None

    def _call(self, tree: Call) -> tuple[Node, Any]:
        name = tree.function
        if name not in FUNCTIONS:
            raise InputError(unknown_function(name, self.text))
        if not tree.arguments:
            raise InputError(f"{name} takes a column first: {excerpt(self.text)}")
        of_labels = name in ("C", "factor", "I")
        node, value = self.learn(tree.arguments[0]) if of_labels else self.number(tree.arguments[0])
        if name in PLAIN:
            if len(tree.arguments) > 1 or tree.options:
                raise InputError(f"{name} takes one argument: {excerpt(self.text)}")
            if name == "I" and isinstance(value, pd.Series) and value.dtype == bool:
                return node, value
            return self._arithmetic(PLAIN[name], [tree.arguments[0]])
        if not of_labels and not (isinstance(value, np.ndarray) and value.ndim == 1):
            raise InputError(
                f"{name} takes numbers, which {spelling(tree.arguments[0])!r} are not: {excerpt(self.text)}"
            )
        if not isinstance(value, (np.ndarray, pd.Series)) or np.ndim(value) > 1:
            raise InputError(f"{name} takes a column first: {excerpt(self.text)}")
        learnt = self._learnt(tree, value)
        return Applied(learnt, (node,)), learnt(value)

    def _learnt(self, tree: Call, value: Any) -> Callable[[Any], Any]:
        """What a function learns from values, with its options."""
        name, function = tree.function, LEARNT[tree.function]
        try:
            options = [literal(each) for each in tree.arguments[1:]]
            named = {option: literal(each) for option, each in tree.options}
        except ValueError:
            raise InputError(f"options of {name} are numbers, texts and lists of them: {excerpt(self.text)}") from None
        signature = inspect.signature(function)
        try:
            signature.bind(value, *options, **named)
        except TypeError as error:
            words = ", ".join(map(str, list(signature.parameters)[1:])) or "none"
            raise InputError(f"{name}: {error} (its options: {words}): {excerpt(self.text)}") from None
        try:
            return function(value, *options, **named)
        except InputError as error:
            raise InputError(f"cannot make {spelling(tree)}: {error}") from None


def unknown_function(name: str, text: str, others: Sequence[str] = ()) -> str:
    """What to say of a function that a formula cannot call."""
    last = name.rpartition(".")[2]
    if last != name and last in FUNCTIONS:
        return f"a formula calls functions by their own names: {last}, not {name}, in {excerpt(text)}"
    known = (*FUNCTIONS, *others)
    near = nearest(name, known)
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
    return f"a formula cannot call {name!r}, as {excerpt(text)} does; {hint}"
