"""Wald's test of a hypothesis about estimates with normal errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from geospde.errors import InputError
from geospde.results.hypothesis import Difference, Row, level_of

STEP = 1e-4  # of a derivative, in standard errors: its own error is of the order of its square


@dataclass(frozen=True, repr=False)
class WaldTest(Row):
    """Wald's test of ``left > right``, ``left < right`` or ``left = right``.

    Attributes
    ----------
    text : str
    estimate, se : float
        Of left minus right; by the delta method where that is not linear.
    lower, upper : float
        Of its interval; 90 % for one-sided hypotheses (so that each end leaves out 5 %), 95 % for ``=``.
    statistic : float
        Estimate over standard error.
    df : float
        Of the t distribution that it is judged by, the fewest of the fixed effects that it is of; infinite for the
        normal one.
    p : float
        One-sided hypotheses are the alternative: the p-value of their opposite. Of ``=``, the two-sided p-value of the
        equality.
    """

    estimate: float
    se: float
    lower: float
    upper: float
    statistic: float
    df: float
    p: float


def wald_test(
    difference: Difference,
    level: float | None,
    normal: Callable[[Mapping[str, float]], tuple[float, float]],
    degrees: Mapping[str, float],
) -> WaldTest:
    """Test a hypothesis.

    Parameters
    ----------
    difference : Difference
    level : float or None
        Of the interval.
    normal : callable
        From the weights of a linear combination to its estimate and standard error.
    degrees : mapping
        Degrees of freedom of the names that have some.

    Raises
    ------
    InputError
        For what is no number about the estimates.
    """
    level = level_of(level, difference.sign)
    if difference.linear is not None:
        weights, constant = difference.linear
        estimate, se = normal(weights)
        estimate += constant
    else:
        estimate, weights = _linearised(difference, normal)
        se = normal(weights)[1]
    df = min((degrees.get(name, np.inf) for name in weights), default=np.inf)
    reach = float(ndtri(0.5 + 0.5 * level) if np.isinf(df) else stdtrit(df, 0.5 + 0.5 * level)) * se
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.float64(estimate) / se)
    toward = -abs(ratio) if difference.sign == "=" else -ratio if difference.sign == ">" else ratio
    tail = float(ndtr(toward) if np.isinf(df) else stdtr(df, toward))
    p = 2.0 * tail if difference.sign == "=" else tail
    return WaldTest(difference.text, estimate, se, estimate - reach, estimate + reach, ratio, df, p)


def _linearised(
    difference: Difference, normal: Callable[[Mapping[str, float]], tuple[float, float]]
) -> tuple[float, dict[str, float]]:
    """Value at the estimates, and the slope along each name there."""
    names = list(dict.fromkeys(difference.used.values()))
    single = {name: normal({name: 1.0}) for name in names}
    centre = {name: estimate for name, (estimate, _) in single.items()}
    slopes = {}
    for name, (estimate, se) in single.items():
        step = STEP * (se if se > 0 else max(abs(estimate), 1.0))
        above, below = (float(difference.at({**centre, name: estimate + s})) for s in (step, -step))
        slopes[name] = (above - below) / (2.0 * step)
    value = float(difference.at(centre))
    if not np.isfinite([value, *slopes.values()]).all():
        raise InputError(
            f"the hypothesis {difference.text!r} is not a number about the estimates: mind logs and divisions"
        )
    return value, slopes
