"""Random walks of order one along a number: ``rw1(x)``."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import Independent, PCSd, Prior, read_prior
from geospde.formula.covariates import Covariates, checked_names
from geospde.formula.formula import TermCall
from geospde.terms.base import Context, LatentTerm, Variable, round_to
from geospde.terms.precisions.intrinsic import Intrinsic
from geospde.text.words import did_you_mean

Vector = NDArray[np.float64]
OPTIONS = ("scale",)


class RandomWalk(LatentTerm):
    """A random walk over the different values of a column, its nodes, which sums to zero over them.

    The difference between neighbouring nodes has variance sd² times the distance of the nodes: sd² itself where they
    are one apart. Between the nodes the walk goes on as a Brownian bridge.

    Attributes
    ----------
    covariates : Covariates
        The column.
    nodes : (n,) array
        Its different values, increasing.
    gaps : (n - 1,) array
        Variance of each difference for an sd of 1.

    References
    ----------
    Rue & Held (2005), Gaussian Markov Random Fields, section 3.3.1; for irregular locations section 3.5.
    """

    def __init__(self, covariates: Covariates, nodes: Vector, gaps: Vector, prior: Prior, label: str):
        self.covariates = covariates
        self.function_of = covariates.names
        self.nodes = nodes
        self.gaps = gaps
        log_determinant = float(np.log(nodes.size) - np.log(gaps).sum())  # by the matrix-tree theorem
        self.precision = Intrinsic(_structure(gaps), np.ones((nodes.size, 1)), 1, log_determinant, prior, label)

    @classmethod
    def read(cls, call: TermCall, context: Context) -> "RandomWalk":
        """Read an ``rw1(x)`` call; takes its prior out of the overrides.

        By default P(sd > s) = 0.05, where s is three standard deviations of the response, or 1 where the predictor is
        not in its unit, over the square root of the mean distance of neighbouring nodes: so it is for a step to the
        next node, whatever the unit of x. With ``scale=True`` the sd is that of the walk's values (the geometric mean
        of their variances is sd²; Sørbye & Rue 2014, Spat. Stat. 8, 39-51), and s is not divided.

        Raises
        ------
        InputError
            For other than one column of numbers, a constant one, and options that there are not.
        """
        unknown = [o for o in call.options if o not in OPTIONS]
        if unknown:
            hint = did_you_mean(unknown[0], OPTIONS, "options")
            raise InputError(f"rw1 has no option {unknown[0]!r}; {hint}: {call.text}")
        names = checked_names(call.arguments, call.text, "rw1(x)")
        if len(names) > 1:
            raise InputError(f"rw1 walks along one column: {call.text}", remedy="take gp(x, y) for a function of two")
        scaled = call.options.get("scale", False)
        if not isinstance(scaled, bool):
            raise InputError(f"scale of rw1 is True or False: {call.text}")
        covariates = Covariates.of_table(names, context.table, context.points)
        nodes = np.unique(covariates.values(context.table, context.points))
        if nodes.size < 2:
            raise InputError(f"the covariate {names[0]!r} of {call.text} is constant")
        gaps = np.diff(nodes)
        unit = context.likelihood.unit
        largest = 1.0 if unit is None else 3 * unit
        if scaled:
            gaps = gaps / np.exp(np.log(_variances(gaps)).mean())
        else:
            largest /= np.sqrt(gaps.mean())
        label = context.label(f"rw1({names[0]})")
        name = f"sd({label})"
        prior: Prior = PCSd(round_to(largest, 2), 0.05) if context.defaults is None else context.defaults.sd()
        if name in context.overrides:
            prior = read_prior(context.overrides.pop(name), name, "sd")
        return cls(covariates, nodes, gaps, Independent((prior,)), label)

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> Any:
        """Rows of the design: the node that a row is at, or, in a prediction, the two that it is between.

        Raises
        ------
        InputError
            For a prediction beyond the nodes.
        """
        x = self.covariates.values(table, points)[:, 0]
        outside = np.flatnonzero((x < self.nodes[0]) | (x > self.nodes[-1]))
        if outside.size:
            raise InputError(
                f"{self.label} is known from {self.nodes[0]:g} to {self.nodes[-1]:g}, and row "
                f"{table.index[outside[0]]} is at {x[outside[0]]:g}",
                remedy="leave such rows out",
            )
        left = np.clip(np.searchsorted(self.nodes, x, side="right") - 1, 0, self.n - 2)
        share = (x - self.nodes[left]) / np.diff(self.nodes)[left]
        places = np.column_stack([left, left + 1])
        rows = sp.csr_matrix(
            (np.column_stack([1.0 - share, share]).ravel(), (np.repeat(np.arange(x.size), 2), places.ravel())),
            shape=(x.size, self.n),
        )
        rows.eliminate_zeros()
        between = (share > 0) & (share < 1)
        return Bridges(rows, left, share, self.gaps[left]) if new and between.any() else rows

    def start(self, unit: float) -> Vector:
        """Half the predictor's scale over the whole walk."""
        return np.log([0.5 * unit / np.sqrt(_variances(self.gaps).mean())])

    def names(self) -> list[str]:
        """Names of the nodes: their values."""
        return [f"{self.label}[{value:.12g}]" for value in self.nodes]

    def variables(self) -> list[Variable]:
        """The walk, along its nodes."""
        return [Variable(self.label, f"{self.label}_node", self.nodes, np.arange(self.n))]


class Bridges:
    """Rows between nodes: the line between the two, and a Brownian bridge about it.

    A `geospde.terms.rows.MovingBlock`.

    Parameters
    ----------
    rows : (m, n) csr_matrix
        Weights of the nodes.
    left : (m,) array of int
        The node before each row.
    share : (m,) array
        How far towards the next it is.
    gaps : (m,) array
        Variance of the difference of the two, for an sd of 1.
    """

    def __init__(self, rows: sp.csr_matrix, left: NDArray[np.intp], share: Vector, gaps: Vector):
        self.rows, self.left, self.share, self.gaps = rows, left, share, gaps
        self.shape = rows.shape

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows, and the variances of the bridges, (m,)."""
        return self.rows, np.exp(2.0 * theta[0]) * self.gaps * self.share * (1.0 - self.share)

    def root(self, theta: Vector) -> Vector:
        """R of the bridges' covariance R R', (m, m)."""
        out = np.zeros((self.share.size, self.share.size))
        for node in np.unique(self.left):
            own = np.flatnonzero(self.left == node)
            share = self.share[own]
            covariance = np.minimum.outer(share, share) - np.multiply.outer(share, share)
            values, vectors = np.linalg.eigh(self.gaps[own[0]] * covariance)
            out[np.ix_(own, own)] = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.exp(theta[0]) * out


def _structure(gaps: Vector) -> sp.csc_matrix:
    """Precision of a walk with an sd of 1: sum of squared differences over their variances."""
    weights = 1.0 / gaps
    diagonal = np.concatenate([weights, [0.0]]) + np.concatenate([[0.0], weights])
    return sp.csc_matrix(sp.diags_array([diagonal, -weights, -weights], offsets=[0, -1, 1]))


def _variances(gaps: Vector) -> Vector:
    """Variances of the nodes of a walk with an sd of 1 that sums to zero, (n,)."""
    n = gaps.size + 1
    before = np.arange(1, n) / n  # share of the nodes before each difference
    left = np.concatenate([[0.0], np.cumsum(gaps * before**2)])
    right = np.concatenate([np.cumsum((gaps * (1.0 - before) ** 2)[::-1])[::-1], [0.0]])
    return left + right
