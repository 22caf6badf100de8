"""Numbers that no computation in double precision survives, refused before a fit, with their row and a remedy."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype

from geospde.errors import InputError
from geospde.families.base import Family
from geospde.families.registry import binary

Vector = NDArray[np.float64]

LARGEST = 1e100  # largest number: its square, and a sum of many squares, is still finite
LINEAR = 1e40  # largest response under the identity link: the precision of a field has its sixth power
WHOLE = 2.0**53  # whole numbers beyond it cannot be told from their neighbours
MOST = 1e11  # largest count of a family whose variance follows its mean: beyond it the curvature swamps the prior
HEAVIEST = 1e12  # largest distance of a response beside the median: beyond it one row swamps all others
DECADES = 1e18  # largest positive response beside the median: beyond it curvature at a first guess swamps the prior
APART = 1e10  # largest ratio of an exposure, weight or offset to the median: beyond it one row swamps all others
FAR = 300.0  # largest distance of an intercept's prior from the data, in units of what default priors let a field reach
LAST_DIGITS = 1e-12  # smallest relative difference between numbers that has digits to speak of


def refuse_truths(table: pd.DataFrame, column: str, family: Family) -> None:
    """Raise InputError for a response of True and False where the family is of other numbers."""
    if family.is_binary or column not in table.columns or not is_bool_dtype(table[column].dtype):
        return
    remedy = f"take the family {binary().name!r}, or make numbers of it"
    raise InputError(f"the response {column!r} holds True and False, and the family is {family.name!r}", remedy=remedy)


def check_response(values: Vector, family: Family) -> None:
    """Raise InputError for a response beyond what can be computed with, or a count that is no longer exact."""
    largest = LINEAR if family.link.is_linear else LARGEST
    _refuse(np.abs(values) > largest, values, "the response", f"beyond {largest:g}", "give it in another unit")
    if family.is_discrete:
        _refuse(values > WHOLE, values, "a count", "beyond 2^53, no longer exact", "correct it, or model a rate")
        if family.fixed_scatter:
            why = f"beyond {MOST:g}, where a {family.name} count scatters by less than a fit can tell"
            _refuse(values > MOST, values, "a count", why, "correct it, or model its logarithm")
    _refuse_alone(values, family)
    if family.is_discrete:
        return
    finite = values[np.isfinite(values)]
    if not finite.size:
        return
    tiny = (values != 0) & (np.abs(values) < 1 / largest)
    if family.outside(np.zeros(1)).any() or np.abs(finite).max() < 1 / largest:
        _refuse(tiny, values, "the response", f"nearer to 0 than {1 / largest:g}", "give it in another unit")
    apart, most = float(np.ptp(finite)), float(np.abs(finite).max())
    if 0 < apart < LAST_DIGITS * most:
        raise InputError(
            f"all responses lie within {apart:.3g} of {finite[0]:.6g}, and differ in their last digits only",
            remedy="subtract what they have in common",
        )


def _refuse_alone(values: Vector, family: Family) -> None:
    """Raise InputError for a response beside which all others are nothing.

    Positive measurements, as of a gamma distribution, may span many decades: their logarithms are what is modelled.
    """
    if not family.is_discrete and family.outside(np.full(1, -1.0)).any():
        if (values > 0).any():
            usual = float(np.median(values[values > 0]))
            why = f"beyond {DECADES:g} times the median, {usual:g}"
            _refuse(values / DECADES > usual, values, "the response", why, "correct it, or leave the row out")
        return
    middle = float(np.median(values)) if values.size else 0.0
    away = np.abs(values - middle)
    if (away > 0).any():
        usual = float(np.median(away[away > 0]))
        why = f"and half of those that differ from {middle:g} do so by no more than {usual:g}"
        _refuse(away > HEAVIEST * usual, values, "the response", why, "correct it, or leave the row out")


def check_exposure(values: Vector | None, responses: Vector, *, is_pattern: bool = False) -> None:
    """Raise InputError for an exposure that is nearly zero or infinite, or beside which the others are.

    The weights of a pattern's quadrature may differ by any factor: those of slivers are nearly zero. So may an exposure
    at which nothing was found, which says nothing.
    """
    if values is None:
        return
    off = (values > LARGEST) | ((values > 0) & (values < 1 / LARGEST))
    _refuse(off, values, "the exposure", f"not between {1 / LARGEST:g} and {LARGEST:g}", "give it in another unit")
    if not is_pattern and values.any():
        usual = float(np.median(values[values > 0]))
        off = (values > APART * usual) | ((values > 0) & (values < usual / APART) & (responses != 0))
        _refuse(off, values, "the exposure", f"and the median {usual:g}", "correct it, or leave the row out")


def check_offset(values: Vector, responses: Vector, family: Family) -> None:
    """Raise InputError for an offset beside which the response of its row, and those of all others, are nothing."""
    if not family.link.is_linear or values.shape != responses.shape:
        return
    middle = float(np.median(values))
    away = np.abs(values - middle)
    usual = max(float(np.median(np.abs(responses))), float(np.median(away)))
    why = f"and half of the responses are no larger than {usual:g}"
    _refuse((usual > 0) & (away > APART * usual), values, "the offset", why, "correct it, or leave the row out")


def check_intercept(mean: float, sd: float, predictors: Vector, reach: float) -> None:
    """Raise InputError for a prior of the intercept that lies so far from the data that no fit bridges it.

    Parameters
    ----------
    mean, sd : float
        Of the prior.
    predictors : (m,) array
        Where the responses themselves put the predictor.
    reach : float
        How far from the intercept it goes.
    """
    middle = float(np.median(predictors))
    if abs(mean - middle) - 10 * sd > FAR * reach:
        raise InputError(
            f"the prior of 'Intercept' is about {mean:g}, within {sd:g} or so, and the responses put the linear "
            f"predictor about {middle:.3g}",
            remedy="it is on the scale of the link: move it, or make it wider",
        )


def check_weights(values: Vector | None) -> None:
    """Raise InputError for weights that are all zero, or too large."""
    if values is not None:
        if not values.any():
            raise InputError("all weights are zero, which leaves no data: leave weights out, or give some above 0")
        tiny = (values > 0) & (values < 1 / LARGEST)
        _refuse(tiny, values, "the weight", f"below {1 / LARGEST:g}, nearly none", "give 0, or other weights")
        _refuse(values > LARGEST, values, "the weight", f"beyond {LARGEST:g}", "divide all weights by one number")
        usual = float(np.quantile(values[values > 0], 0.75, method="lower"))  # half may count for nearly nothing
        why = f"and three quarters are no more than {usual:g}"
        _refuse(values > APART * usual, values, "the weight", why, "mend it")


def _refuse(off: Any, values: Vector, what: str, why: str, remedy: str) -> None:
    rows = np.flatnonzero(off)
    if rows.size:
        more = f" ({rows.size} such rows)" if rows.size > 1 else ""
        raise InputError(f"{what} of {{row}} is {values[rows[0]]:g}, {why}{more}", remedy=remedy, row=int(rows[0]))
