"""Separation: fixed effects that the likelihood draws away without end."""

import numpy as np
from numpy.typing import NDArray

from geospde.families.likelihood import Likelihood

Vector = NDArray[np.float64]
FAR = 8.0  # largest |coefficient| times the size of its column: on log or logit scale, a rate or chance of 3 in 10,000


def suspicious(x: Vector, estimate: Vector, se: Vector) -> bool:
    """Whether estimates are so large, or so uncertain, that they may be on their way to infinity."""
    size = np.sqrt((x**2).mean(axis=0))
    return not np.isfinite(se).all() or bool((np.abs(estimate) * size > FAR).any() or (se * size > FAR).any())


def separated(names: list[str], x: Vector, data: Likelihood) -> list[str]:
    """Names of the fixed effects that separation leaves without a finite estimate.

    There is a direction in which no observation becomes less likely and one becomes more so: one that moves predictors
    only where the response lies at the end of its range, and only towards that end. A linear programme looks for it.

    Parameters
    ----------
    names : list of str
    x : (m, p) array
    data : Likelihood

    References
    ----------
    Albert & Anderson (1984), Biometrika 71, 1-10; Konis (2007), Linear programming algorithms for detecting separated
    data in binary logistic regression models, thesis, Oxford.
    """
    lower, upper = data.ends()
    if not (lower | upper).any() or not names:
        return []
    from scipy.optimize import linprog

    size = np.sqrt((x**2).mean(axis=0))
    towards = np.where(upper, 1.0, -1.0)[:, None] * x / size
    ends = towards[lower | upper]
    inside = towards[~(lower | upper)]
    found = linprog(
        -ends.sum(axis=0),
        A_ub=-ends,
        b_ub=np.zeros(len(ends)),
        A_eq=inside if len(inside) else None,
        b_eq=np.zeros(len(inside)) if len(inside) else None,
        bounds=(-1.0, 1.0),
    )
    if found.status != 0 or -found.fun < 1e-7 * len(ends):
        return []
    return [name for name, step in zip(names, found.x) if abs(step) > 1e-6]
