"""The left side of a formula: a column, or ``p(successes, trials)``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.censored import Censoring
from geospde.formula.parser import parse_expression
from geospde.formula.syntax import Call, Chain, Constant, Node, Symbol, symbols
from geospde.formula.table import column_of, kind_of, numeric
from geospde.survey.numbers import as_numbers, others_like_it
from geospde.text.words import in_brief

Vector = NDArray[np.float64]
PROPORTION = ("p", "prop", "proportion")


@dataclass(frozen=True)
class Response:
    """What a formula's left side holds.

    Attributes
    ----------
    values : (m,) array
        The response, or the successes.
    trials : (m,) array or None
    label : str
        For maps and tables.
    censoring : Censoring or None
        Of ``cens(y, censored)``: which values are bounds.
    """

    values: Vector
    trials: Vector | None
    label: str
    censoring: Censoring | None = None


def read_response(left: str | Node, table: pd.DataFrame, categories: bool = False) -> Response:
    """Read the left side of a formula against a table.

    Parameters
    ----------
    left : str or Node
    table : DataFrame
    categories : bool
        Whether an ordered factor is a response: the numbers of its levels that occur, from 1.

    Raises
    ------
    InputError
        For a form, column or value that does not fit.

    Examples
    --------
    >>> herds = pd.DataFrame({"incidence": [2, 3], "size": [14, 12]})
    >>> read_response("p(incidence, size)", herds)
    Response(values=array([2., 3.]), trials=array([14., 12.]), label='incidence / size', censoring=None)
    >>> read_response("p(incidence, 20)", herds).trials
    array([20., 20.])
    """
    match parse_expression(left) if isinstance(left, str) else left:
        case Symbol(name) if categories and _is_ordered(table, name):
            codes = table[name].cat.remove_unused_categories().cat.codes.to_numpy()
            return Response(codes + 1.0, None, name)
        case Symbol(name) if categories and not pd.api.types.is_numeric_dtype(column_of(table, name)):
            raise InputError(
                f"the response {name!r} holds labels in no order",
                remedy=f"make it an ordered factor, as in pandas.Categorical({name}, categories=[...], ordered=True)",
            )
        case Symbol(name):
            return Response(numeric(table, name, "response"), None, name)
        case Call(function, (Symbol(successes), Symbol(trials)), ()) if function in PROPORTION:
            values = numeric(table, successes, "response")
            return Response(values, numeric(table, trials, "number of trials"), f"{successes} / {trials}")
        case Call(function, (Symbol(successes), Constant(int() | float() as number)), ()) if function in PROPORTION:
            values = numeric(table, successes, "response")
            return Response(values, np.full(len(table), float(number)), f"{successes} / {number}")
        case Call("cens", (Symbol(name), Symbol(how)), ()):
            return _censored(table, name, how, None)
        case Call("cens", (Symbol(name), Symbol(how), Symbol(upper)), ()):
            return _censored(table, name, how, upper)
        case Call("cens"):
            raise InputError(f"a censored response is cens(y, censored), or cens(y, censored, y2): not {left}")
        case Call("cbind"):
            raise InputError(f"successes and trials, not failures, make a response: p(successes, trials), not {left}")
        case Call(function) if function not in PROPORTION:
            raise InputError(
                f"the left side of a formula is a column or p(successes, trials), not {left}: "
                f"make a column of {function}(...) first"
            )
        case Chain(Symbol(successes), (("/", Symbol(trials)),)):
            raise InputError(
                f"a share comes with its trials: p({successes}, {trials}) is {successes} successes of {trials} trials; "
                f"or make a column of {left} first"
            )
    raise InputError(
        f"the left side of a formula is a column or p(successes, trials), not {left}: make a column of it first"
    )


def numeric_columns(left: Node) -> list[str]:
    """Columns of a left side that must hold numbers in every row; of a censoring only the values.

    Examples
    --------
    >>> numeric_columns(parse_expression("cens(lead, below, upper)"))
    ['lead']
    """
    names = list(symbols(left))
    return names[:1] if isinstance(left, Call) and left.function == "cens" else names


def _censored(table: pd.DataFrame, name: str, how: str, upper: str | None) -> Response:
    """The response of ``cens(name, how, upper)``; an upper end may be missing where there is no interval."""
    values = numeric(table, name, "response")
    if how not in table:
        raise InputError(f"no column {how!r}, which cens({name}, {how}) names")
    words = table[how].tolist()
    ends = None
    if upper is not None:
        if upper not in table:
            raise InputError(f"no column {upper!r}, which cens({name}, {how}, {upper}) names")
        ends = _upper_ends(column_of(table, upper), upper)
    return Response(values, None, name, Censoring.read(words, values, ends))


def _upper_ends(given: pd.Series, column: str) -> Vector:
    """Upper ends of intervals, NaN where there is none; InputError for what is no number, in whatever row."""
    kind = kind_of(given, column)
    numbers = as_numbers(given)
    wrong = given.notna().to_numpy() & (np.isnan(numbers) | (kind == "truth"))
    if wrong.any():
        row = int(np.argmax(wrong))
        value = given.iloc[row].item() if isinstance(given.iloc[row], np.generic) else given.iloc[row]
        said = f"the upper ends {column!r} of a censored response are numbers: {{row}} holds"
        said += f" {in_brief(value)}{others_like_it(wrong)}"
        raise InputError(said, remedy="correct it, or leave it empty", row=given.index[row])
    return numbers


def _is_ordered(table: pd.DataFrame, name: str) -> bool:
    kind = column_of(table, name).dtype
    return isinstance(kind, pd.CategoricalDtype) and bool(kind.ordered)


def answered_rows(left: str | Node, table: pd.DataFrame, exposure: Any = None) -> NDArray[np.bool_]:
    """Tell which rows have a response; where none has, or it is no column, all.

    Examples
    --------
    >>> answered_rows("y", pd.DataFrame({"y": [2.0, np.nan]}))
    array([ True, False])
    """
    match parse_expression(left) if isinstance(left, str) else left:
        case Symbol(name) | Call(_, (Symbol(name), *_), ()) if name in table.columns:
            found = table[name].notna().to_numpy()
            return found if found.any() else np.ones(len(table), dtype=bool)
    return np.ones(len(table), dtype=bool)


def exposed_rows(left: str | Node, table: pd.DataFrame, exposure: Any) -> NDArray[np.bool_]:
    """Tell which rows say something: all, but for nothing counted under no exposure.

    Examples
    --------
    >>> exposed_rows("y", pd.DataFrame({"y": [2, 0, 0], "t": [1, 0, 2]}), "t")
    array([ True, False,  True])
    """
    none = np.ones(len(table), dtype=bool)
    node = parse_expression(left) if isinstance(left, str) else left
    if isinstance(exposure, str):
        exposure = as_numbers(table[exposure]) if exposure in table.columns else None
    if not isinstance(node, Symbol) or node.name not in table.columns or np.ndim(exposure) != 1:
        return none
    exposure = np.asarray(exposure)
    if len(exposure) != len(table) or exposure.dtype.kind not in "iuf":
        return none
    return np.asarray((exposure != 0) | (as_numbers(table[node.name]) != 0))


def tried_rows(left: str | Node, table: pd.DataFrame, exposure: Any = None) -> NDArray[np.bool_]:
    """Tell which rows say something: all, but for no successes of no trials.

    Examples
    --------
    >>> tried_rows("p(incidence, size)", pd.DataFrame({"incidence": [2, 0], "size": [14, 0]}))
    array([ True, False])
    """
    match parse_expression(left) if isinstance(left, str) else left:
        case Call(function, (Symbol(successes), Symbol(trials)), ()) if function in PROPORTION:
            empty = [as_numbers(column_of(table, name)) == 0 for name in (successes, trials)]
            value: NDArray[np.bool_] = ~(empty[0] & empty[1])
            return value
    return np.ones(len(table), dtype=bool)


TELLING = (
    (tried_rows, "trials", "with no trials"),
    (answered_rows, "response", "without a response"),
    (exposed_rows, "exposure", "of no exposure, with nothing counted,"),
)
"""Which rows of a table the likelihood is of, what they are told by, and what to say of the others."""
