"""Variables of a formula: a column, or a call such as ``log(x)`` or ``poly(x, 2)``, computed without `eval`.

The text is parsed by `ast`; of what that gives, only columns, constants, arithmetic, comparisons and the functions
named here are taken.
"""

import ast
import inspect
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula import transforms
from geospde.formula.table import Coding, column_of, label, values_of
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
    "bs": transforms.bs,
    "center": transforms.center,
    "cr": transforms.cr,
    "ns": transforms.ns,
    "poly": transforms.poly,
    "scale": transforms.scale,
    "standardize": transforms.scale,
}
FUNCTIONS = (*PLAIN, *LEARNT)
_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.Mod: operator.mod, ast.FloorDiv: operator.floordiv,
    ast.UAdd: operator.pos, ast.USub: operator.neg,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    name: str

    def __call__(self, table: pd.DataFrame) -> Any:
        """Its values: floats, or labels."""
        return values_of(table, self.name)


@dataclass(frozen=True)
class Constant:
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
class Comparison:
    """A comparison, 1 where it holds and 0 elsewhere."""

    test: Callable[..., Any]

    def __call__(self, left: Any, right: Any) -> Vector:
        """Compare numbers, or labels with a text or a number; raises TypeError for an order of labels."""
        if any(isinstance(side, (pd.Series, str)) for side in (left, right)):
            if self.test not in (operator.eq, operator.ne):
                raise TypeError
            left, right = (np.array([label(v) for v in s]) if np.ndim(s) else label(s) for s in (left, right))
        return np.asarray(self.test(left, right), dtype=float)


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

    def _refuse(self, table: pd.DataFrame, bad: NDArray[np.bool_], what: str) -> None:
        rows = np.flatnonzero(bad)
        if rows.size:
            held = " and ".join(f"{column} = {table[column].iloc[rows[0]]!s}" for column in self.columns)
            raise InputError(f"in row {table.index[rows[0]]}, {held}: {self.text} {what}")


def learn(text: str, table: pd.DataFrame) -> Expression:
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
    reader = _Reader(text, table)
    try:
        with np.errstate(all="ignore"):
            node, value = reader.learn(reader.tree)
    except (RecursionError, OverflowError):
        raise InputError(f"cannot read {_short(text)}: it is too deep, or a number too large") from None
    if not isinstance(value, (np.ndarray, pd.Categorical)):
        if not isinstance(value, pd.Series):
            raise InputError(f"{text!r} has no column in it")
        coding = Coding.learn(value)
        node = Applied(coding, (node,))
    return Expression(reader.spelling(), tuple(reader.columns), node)


def _short(text: str) -> str:
    return repr(text if len(text) < 80 else text[:76] + " ...")


class _Reader:
    """Walks the tree of one text, and learns on the way."""

    def __init__(self, text: str, table: pd.DataFrame):
        self.text = text
        self.table = table
        self.columns: dict[str, None] = {}
        self.quoted: dict[str, str] = {}
        plain = re.sub(r"`([^`]+)`|'[^']*'|\"[^\"]*\"|\^", self._plain, text)
        try:
            self.tree = ast.parse(plain.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InputError(f"cannot read {_short(text)}: {getattr(error, 'msg', None) or 'too deep'}") from None

    def _plain(self, found: re.Match[str]) -> str:
        """A name for a backquoted column, and Python's power for R's."""
        if found[0] == "^":
            return "**"
        if not found[1]:
            return found[0]
        word = f"quoted{len(self.quoted)}_"
        while word in self.text:
            word += "_"
        self.quoted[word] = found[1]
        return word

    def spelling(self) -> str:
        """The text in one spelling."""
        text = ast.unparse(self.tree)
        for word, column in self.quoted.items():
            text = text.replace(word, column)
        return text

    def learn(self, tree: ast.expr) -> tuple[Node, Any]:
        """A node and its value for the table."""
        if isinstance(tree, (ast.Name, ast.Attribute)):  # a column's name may have dots in it
            return self._column(tree)
        if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float, str)):
            value = tree.value if isinstance(tree.value, str) else np.float64(tree.value)
            return Constant(value), value
        if isinstance(tree, (ast.UnaryOp, ast.BinOp)) and type(tree.op) in _OPERATORS:
            parts = [tree.operand] if isinstance(tree, ast.UnaryOp) else [tree.left, tree.right]
            return self._arithmetic(_OPERATORS[type(tree.op)], parts)
        if isinstance(tree, ast.Compare) and len(tree.ops) == 1 and type(tree.ops[0]) in _OPERATORS:
            return self._comparison(tree)
        if isinstance(tree, ast.Call):
            return self._call(tree)
        raise InputError(f"{ast.unparse(tree)!r} cannot stand in a formula: {self.text!r}")

    def _column(self, tree: ast.expr) -> tuple[Node, Any]:
        name = ast.unparse(tree)
        name = self.quoted.get(name, name)
        column_of(self.table, name)
        self.columns[name] = None
        return Column(name), values_of(self.table, name)

    def _arithmetic(self, function: Callable[..., Any], parts: list[ast.expr]) -> tuple[Node, Any]:
        learnt = [self.learn(part) for part in parts]
        for part, (_, value) in zip(parts, learnt):
            if not isinstance(value, (np.ndarray, np.float64)) or np.ndim(value) > 1:
                raise InputError(f"{ast.unparse(part)!r} is no number to calculate with: {self.text!r}")
        return Applied(function, tuple(node for node, _ in learnt)), function(*(value for _, value in learnt))

    def _comparison(self, tree: ast.Compare) -> tuple[Node, Any]:
        learnt = [self.learn(tree.left), self.learn(tree.comparators[0])]
        test = Comparison(_OPERATORS[type(tree.ops[0])])
        try:
            return Applied(test, tuple(node for node, _ in learnt)), test(*(value for _, value in learnt))
        except TypeError:
            raise InputError(f"labels are only equal (==) or not (!=), in {self.text!r}") from None

    def _call(self, tree: ast.Call) -> tuple[Node, Any]:
        name = ast.unparse(tree.func)
        if name not in FUNCTIONS:
            raise InputError(unknown_function(name, self.text))
        if not tree.args:
            raise InputError(f"{name} takes a column first: {self.text!r}")
        node, value = self.learn(tree.args[0])
        if name in PLAIN:
            if len(tree.args) > 1 or tree.keywords:
                raise InputError(f"{name} takes one argument: {self.text!r}")
            return self._arithmetic(PLAIN[name], [tree.args[0]])
        if name not in ("C", "factor") and not (isinstance(value, np.ndarray) and value.ndim == 1):
            raise InputError(f"{name} takes numbers, which {ast.unparse(tree.args[0])!r} are not: {self.text!r}")
        if not isinstance(value, (np.ndarray, pd.Series)) or np.ndim(value) > 1:
            raise InputError(f"{name} takes a column first: {self.text!r}")
        function = LEARNT[name]
        try:
            options = [ast.literal_eval(each) for each in tree.args[1:]]
            named = {str(each.arg): ast.literal_eval(each.value) for each in tree.keywords}
        except ValueError:
            raise InputError(f"options of {name} are numbers, texts and lists of them: {self.text!r}") from None
        signature = inspect.signature(function)
        try:
            signature.bind(value, *options, **named)
        except TypeError as error:
            words = ", ".join(map(str, list(signature.parameters)[1:])) or "none"
            raise InputError(f"{name}: {error} (its options: {words}): {self.text!r}") from None
        try:
            learnt = function(value, *options, **named)
        except InputError as error:
            raise InputError(f"cannot make {ast.unparse(tree)}: {error}") from None
        return Applied(learnt, (node,)), learnt(value)


def unknown_function(name: str, text: str, others: Sequence[str] = ()) -> str:
    """What to say of a function that a formula cannot call."""
    last = name.rpartition(".")[2]
    if last != name and last in FUNCTIONS:
        return f"a formula calls functions by their own names: {last}, not {name}, in {text!r}"
    known = (*FUNCTIONS, *others)
    near = nearest(name, known)
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
    return f"a formula cannot call {name!r}, as {text!r} does; {hint}"
