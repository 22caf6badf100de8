"""Posterior marginals: densities on a grid, and summaries on the response scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from geospde.errors import InputError
from geospde.families.links import Link
from geospde.inference.mixture import FAR, MADE_UP, GaussianMixture, Transform, bend
from geospde.text.words import numeral

Vector = NDArray[np.float64]
STRAIGHT = 6.0  # normal scores on a grid of seven deviations that lack less than a thousandth of the tail beyond it


@dataclass(frozen=True)
class Marginal:
    """One posterior density, on a grid of an inner scale and a monotone map to the user's.

    Attributes
    ----------
    inner : (g,) array
        Even grid on the inner scale.
    inner_density : (g,) array
    transform : callable
        Increasing map from the inner to the user's scale.
    below : (g,) array, optional
        Distribution function at `inner`; by default the integral of the density.

    Examples
    --------
    >>> t = np.linspace(-6, 6, 241)
    >>> normal = Marginal(t, np.exp(-t**2 / 2) / np.sqrt(2 * np.pi))
    >>> round(normal.sd, 4), round(float(normal.quantile(0.975)), 4)
    (1.0, 1.96)
    """

    inner: Vector
    inner_density: Vector
    transform: Transform | None = None
    below: Vector | None = None

    def map(self, t: Vector) -> Vector:
        """From the inner to the user's scale."""
        return t if self.transform is None else self.transform(t)

    @cached_property
    def _mass(self) -> tuple[Vector, Vector]:
        """Values on the user's scale, and their weights, which sum to one.

        Of `below`, if given, which no kernel has widened: even within each step, by Simpson's rule.
        """
        inner = self.inner
        between = np.diff(inner if self.below is None else self.below)
        mass: Vector = 0.5 * (np.append(between, 0.0) + np.append(0.0, between))
        if self.below is None:
            mass *= self.inner_density
        else:
            inner = np.concatenate([inner, 0.5 * (inner[1:] + inner[:-1])])
            mass = np.concatenate([mass, 2.0 * between]) / 3.0
        mass /= mass.sum()
        return self.map(inner), mass

    @cached_property
    def mean(self) -> float:
        """Posterior mean."""
        values, mass = self._mass
        return float(mass @ values)

    @cached_property
    def sd(self) -> float:
        """Posterior standard deviation."""
        values, mass = self._mass
        return float(np.sqrt(mass @ (values - self.mean) ** 2))

    @cached_property
    def finite_moments(self) -> tuple[float, float]:
        """Mean and sd, each NaN where the density's far tail makes it up.

        Such a moment is infinite, or its figure says where a grid ends: of a Pareto tail, x to the power -a in the
        distribution function, the mean is NaN for a below 1.2 and the sd below 2.4.
        """
        heavy = [self._share_of_tails(power) > MADE_UP for power in (1, 2)]
        return np.nan if heavy[0] else self.mean, np.nan if heavy[1] else self.sd

    def _share_of_tails(self, power: int) -> float:
        """Part of the absolute moment about the median that the `FAR` outermost probability at each end makes up."""
        low, middle, high = self.quantile(np.array([FAR, 0.5, 1 - FAR]))
        values = self.map(self.inner)
        parts = np.abs(values - middle) ** power * self.inner_density
        total = float(np.trapezoid(parts, self.inner))
        inside = float(np.trapezoid(np.where((values >= low) & (values <= high), parts, 0.0), self.inner))
        if not np.isfinite(total):
            return 1.0
        return 1.0 - inside / total if total > 0 else 0.0

    @cached_property
    def x(self) -> Vector:
        """Grid on the user's scale, for plotting."""
        return self.map(self.inner)

    @cached_property
    def y(self) -> Vector:
        """Density at `x`, on the user's scale."""
        slope = np.gradient(self.x, self.inner)  # zero where a share is 1 to the last digit
        return np.divide(self.inner_density, slope, out=np.zeros_like(slope), where=slope != 0)

    @cached_property
    def _probit(self) -> tuple[Vector, Vector]:
        """Normal scores of the distribution function and the inner scale: nearly a straight line."""
        if self.below is None:
            below = _integral(self.inner, self.inner_density)
            above = _integral(-self.inner[::-1], self.inner_density[::-1])[::-1]
        else:
            below, above = self.below, 1.0 - self.below
        # of the smaller tail, which has its digits
        scores = np.where(below < above, 1.0, -1.0) * ndtri(np.minimum(below, above))
        inside = np.abs(scores) < 8.0
        scores, inner = scores[inside], self.inner[inside]
        highest = np.maximum.accumulate(scores)  # rounding in the tails may let the distribution function fall
        rising = np.concatenate([[True], scores[1:] > highest[:-1] + 1e-9])
        return scores[rising], inner[rising]

    def density(self, x: Vector | float) -> Vector:
        """Density on the user's scale."""
        return np.asarray(np.interp(x, self.x, self.y, left=0.0, right=0.0))

    def _score(self, x: Vector | float) -> Vector:
        """Normal score of P(X <= x); on the inner scale itself it goes on in a straight line beyond `STRAIGHT`."""
        from scipy.interpolate import PchipInterpolator

        scores, inner = self._probit
        places = self.map(inner)
        curve = PchipInterpolator(places, scores)
        x = np.asarray(x, dtype=float)
        if self.transform is not None or np.abs(scores[[0, -1]]).min() < STRAIGHT:
            values: Vector = curve(np.clip(x, places[0], places[-1]))
            return values
        bends = np.interp([-STRAIGHT, 1 - STRAIGHT, STRAIGHT - 1, STRAIGHT], scores, places)
        near = np.clip(x, bends[0], bends[3])
        low, second, third, high = curve(bends)
        slope = np.where(x < near, (second - low) / (bends[1] - bends[0]), (high - third) / (bends[3] - bends[2]))
        values = curve(near) + (x - near) * slope
        return values

    def cdf(self, x: Vector | float) -> Vector:
        """P(X <= x)."""
        values: Vector = ndtr(self._score(x))
        return values

    def sf(self, x: Vector | float) -> Vector:
        """P(X > x), with its digits where it is small."""
        values: Vector = ndtr(-self._score(x))
        return values

    def quantile(self, p: Vector | float) -> Vector:
        """Quantiles on the user's scale."""
        p = np.asarray(p, dtype=float)
        if not ((p > 0) & (p < 1)).all():
            raise InputError(f"a quantile level lies between 0 and 1, not {p}")
        from scipy.interpolate import PchipInterpolator

        scores, inner = self._probit
        # beyond the outermost that are known a cubic would go anywhere
        known = ndtri(p) if self.below is None else np.clip(ndtri(p), scores[0], scores[-1])
        return self.map(PchipInterpolator(scores, inner)(known))

    @cached_property
    def mode(self) -> float:
        """Where the density on the user's scale is largest, but for the outermost probabilities `FAR`.

        What little lies towards an sd of zero is much a unit, whatever it is.
        """
        below = _integral(self.inner, self.inner_density)
        inside = np.flatnonzero((below >= FAR) & (below <= 1 - FAR))
        k = int(inside[self.y[inside].argmax()]) if inside.size else int(self.y.argmax())
        if inside.size and k in (inside[0], inside[-1]):
            return float(self.x[k])
        k = int(np.clip(k, 1, self.y.size - 2))
        if (np.diff(self.x[k - 1 : k + 2]) == 0).any():  # at an end of the scale, to the last digit
            return float(self.x[k])
        near, around = self.x[k - 1 : k + 2] - self.x[k], self.y[k - 1 : k + 2]
        unit = np.abs(near).max()  # whose square may be no number
        coefficients = np.polyfit(near / unit, around / around.max(), 2)
        return float(self.x[k] - 0.5 * unit * coefficients[1] / coefficients[0] if coefficients[0] < 0 else self.x[k])

    def interval(self, level: float = 0.95, kind: str = "equal-tailed") -> tuple[float, float]:
        """Credible interval.

        Parameters
        ----------
        level : float
            Its probability.
        kind : {"equal-tailed", "highest-density"}
        """
        if kind == "equal-tailed":
            low, high = self.quantile(np.array([0.5 - level / 2, 0.5 + level / 2]))
            return float(low), float(high)
        if kind != "highest-density":
            raise InputError(f"an interval is 'equal-tailed' or 'highest-density', not {kind!r}")
        tails = np.linspace(1e-4, 1 - level - 1e-4, 400)
        ends = self.quantile(np.concatenate([tails, tails + level]))
        low, high = ends[: tails.size], ends[tails.size :]
        k = int((high - low).argmin())
        return float(low[k]), float(high[k])


def _integral(x: Vector, density: Vector) -> Vector:
    """Integral of a density up to each x, over that of all of it."""
    from scipy.interpolate import CubicSpline

    total = CubicSpline(x, density).antiderivative()(x)
    values: Vector = np.clip(total / total[-1], 0.0, 1.0)
    return values


def marginal_of_mixture(mixture: GaussianMixture, transform: Transform | None = None) -> Marginal:
    """The one quantity of a mixture (m = 1) as a `Marginal`."""
    low, high = (mixture.means - 7 * mixture.sds).min(), (mixture.means + 7 * mixture.sds).max()
    if mixture.shape is not None:
        ends = bend(np.array([-7.0, 7.0]), mixture.shape)
        low = (mixture.means + min(ends[0], -7.0) * mixture.sds).min()
        high = (mixture.means + max(ends[1], 7.0) * mixture.sds).max()
    inner = np.linspace(low, high, 801)
    density = np.array([mixture.density(t)[0] for t in inner])
    return Marginal(inner, density, transform)


def response_summary(
    mixture: GaussianMixture, link: Any, quantiles: Sequence[float], mode: bool = False
) -> dict[str, Vector]:
    """Mean, sd, quantiles (and mode) of the inverse link of a mixture: of the transformed law, not a transformed mean.

    Returns
    -------
    dict
        ``mean``, ``sd``, ``q0.025``, ... to (m,) arrays.
    """
    mean, sd = _response_moments(mixture, link)
    table = {"mean": mean, "sd": sd}
    for p, values in zip(quantiles, predictor_quantiles(mixture, link, quantiles)):
        table[f"q{numeral(p)}"] = link.inverse(values)
    if mode:
        table["mode"] = link.inverse(mixture.mode(lambda eta: -link.log_derivative(eta)))
    return table


def predictor_quantiles(mixture: GaussianMixture, link: Any, levels: Sequence[float]) -> list[Vector]:
    """The predictor where its inverse link has quantiles of these levels: from above where that falls."""
    rising = [] if np.all(link.falls) else list(mixture.quantiles(levels))
    if not np.any(link.falls):
        return rising
    falling = mixture.quantiles([1.0 - p for p in levels])
    return [np.where(link.falls, b, a) for a, b in zip(rising, falling)] if rising else list(falling)


def _response_moments(mixture: GaussianMixture, link: Any) -> tuple[Vector, Vector]:
    """Mean and sd of the inverse link of a mixture: in closed form where there is one."""
    if link.is_linear:  # skew components have the mean and sd that Gaussians have
        return mixture.mean, mixture.sd
    # a reciprocal has moments where its predictor is positive alone
    plain = mixture.shape is None or bool(np.all(link.falls))
    if plain and mixture.is_many and isinstance(link, Link) and link.least == 0:
        return mixture.positive_moments(link.falls)
    each = link.gaussian_moments(mixture.means, mixture.sds) if plain else None
    if each is None and link.is_log:
        return mixture.exponential_moments()
    if each is None:
        return mixture.function_moments(link.inverse)
    means, variances = each
    mean = mixture.weights @ means
    return mean, np.sqrt(mixture.weights @ (variances + (means - mean) ** 2))


def unwrapped(values: Vector, weights: Vector, period: float, about: float | None = None) -> Vector:
    """Values on a circle, each by as many periods off as brings it nearest to their mean.

    So that the mean of what is returned is the intrinsic mean, the one from which the squared distances along the
    circle are least, and their sd, quantiles and density are along the circle.

    Parameters
    ----------
    values, weights : (k,) arrays
    period : float
    about : float, optional
        Where the mean is looked for; by default at the circular mean, between half a period below 0 and above it.

    References
    ----------
    Pennec (2006), J. Math. Imaging Vis. 25, 127-154.
    """
    if about is None:
        about = float(np.angle(weights @ np.exp(2j * np.pi * values / period)) * period / (2 * np.pi))
    for _ in range(100):
        turned = about + np.remainder(values - about + period / 2, period) - period / 2
        before, about = about, float(weights @ turned / weights.sum())
        if abs(about - before) < 1e-9 * period:
            break
    return np.asarray(turned)
