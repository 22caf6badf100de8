"""Independent precisions as one."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import Independent, Prior
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]


class SideBySide(Precision):
    """Independent precisions as one, each with hyperparameters of its own.

    Parameters
    ----------
    precisions : sequence of Precision
    names : sequence of str
        One a precision, for its parameters.
    label : str
        Name in tables.
    """

    def __init__(self, precisions: Sequence[Precision], names: Sequence[str], label: str):
        self.precisions = tuple(precisions)
        self.label = label
        self.n = sum(term.n for term in precisions)
        self.parameters = tuple(f"{p}[{name}]" for term, name in zip(precisions, names) for p in term.parameters)
        self.prior = Independent(tuple(part for term in precisions for part in term.prior.parts))  # type: ignore[attr-defined]
        self.pattern = sp.block_diag([term.pattern for term in precisions], format="csc")
        self.pattern.sort_indices()

    def set_prior(self, prior: Prior) -> None:
        """Give each term its parts of it."""
        self.prior, parts = prior, iter(prior.parts)  # type: ignore[attr-defined]
        for term in self.precisions:
            term.set_prior(Independent(tuple(next(parts) for _ in term.prior.parts)))  # type: ignore[attr-defined]

    def own(self, theta: Vector) -> list[Vector]:
        """Each term's part of theta."""
        return np.split(theta, np.cumsum([len(term.parameters) for term in self.precisions])[:-1])

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta) on the pattern."""
        return np.concatenate([term.values(t) for term, t in zip(self.precisions, self.own(theta))])

    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values` in each theta, a row each."""
        blocks = [term.gradients(t) for term, t in zip(self.precisions, self.own(theta))]
        out = np.zeros((theta.size, self.pattern.nnz))
        row = column = 0
        for block in blocks:
            out[row : row + block.shape[0], column : column + block.shape[1]] = block
            row, column = row + block.shape[0], column + block.shape[1]
        return out

    @property
    def factorisations(self) -> int:  # type: ignore[override]
        """Of all terms, so far."""
        return sum(term.factorisations for term in self.precisions)

    @property
    def learns(self) -> bool:  # type: ignore[override]
        """Whether one of the terms does."""
        return any(term.learns for term in self.precisions)

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """½ log|Q| and its gradient."""
        found = [term.log_normaliser(t, gradient) for term, t in zip(self.precisions, self.own(theta))]
        return sum(value for value, _ in found), np.concatenate([slope for _, slope in found])
