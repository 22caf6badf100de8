"""Random walks along a number, of any order: what those of order one and two share."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import Independent
from geospde.formula.covariates import Covariates
from geospde.formula.formula import TermCall
from geospde.terms.base import Context, LatentTerm, Variable
from geospde.terms.calls import default_sd, flag, multiplier, one_column, own_prior, refuse_unknown
from geospde.terms.precisions.intrinsic import Intrinsic
from geospde.terms.rows import times
from geospde.terms.series.apart import Apart
from geospde.terms.series.lattice import Lattice

Vector = NDArray[np.float64]

LARGEST = 1e140  # precision of a node: its squares are numbers


class Walk(LatentTerm):
    """A random walk over the different values of a column, its nodes.

    Attributes
    ----------
    covariates : Covariates
        The column.
    by : Covariates or None
        What the walk multiplies: then it is a coefficient.
    nodes : (n,) array
        The different values, increasing; of a cyclic walk all steps from the least to the largest.
    gaps : (n - 1,) or (n,) array
        Distances of neighbouring nodes, of a cyclic walk that of the last from the first, too.
    """

    follows_all = True
    options: ClassVar[tuple[str, ...]] = ("scale", "cyclic", "by", "constr")
    scaled_by_default: ClassVar[bool] = False
    least: ClassVar[int] = 2  # nodes

    precision: Intrinsic

    def __init__(
        self,
        precision: Intrinsic,
        covariates: Covariates,
        nodes: Vector,
        gaps: Vector,
        by: Covariates | None,
        by_size: float,
    ):
        self.precision = precision
        self.covariates = covariates
        self.by = by
        self.function_of = covariates.names + (() if by is None else by.names)
        self.nodes = nodes
        self.gaps = gaps
        self.walks_along = "" if self.cyclic else covariates.names[0]
        self._size = by_size
        if precision.constraints is None:
            self.free_part = "the level"
            self.without_free_part = "give the walk constr=True, that it sums to zero"

    # -- of each order --------------------------------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def structure(gaps: Vector, cyclic: bool) -> sp.csc_matrix:
        """Precision of a walk with an sd of 1 over nodes that are so far from one another."""

    @staticmethod
    @abstractmethod
    def null(nodes: Vector, cyclic: bool) -> Vector:
        """Directions in which the walk is free, (n, d): its level first, then a trend, centred."""

    @staticmethod
    @abstractmethod
    def step_size(gaps: Vector) -> float:
        """Standard deviation of a step to the next node, for an sd of 1."""

    @abstractmethod
    def beyond(self, ahead: Vector, gap: float) -> tuple[Vector, Vector]:
        """The walk beyond its last node, or before its first.

        Parameters
        ----------
        ahead : (k,) array
            How far beyond the node, increasing.
        gap : float
            Between the node and its neighbour.

        Returns
        -------
        line : (k,) array
            How many gaps the line through the two nodes goes on for.
        root : (k, j) array
            Root R of the covariance R R' about that, for an sd of 1.
        """

    # -- of all ---------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, call: TermCall, context: Context) -> "Walk":
        """Read a call; takes its prior out of the overrides.

        By default P(sd > s) = 0.05, where s is three standard deviations of the response, or 1 where the predictor is
        not in its unit, over the size of a step to the next node for an sd of 1: so it is whatever the unit of x.
        With ``scale=True`` the sd is that of the walk's values (the geometric mean of their variances is sd²; Sørbye &
        Rue 2014, Spat. Stat. 8, 39-51), and s is not divided. It is divided by the root mean square of ``by``.

        Raises
        ------
        InputError
            For other than one column of numbers, a constant one, and options that there are not.
        """
        refuse_unknown(call, cls.options)
        covariates, nodes = one_column(
            call, context, f"{call.name}(x)", "walks", "take gp(x, y) or spde(mesh) for a function of two"
        )
        by, values = multiplier(call, context)
        scaled, cyclic = flag(call, "scale", cls.scaled_by_default), flag(call, "cyclic", False)
        constrained = flag(call, "constr", by is None)
        if cyclic:
            nodes = Lattice.of(nodes, call.text).places
        if nodes.size < cls.least + cyclic:
            raise InputError(
                f"{call.text} needs {cls.least + cyclic} different values of {covariates.names[0]!r} or more"
            )
        gaps = np.diff(nodes)
        if cyclic:
            gaps = np.append(gaps, gaps.mean())
        label = context.label(f"{call.name}({', '.join((*covariates.names, *(by.names if by else ())))})")
        size = np.sqrt((values**2).mean()) * (1.0 if scaled else cls.step_size(gaps))
        prior = own_prior(context, f"sd({label})", "sd", default_sd(context, float(size)))
        null = cls.null(nodes, cyclic)
        free = null if not constrained else null[:, 1:]
        structure = cls.structure(gaps, cyclic)
        _refuse_uneven(structure, gaps, covariates.names[0], call.text)
        precision = Intrinsic.of_structure(
            structure, null, null[:, :1] if constrained else None, scale=scaled,
            prior=Independent((prior,)), label=label, unpenalised=free if free.size else None,
        )  # fmt: skip
        return cls(precision, covariates, nodes, gaps, by, float(np.sqrt((values**2).mean())))

    @property
    def cyclic(self) -> bool:
        """Whether the first node follows the last."""
        return self.gaps.size == self.nodes.size

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> Any:
        """Rows of the design: the node that a row is at, or, in a prediction, what the nodes about it tell of it.

        Raises
        ------
        InputError
            For a prediction beyond the ends of a cyclic walk.
        """
        x = self.covariates.values(table, points)[:, 0]
        if self.cyclic:
            self._refuse_outside(x, table.index)
        left = np.clip(np.searchsorted(self.nodes, x, side="right") - 1, 0, self.gaps.size - 1)
        share = (x - self.nodes[left]) / self.gaps[left]
        share = np.where(np.abs(share - np.round(share)) < 1e-9, np.round(share), share)
        share, parts = self._off_nodes(left, share) if new else (share, [])
        places = np.column_stack([left, (left + 1) % self.n])
        rows = sp.csr_matrix(
            (np.column_stack([1.0 - share, share]).ravel(), (np.repeat(np.arange(x.size), 2), places.ravel())),
            shape=(x.size, self.n),
        )
        rows.eliminate_zeros()
        block: Any = Apart(rows, parts) if parts else rows
        return block if self.by is None else times(block, self.by.values(table, points)[:, 0])

    def between(self, node: int, share: Vector) -> Vector:  # noqa: ARG002
        """Root R of the covariance R R' about the line from a node to the next, (k, j), for an sd of 1.

        Parameters
        ----------
        node : int
        share : (k,) array
            How far towards the next node, increasing.
        """
        return np.zeros((share.size, 0))

    def _off_nodes(self, left: NDArray[np.intp], share: Vector) -> tuple[Vector, list[tuple[NDArray[np.intp], Vector]]]:
        """Weights of the nodes to the right of rows, and parts of an `Apart`."""
        weight, parts = share.copy(), []
        scale = 1.0 / np.sqrt(self.precision.scaling)
        inside = (share > 0) & (share < 1)
        for node in np.unique(left[inside]):
            own = np.flatnonzero(inside & (left == node))
            at, which = np.unique(share[own], return_inverse=True)
            parts.append((own, scale * self.between(int(node), at)[which]))
        for end, outwards, beyond in ((0.0, -1.0, -share), (1.0, 1.0, share - 1.0)):
            own, gap = np.flatnonzero(beyond > 0), float(self.gaps[-int(end)])
            if own.size:
                at, which = np.unique(beyond[own], return_inverse=True)
                line, root = self.beyond(gap * at, gap)
                weight[own] = end + outwards * line[which]
                parts.append((own, scale * root[which]))
        return weight, [part for part in parts if part[1].size]

    def _refuse_outside(self, x: Vector, labels: Any) -> None:
        first, last = self.nodes[0], self.nodes[-1] + self.gaps[-1]
        outside = np.flatnonzero((x < first) | (x > last))
        if outside.size:
            raise InputError(
                f"{self.label} is known from {first:g} to {last:g}, and {{row}} is at {x[outside[0]]:g}",
                remedy="leave such rows out",
                row=labels[outside[0]],
            )

    @property
    def identities(self) -> tuple[Any, ...]:
        """Its order, whether it closes, and what it goes along and multiplies."""
        return ((type(self), self.cyclic, self.function_of),)

    def start(self, unit: float) -> Vector:
        """Half the predictor's scale for the walk's values."""
        return np.log([0.5 * unit / (self.precision.typical_sd * self._size)])

    def names(self) -> list[str]:
        """Names of the latent variables: the nodes."""
        return [f"{self.label}[{value:.12g}]" for value in self.nodes]

    def variables(self) -> list[Variable]:
        """The walk, along its nodes."""
        return [Variable(self.label, f"{self.label}_node", self.nodes, np.arange(self.n))]


def _refuse_uneven(structure: sp.csc_matrix, gaps: Vector, name: str, text: str) -> None:
    """Raise InputError for gaps between nodes so unlike that no sums of both their precisions have digits of each."""
    sizes = structure.diagonal()
    if not (0 < sizes.min() and sizes.max() < min(1e15 * sizes.min(), LARGEST)):
        what = f"{text}: the gaps between values of {name!r} go from {gaps.min():.3g} to {gaps.max():.3g}"
        raise InputError(what, remedy="give it in another unit, or round it or take its logarithm")
