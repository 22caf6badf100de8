"""Predictors that are no linear functions of the latent vector: what a model asks of them, and curves among them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.formula.columns import FixedEffects

Vector = NDArray[np.float64]


class Nonlinear(ABC):
    """The predictor of a model where it is no linear function of the latent vector.

    Attributes
    ----------
    at : (n,) array or None
        Where the model's design is its tangent; None at zero.
    unsettled : tuple of str
        What to say where no tangent is found that stays, and the remedy, if the data are to blame.
    """

    at: Vector | None

    near: ClassVar[float] = 1e-3  # of a predictor's sd, that it may be from its tangent
    unsettled: ClassVar[tuple[str, str]] = ("the means of areas on the scale of the response did not settle", "")

    @abstractmethod
    def value(self, x: Vector) -> Vector:
        """The rows' predictors at a latent vector, (m,)."""

    @abstractmethod
    def tangent(self, x: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Design, (m, n), and offset, (m,), of the linear predictor that equals it to first order at x."""

    @abstractmethod
    def of_columns(self, selection: sp.csr_matrix) -> Nonlinear:
        """Of a longer latent vector, of which `selection` takes this one."""

    @abstractmethod
    def linearised(self, x: Vector) -> Nonlinear:
        """The same, taken by its tangent at x."""

    def averaged(self, x: Vector, variances: Callable[[sp.csr_matrix], Vector]) -> Nonlinear:  # noqa: ARG002
        """With value and slope averaged over a posterior of mean x and these variances; by default those at x."""
        return self

    def rounded(self) -> Nonlinear:
        """With corners, where tangents jump, rounded a little."""
        return self

    @property
    def corners(self) -> NDArray[np.intp]:
        """Places in the latent vector of what says where corners are."""
        return np.zeros(0, dtype=np.intp)

    @property
    def widths(self) -> Vector:
        """Of what is rounded, or averaged over, a number each."""
        return np.zeros(0)

    def of_widths(self, widths: Vector) -> Nonlinear:  # noqa: ARG002
        """The same with those."""
        return self

    def effects(self, of: FixedEffects) -> FixedEffects:
        """The fixed effects where the tangent is; by default they do not depend on that."""
        return of


@dataclass(frozen=True)
class Curved(Nonlinear):
    """A predictor of which fixed effects are curves with a threshold, `geospde.formula.thresholds`.

    Attributes
    ----------
    random : (m, r) csr_matrix
        Design of the random terms.
    fixed : FixedEffects
    offset : (m,) array
    at : (n,) array or None
    selection : (r + k, n) csr_matrix or None
        What of the latent vector the model's own is; None where that is all of it.
    """

    random: sp.csr_matrix
    fixed: FixedEffects
    offset: Vector
    at: Vector | None
    selection: sp.csr_matrix | None = field(default=None)

    near = 1e-5
    unsettled = (
        "the data do not tell where a curve with a threshold bends: it runs on to a jump between two values of its "
        "column, or beyond them, or stays nowhere",
        "leave breakpt() or logistic() out, or take a smooth, s()",
    )

    @classmethod
    def of(cls, random: sp.csr_matrix, fixed: FixedEffects, offset: Vector) -> Curved:
        """With tangents where the fixed effects' curves are."""
        return cls(random, fixed, offset, np.concatenate([np.zeros(random.shape[1]), fixed.begin()]))

    def _own(self, x: Vector) -> tuple[Vector, FixedEffects, Vector]:
        """Random effects, fixed effects with tangents at their coefficients, and those."""
        own = x if self.selection is None else self.selection @ x
        first = self.random.shape[1]
        return own[:first], self.fixed.bent(own[first:]), own[first:]

    def value(self, x: Vector) -> Vector:
        """The rows' predictors; no numbers where a curve bends outside the data, which tell nothing of it then."""
        random, fixed, beta = self._own(x)
        if not fixed.bends_within:
            return np.full(self.random.shape[0], np.nan)
        return np.asarray(self.random @ random + fixed.matrix @ beta + fixed.remainder() + self.offset)

    def tangent(self, x: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Design and offset."""
        fixed = self._own(x)[1]
        design = sp.hstack([self.random, sp.csr_matrix(fixed.matrix)], format="csr")
        design = design if self.selection is None else design @ self.selection
        return sp.csr_matrix(design), self.offset + fixed.remainder()

    def of_columns(self, selection: sp.csr_matrix) -> Curved:
        """Of a longer latent vector."""
        at = None if self.at is None else np.asarray(selection.T @ self.at)
        return replace(self, selection=selection, at=at)

    def linearised(self, x: Vector) -> Curved:
        """With the tangent at x."""
        return replace(self, at=x)

    def effects(self, of: FixedEffects) -> FixedEffects:  # noqa: ARG002
        """Those with tangents where this one's is."""
        assert self.at is not None
        return self._own(self.at)[1]

    def rounded(self) -> Curved:
        """With the corners of curves rounded, where the tangent is."""
        assert self.at is not None
        return replace(self, fixed=self._own(self.at)[1].rounded())

    @property
    def corners(self) -> NDArray[np.intp]:
        """Places of breakpoints."""
        own = self.random.shape[1] + self.fixed.corners
        return np.asarray(own if self.selection is None else self.selection[own].indices, dtype=np.intp)

    @property
    def widths(self) -> Vector:
        """Of the curves' rounding."""
        return self.fixed.widths

    def of_widths(self, widths: Vector) -> Curved:
        """The same with those."""
        return replace(self, fixed=self.fixed.of_widths(widths))
