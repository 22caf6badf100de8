"""Predictions of a product: the probability that there is something, times how much of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.gauss_hermite import normal_nodes
from geospde.inference.mixture import GaussianMixture, bend, bent
from geospde.results.base import Fit
from geospde.text.words import numeral

if TYPE_CHECKING:
    from geospde.families.likelihood import Likelihood

Vector = NDArray[np.float64]
DRAWS = 2000
NODES, WEIGHTS = normal_nodes(21)


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

    def _positive_at(self, theta: Vector) -> Likelihood:
        """The likelihood of the values above 0 of any row: the mean per unit exposure is a function of eta."""
        second: Likelihood = self.fit.laplace.likelihood_at(theta).parts[1]
        return replace(second.of_rows(np.array([0])), exposure=np.ones(1))

    def function(self, part: int, k: int) -> Callable[[Vector], Vector]:
        """The mean of a part, 0 the presence, as a function of its predictor at one point of the hyperparameters."""
        return self.link.inverse if part == 0 else lambda eta: self._of_positive(k, eta)

    def _of_positive(self, k: int, eta: Vector) -> Vector:
        """Mean of the values above 0, at one point of the hyperparameters."""
        return self.means[k].moments(eta)[0]

    def moments(self) -> tuple[Vector, Vector]:
        """Mean and standard deviation, by Gauss-Hermite quadrature at each point of the hyperparameters."""
        total = np.zeros((2, self.presence.means.shape[1]))
        for k, share in enumerate(self.presence.weights):
            of = np.ones((2, total.shape[1]))
            for mixture, function in (
                (self.presence, self.link.inverse), (self.positive, lambda eta, k=k: self._of_positive(k, eta)),
            ):  # fmt: skip
                value = [function(mixture.means[k] + mixture.sds[k] * z) for z in bent(NODES, mixture.shape)]
                of[0] *= WEIGHTS @ np.array(value)
                of[1] *= WEIGHTS @ np.array(value) ** 2
            total += share * of
        return total[0], np.sqrt(np.maximum(total[1] - total[0] ** 2, 0.0))

    def at(self, k: int, presence: Vector, positive: Vector) -> Vector:
        """The product at predictors of the two parts, any shape, and one point of the hyperparameters."""
        return np.asarray(self.link.inverse(presence)) * self._of_positive(k, positive)

    def gradient(self) -> tuple[Vector, Vector, Vector]:
        """The product of the estimates, and its derivatives by the predictor of each part."""
        step = 1e-5
        value, slope = [], []
        for mixture, function in (
            (self.presence, self.link.inverse), (self.positive, lambda eta: self._of_positive(0, eta)),
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

    def draws(self, n: int = DRAWS, seed: int = 0) -> Vector:
        """Draws at each place, (n, m); each place by itself."""
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(n, self.presence.weights)
        out = []
        for k, count in enumerate(counts):
            if count:
                first, second = (
                    one.means[k] + one.sds[k] * (z if one.shape is None else bend(z, one.shape))
                    for one, z in zip((self.presence, self.positive), rng.standard_normal((2, count, 1)))
                )
                out.append(self.link.inverse(first) * self._of_positive(k, second))
        return np.vstack(out)

    def columns(self, quantiles: Sequence[float], exceed: dict[str, float], scale: Vector) -> dict[str, Any]:
        """``mean``, ``sd``, quantiles and probabilities above thresholds, of the mean times a scale."""
        mean, sd = self.plug_in() if self.fit.plug_in else self.moments()
        drawn = scale * self.draws()
        out: dict[str, Any] = {"mean": scale * mean, "sd": scale * sd}
        out |= {f"q{numeral(q)}": np.quantile(drawn, q, axis=0) for q in quantiles}
        return out | {name: (drawn > level).mean(axis=0) for name, level in exceed.items()}
