"""The powers x^s, 0 < s < 1, as sums of a few fractions: what makes a field of fractional order a sum of sparse ones.

With x = kappa² / (kappa² + frequency²), the spectrum of a Matérn field of order alpha = power + s in the plane is
x^alpha. Bolin, Simas & Xiong (2024, J. Comput. Graph. Stat. 33, 64-74) take the best uniform approximation of x^s on
[0, 1], whose error counts alike at all frequencies. Here errors are weighted by the share of the variance that each
frequency has, which a covariance sees, to a power below 1, since a likelihood sees relative errors: so fewer fractions
do.
"""

from dataclasses import dataclass
from functools import cache
from math import log

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
NODES = 100
CLOSE = 1e-13  # relative step of the poles and shares at which they have converged
SHARES = np.linspace(-7.0, 7.0, 43)  # logit of s, where fractions are found, to interpolate between
FIRST = {  # logarithms of poles and shares for s = ½ beside x
    2: (0.5, 5.6, -0.2, -2.1),
    3: (0.7, 5.4, 10.3, -0.2, -2.3, -4.5),
    4: (-0.2, 3.5, 7.3, 12.0, -0.3, -1.7, -3.4, -5.4),
}
# log x down to which fractions reach, and the power to which the variance is taken: of the moss survey's exponential
# covariance, seen from 10 m to 100 km, 3 and 4 of them have the likelihood to 0.25 (docs/methods/field.md)
REACH = {2: (log(1e-4), 0.75), 3: (log(1e-5), 0.15), 4: (log(1e-6), 0.3)}


@dataclass(frozen=True)
class Fractions:
    """``x^s ~ sum_i shares_i x (1 + poles_i) / (1 + poles_i x)``.

    Attributes
    ----------
    power : int
        Of x beside it: the order of the field is power + s.
    poles, shares : (k,) arrays
        Positive.
    pole_slopes, share_slopes : (k,) arrays
        Derivatives of their logarithms in s.
    """

    power: int
    poles: Vector
    shares: Vector
    pole_slopes: Vector
    share_slopes: Vector

    def __call__(self, x: Vector) -> Vector:
        """The sum."""
        return np.asarray((self.shares * (1.0 + self.poles) * x[:, None] / (1.0 + self.poles * x[:, None])).sum(axis=1))


def whole_power(power: int) -> Fractions:
    """Of a field of the whole order ``power + 1``: one fraction, x itself."""
    return Fractions(power, np.zeros(1), np.ones(1), np.zeros(1), np.zeros(1))


def best_fractions(s: float, power: int, order: int) -> Fractions:
    """The best sum of `order` fractions for x^s beside x^power, without slopes.

    Examples
    --------
    >>> f = best_fractions(0.5, 1, 2)
    >>> x = np.array([0.01, 0.1, 1.0])
    >>> np.round(f(x) / np.sqrt(x), 2)
    array([1.09, 0.96, 0.95])
    """
    z, logs = float(np.log(s / (1 - s))), _middle(power, order)
    steps = int(abs(z) / (SHARES[1] - SHARES[0])) + 1
    for at in np.linspace(0.0, z, steps + 1)[1:]:
        logs = _improved(logs, float(1 / (1 + np.exp(-at))), power, order)
    poles, shares = np.split(np.exp(logs), 2)
    return Fractions(power, poles, shares, np.zeros(order), np.zeros(order))


def interpolated_fractions(s: float, power: int, order: int) -> Fractions:
    """Nearly the best fractions, as a smooth function of s, with slopes."""
    spline, z = _spline(power, order), float(np.log(s / (1 - s)))
    inside = float(np.clip(z, SHARES[0], SHARES[-1]))
    slopes = spline(inside, 1)  # beyond the ends straight on: there one fraction has nearly all
    poles, shares = np.split(np.exp(spline(inside) + slopes * (z - inside)), 2)
    pole_slopes, share_slopes = np.split(slopes / (s * (1 - s)), 2)
    return Fractions(power, poles, shares, pole_slopes, share_slopes)


@cache
def _spline(power: int, order: int):  # type: ignore[no-untyped-def]  # of scipy
    from scipy.interpolate import CubicSpline

    return CubicSpline(SHARES, _path(power, order))


@cache
def _path(power: int, order: int) -> Vector:
    """Logarithms of poles and shares at each of `SHARES`, from the middle outwards."""
    out = np.zeros((SHARES.size, 2 * order))
    middle = SHARES.size // 2
    out[middle] = _middle(power, order)
    for step in (1, -1):
        for k in range(middle + step, SHARES.size if step == 1 else -1, step):
            guess = 2 * out[k - step] - out[k - 2 * step] if abs(k - middle) > 1 else out[k - step]
            out[k] = _improved(guess, float(1 / (1 + np.exp(-SHARES[k]))), power, order)
    return out


@cache
def _middle(power: int, order: int) -> Vector:
    """Logarithms of poles and shares for s = ½."""
    logs = np.array(FIRST[order])
    for own in range(1, power + 1):
        logs = _improved(logs, 0.5, own, order)
    return logs


def _improved(logs: Vector, s: float, power: int, order: int) -> Vector:
    """The least-squares solution near a first guess, by Levenberg's and Marquardt's steps."""
    end, share = REACH[order]
    at, weight = np.polynomial.legendre.leggauss(NODES)
    u = 0.5 * end * (1.0 - at)
    x, weight = np.exp(u), np.sqrt(0.5 * abs(end) * weight) * np.exp(((power - 1.0 + s) * share - s) * u)

    def misses(p: Vector) -> tuple[Vector, Vector]:
        t, r = np.exp(p[:order]), np.exp(p[order:])
        parts = r * (1.0 + t) * x[:, None] / (1.0 + t * x[:, None])
        slopes = parts * (t / (1.0 + t) - t * x[:, None] / (1.0 + t * x[:, None]))
        return weight * (parts.sum(axis=1) - x**s), weight[:, None] * np.hstack([slopes, parts])

    miss, slopes = misses(logs)
    damping = 1e-3
    for _ in range(500):
        normal = slopes.T @ slopes
        step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal)), slopes.T @ miss)
        trial = logs + np.clip(step, -1.0, 1.0)
        miss_there, slopes_there = misses(trial)
        if miss_there @ miss_there < miss @ miss:
            logs, miss, slopes, damping = trial, miss_there, slopes_there, max(damping / 10.0, 1e-15)
            if np.abs(step).max() < CLOSE:
                break
        elif damping > 1e6:
            break
        else:
            damping *= 10.0
    return logs
