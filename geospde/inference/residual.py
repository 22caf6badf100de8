"""The difference between log p(theta | y) and a Gaussian, interpolated through the points of a rule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from geospde.inference.emulator import Emulator
from geospde.inference.mode import Arm
from geospde.inference.pareto import smoothed_log_weights
from geospde.inference.warp import Axes, Warp
from geospde.linalg.processes import nearest_of
from geospde.linalg.sequences import scrambled
from geospde.linalg.student import StudentMixture

Vector = NDArray[np.float64]
PLACES = 2**14  # over which the mass of an even grid is summed
EACH, WIDE = 256, 64  # draws at a time, and how many of them are from wide densities,
LIGHTER = 5.0  # degrees of freedom of those without priors
WIDER, FAR = 1.5, 3.0  # of these scales, in posterior sds, where the prior is no narrower
FEW = 2**14  # nodes that tell how unsure draws are
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


class _Round(NamedTuple):
    """Draws of theta, log densities there, and the mixture that most of them are from; None for the emulator."""

    theta: Vector
    values: Vector
    mixture: StudentMixture | None


class ThetaDraws:
    """Draws of theta with the exact density there, which put an emulator of it right.

    A sum over the posterior is the emulator's sum plus one over the draws, weighted by how far the emulator is off
    there: unbiased for any emulator, and the more exact the better the emulator is. Where it is poor the draws speak
    alone. Some of them are always from wide densities.

    Parameters
    ----------
    log_posterior : callable
        Log densities at thetas, (n, d) -> (n,).
    emulator : Emulator
    top : float
        Log density that the emulator's is relative to.
    axes : Axes
        Of the emulator.
    scale : Warp or None
        On which the priors are Gaussian: there arms are short, mixtures follow them and errors are measured.
    """

    def __init__(
        self,
        log_posterior: Callable[[Vector], Vector],
        emulator: Emulator,
        top: float,
        axes: Axes,
        scale: Warp | None,
        arms: Sequence[Arm] = (),
    ):
        self.log_posterior, self.emulator, self.axes, self.rng = log_posterior, emulator, axes, np.random.default_rng(0)
        self.u, log_mass = emulator.weighted
        log_whole = float(logsumexp(log_mass) - np.log(len(self.u)))
        self._own_level, self._level = log_whole, top + log_whole
        self.mass = np.exp(log_mass - logsumexp(log_mass))
        d = axes.centre.size
        self.measured = Axes(np.zeros(d), np.eye(d), None, scale)
        # where mixtures are: on the emulator's own axes, or the priors', standardised
        self.base = axes if scale is None else self.measured
        own = self.base.bent(axes.theta(self.u))
        self.mean = self.mass @ own
        self.root = np.asarray(np.linalg.cholesky((own - self.mean).T @ (self.mass[:, None] * (own - self.mean))))
        self.far = _far(self.mean, self.root, scale, arms)
        self.rounds: list[_Round] = []
        self.first = 0

    def __len__(self) -> int:
        return EACH * (len(self.rounds) - self.first)

    def add(self, mixture: StudentMixture | None = None) -> None:
        """Draw from a mixture, by default from the emulator, and some from wide densities."""
        if mixture is None:
            near = self.axes.theta(self.u[self.rng.choice(len(self.u), EACH - WIDE, p=self.mass)])
        else:
            near = self._theta(mixture.draw(EACH - WIDE, self.rng))
        theta = np.vstack([near, self._theta(self.far.draw(WIDE, self.rng))])
        self.rounds.append(_Round(theta, self.log_posterior(theta), mixture))

    def _theta(self, places: Vector) -> Vector:
        return self.base.theta(self.mean + places @ self.root.T)

    def _places(self, theta: Vector) -> Vector:
        return np.asarray(np.linalg.solve(self.root, (self.base.bent(theta) - self.mean).T).T)

    def mixture(self, rest: bool = False) -> StudentMixture:
        """Fit one to the draws or, of the rest alone, to where the emulator is off."""
        theta, _, exact, own = self._compared()
        if rest:
            exact = np.abs(exact - own)
        # one draw that outweighs all others says little of where the next should be
        guide = np.minimum(exact, exact.sum() / np.sqrt(len(exact)))
        return StudentMixture.fitted(self._places(theta), guide / guide.sum(), self.rng)

    def errors(self, influence: Callable[[Vector, Vector], Vector]) -> Vector:
        """Standard errors of what has these derivatives by the log density at values, (n, d), with masses, (n,)."""
        return self._best(influence)[0]

    def corrected(self, influence: Callable[[Vector, Vector], Vector]) -> "Reweighted":
        """The emulator as the draws correct it."""
        _, u, more, ratio = self._best(influence)
        cells = np.bincount(nearest_of(self.u, u), self.mass, len(u)).astype(float)
        return Reweighted(self.emulator, u, *_factors(more - cells if ratio is None else more, cells, ratio))

    def _best(self, influence: Callable[[Vector, Vector], Vector]) -> tuple[Vector, Vector, Vector, Vector | None]:
        """Least errors, the emulator's u, masses that the draws add, and the ratios of densities; None to nothing."""
        theta, u, exact, own = self._compared()
        few, mass = self.u[:FEW], self.mass[:FEW] / self.mass[:FEW].sum()  # of points of low discrepancy the first
        nearest = nearest_of(few, u)
        cells = np.bincount(nearest, mass, len(u)).astype(float)
        values = self.measured.straight(np.vstack([self.axes.theta(few), theta]))
        found = []
        # of draws alone the heaviest tell little of how heavy they should be
        log_weights = smoothed_log_weights(np.log(np.maximum(exact, 1e-300))[None])[0][0]
        smooth = np.exp(log_weights) * exact.sum()
        for more, ratio in ((exact - own, exact / np.maximum(own, 1e-300)), (smooth, None)):
            factors, lumps = _factors(more - cells if ratio is None else more, cells, ratio)
            both = np.concatenate([mass * factors[nearest], lumps])
            each = (more / (more.sum() + (ratio is not None)))[:, None] * influence(values, both / both.sum())[
                len(few) :
            ]
            variance = (each**2).sum(axis=0) - each.sum(axis=0) ** 2 / len(u)
            found.append((np.sqrt(np.maximum(variance, 0.0)), u, more, ratio))
        return min(found, key=lambda one: float(one[0].max()))

    def _compared(self) -> tuple[Vector, Vector, Vector, Vector]:
        """Thetas, (n, d), the emulator's u there, and their exact and the emulator's masses, in parts of its whole."""
        rounds = self.rounds[self.first :]
        theta = np.vstack([each.theta for each in rounds])
        u, places = self.axes.bent(theta), self._places(theta)
        log_volume = self.axes.log_volume(u)
        # from a density of places to one of u
        change = log_volume - self.base.log_volume(self.base.bent(theta))
        for sign, root in ((1, self.axes.root), (-1, self.base.root), (-1, self.root)):
            change += sign * np.linalg.slogdet(root)[1]
        log_own = self.emulator.log_density(u) - self._own_level
        log_draw = self.far.log_density(places) + change + np.log(WIDE * len(rounds))
        for each in rounds:
            log_near = log_own if each.mixture is None else each.mixture.log_density(places) + change
            log_draw = np.logaddexp(log_draw, log_near + np.log(EACH - WIDE))
        values = np.concatenate([each.values for each in rounds]) + log_volume - self._level
        # one draw that outweighs all others by e^200 is as good as infinite
        return theta, u, np.exp(np.minimum(values - log_draw, 200.0)), np.exp(log_own - log_draw)


def _far(mean: Vector, root: Vector, scale: Warp | None, arms: Sequence[Arm]) -> StudentMixture:
    """Wide densities on standardised axes, one of them the priors' own: an arm may have been seen by no point."""
    d = len(mean)
    wide = WIDER * np.eye(d)
    if scale is None:
        return StudentMixture(np.ones(1), np.zeros((1, d)), wide[None], LIGHTER)
    has_end, sds = scale.log_slope.any(axis=1), np.sqrt((root**2).sum(axis=1))
    spread = np.where(has_end, np.minimum(1.0, FAR * sds), WIDER * sds)
    inverse = np.linalg.inv(root)
    shrunk = np.where(has_end, np.sqrt(np.maximum(1.0 - spread**2, 0.0)), 1.0)
    prior = np.asarray(np.linalg.cholesky((inverse * spread**2) @ inverse.T), dtype=float)
    means = [inverse @ ((shrunk - 1.0) * mean), np.zeros(d)]
    roots = [prior, wide]
    shares = np.array([0.75, 0.25])
    if arms:
        shares = np.concatenate([0.5 * shares, np.full(2 * len(arms), 0.25 / len(arms))])
    for arm in arms:  # at its end, and on the way there
        way = inverse @ (arm.place - mean)
        own = inverse @ arm.covariance @ inverse.T
        means += [way, 0.5 * way]
        roots += [np.linalg.cholesky(own), np.linalg.cholesky(own + 0.06 * np.outer(way, way))]
    return StudentMixture(shares, np.array(means), np.array(roots))


def _factors(more: Vector, cells: Vector, ratio: Vector | None) -> tuple[Vector, Vector]:
    """Factors and lumps, (n,) each, that add `more` mass near each draw to that of its cell.

    Less mass is by the ratio of the densities: a cell may well have less than is to be taken away about its draw.
    """
    share = more / np.maximum(cells, 1e-300)
    if ratio is not None:
        share = np.where(more < 0, ratio - 1.0, share)
    factors = np.where(np.abs(share) <= 1.0, 1.0 + share, np.where(more > 0, 1.0, 0.0))
    lumps = np.where(share > 1.0, more, 0.0)
    # what could not be taken away about a draw is taken away everywhere
    scale = max(1.0 + float(more.sum()), 1e-6) / float(cells @ factors + lumps.sum())
    return scale * factors, scale * lumps


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
