"""The difference between log p(theta | y) and a Gaussian, interpolated through the points of a rule."""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from geospde.inference.emulator import Emulator
from geospde.linalg.processes import nearest_of
from geospde.linalg.sequences import scrambled

Vector = NDArray[np.float64]
PLACES = 2**14  # over which the mass of an even grid is summed
HIGHEST = 2.0  # of a polynomial above the points it goes through: the tails of variances are heavier than Gaussian


class Residual(Protocol):
    """A function of standardised theta, up to a constant.

    Attributes
    ----------
    rule : str
        How a paragraph calls the points that it goes through.
    """

    rule: ClassVar[str]

    def __call__(self, z: Vector) -> Vector:
        """Values at z, (p, d) -> (p,)."""

    def reach(self) -> float:
        """How far from the centre the posterior may have mass, in standard deviations."""

    def arrays(self) -> dict[str, Vector]:
        """What a saved fit keeps of it."""


@dataclass(frozen=True)
class Nothing:
    """No residual: the Gaussian itself."""

    rule: ClassVar[str] = "a Gaussian at the mode"

    def __call__(self, z: Vector) -> Vector:
        """Zeros."""
        return np.zeros(z.shape[0])

    def reach(self) -> float:
        """Six standard deviations."""
        return 6.0

    def arrays(self) -> dict[str, Vector]:
        """Nothing to keep."""
        return {}


@dataclass(frozen=True)
class ProductSpline:
    """Cubic splines along each axis through values on a product of nodes, linear a little beyond the outer nodes.

    Attributes
    ----------
    axes : tuple of arrays
        Increasing nodes of each axis.
    values : array
        One axis a dimension.
    """

    rule: ClassVar[str] = "products of nodes on the axes of the posterior, reweighted by its density"

    axes: tuple[Vector, ...]
    values: Vector

    def __call__(self, z: Vector) -> Vector:
        """Values at z, (p, d) -> (p,)."""
        result = np.broadcast_to(self.values, (z.shape[0], *self.values.shape))
        for k, nodes in enumerate(self.axes):
            result = np.einsum("pk,pk...->p...", _weights(nodes, z[:, k]), result)
        return result

    def reach(self) -> float:
        """A little beyond the outermost node."""
        corner = float(np.sqrt(sum(np.abs(nodes).max() ** 2 for nodes in self.axes)))
        return max(6.0, corner + 1.0)

    def arrays(self) -> dict[str, Vector]:
        """Nodes and values."""
        return {"values": self.values, **{f"axis{k}": nodes for k, nodes in enumerate(self.axes)}}


@dataclass(frozen=True)
class EvenGrid(ProductSpline):
    """The same through an even grid that holds all mass, which is summed over places in the grid's cells."""

    rule: ClassVar[str] = "an even grid on the axes of the posterior"

    @cached_property
    def weighted(self) -> tuple[Vector, Vector]:
        """Many z and their log weights, whose mean on the natural scale is the integral of the density."""
        d, steps = len(self.axes), np.array([nodes[1] - nodes[0] for nodes in self.axes])
        nodes = np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1).reshape(-1, d)
        log_mass = self.values.ravel() - 0.5 * (nodes**2).sum(axis=1)
        shares = 0.9 * np.exp(log_mass - logsumexp(log_mass)) + 0.1 / len(nodes)  # some in every cell
        points = scrambled(PLACES, d + 1)
        cells = np.minimum(np.searchsorted(np.cumsum(shares), points[:, 0]), len(nodes) - 1)
        z = nodes[cells] + (points[:, 1:] - 0.5) * steps
        return z, self(z) - 0.5 * (z**2).sum(axis=1) - np.log(shares[cells] / steps.prod())

    def arrays(self) -> dict[str, Vector]:
        """Nodes and values, and that they are even."""
        return super().arrays() | {"even": np.array(1.0)}


def _weights(nodes: Vector, z: Vector) -> Vector:
    """Interpolation weights, (points, nodes): a cubic spline within the nodes, then a line, for one unit only.

    A line that went on could outgrow the Gaussian where two axes leave their nodes together.
    """
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(nodes, np.eye(nodes.size))
    clipped = np.clip(z, nodes[0], nodes[-1])
    values: Vector = spline(clipped) + spline(clipped, 1) * np.clip(z - clipped, -1.0, 1.0)[:, None]
    return values


@dataclass(frozen=True)
class Polynomial:
    """A quartic along each axis, products of two and of a square with another, through values and gradients.

    Constant beyond a box, and at a ceiling: between the points and beyond them it may rise without reason.

    For more dimensions than a product of nodes can serve.

    Attributes
    ----------
    coefficients : array
        Of the terms of `_terms`.
    limit : (d,) array
        Half sides of the box.
    ceiling : float
    """

    rule: ClassVar[str] = "a central composite design, and a polynomial through its values and gradients"

    coefficients: Vector
    limit: Vector
    ceiling: float = np.inf

    @classmethod
    def through(cls, z: Vector, values: Vector, gradients: Vector, weights: Vector) -> "Polynomial":
        """Weighted least squares through values, (p,), and gradients, (p, d)."""
        rows, slopes = _terms(z), _term_gradients(z)
        matrix = np.vstack([rows, *slopes.transpose(2, 0, 1)])
        target = np.concatenate([values, gradients.T.ravel()])
        scale = np.sqrt(np.tile(weights, 1 + z.shape[1]))
        coefficients = np.linalg.lstsq(matrix * scale[:, None], target * scale, rcond=1e-10)[0]
        return cls(coefficients, np.abs(z).max(axis=0), float(values.max()) + HIGHEST)

    def __call__(self, z: Vector) -> Vector:
        """Values at z, (p, d) -> (p,)."""
        return np.minimum(_terms(np.clip(z, -self.limit, self.limit)) @ self.coefficients, self.ceiling)

    def reach(self) -> float:
        """Six standard deviations."""
        return 6.0

    def arrays(self) -> dict[str, Vector]:
        """Coefficients and box."""
        return {"coefficients": self.coefficients, "limit": self.limit, "ceiling": np.array(self.ceiling)}


def _terms(z: Vector) -> Vector:
    pairs, mixed = _products(z.shape[1])
    products = [z[:, i] * z[:, j] for i, j in pairs] + [z[:, i] ** 2 * z[:, j] for i, j in mixed]
    return np.column_stack([np.ones(z.shape[0]), z, z**2, z**3, z**4, *products])


def _term_gradients(z: Vector) -> Vector:
    """Gradients of the terms, (p, terms, d)."""
    p, d = z.shape
    pairs, mixed = _products(d)
    out = np.zeros((p, 1 + 4 * d + len(pairs) + len(mixed), d))
    for k in range(d):
        for power in range(4):
            out[:, 1 + power * d + k, k] = (power + 1) * z[:, k] ** power
    for t, (i, j) in enumerate(pairs, 1 + 4 * d):
        out[:, t, i], out[:, t, j] = z[:, j], z[:, i]
    for t, (i, j) in enumerate(mixed, 1 + 4 * d + len(pairs)):
        out[:, t, i], out[:, t, j] = 2 * z[:, i] * z[:, j], z[:, i] ** 2
    return out


@dataclass(frozen=True)
class Reweighted:
    """An emulator corrected by exact values at draws: its mass near each draw is scaled up or down.

    Attributes
    ----------
    emulator : Emulator
    places : (n, d) array
        The draws.
    factors : (n,) array
        What the emulator's mass that is nearest to each draw is multiplied by.
    lumps : (n,) array
        Mass at the draws themselves, where the emulator has too little to multiply, as a part of its mass.
    """

    rule: ClassVar[str] = f"{Emulator.rule}; draws with exact values put that right"

    emulator: Emulator
    places: Vector
    factors: Vector
    lumps: Vector

    def __call__(self, z: Vector) -> Vector:
        """The emulator's residual and the log of the factors at z, (p, d) -> (p,)."""
        with np.errstate(divide="ignore"):
            values: Vector = self.emulator(z) + np.log(self.factors)[nearest_of(z, self.places)]
        return values

    @cached_property
    def weighted(self) -> tuple[Vector, Vector]:
        """Many u and their log weights, whose mean on the natural scale is the integral of the density."""
        u, log_mass = self.emulator.weighted
        log_whole = logsumexp(log_mass)
        own = self.lumps > 0
        with np.errstate(divide="ignore"):
            log_mass = log_mass + np.log(self.factors)[nearest_of(u, self.places)]
        both = np.concatenate([log_mass, log_whole + np.log(self.lumps[own])]) + np.log1p(own.sum() / len(u))
        return np.vstack([u, self.places[own]]), both

    def reach(self) -> float:
        """The emulator's, or that of the outermost draw."""
        return max(self.emulator.reach(), float(np.sqrt((self.places**2).sum(axis=1)).max()))

    def arrays(self) -> dict[str, Vector]:
        """What a saved fit keeps of it."""
        return {**self.emulator.arrays(), "draws": self.places, "factors": self.factors, "lumps": self.lumps}


def _products(d: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Axes (i, j) of the terms z_i z_j, and of the terms z_i² z_j."""
    return list(combinations(range(d), 2)), list(permutations(range(d), 2))


def residual_from(arrays: dict[str, Vector]) -> Residual:
    """A residual from what `arrays` gave."""
    if "places" in arrays:
        emulator = Emulator.from_arrays(arrays)
        if "draws" in arrays:
            return Reweighted(emulator, arrays["draws"], arrays["factors"], arrays["lumps"])
        return emulator
    if "coefficients" in arrays:
        return Polynomial(arrays["coefficients"], arrays["limit"], float(arrays.get("ceiling", np.inf)))
    if "values" in arrays:
        kind = EvenGrid if "even" in arrays else ProductSpline
        return kind(tuple(arrays[f"axis{k}"] for k in range(arrays["values"].ndim)), arrays["values"])
    return Nothing()
