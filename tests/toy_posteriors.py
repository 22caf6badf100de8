"""Log densities of theta that come with draws of their own: shapes that posteriors of few data have."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, logsumexp

LOG_2PI = np.log(2 * np.pi)


class Toy(NamedTuple):
    """A log density of rows, its log integral, draws of it, and where and how wide it is at its mode."""

    log_density: Callable
    d: int
    log_evidence: float
    draws: Callable
    centre: np.ndarray
    root: np.ndarray

    def summaries(self, size=60_000):
        """Sds, (d,), and 2.5, 50 and 97.5 % quantiles, (d, 3), to a hundredth of an sd."""
        theta = self.draws(np.random.default_rng(0), size)
        return theta.std(axis=0), np.quantile(theta, [0.025, 0.5, 0.975], axis=0).T


def rotation(d, seed=0):
    return np.linalg.qr(np.random.default_rng(seed + d).normal(size=(d, d)))[0]


def turned(toy, turn):
    """The same along other axes, (d, d), whose columns are orthonormal."""
    return Toy(
        lambda t: toy.log_density(t @ turn), toy.d, toy.log_evidence, lambda r, n: toy.draws(r, n) @ turn.T,
        turn @ toy.centre, turn @ toy.root,
    )  # fmt: skip


def standard(log_density, d, log_evidence, draws):
    return Toy(log_density, d, log_evidence, draws, np.zeros(d), np.eye(d))


def gaussian(d):
    """Of scales from 0.5 to 2, turned, but seen on its own axes."""
    root = rotation(d, 5) @ np.diag(np.linspace(0.5, 2, d))
    inverse = np.linalg.inv(root)
    log_volume = 0.5 * d * LOG_2PI + np.linalg.slogdet(root)[1]
    whole = np.linalg.cholesky(root @ root.T)

    def log_density(t):
        return -0.5 * ((t @ inverse.T) ** 2).sum(axis=1)

    return Toy(log_density, d, log_volume, lambda r, n: r.normal(size=(n, d)) @ root.T, np.zeros(d), whole)


def log_gamma(shapes):
    """Logarithms of gamma variables, as those of precisions: exponential tails to one side."""
    shapes = np.asarray(shapes, dtype=float)

    def log_density(t):
        return (shapes * t - np.exp(t)).sum(axis=1)

    def draws(r, n):
        return np.log(r.gamma(shapes, size=(n, shapes.size)))

    return Toy(log_density, shapes.size, gammaln(shapes).sum(), draws, np.log(shapes), np.diag(shapes**-0.5))


def banana(d, bend=0.5, width=0.6):
    def log_density(t):
        across = (t[:, 1] - bend * (t[:, 0] ** 2 - 1)) / width
        return -0.5 * (across**2 + t[:, 0] ** 2 + (t[:, 2:] ** 2).sum(axis=1))

    def draws(r, n):
        z = r.normal(size=(n, d))
        z[:, 1] = width * z[:, 1] + bend * (z[:, 0] ** 2 - 1)
        return z

    root = np.diag([1, width] + [1] * (d - 2))
    return Toy(log_density, d, 0.5 * d * LOG_2PI + np.log(width), draws, np.zeros(d), root)


def size(d):
    """The first is the log size of negative binomial counts that are nearly Poisson: no end to one side."""

    def log_density(t):
        return -0.5 * t[:, 0] - 2.0 * np.exp(-t[:, 0]) - 0.5 * (t[:, 1:] ** 2).sum(axis=1)

    def draws(r, n):
        z = r.normal(size=(n, d))
        z[:, 0] = -np.log(r.gamma(0.5, size=n) / 2.0)
        return z

    log_evidence = 0.5 * (d - 1) * LOG_2PI + gammaln(0.5) - 0.5 * np.log(2.0)
    others = np.ones(d - 1)
    return Toy(
        log_density, d, log_evidence, draws, np.r_[np.log(4.0), 0 * others], np.diag(np.r_[np.sqrt(2.0), others])
    )


def arm(d):
    """The first is the log sd of few groups: a peak, and the prior's slow tail where the data say no more."""

    def own(s):
        return 0.4 * s + np.logaddexp(-3.0, -0.5 * (s / 0.7) ** 2) - np.exp(s - 1.0)

    nodes = np.linspace(-40, 10, 100_001)
    values = own(nodes)
    below = np.cumsum(np.exp(values - values.max()))

    def draws(r, n):
        z = r.normal(size=(n, d))
        z[:, 0] = np.interp(r.random(n), below / below[-1], nodes)
        return z

    log_evidence = logsumexp(values) + np.log(nodes[1] - nodes[0]) + 0.5 * (d - 1) * LOG_2PI
    return standard(lambda t: own(t[:, 0]) - 0.5 * (t[:, 1:] ** 2).sum(axis=1), d, log_evidence, draws)


def two_arms(d):
    away = np.r_[-5.0, 3.0, np.zeros(d - 2)]

    def log_density(t):
        second = -0.5 * (((t - away) / 1.5) ** 2).sum(axis=1) - 0.5
        return np.logaddexp(-0.5 * (t**2).sum(axis=1), second)

    masses = np.array([1.0, 1.5**d * np.exp(-0.5)])

    def draws(r, n):
        z, second = r.normal(size=(n, d)), r.random(n) < masses[1] / masses.sum()
        z[second] = 1.5 * z[second] + away
        return z

    return standard(log_density, d, np.log(masses.sum()) + 0.5 * d * LOG_2PI, draws)


def funnel(d):
    """The first sets the scale of the others."""

    def log_density(t):
        scaled = t[:, 1:] * np.exp(-0.3 * t[:, :1])
        return -0.5 * t[:, 0] ** 2 - 0.5 * (scaled**2).sum(axis=1) - 0.3 * (d - 1) * t[:, 0]

    def draws(r, n):
        z = r.normal(size=(n, d))
        z[:, 1:] *= np.exp(0.3 * z[:, :1])
        return z

    return standard(log_density, d, 0.5 * d * LOG_2PI, draws)


def heavy(d, freedom):
    """A Student t."""

    def log_density(t):
        return -0.5 * (freedom + d) * np.log1p((t**2).sum(axis=1) / freedom)

    def draws(r, n):
        return r.normal(size=(n, d)) / np.sqrt(r.chisquare(freedom, (n, 1)) / freedom)

    log_evidence = gammaln(0.5 * freedom) - gammaln(0.5 * (freedom + d)) + 0.5 * d * np.log(np.pi * freedom)
    return standard(log_density, d, log_evidence, draws)


TOYS = {
    "gaussian, 4": gaussian(4),
    "gaussian, 7": gaussian(7),
    "log gamma, 3, turned": turned(log_gamma([1.5, 3, 6]), rotation(3)),
    "log gamma, 4, turned": turned(log_gamma(np.linspace(2, 6, 4)), rotation(4)),
    "banana, 3, turned": turned(banana(3), rotation(3, 3)),
    "banana, 4": banana(4, 0.3),
    "banana, 5, turned": turned(banana(5, 0.3), rotation(5, 1)),
    "size, 2": size(2),
    "size, 3, turned": turned(size(3), rotation(3, 7)),
    "size, 4, turned": turned(size(4), rotation(4, 2)),
    "arm, 2, turned": turned(arm(2), rotation(2, 3)),
    "arm, 3": arm(3),
    "two arms, 3": two_arms(3),
    "funnel, 2": funnel(2),
}
# as good, but a minute of work: by hand
MORE_TOYS = {
    "log gamma, 3": log_gamma([1.5, 3, 6]),
    "log gamma, 5, turned": turned(log_gamma(np.linspace(2, 6, 5)), rotation(5)),
    "log gamma, 7": log_gamma(np.linspace(2, 8, 7)),
    "log gamma, 7, turned": turned(log_gamma(np.linspace(2, 8, 7)), rotation(7)),
    "banana, 3": banana(3),
    "size, 3": size(3),
    "size, 4": size(4),
    "arm, 4": arm(4),
    "arm, 5, turned": turned(arm(5), rotation(5, 9)),
    "two arms, 4": two_arms(4),
    "funnel, 3": funnel(3),
    "funnel, 4": funnel(4),
    "heavy, 3": heavy(3, 8),
    "heavy, 4": heavy(4, 8),
    "heavy, 6": heavy(6, 12),
}
