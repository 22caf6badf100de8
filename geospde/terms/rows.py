"""Rows of a design for new places, where they may depend on the hyperparameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class MovingBlock(Protocol):
    """A term's rows as a function of its theta: ``f(new) | x ~ N(rows @ x, extra)``."""

    @property
    def shape(self) -> tuple[int, int]:
        """Of the rows, (m, n)."""

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows, (m, n), and the variance that the latent variables leave unsaid, (m,)."""

    def root(self, theta: Vector) -> Vector:
        """A matrix R, (m, k), where the covariance that the latent variables leave unsaid is R R'."""


@dataclass(frozen=True)
class Multiplied:
    """A term's rows times numbers, one a row: a `MovingBlock`.

    Attributes
    ----------
    block : MovingBlock
    factors : (m,) array
    """

    block: MovingBlock
    factors: Vector

    @property
    def shape(self) -> tuple[int, int]:
        """Of the rows."""
        return self.block.shape

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows and the variance left unsaid."""
        rows, extra = self.block.at(theta)
        return times(rows, self.factors), self.factors**2 * extra

    def root(self, theta: Vector) -> Vector:
        """R of the covariance left unsaid, (m, k)."""
        return self.factors[:, None] * self.block.root(theta)


def times(block: Any, factors: Vector) -> Any:
    """Rows, sparse or moving, times numbers, one a row."""
    if not sp.issparse(block):
        return Multiplied(block, factors)
    return sp.csr_matrix(sp.diags_array(factors) @ block)


@dataclass(frozen=True)
class MovingRows:
    """Rows of a whole design of which some blocks depend on theta.

    Attributes
    ----------
    blocks : sequence of csr_matrix or MovingBlock
        One a term, and the fixed effects' last.
    where : sequence of slice
        Each term's own part of the whole theta.
    fixed_theta : (d,) array
        Values of the hyperparameters that are held, NaN for the others.
    """

    blocks: Sequence[Any]
    where: Sequence[slice]
    fixed_theta: Vector

    @property
    def shape(self) -> tuple[int, int]:
        """Of the whole design."""
        return self.blocks[0].shape[0], sum(b.shape[1] for b in self.blocks)

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows and the variance left unsaid, at the free hyperparameters."""
        whole = self._whole(theta)
        rows, extra = [], np.zeros(self.shape[0])
        for k, block in enumerate(self.blocks):
            if sp.issparse(block):
                rows.append(block)
                continue
            own, more = block.at(whole[self.where[k]])
            rows.append(own)
            extra += more
        return sp.csr_matrix(sp.hstack(rows, format="csr")), extra

    def root(self, theta: Vector) -> Vector:
        """R of the covariance R R' left unsaid, at the free hyperparameters, (m, k)."""
        whole = self._whole(theta)
        moving = [(b, w) for b, w in zip(self.blocks, self.where) if not sp.issparse(b)]
        return np.hstack([np.asarray(b.root(whole[w])) for b, w in moving])

    def _whole(self, theta: Vector) -> Vector:
        whole = self.fixed_theta.copy()
        whole[np.isnan(self.fixed_theta)] = theta
        return whole
