"""Denominator degrees of freedom of fixed effects, by the inner-outer rule for nested groups."""

import numpy as np
from numpy.typing import NDArray

from geospde.model.build import Model

Vector = NDArray[np.float64]


def inner_outer(model: Model) -> Vector:
    """Degrees of freedom of each fixed effect.

    A column that varies within the groups of the innermost level is judged against the residuals, one that varies
    only between the groups of a level against that level: as many degrees as the level has groups, less those of the
    level outside it and the columns judged there. The intercept has the most.

    Parameters
    ----------
    model : Model
        Its random terms are groups; all others leave the degrees infinite, as groups that are not nested do.

    Returns
    -------
    (p,) array

    References
    ----------
    Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, section 2.4.2.
    """
    x = model.design[:, sum(part.n for part in model.terms) :].toarray()
    rows, p = x.shape
    if not all(part.grouping is not None for part in model.terms):
        return np.full(p, np.inf)
    levels = nested(list(groups_of(model).values()))
    if levels is None:
        return np.full(p, np.inf)
    sizes = np.array([*(codes.max() + 1 for codes in levels), rows])
    degrees = sizes - np.concatenate([[0], sizes[:-1]])
    varies = np.ptp(x, axis=0) > 0
    stratum = np.zeros(p, dtype=int)
    for k, codes in enumerate(levels, start=1):
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(codes.max() + 1))
        spread = np.maximum.reduceat(x[order], starts) - np.minimum.reduceat(x[order], starts)
        stratum[(spread > 0).any(axis=0)] = k
    degrees = degrees - np.bincount(stratum[varies], minlength=sizes.size)
    if not varies.all():
        degrees[0] -= 1
    out = degrees[stratum].astype(float)
    out[~varies] = degrees.max()
    return np.where(out > 0, out, np.nan)


def groups_of(model: Model) -> dict[str, NDArray[np.intp]]:
    """Each group's name and the number of the level of every row."""
    found: dict[str, NDArray[np.intp]] = {}
    for part in model.terms:
        if part.grouping is not None and part.grouping.name not in found:
            found[part.grouping.name] = part.grouping.codes(model.table)
    return found


def nested(groups: list[NDArray[np.intp]]) -> list[NDArray[np.intp]] | None:
    """The groups from the outermost to the innermost, None where one is not nested in the one before."""
    ordered = sorted(groups, key=lambda codes: int(codes.max()))
    for outer, inner in zip(ordered[:-1], ordered[1:]):
        if len(np.unique(np.column_stack([outer, inner]), axis=0)) > inner.max() + 1:
            return None
    return ordered
