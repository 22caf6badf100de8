"""Columns of a design that a formula makes of a table: the fixed effects, and the left sides of groups."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula.expressions import Expression, learn
from geospde.formula.formula import Formula, bracket_end, split_sum
from geospde.text.words import counted

Vector = NDArray[np.float64]
_TOKEN = re.compile(r"(?P<variable>`[^`]+`|[^\W\d][\w.]*)|(?P<number>\d+)|(?P<sign>\*\*|[-+*/:^()])")
_OPENED = re.compile(r"\s*\(")
_SIGNS = ("**", "-", "+", "*", "/", ":", "(")  # what a variable may follow
MOST_CROSSED = 6  # signs of crossing in a term: more would make hundreds of columns


class Columns:
    """Columns that a sum of terms, such as ``1 + x + log(z):fac``, makes of a table.

    The variables of the terms are computed here; crossing, nesting and the coding of factors is left to formulae,
    which sees the variables as plain columns of a frame.

    Attributes
    ----------
    names : list of str
        Of the columns, as formulae writes them.
    matrix : (m, k) array
        For the table that the terms were read against.
    """

    def __init__(self, text: str, table: pd.DataFrame):
        self._variables: list[Expression] = []
        self._design: Any = None
        if text in ("0", "1"):
            self.names = ["Intercept"] * int(text)
            self.matrix = np.ones((len(table), int(text)))
            return
        kept, removed = [], ["0"]
        for sign, piece in split_sum(text, text):
            if piece in ("0", "1"):
                kept.append(piece if sign == "+" else str(1 - int(piece)))
            else:
                (kept if sign == "+" else removed).append(self._plain(piece, table))
        intercept, terms = _expanded(kept, text)
        for term in _expanded(removed, text)[1]:
            same = [t for t in terms if set(t) == set(term)]
            if not same:
                raise InputError(f"there is no {':'.join(map(self._spelt, term))!r} to take out of {text!r}")
            terms.remove(same[0])
        if not terms:
            self.names = ["Intercept"] * intercept
            self.matrix = np.ones((len(table), intercept))
            return
        import formulae

        frame = self._frame(table)
        of_variable = {word: [c for c in frame if c.startswith(f"{word}column")] for term in terms for word in term}
        pieces = [":".join(columns) for term in terms for columns in product(*(of_variable[word] for word in term))]
        written = " + ".join([str(int(intercept)), *pieces])
        self._design = formulae.design_matrices(written, frame, na_action="pass").common
        self.names = [self._spelt(str(name)) for name in self._design.as_dataframe().columns]
        self.matrix = np.asarray(self._design).astype(float)

    @property
    def needs(self) -> list[str]:
        """Columns of a table that are read."""
        return list(dict.fromkeys(column for variable in self._variables for column in variable.columns))

    def of(self, table: pd.DataFrame) -> Vector:
        """The same columns for a new table, (m, k).

        Raises
        ------
        InputError
            For a column that is not there, a value that is missing, or a level that the fit has not seen.
        """
        for column in self.needs:
            if column not in table.columns:
                raise InputError(
                    f"prediction needs the column {column!r} of the model", remedy="give predict a table that has it"
                )
        if self._design is None:
            return np.ones((len(table), len(self.names)))
        return np.asarray(self._design.evaluate_new_data(self._frame(table))).astype(float)

    def _plain(self, piece: str, table: pd.DataFrame) -> str:
        """A term in words and signs alone: a variable is learnt, and a word stands for it."""
        words: list[str] = []
        for kind, text in _tokens(piece):
            if words and (kind != "sign" or text == "(") and words[-1] not in _SIGNS:
                raise InputError(f"a sign is missing before {text!r} in the term {piece!r}")
            if kind == "number" and int(text) > (MOST_CROSSED if words[-1:] == ["**"] else 1):
                raise InputError(f"{text} in the term {piece!r}: a number is 0, 1 or a power; arithmetic reads I(...)")
            words.append(self._word(text, table) if kind == "variable" else "**" if text == "^" else text)
        if words.count("*") > MOST_CROSSED:
            raise InputError(f"the term {piece!r} crosses more than {MOST_CROSSED + 1} variables")
        return " ".join(words)

    def _word(self, text: str, table: pd.DataFrame) -> str:
        """The word that stands for a variable."""
        variable = learn(text, table)
        known = [v.text for v in self._variables]
        if variable.text not in known:
            self._variables.append(variable)
            known.append(variable.text)
        return f"variable{known.index(variable.text)}"

    def _spelt(self, name: str) -> str:
        """A name with each variable's own text for the word that stands for it."""

        def own(found: re.Match[str]) -> str:
            text, column = self._variables[int(found[1])].text, found[2]
            return text if column is None else f"{text}[{column}]"

        return re.sub(r"variable(\d+)(?:column(\d*))?", own, name).replace("[]", "")

    def _frame(self, table: pd.DataFrame) -> pd.DataFrame:
        """The variables' columns of a table."""
        columns: dict[str, Any] = {}
        for k, variable in enumerate(self._variables):
            values = variable(table)
            if values.ndim == 1:
                columns[f"variable{k}column"] = values
            else:
                columns |= {f"variable{k}column{j}": values[:, j] for j in range(values.shape[1])}
        return pd.DataFrame(columns)


def _tokens(piece: str) -> Iterator[tuple[str, str]]:
    """Variables, numbers and signs of a term; a call is a variable with all that is in its brackets."""
    at = 0
    while at < len(piece):
        if piece[at].isspace():
            at += 1
            continue
        token = _TOKEN.match(piece, at)
        if token is None:
            hint = "; arithmetic reads I(...)" if piece[at] in "{<>=!%" else ""
            raise InputError(f"cannot read {piece[at]!r} in the term {piece!r}{hint}")
        kind, end = str(token.lastgroup), token.end()
        opened = _OPENED.match(piece, end) if kind == "variable" else None
        if opened:
            end = bracket_end(piece, opened.end() - 1)
        yield kind, piece[at:end]
        at = end


def _expanded(pieces: list[str], text: str) -> tuple[bool, list[list[str]]]:
    """Whether a sum has an intercept, and its terms, each a list of crossed words."""
    import formulae

    try:
        terms = formulae.model_description(" + ".join(pieces)).common_terms
    except Exception:  # formulae's own errors have no common class
        raise InputError(
            f"cannot read {text!r}: signs stand between terms, and the power of a sum in brackets is a number"
        ) from None
    names = [str(term.name) for term in terms]
    crossed: dict[frozenset[str], list[str]] = {}  # x:z and z:x are one term
    for name in names:
        if not name.endswith("Intercept"):
            crossed.setdefault(frozenset(name.split(":")), name.split(":"))
    return "Intercept" in names, list(crossed.values())


class FixedEffects:
    """The fixed effects' columns of the design."""

    def __init__(self, formula: Formula, table: pd.DataFrame):
        self._columns = Columns(formula.fixed_sum, table)
        self.names = self._columns.names
        refuse_collinear(self._columns.matrix, self.names)

    @property
    def needs(self) -> list[str]:
        """Columns of a table that are read."""
        return self._columns.needs

    def columns(self, table: pd.DataFrame, new: bool) -> sp.csr_matrix:
        """Rows of the design."""
        return sp.csr_matrix(self._columns.of(table) if new else self._columns.matrix)


def refuse_collinear(matrix: Vector, names: list[str]) -> None:
    """Raise InputError where columns of a design are a combination of others, or more than its rows; it names them."""
    rows, width = matrix.shape
    if width > rows:
        raise InputError(
            f"{counted(rows, 'observation')} cannot tell {counted(width, 'fixed effect')}: take fewer terms, or make a "
            "factor of many levels a group, (1 | g)"
        )
    lengths = np.linalg.norm(matrix, axis=0)
    for name, size in zip(names, lengths):
        if size == 0:
            what = "no row is in this cell of the interaction" if ":" in name else "it is 0 in every row"
            raise InputError(f"the fixed effect {name!r} cannot be estimated: {what}; drop it or merge levels")
    scaled: Vector = np.asarray(np.linalg.qr(matrix / lengths, mode="r")) if width else matrix
    if np.linalg.matrix_rank(scaled) == width:
        return
    for k in range(1, width):
        weights, *_ = np.linalg.lstsq(scaled[:, :k], scaled[:, k], rcond=None)
        if np.linalg.norm(scaled[:, :k] @ weights - scaled[:, k]) < 1e-9:
            others = [name for name, weight in zip(names, weights) if abs(weight) > 1e-7]
            raise InputError(
                f"the fixed effects {', '.join([*others, names[k]])} are collinear, {names[k]} is a combination of the "
                f"{'others' if len(others) > 1 else 'other'}: drop one of them"
            )
