"""What no data could tell, found before a fit: terms that say the same, or nothing beyond fixed effects."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.terms.base import LatentTerm
from geospde.text.words import listed

ROUNDING = 1e-8  # share of a column outside the span of others that is rounding error


def refuse_alike(terms: Sequence[LatentTerm]) -> None:
    """Refuse two terms that say the same: only the sum of their variances can be told."""
    seen: dict[Any, str] = {}
    for term in terms:
        for identity in term.identities:
            if identity in seen:
                raise InputError(
                    f"{seen[identity]} and {term.label} are alike: the data tell only the sum of them",
                    remedy="leave one out" + ("" if term.mesh is None else ", or give one of them time= or by="),
                )
            seen[identity] = term.label


def warn_of_repeated(
    terms: Sequence[LatentTerm], blocks: Sequence[Any], fixed: sp.csr_matrix, names: Sequence[str], flat: Any
) -> None:
    """Warn of terms whose every effect on the data is one of fixed effects, too, such as ``ar1(year)`` and ``C(year)``.

    Parameters
    ----------
    terms : sequence of LatentTerm
    blocks : sequence
        Their columns.
    fixed : (m, p) csr_matrix
        Columns of the fixed effects.
    names : sequence of str
        Of the fixed effects.
    flat : (p,) array of bool
        Which of them have no prior.
    """
    chosen = np.flatnonzero(flat)
    if not chosen.size:
        return
    basis = np.linalg.qr(fixed[:, chosen].toarray())[0]
    for term, block in zip(terms, blocks):
        if not sp.issparse(block):
            continue
        used = np.unique(sp.csr_matrix(block).indices)
        if used.size <= chosen.size and _within(block[:, used].toarray(), basis):
            said = [names[int(k)] for k in chosen if np.abs(block[:, used].T @ fixed[:, [k]]).sum() > 0]
            what = (
                f"{term.label} says nothing of the data that {listed(said, most=3)} do not: its parameters are guesses"
            )
            alert(GeospdeWarning(what, remedy="leave one of them out", subject=term.label))


def warn_of_residual(terms: Sequence[LatentTerm], likelihood: Any, is_free: bool) -> None:
    """Warn of an effect of each row beside a residual of each row: the data tell only the sum of their variances.

    Parameters
    ----------
    terms : sequence of LatentTerm
    likelihood : Likelihood
        With a residual where one of its parameters is a standard deviation.
    is_free : bool
        Whether the residual is estimated.
    """
    differing = likelihood.weights is not None and np.ptp(likelihood.weights) > 0
    if not is_free or differing or not any(h.kind == "sd" for h in likelihood.hyper):
        return
    for term in terms:
        if term.grouping is not None and len(term.grouping.labels) == likelihood.n:
            what = (
                f"{term.label} has an effect of each of {likelihood.n:,} rows, as the residual has: the data tell only "
                "the sum of their variances, and priors share it out"
            )
            alert(GeospdeWarning(what, remedy="leave it out", subject=term.label))


def _within(columns: NDArray[np.float64], basis: NDArray[np.float64]) -> bool:
    """Whether columns are in the span of an orthonormal basis."""
    left = columns - basis @ (basis.T @ columns)
    return bool(np.linalg.norm(left) <= ROUNDING * np.linalg.norm(columns))
