"""Profile likelihoods, and the intervals that they give.

The signed root of a parameter's profile deviance is standard normal to higher order than a Wald statistic (Bates et
al. 2015, J. Stat. Soft. 67(1), section 5.1, who call it zeta).
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.inference.laplace import LaplacePoint
from geospde.inference.mode import find_mode
from geospde.likelihood.likelihoods import Joint, Profiled, Unpriored
from geospde.likelihood.search import InCoordinates, Maximum

Vector = NDArray[np.float64]
CLOSE = 1e-5  # tolerance of zeta at a profile limit
BETTER = 1e-5  # gain in log likelihood over the maximum that a profile may show, by rounding and where searches end


class Curve(Protocol):
    """A profile log likelihood."""

    def at(self, value: float) -> float:
        """The largest log likelihood with the parameter held at this value."""

    def afresh(self) -> "Curve":
        """The same curve, for a walk of its own along it."""


class Level(Protocol):
    """All psi where a function of them has one value, as a function of all but one of them.

    Attributes
    ----------
    place : int
        The one that is left out.
    """

    place: int

    def whole(self, rest: Vector, value: float) -> Vector:
        """Psi with these others, where the function has this value."""

    def jacobian(self, rest: Vector, value: float) -> Vector:
        """Its derivatives in the others, (d, d - 1)."""


class Linear:
    """Where ``direction @ psi`` has one value."""

    def __init__(self, direction: Vector):
        self._direction = direction
        self.place = int(np.argmax(np.abs(direction)))

    def whole(self, rest: Vector, value: float) -> Vector:
        """Psi with these others, where the function has this value."""
        psi = np.insert(rest, self.place, 0.0)
        psi[self.place] = (value - self._direction @ psi) / self._direction[self.place]
        return psi

    def jacobian(self, rest: Vector, value: float) -> Vector:
        """Its derivatives in the others, (d, d - 1)."""
        of_one = -np.delete(self._direction, self.place) / self._direction[self.place]
        return np.insert(np.eye(rest.size), self.place, of_one, axis=0)


class Correlation:
    """Where the first two effects of a factor have one correlation: psi[place - 1] over the length of its row.

    The last entry of the row, psi[place], is left out, and psi[place - 1] then stands for that length. The correlation
    is to the first effect as it stands, whatever the sign of its own entry, psi[place - 2].
    """

    def __init__(self, place: int):
        self.place = place

    def whole(self, rest: Vector, value: float) -> Vector:
        """Psi with these others, where the function has this value."""
        psi = np.insert(rest, self.place, rest[self.place - 1] * np.sqrt(max(1.0 - value**2, 0.0)))
        psi[self.place - 1] *= np.copysign(value, value * psi[self.place - 2])
        return psi

    def jacobian(self, rest: Vector, value: float) -> Vector:
        """Its derivatives in the others, (d, d - 1)."""
        out = np.insert(np.eye(rest.size), self.place, 0.0, axis=0)
        own = np.copysign(value, value * rest[self.place - 2])
        out[self.place - 1 : self.place + 1, self.place - 1] = own, np.sqrt(max(1.0 - value**2, 0.0))
        return out


class OnLevel:
    """A likelihood of the other parameters, one function of all held at a value."""

    def __init__(self, likelihood: Any, level: Level, value: float):
        self._likelihood, self._level, self._value = likelihood, level, value
        self.n_theta = likelihood.n_theta - 1

    @property
    def evaluations(self) -> int:
        """Of the likelihood."""
        return int(self._likelihood.evaluations)

    def at(self, theta: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """The likelihood and its gradient at the others."""
        point = self._likelihood.at(self._level.whole(theta, self._value), start, gradient)
        jacobian = self._level.jacobian(theta, self._value)
        own: LaplacePoint = replace(
            point, theta=theta, gradient=point.gradient @ jacobian, slope=point.slope @ jacobian
        )
        return own

    def describe(self, theta: Vector) -> str:
        """The parameters in the user's words."""
        return str(self._likelihood.describe(self._level.whole(theta, self._value)))


class _Followed:
    """A maximum that is followed as something held moves: each search starts from where the last ones lead."""

    def __init__(self, begin: Vector):
        self._found: list[tuple[float, Vector]] = []
        self._begin = begin
        self._curvature: Vector | None = None

    def along(self, objective: Any, value: float, smallest: NDArray[np.bool_]) -> LaplacePoint:
        """The maximum of the objective, of which the held value is part.

        Parameters
        ----------
        objective : Objective
        value : float
        smallest : (d,) array of bool
            Coordinates in which the likelihood is even, standard deviations and pivots of factors: one that is zero is
            left a little, as a search would not leave it.
        """
        begin = self._begin
        if self._found:
            at, begin = self._found[-1]
            if len(self._found) > 1 and self._found[-2][0] != at:
                before, earlier = self._found[-2]
                share = float(np.clip((value - at) / (at - before), -2.0, 2.0))
                begin = begin + share * (begin - earlier)
        if begin.size == 0:
            found: LaplacePoint = objective.at(begin)
            return found
        begin = np.where(smallest, np.maximum(np.abs(begin), 0.05), begin)
        found, guess = find_mode(objective, begin, tolerance=1e-7, least=-1e-3, curvature=self._curvature)
        self._curvature = np.asarray(np.linalg.inv(guess), dtype=float)
        self._found = [*self._found[-1:], (value, found.theta)]
        return found


class _Walked:
    """A curve that remembers where it was last."""

    _followed: _Followed

    def afresh(self) -> Any:
        """The same curve, for a walk of its own along it."""
        other = copy(self)
        other._followed = copy(self._followed)
        return other


class CurveOnLevels(_Walked):
    """The profile of a function of hyperparameters, or of a fixed effect that is among the outer parameters.

    Parameters
    ----------
    likelihood : Profiled or Joint
    maximum : Maximum
        Of it.
    psi : (d,) array
        Hyperparameters there, as the likelihood takes them.
    level : Level
    """

    def __init__(self, likelihood: Profiled | Joint, maximum: Maximum, psi: Vector, level: Level):
        self._likelihood, self._level = likelihood, level
        model: Unpriored = likelihood.original
        whole = model.coordinates(likelihood.psi_of(model.start))
        begin = whole.phi(psi)
        small = np.concatenate([whole.scales, np.zeros(likelihood.n_outer, dtype=bool)])
        for e in likelihood.effects:
            small[e.where] = e.factor.places[0] == e.factor.places[1]
        if likelihood.n_outer:
            whole = whole.with_fixed(maximum.fixed, maximum.fixed_covariance)
            begin = np.concatenate([begin, np.zeros(maximum.fixed.size)])
        if isinstance(level, Correlation):
            begin[level.place - 1] = np.hypot(begin[level.place - 1], begin[level.place])
        self._coordinates = whole.without(level.place)
        self._small = np.delete(small, level.place)
        self._followed = _Followed(np.delete(begin, level.place))

    def at(self, value: float) -> float:
        """The largest log likelihood with the function held at this value."""
        objective = InCoordinates(OnLevel(self._likelihood, self._level, value), self._coordinates)
        return self._followed.along(objective, value, self._small).log_posterior


class CurveOfFixed(_Walked):
    """The profile of a fixed effect of a Gaussian response: its column becomes an offset."""

    def __init__(self, model: Unpriored, maximum: Maximum, column: int):
        without, self._column = model.holding(column)
        self._likelihood = Profiled(without.upright()[0])
        self._coordinates = model.coordinates(self._likelihood.psi_of(model.start))
        self._followed = _Followed(self._coordinates.phi(self._likelihood.psi_of(maximum.theta)))
        self._small = self._coordinates.scales.copy()
        for e in self._likelihood.effects:
            self._small[e.where] = e.factor.places[0] == e.factor.places[1]

    def at(self, value: float) -> float:
        """The largest log likelihood with the fixed effect held at this value."""
        objective = InCoordinates(self._likelihood.shifted(value * self._column), self._coordinates)
        return self._followed.along(objective, value, self._small).log_posterior


@dataclass
class Profile:
    """The signed root of one parameter's profile deviance.

    Attributes
    ----------
    curve : Curve
    estimate : float
    largest : float
        Log likelihood at the estimate.
    step : float
        A standard error, or a guess of how far the interval goes.
    inner : callable
        From the parameter's value to what the curve takes.
    lowest, highest : float
        What the parameter can be.
    """

    curve: Curve
    estimate: float
    largest: float
    step: float
    inner: Callable[[float], float]
    lowest: float = -np.inf
    highest: float = np.inf

    def zeta(self, value: float) -> float:
        """Signed root of twice the loss of log likelihood; raises NumericalError where there is a gain."""
        loss = self.largest - self.curve.at(self.inner(value))
        if loss < -BETTER * max(1.0, abs(self.largest)):
            raise NumericalError(
                f"the profile found a log likelihood {-loss:.3g} above the maximum: the fit had not converged"
            )
        return float(np.sign(value - self.estimate) * np.sqrt(2.0 * max(loss, 0.0)))

    def limit(self, wanted: float) -> float:
        """Where zeta has the value that is wanted, or the end of what the parameter can be."""
        outer = self.highest if wanted > 0 else self.lowest
        if outer == self.estimate:
            return outer
        far = self._afresh()
        if np.isfinite(outer):
            if abs(far.zeta(outer)) < abs(wanted):
                return outer
        else:
            outer = self.estimate + wanted * self.step
            for _ in range(60):
                if abs(far.zeta(outer)) >= abs(wanted):
                    break
                outer = self.estimate + 2.0 * (outer - self.estimate)
        zeta, far_end = self._afresh().zeta, outer
        inner, last, at_last = self.estimate, self.estimate, 0.0
        middle = self.estimate + wanted * self.step
        for _ in range(100):  # the secant, where it stays between the two
            if not min(inner, outer) < middle < max(inner, outer):
                middle = 0.5 * (inner + outer)
            at_middle = zeta(middle)
            if abs(at_middle - wanted) < CLOSE or abs(outer - inner) < 1e-9 * abs(middle):
                if abs(self._from_maximum(middle) - at_middle) < 1e-3:
                    return float(middle)
                zeta, at_middle = self._from_maximum, self._from_maximum(middle)  # the walk had gone astray
                inner, outer = self.estimate, far_end
            if abs(at_middle) < abs(wanted):
                inner = middle
            else:
                outer = middle
            rate = (middle - last) / (at_middle - at_last) if at_middle != at_last else np.inf
            last, at_last = middle, at_middle
            middle = middle + rate * (wanted - at_middle)
        raise NumericalError(f"no profile limit was found between {inner:g} and {outer:g}")

    def _from_maximum(self, value: float) -> float:
        """Zeta by a search that begins at the maximum."""
        return self._afresh().zeta(value)

    def _afresh(self) -> "Profile":
        """The same profile, for a walk from the estimate."""
        return replace(self, curve=self.curve.afresh())
