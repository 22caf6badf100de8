"""Predictions of a product: the probability that there is something, times how much of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from geospde.errors import InputError
from geospde.inference.mixture import GaussianMixture, bend, exponential
from geospde.linalg.sequences import low_discrepancy
from geospde.linalg.sums import SCORES, IndependentSum, Monotone
from geospde.linalg.threads import side_by_side
from geospde.results.base import Fit
from geospde.text.progress import Callback
from geospde.text.words import numeral

if TYPE_CHECKING:
    from geospde.families.likelihood import Likelihood

Vector = NDArray[np.float64]
DRAWS = 2000
AT_ONCE = 500  # places whose distributions are found at a time
NOWHERE = (GaussianMixture(np.ones(1), np.zeros((1, 0)), np.zeros((1, 0))),) * 2
LEAST = 1e-300
FEW = np.array([0.0, -2.0, 3.0])  # predictors, and how little logarithms of means at them may
SAME = 1e-12  # differ, of functions that are the same


class Product:
    """The mean of a delta family at some places.

    Parameters
    ----------
    fit : Fit
        Whose model `is_product`.
    mixtures : pair of GaussianMixture
        Of the predictors of the two parts, independent at each point of the hyperparameters.
    """

    def __init__(self, fit: Fit, mixtures: tuple[GaussianMixture, GaussianMixture]):
        self.fit = fit
        self.presence, self.positive = mixtures
        parts = list(fit.model.parts.values())
        self.link = parts[0].family.link
        points = fit.approximation.points
        if not fit.laplace.model.likelihood.parts[1].has_one_mean:
            raise InputError(
                "the mean of the values above 0 depends on their dispersion, which dispformula gives at the data only",
                remedy="give observations='presence' or 'positive', or fit without dispformula",
            )
        self.means = [self._positive_at(point.theta) for point in points]
        at_few = np.log([self._of_positive(k, FEW) for k in range(len(points))])
        rises = at_few - FEW
        # logarithms of the means less their predictors, a number each, None where that depends on the predictor
        self._rises = rises[:, 0] if np.ptp(rises, axis=1).max() < SAME else None
        # whether the mean is one function of its predictor, but for a factor, at all hyperparameters
        self._is_common = self._rises is not None or bool(np.ptp(at_few, axis=0).max() < SAME)

    def _positive_at(self, theta: Vector) -> Likelihood:
        """The likelihood of the values above 0 of any row: the mean per unit exposure is a function of eta."""
        second: Likelihood = self.fit.laplace.likelihood_at(theta).parts[1]
        return replace(second.of_rows(np.array([0])), exposure=np.ones(1))

    def function(self, part: int, k: int) -> Callable[[Vector], Vector]:
        """The mean of a part, 0 the presence, as a function of its predictor at one point of the hyperparameters."""
        return self.link.inverse if part == 0 else partial(self._of_positive, k)

    def _of_positive(self, k: int, eta: Vector) -> Vector:
        """Mean of the values above 0, at one point of the hyperparameters."""
        return self.means[k].moments(eta)[0]

    def of(self, presence: GaussianMixture, positive: GaussianMixture) -> Product:
        """The mean at other places, of the same fit."""
        other = copy(self)
        other.presence, other.positive = presence, positive
        return other

    def moments(self) -> tuple[Vector, Vector]:
        """Mean and standard deviation, by Gauss-Hermite quadrature within each component.

        The hyperparameters of one part are independent of those of the other, and so are the parts.
        """
        (one, one_sd), (two, two_sd) = self.presence.function_moments(self.link.inverse), self._positive_moments()
        return one * two, np.sqrt((one_sd * two_sd) ** 2 + (one * two_sd) ** 2 + (one_sd * two) ** 2)

    def _positive_moments(self) -> tuple[Vector, Vector]:
        if self._rises is not None:
            return self._risen.exponential_moments()
        if self._is_common:
            return self.positive.function_moments(self.function(1, 0))
        means, sds = self.positive.moments_each([self.function(1, k) for k in range(len(self.means))])
        mean: Vector = self.positive.weights @ means
        return mean, np.sqrt(self.positive.weights @ (sds**2 + (means - mean) ** 2))

    @property
    def _risen(self) -> GaussianMixture:
        """Mixtures of the logarithm of the mean above 0."""
        return replace(self.positive, means=self.positive.means + np.asarray(self._rises)[:, None], gaussian=None)

    @property
    def _logarithm(self) -> IndependentSum:
        """The logarithm of the product, as a sum, where the mean above 0 is a function that is `_is_common`."""
        presence = _rising(self.presence, lambda eta: np.log(np.maximum(self.link.inverse(eta), LEAST)))
        if self._rises is not None:
            return IndependentSum(presence, _rising(self._risen))
        return IndependentSum(presence, _rising(self.positive, lambda eta: np.log(self._of_positive(0, eta))))

    def at(self, k: int, presence: Vector, positive: Vector) -> Vector:
        """The product at predictors of the two parts, any shape, and one point of the hyperparameters."""
        return np.asarray(self.link.inverse(presence)) * self._of_positive(k, positive)

    def gradient(self) -> tuple[Vector, Vector, Vector]:
        """The product of the estimates, and its derivatives by the predictor of each part."""
        step = 1e-5
        value, slope = [], []
        for mixture, function in (
            (self.presence, self.function(0, 0)), (self.positive, self.function(1, 0)),
        ):  # fmt: skip
            eta = mixture.mean
            value.append(function(eta))
            slope.append((function(eta + step) - function(eta - step)) / (2 * step))
        return value[0] * value[1], slope[0] * value[1], value[0] * slope[1]

    def along(self, moves: Vector) -> Vector:
        """How the product at the estimated predictors changes along moves of the hyperparameters, (d, k): (m, k)."""
        theta, presence, eta = self.fit.point.theta, self.link.inverse(self.presence.mean), self.positive.mean
        out = np.zeros((len(eta), moves.shape[1]))
        for k, step in enumerate(1e-4 * moves.T):
            above, below = (self._positive_at(theta + sign * step).moments(eta)[0] for sign in (1.0, -1.0))
            out[:, k] = presence * (above - below) / 2e-4
        return out

    def plug_in(self) -> tuple[Vector, Vector]:
        """The product of the estimates, and its standard error by the delta method."""
        value, by_presence, by_positive = self.gradient()
        return value, np.sqrt((by_presence * self.presence.sd) ** 2 + (by_positive * self.positive.sd) ** 2)

    def draws(self, n: int = DRAWS) -> Vector:
        """Points of the posterior at each place, (n, m), each place by itself: spread evenly, where draws would clump.

        By the hyperparameters and both predictors.
        """
        places = low_discrepancy(n, 3)
        point = np.searchsorted(np.cumsum(self.presence.weights)[:-1], places[:, 0])
        out = []
        for k in np.unique(point):
            first, second = (
                one.means[k] + one.sds[k] * (z[:, None] if one.shape is None else bend(z[:, None], one.shape))
                for one, z in zip((self.presence, self.positive), ndtri(places[point == k, 1:]).T)
            )
            out.append(self.at(int(k), first, second))
        return np.vstack(out)

    def columns(self, quantiles: Sequence[float], exceed: dict[str, float], scale: Vector) -> dict[str, Vector]:
        """``mean``, ``sd``, quantiles and probabilities above thresholds, of the mean times a scale, (m,) each.

        Quantiles and probabilities are of a sum of logarithms; by `draws` where the hyperparameters change how the mean
        above 0 follows from its predictor.
        """
        mean, sd = self.plug_in() if self.fit.plug_in else self.moments()
        names = [*(f"q{numeral(q)}" for q in quantiles), *exceed]
        found = self._distribution(quantiles, list(exceed.values()), scale)
        return {"mean": scale * mean, "sd": scale * sd, **dict(zip(names, found))}

    def exceedance(self, threshold: float | Vector, scale: Vector) -> Vector:
        """P(mean times the scale > threshold) at each place, (m,), NaN where its own is."""
        at = np.broadcast_to(np.asarray(threshold, dtype=float), scale.shape)
        found: Vector = self._distribution((), [np.nan_to_num(at)], scale)[0]
        return np.where(np.isnan(at), np.nan, found)

    def _distribution(self, quantiles: Sequence[float], levels: Sequence[float | Vector], scale: Vector) -> Vector:
        """Quantiles and probabilities above levels, a row each, of the mean times a scale: some places at a time."""
        if not quantiles and not levels:
            return np.empty((0, scale.size))

        def of_few(first: int) -> Vector:
            some = slice(first, first + AT_ONCE)
            few = (replace(mixture.part(some), of=mixture.of) for mixture in (self.presence, self.positive))
            return self.of(*few)._distribution_of_few(
                quantiles, [np.broadcast_to(t, scale.shape)[some] for t in levels], scale[some]
            )

        firsts = range(0, scale.size, AT_ONCE)
        return np.concatenate(list(side_by_side(of_few, firsts, scale.size if len(firsts) > 1 else 0)), axis=1)

    def _distribution_of_few(self, quantiles: Sequence[float], levels: Sequence[Vector], scale: Vector) -> Vector:
        if self._is_common:
            logarithm = self._logarithm
            below = [scale * exponential(logarithm.quantile(q)) for q in quantiles]
            return np.array(below + [logarithm.tail(_logarithm_of(t, scale)) for t in levels])
        drawn = scale * self.draws()
        return np.array([*np.quantile(drawn, quantiles, axis=0), *((drawn > t).mean(axis=0) for t in levels)])


def _rising(mixture: GaussianMixture, f: Callable[[Vector], Vector] | None = None) -> Monotone:
    """A rising function f of mixtures, None for themselves, as one of a normal score.

    Between quantiles it is off by up to 4e-4 of a standard deviation, where mixtures are as far from normal as after
    two hundred zeros and ones.
    """
    x = mixture.quantiles([float(p) for p in ndtr(SCORES)])
    return Monotone.through(x if f is None else f(x))


def _logarithm_of(level: Vector, scale: Vector) -> Vector:
    """Where the logarithm of a mean is, that times the scale is the level."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(level > 0, np.log(level) - np.log(scale), -np.inf)


class ProductRows:
    """Rows whose product with a latent vector is the mean of a delta family, at one point of the hyperparameters.

    They are used as rows that move with the hyperparameters: by `at`, and `root`, of what no latent vector knows, which
    is nothing.
    """

    def __init__(self, product: Product, rows: Sequence[Any], offsets: Sequence[Vector], k: int = 0):
        if any(hasattr(part, "at") for part in rows):
            raise InputError("a delta family whose rows depend on its hyperparameters has no excursion sets")
        self._product, self._rows, self._offsets, self._k = product, rows, offsets, k

    def at(self, theta: Vector) -> tuple[ProductRows]:
        """The rows at one of the fit's points of the hyperparameters."""
        points = self._product.fit.approximation.points
        k = next(k for k, point in enumerate(points) if np.array_equal(point.theta, theta))
        return (ProductRows(self._product, self._rows, self._offsets, k),)

    def root(self, theta: Vector) -> Vector:
        """Of the covariance of what is in no latent vector, (m, 0)."""
        return np.zeros((len(self._offsets[0]), 0))

    def __getitem__(self, some: Any) -> ProductRows:
        """Some of the rows."""
        rows, offsets = ([part[some] for part in parts] for parts in (self._rows, self._offsets))
        return ProductRows(self._product, rows, offsets, self._k)

    def __matmul__(self, x: Vector) -> Vector:
        """The means, (m, draws), at latent vectors, (n, draws)."""
        first, second = (rows @ x + offset[:, None] for rows, offset in zip(self._rows, self._offsets))
        return self._product.at(self._k, first, second)


class Products:
    """Places that a delta family is predicted at, handed out as chunks of design rows of both of its parts.

    Parameters
    ----------
    fit : Fit
    presence, positive : Rows
        Of either, as `geospde.prediction.surface` makes them.
    """

    def __init__(self, fit: Fit, presence: Any, positive: Any):
        self._fit, self._parts = fit, (presence, positive)
        self.table, self.size = presence.table, presence.size
        self._product = Product(fit, NOWHERE)

    def limits(self, threshold: float | Vector, fit: Fit) -> tuple[ProductRows, Vector]:
        """All rows at once, and what each row is at the threshold."""
        rows = [part.part(slice(None)) for part in self._parts]
        scale = np.asarray(self._parts[0].scale, dtype=float)
        with np.errstate(divide="ignore"):
            return ProductRows(self._product, rows, [part.offset for part in self._parts]), threshold / scale

    def map(
        self,
        fit: Fit,
        work: Callable[..., Any],
        callback: Callback | None = None,
        beside: Any = None,
    ) -> Iterator[Any]:
        """Results of ``work(product, exposure)`` for each chunk, and what is `beside`, as those of one likelihood."""
        presence, positive = self._parts
        firsts = presence.map(self._fit, lambda *given: given, beside=beside)
        seconds = positive.map(self._fit, lambda mixture, _: mixture, callback)
        for (first, *given), second in zip(firsts, seconds):
            yield work(self._product.of(first, second), *given)
