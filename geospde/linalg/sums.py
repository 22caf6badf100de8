"""Distribution of the sum of monotone functions of two independent predictors, at many places at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import ndtr, ndtri

Vector = NDArray[np.float64]
SCORES = np.linspace(-4.2, 4.2, 21)  # normal scores where a function is known; beyond them it is straight
STEP = float(SCORES[1] - SCORES[0])
SLOPES = STEP * CubicSpline(SCORES, np.eye(SCORES.size))(SCORES, 1)  # of a spline a step, from values there
ACROSS, SHARES = np.polynomial.hermite_e.hermegauss(24)
SHARES /= SHARES.sum()  # along the line on which a sum is the same, or nearly
TURNS = 8  # of the direction in which it rises
SETTLED = 1e-7  # change of a normal score that counts as none
BOLDEST = 0.5  # normal scores that a quantile moves at a time
MOST = 60
FLATTEST = 1e-300
FARTHEST = 37.0  # normal scores whose tails are no zeros


@dataclass(frozen=True)
class Monotone:
    """Rising functions of a standard normal, one at each of m places.

    Attributes
    ----------
    cubics : (steps, m, 4) array
        Coefficients of 1, u, u² and u³, u from 0 to 1 on each step.
    """

    cubics: Vector

    @classmethod
    def through(cls, values: Vector) -> Monotone:
        """The cubic spline through values at the scores, (s, m)."""
        slopes, rise = SLOPES @ values, np.diff(values, axis=0)
        low, high = slopes[:-1], slopes[1:]
        return cls(np.stack([values[:-1], low, 3 * rise - 2 * low - high, low + high - 2 * rise], axis=-1))

    def at(self, z: Vector) -> tuple[Vector, Vector]:
        """Values and slopes at normal scores z, (n, m) each."""
        at = (z - SCORES[0]) / STEP
        step = np.clip(at.astype(np.intp), 0, len(self.cubics) - 1)
        within = np.clip(at - step, 0.0, 1.0)
        a, b, c, d = np.moveaxis(self.cubics[step, np.arange(z.shape[1])], -1, 0)
        slope = b + within * (2 * c + 3 * within * d)
        return a + within * (b + within * (c + within * d)) + (at - step - within) * slope, slope / STEP


@dataclass(frozen=True)
class IndependentSum:
    """Sums of two functions of independent standard normals, a pair at each place.

    The plane of the two scores is turned so that one axis is the direction in which the sum rises most, where the
    quantile is. Along the other axis, on which there are Gauss and Hermite's nodes, the sum hardly changes, however
    much wider one of the two is than the other.
    """

    first: Monotone
    second: Monotone

    def _direction(self, score: Vector) -> tuple[Vector, Vector]:
        """Cosine and sine, (m,) each, of the direction in which the sum rises at normal scores (m,) along it."""
        cosine = sine = np.full(score.shape, np.sqrt(0.5))
        for _ in range(TURNS):
            slopes = (
                part.at((score * turned)[None])[1][0] for part, turned in ((self.first, cosine), (self.second, sine))
            )
            one, two = (np.maximum(slope, FLATTEST) for slope in slopes)
            length = np.hypot(one, two)
            cosine, sine = cosine + one / length, sine + two / length  # half-way, lest it goes to and fro
            length = np.hypot(cosine, sine)
            cosine, sine = cosine / length, sine / length
        return cosine, sine

    def _where(self, x: Vector, direction: tuple[Vector, Vector], score: Vector) -> tuple[Vector, Vector]:
        """Where along the direction the sum is x, and its slope there, (n, m) each, from a first guess of it."""
        cosine, sine = direction
        across = ACROSS[:, None]
        for _ in range(MOST):
            (one, one_slope), (two, two_slope) = (
                self.first.at(score * cosine - across * sine), self.second.at(score * sine + across * cosine),
            )  # fmt: skip
            slope = np.maximum(one_slope * cosine + two_slope * sine, FLATTEST)
            new = np.clip(score - (one + two - x) / slope, -FARTHEST, FARTHEST)
            moved, score = np.abs(new - score).max(initial=0.0), new
            if moved < SETTLED:
                break
        return score, slope

    def quantile(self, level: float) -> Vector:
        """The quantiles at a level, (m,)."""
        wanted = float(ndtri(level))
        score = np.full(self.first.cubics.shape[1], wanted)
        cosine, sine = direction = self._direction(score)
        x: Vector = (self.first.at((score * cosine)[None])[0] + self.second.at((score * sine)[None])[0])[0]
        along = np.broadcast_to(score, (ACROSS.size, score.size))
        for _ in range(MOST):
            along, slope = self._where(x, direction, along)
            off = np.clip(ndtri(SHARES @ ndtr(along)) - wanted, -BOLDEST, BOLDEST)
            density = SHARES @ (np.exp(-0.5 * along**2) / slope)
            x = x - off * np.exp(-0.5 * (wanted + off) ** 2) / density
            if np.abs(off).max(initial=0.0) < SETTLED:
                break
        return x

    def tail(self, x: Vector) -> Vector:
        """P(sum > x), (m,)."""
        score = np.zeros(x.shape)
        for _ in range(TURNS):
            along, _ = self._where(x, self._direction(score), np.broadcast_to(score, (ACROSS.size, x.size)))
            score = np.clip(SHARES @ along, SCORES[0], SCORES[-1])
        values: Vector = SHARES @ ndtr(-along)
        return values
