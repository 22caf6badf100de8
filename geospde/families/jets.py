"""Functions with their first three derivatives, and what follows from them by the chain rule."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, zeta

from geospde.families.links import Jet

Vector = NDArray[np.float64]
LARGE = 1e5  # of a: beyond it differences of gamma functions cancel


def shifted(parts: Iterable[tuple[Jet, Jet]]) -> tuple[Vector, Vector, Vector]:
    """Minus the slope of ``sum f(g(eta) + t)`` in t, and its first two derivatives in eta, of jets of each g and f."""
    slopes = [composed((f1, f2, f3, np.zeros_like(f3)), g) for g, (_, f1, f2, f3) in parts]
    value, first, second = (sum(-slope[k] for slope in slopes) for k in range(3))
    return np.asarray(value), np.asarray(first), np.asarray(second)


def composed(outer: Jet, inner: Jet) -> Jet:
    """f(g(x)): the jet of f at g, with that of g."""
    value, f1, f2, f3 = outer
    _, g1, g2, g3 = inner
    return value, f1 * g1, f2 * g1**2 + f1 * g2, f3 * g1**3 + 3 * f2 * g1 * g2 + f1 * g3


def plus(first: Jet, second: Jet) -> Jet:
    """The sum of two."""
    a, b, c, d = (x + y for x, y in zip(first, second))
    return a, b, c, d


def minus(first: Jet, second: Jet) -> Jet:
    """The difference of two."""
    a, b, c, d = (x - y for x, y in zip(first, second))
    return a, b, c, d


def mirrored(jet: Jet) -> Jet:
    """Derivatives in x of a function of c - x, from those in its argument."""
    return jet[0], -jet[1], jet[2], -jet[3]


def log_rest(f: Vector) -> Vector:
    """``log(1 - exp(f))``, for f below 0."""
    with np.errstate(divide="ignore"):
        values: Vector = np.where(f > -0.7, np.log(-np.expm1(f)), np.log1p(-np.exp(f)))
    return values


def log_rest_jet(x: Vector) -> Jet:
    """``log(1 - exp(-x))`` and its derivatives in log(x), which are finite however small x is."""
    with np.errstate(over="ignore"):
        a = x / np.expm1(x)
    b = a * (1 - x - a)
    exact = a, b, b * (1 - x - a) - a * (x + b)
    y = np.minimum(x, 0.01)  # below it the next term is less than 1e-14 of the derivative
    series = (
        1 - y / 2 + y**2 / 12 - y**4 / 720,
        -y / 2 + y**2 / 6 - y**4 / 180,
        -y / 2 + y**2 / 3 - y**4 / 45,
    )
    first, second, third = (np.where(x < 0.01, near, far) for near, far in zip(series, exact))
    return log_rest(-x), first, second, third


def relative(jet: Jet) -> tuple[Vector, Vector, Vector]:
    """The first three derivatives of a function over the function, from the jet of its logarithm."""
    _, first, second, third = jet
    return first, second + first**2, third + 3 * first * second + first**3


def relative_to(value: Vector, derivatives: tuple[Vector, Vector, Vector]) -> tuple[Vector, Vector, Vector]:
    """Derivatives over the function."""
    first, second, third = (part / value for part in derivatives)
    return first, second, third


def of_logarithm(value: Vector, ratios: tuple[Vector, Vector, Vector]) -> Jet:
    """The jet of a logarithm, from its value and the derivatives of the function over the function."""
    r1, r2, r3 = ratios
    return value, r1, r2 - r1**2, r3 - 3 * r1 * r2 + 2 * r1**3


def log_difference(larger: Jet, smaller: Jet) -> Jet:
    """``log(exp(f) - exp(g))`` from the jets of f and of a smaller g."""
    value = larger[0] + log_rest(np.minimum(smaller[0] - larger[0], -1e-300))
    over = np.exp(np.minimum(larger[0] - value, 600.0)), np.exp(np.minimum(smaller[0] - value, 600.0))
    r1, r2, r3 = (over[0] * a - over[1] * b for a, b in zip(relative(larger), relative(smaller)))
    return of_logarithm(value, (r1, r2, r3))


def trigamma(a: Vector) -> Vector:
    """Second derivative of log gamma(a), the digits of ``polygamma(1, a)`` without the digamma that it computes too."""
    values: Vector = zeta(2.0, a)
    return values


def tetragamma(a: Vector) -> Vector:
    """Third derivative of log gamma(a), as `trigamma`."""
    values: Vector = -2.0 * zeta(3.0, a)
    return values


def log_rising(t: Vector, y: Vector) -> Vector:
    """``log(gamma(a + y) / gamma(a))`` for counts y and ``t = log(a)``."""
    t, y, a, far = _near_and_far(t, y)
    exact = gammaln(a + np.where(y > 0, y, 1.0)) - gammaln(1 + a) + t
    # by Euler and Maclaurin; the next term is below 1e-10
    series = y * t + (far + y - 0.5) * np.log1p(y / far) - y - y / (far + y) / (12 * far)
    return np.where(y > 0, np.where(t > np.log(LARGE), series, exact), 0.0)


def log_rising_jet(t: Vector, y: Vector) -> Jet:
    """`log_rising` with its derivatives in t."""
    value = log_rising(t, y)
    t, y, a, far = _near_and_far(t, y)
    up = a + np.where(y > 0, y, 1.0)
    s1 = a * (digamma(up) - digamma(1 + a))
    s2 = a**2 * (trigamma(up) - trigamma(1 + a))
    s3 = a**3 * (tetragamma(up) - tetragamma(1 + a))
    exact = 1 + s1, s1 + s2, s1 + 3 * s2 + s3
    log, s = np.log1p(y / far), y / (far + y)
    bend = s * (1 - s)
    series = (
        far * log + 0.5 * s,
        far * (log - s) - 0.5 * bend,
        far * (log - 2 * s + bend) + 0.5 * bend * (1 - 2 * s),
    )
    first, second, third = (np.where(y > 0, np.where(t > np.log(LARGE), b, c), 0.0) for b, c in zip(series, exact))
    return value, first, second, third


def _near_and_far(t: Vector, y: Vector) -> tuple[Vector, Vector, Vector, Vector]:
    """log(a) and y, each for all of them, and a where it is at most `LARGE` and where it is more."""
    t, y = np.broadcast_arrays(np.asarray(t, dtype=float), np.asarray(y, dtype=float))
    return t, y, np.exp(np.clip(t, -100.0, np.log(LARGE))), np.exp(np.clip(t, np.log(LARGE), 700.0))
