"""The left side of a formula: a column, or ``p(successes, trials)``."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula.table import numeric

Vector = NDArray[np.float64]
_COLUMN = r"\s*(?:`([^`]+)`|([^\s`(),]+))\s*"
_TRIALS = re.compile(rf"(?:p|prop|proportion)\s*\({_COLUMN},{_COLUMN}\)")
_CALL = re.compile(r"(\w+)\s*\(")


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
    """

    values: Vector
    trials: Vector | None
    label: str


def read_response(text: str, table: pd.DataFrame) -> Response:
    """Read the left side of a formula against a table.

    Raises
    ------
    InputError
        For a form, column or value that does not fit.

    Examples
    --------
    >>> herds = pd.DataFrame({"incidence": [2, 3], "size": [14, 12]})
    >>> read_response("p(incidence, size)", herds)
    Response(values=array([2., 3.]), trials=array([14., 12.]), label='incidence / size')
    >>> read_response("p(incidence, 20)", herds).trials
    array([20., 20.])
    """
    text = text.strip()
    if text in table.columns:
        return Response(numeric(table, text, "response"), None, text)
    pair = _TRIALS.fullmatch(text)
    if pair:
        successes, trials = pair[1] or pair[2], pair[3] or pair[4]
        values = numeric(table, successes, "response")
        try:
            of = np.full(len(table), float(trials))
        except ValueError:
            of = numeric(table, trials, "number of trials")
        return Response(values, of, f"{successes} / {trials}")
    call = _CALL.match(text)
    if call and call[1] == "cbind":
        raise InputError(f"successes and trials, not failures, make a response: p(successes, trials), not {text!r}")
    if call:
        raise InputError(
            f"the left side of a formula is a column or p(successes, trials), not {text!r}: "
            f"make a column of {call[1]}(...) first"
        )
    column = text.strip("`")
    return Response(numeric(table, column, "response"), None, column)
