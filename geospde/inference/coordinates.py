"""Coordinates of hyperparameters in which a variance of zero is a place like any other.

A likelihood is an even, smooth function of a standard deviation, and a smooth one of the Cholesky factor of a
covariance (Pinheiro & Bates 1996, Statist. Comput. 6, 289-296), down to zero and singular ones. A search in them finds
a vanishing variance as an inner maximum, where in its logarithm it would run off without end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geospde.latent.correlated import Correlated

Vector = NDArray[np.float64]
LEAST = 1e-7  # a standard deviation on the coordinates' scale that is as good as zero
NARROW = 1e-4  # what of an effect its correlations leave free, where they are as good as one
SMALL = 0.05  # coordinates from which to try whether zero is as good


@dataclass(frozen=True)
class Edge:
    """What vanishes at an edge of the parameter space.

    Attributes
    ----------
    coordinates : tuple of int
        That are zero there.
    theta : int
        The hyperparameter that runs off, counted among the free ones.
    sign : int
        To which end.
    """

    coordinates: tuple[int, ...]
    theta: int
    sign: int


class Block(Protocol):
    """Coordinates phi of some hyperparameters theta."""

    @property
    def size(self) -> int:
        """How many."""

    def start(self) -> Vector:
        """Coordinates of the start."""

    def theta(self, phi: Vector) -> Vector:
        """Hyperparameters at phi."""

    def jacobian(self, phi: Vector) -> Vector:
        """Their derivatives, (size, size)."""

    def edges(self, phi: Vector) -> list[Edge]:
        """Edges near phi."""


@dataclass(frozen=True)
class Plain:
    """The hyperparameters themselves."""

    first: Vector

    @property
    def size(self) -> int:
        """How many."""
        return self.first.size

    def start(self) -> Vector:
        """The start."""
        return self.first

    def theta(self, phi: Vector) -> Vector:
        """The same."""
        return phi

    def jacobian(self, phi: Vector) -> Vector:
        """The identity."""
        return np.eye(self.size)

    def edges(self, phi: Vector) -> list[Edge]:
        """None."""
        return []


@dataclass(frozen=True)
class Scale:
    """A standard deviation in units of where it starts, of either sign."""

    first: float
    size: int = 1

    def start(self) -> Vector:
        """One."""
        return np.ones(1)

    def theta(self, phi: Vector) -> Vector:
        """Its logarithm."""
        return self.first + np.log(np.maximum(np.abs(phi), LEAST))

    def jacobian(self, phi: Vector) -> Vector:
        """1 / phi."""
        return np.diag(1.0 / _away(phi, LEAST))

    def edges(self, phi: Vector) -> list[Edge]:
        """A small standard deviation."""
        return [Edge((0,), 0, -1)] if abs(phi[0]) < SMALL else []


class Factor:
    """The Cholesky factor of a covariance matrix, by rows, each in units of where its standard deviation starts."""

    def __init__(self, first: Vector, effects: int):
        self._first = first[:effects]
        self._q = effects
        self._rows, self._columns = np.tril_indices(effects)
        self.size = self._rows.size
        self._start = self._phi(first)

    def start(self) -> Vector:
        """Coordinates of the start."""
        return self._start

    def _phi(self, theta: Vector) -> Vector:
        q = self._q
        left, out = np.ones(q), np.zeros((q, q))
        for z, (i, j) in zip(theta[q:], _pairs(q)):
            out[i, j] = np.tanh(z) * left[i]
            left[i] /= np.cosh(z)
        out[np.arange(q), np.arange(q)] = left
        return (np.exp(theta[:q] - self._first)[:, None] * out)[self._rows, self._columns]

    def _root(self, phi: Vector) -> Vector:
        """The factor, kept away from singular ones."""
        root = np.zeros((self._q, self._q))
        root[self._rows, self._columns] = phi
        for i in range(self._q):
            length = max(float(np.linalg.norm(root[i])), LEAST)
            root[i, i] = _away(root[i, i], (NARROW if i else 1.0) * length)
        return root

    def theta(self, phi: Vector) -> Vector:
        """Logarithms of the standard deviations, and Fisher z of the canonical partial correlations."""
        root = self._root(phi)
        sds = self._first + np.log(np.linalg.norm(root, axis=1))
        z = [np.arcsinh(root[i, j] / np.linalg.norm(root[i, j + 1 : i + 1])) for i, j in _pairs(self._q)]
        return np.concatenate([sds, z])

    def jacobian(self, phi: Vector) -> Vector:
        """Derivatives of theta in the factor's entries."""
        q, root = self._q, self._root(phi)
        out = np.zeros((self.size, q, q))
        for i in range(q):
            out[i, i] = root[i] / (root[i] @ root[i])
        for k, (i, j) in enumerate(_pairs(q), start=q):
            rest = root[i, j + 1 : i + 1]
            whole = np.sqrt(root[i, j] ** 2 + rest @ rest)
            out[k, i, j] = 1.0 / whole
            out[k, i, j + 1 : i + 1] = -root[i, j] * rest / (whole * (rest @ rest))
        return out[:, self._rows, self._columns]

    def edges(self, phi: Vector) -> list[Edge]:
        """Small standard deviations, and effects that those before them determine."""
        root = np.zeros((self._q, self._q))
        root[self._rows, self._columns] = phi
        number = {pair: k for k, pair in enumerate(_pairs(self._q), start=self._q)}
        found = []
        for i in range(self._q):
            length = float(np.linalg.norm(root[i]))
            if length < SMALL:
                found.append(Edge(tuple(np.flatnonzero(self._rows == i).tolist()), i, -1))
            elif i and abs(root[i, i]) < SMALL * length:
                last = root[i, i - 1]
                own = int(np.flatnonzero((self._rows == i) & (self._columns == i))[0])
                found.append(Edge((own,), number[i, i - 1], 1 if last >= 0 else -1))
        return found


def _pairs(q: int) -> list[tuple[int, int]]:
    """Pairs (i, j < i) in the order of `Correlated`."""
    return [(i, j) for i in range(q) for j in range(i)]


def _away(value: Any, least: float) -> Any:
    """The value, no nearer to zero than this."""
    return np.where(np.abs(value) < least, np.copysign(least, value), value)


class Coordinates:
    """Coordinates of all free hyperparameters of a model, and of fixed effects after them.

    Parameters
    ----------
    terms : sequence of LatentTerm
    held : (d,) array
        Values of the hyperparameters that are held, NaN for the free ones.
    start : array
        The free hyperparameters to start from.
    fixed : (p,) array
        Fixed effects to start from.
    spread : (p, p) array
        A guess of their covariance, by which they are standardised.
    """

    def __init__(
        self,
        terms: Sequence[Any],
        held: Vector,
        start: Vector,
        fixed: Vector | None = None,
        spread: Vector | None = None,
    ):
        whole = held.copy()
        whole[np.isnan(held)] = start
        self.blocks: list[Block] = []
        at = 0
        for term in terms:
            where = slice(at, at + len(term.parameters))
            at = where.stop
            own = whole[where][np.isnan(held[where])]
            if isinstance(term, Correlated) and np.isnan(held[where]).all():
                self.blocks.append(Factor(own, term.effects))
                continue
            names = [n for n, h in zip(term.parameters, held[where]) if np.isnan(h)]
            for name, value in zip(names, own):
                is_scale = name.startswith(("sd", "sigma"))
                self.blocks.append(Scale(float(value)) if is_scale else Plain(np.array([value])))
        self.blocks.append(Plain(whole[at:][np.isnan(held[at:])]))
        ends = np.cumsum([0, *(block.size for block in self.blocks)])
        self._where = [slice(int(a), int(b)) for a, b in zip(ends[:-1], ends[1:])]
        self.n_theta = int(ends[-1])
        self._fixed = np.zeros(0) if fixed is None else fixed
        self._root = np.zeros((0, 0)) if spread is None else np.linalg.cholesky(spread)

    def start(self) -> Vector:
        """Coordinates of the start."""
        return np.concatenate([*(block.start() for block in self.blocks), np.zeros(self._fixed.size)])

    def psi(self, phi: Vector) -> Vector:
        """Free hyperparameters and fixed effects."""
        theta = [block.theta(phi[where]) for block, where in zip(self.blocks, self._where)]
        return np.concatenate([*theta, self._fixed + self._root @ phi[self.n_theta :]])

    def jacobian(self, phi: Vector) -> Vector:
        """Derivatives of psi in phi."""
        out = np.zeros((phi.size, phi.size))
        for block, where in zip(self.blocks, self._where):
            out[where, where] = block.jacobian(phi[where])
        out[self.n_theta :, self.n_theta :] = self._root
        return out

    def edges(self, phi: Vector) -> list[Edge]:
        """Edges of the parameter space near phi."""
        found = []
        for block, where in zip(self.blocks, self._where):
            for edge in block.edges(phi[where]):
                places = tuple(where.start + k for k in edge.coordinates)
                found.append(Edge(places, where.start + edge.theta, edge.sign))
        return found
