"""Responses whose dispersion is a linear function of covariates, on the scale that its logarithm or logit is on."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector, probability, unchanged
from geospde.families.priors import Fixed, Flat, Gaussian, Independent, Prior, read_prior

SLOPE_SD = 1.0  # prior sd of what one standard deviation of a covariate adds to the logarithm


@dataclass(frozen=True)
class Dispersed(Likelihood):
    """Responses of a likelihood, one hyperparameter of which is ``rows @ coefficients`` on its internal scale.

    Coefficients stand in theta in the place of the hyperparameter, of columns that are centred and scaled, so that the
    first of them is the hyperparameter at the covariates' means and has its prior; the user's are of the columns as
    they are.

    Attributes
    ----------
    inner : Likelihood
        The same responses, without weights; its theta has a column a row of data.
    rows : (m, q) array
    place : int
        Of the hyperparameter among those of `inner`.
    coefficients : tuple of Parameter
    back : (q, q) array
        From the coefficients to the user's.
    """

    inner: Likelihood
    rows: Vector
    place: int
    coefficients: tuple[Parameter, ...]
    back: Vector

    @classmethod
    def of(cls, bound: Likelihood, columns: Vector, names: list[str], priors: dict[str, object]) -> "Dispersed":
        """The responses of a likelihood whose class names a `dispersion`.

        Parameters
        ----------
        bound : Likelihood
        columns : (m, q) array
        names : list of str
            Of the columns; ``"Intercept"`` is the constant.
        priors : dict
            By the coefficients' names, of the user's coefficients; what is used is taken out. Without one a constant
            has the prior of the hyperparameter, as has the indicator of a level in a formula without a constant; a
            slope is Gaussian with an sd of 1 a standard deviation of its column.

        Raises
        ------
        InputError
            For a hyperparameter that is held at a value.
        """
        place = [h.name for h in bound.hyper].index(bound.dispersion)
        of, prior = bound.hyper[place], bound.prior.of_theta[place]  # type: ignore[attr-defined]
        if isinstance(prior, Fixed):
            raise InputError(f"{of.name} cannot be held at a value and follow a formula: leave one of the two out")
        scale = f"{'logit' if of.transform is probability else 'log'}({of.name})"
        start = float(bound.first_theta()[place])
        constant = names.index("Intercept") if "Intercept" in names else None
        middle, size = columns.mean(axis=0), columns.std(axis=0)
        indicators = np.asarray(np.isin(columns, (0.0, 1.0)).all(axis=0))
        levels = indicators if constant is None else np.zeros(len(names), dtype=bool)
        middle = np.zeros_like(middle) if constant is None else middle
        size = np.where(levels | (size == 0), 1.0, size)
        if constant is not None:
            middle[constant], size[constant], levels[constant] = 0.0, 1.0, True
        back = np.diag(1 / size)
        if constant is not None:
            back[constant] -= middle / size
        parameters = []
        for k, name in enumerate(names):
            label = f"{scale}: {name}"
            own = prior if levels[k] else Gaussian(0.0, SLOPE_SD**-2, "standardised")
            if label in priors:
                own = _of_standardised(read_prior(priors.pop(label), label, "real"), float(size[k]), label)
            parameters.append(Parameter(label, "real", own, start if levels[k] else 0.0, unchanged))
        hyper = (*bound.hyper[:place], *parameters, *bound.hyper[place + 1 :])
        parts = list(bound.prior.of_theta)  # type: ignore[attr-defined]
        parts[place : place + 1] = [h.prior for h in parameters]
        theta = np.insert(np.delete(bound.theta, place), place, [h.start for h in parameters])
        made = cls(
            bound.y, bound.exposure, bound.trials, bound.weights, bound.link, Independent(tuple(parts)), theta,
            bound.unweighted(), (columns - middle) / size, place, tuple(parameters), back,
        )  # fmt: skip
        assert len(hyper) == len(made.hyper)
        return made.at(theta)

    @property
    def hyper(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """Those of the responses, with the coefficients in the place of one."""
        own = self.inner.hyper
        return (*own[: self.place], *self.coefficients, *own[self.place + 1 :])

    @property
    def user_map(self) -> Vector:
        """The identity, but for the coefficients."""
        found, own = np.eye(self.theta.size), self._own
        found[own, own] = self.back
        return found

    @property
    def _own(self) -> slice:
        return slice(self.place, self.place + len(self.coefficients))

    def at(self, theta: Vector) -> Self:
        """The same observations with these hyperparameters."""
        theta = np.asarray(theta, dtype=float)
        whole = np.tile(np.delete(theta, self._own)[:, None], self.n)
        whole = np.insert(whole, self.place, self.rows @ theta[self._own], axis=0)
        return replace(self, theta=theta, inner=self.inner.at(whole))

    def of_rows(self, index: NDArray[np.intp]) -> Self:
        """Some of the observations."""
        return replace(super().of_rows(index), inner=self.inner.of_rows(index), rows=self.rows[index])

    @property
    def dispersions(self) -> Vector:
        """The hyperparameter of each row, on the user's scale, (m,)."""
        return np.asarray(self.inner.hyper[self.place].transform(self.inner.theta[self.place]))

    @cached_property
    def _inner(self) -> Likelihood:
        """The responses of this one."""
        own = {name: getattr(self, name) for name in ("y", "exposure", "trials")}
        same = all(getattr(self.inner, name) is value for name, value in own.items())
        return self.inner if same else replace(self.inner, **own)

    @property
    def bends_units(self) -> bool:  # type: ignore[override]
        """As of the responses."""
        return self.inner.bends_units

    @property
    def observed_exactly(self) -> bool:
        """As of the responses."""
        return self.inner.observed_exactly

    @property
    def is_replicated(self) -> bool:
        """As of the responses."""
        return self.inner.is_replicated

    @property
    def has_cdf(self) -> bool:
        """As of the responses."""
        return self.inner.has_cdf

    @property
    def has_moments(self) -> bool:
        """As of the responses."""
        return self.inner.has_moments

    @property
    def says(self) -> Vector:
        """As of the responses."""
        values: Vector = self.weights * self._inner.says
        return values

    @property
    def unit(self) -> float | None:
        """As of the responses."""
        return replace(self._inner, weights=self.weights).unit

    @property
    def residual_unit(self) -> float | None:
        """As of the responses."""
        return replace(self._inner, weights=self.weights).residual_unit

    @property
    def has_one_mean(self) -> bool:
        """Whether the mean of a response, at one predictor, is the same whatever its dispersion."""
        row = self.of_rows(np.zeros(1, dtype=np.intp))._inner
        eta, other = np.array([0.3]), row.theta + 0.5 * (np.arange(len(row.theta)) == self.place)[:, None]
        return bool(np.allclose(row.moments(eta)[0], row.at(other).moments(eta)[0], rtol=1e-12, atol=0.0))

    def _log_density(self, eta: Vector) -> Vector:
        return self._inner.log_density(eta)

    def _derivatives(self, eta: Vector) -> Derivatives:
        return self._inner.derivatives(eta)

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        found = []
        for part in self._inner.theta_derivatives(eta):
            found.append(np.vstack([part[: self.place], part[self.place] * self.rows.T, part[self.place + 1 :]]))
        return found[0], found[1], found[2]

    def _weights(self, eta: Vector) -> Vector:
        return self._inner._weights(eta)

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return self._inner.cdf(eta)

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        return self._inner.sf(eta)

    def log_cdf(self, eta: Vector) -> Vector:
        """Log P(Y <= y | eta)."""
        return self._inner.log_cdf(eta)

    def log_sf(self, eta: Vector) -> Vector:
        """Log P(Y > y | eta)."""
        return self._inner.log_sf(eta)

    def jumps(self) -> NDArray[np.bool_] | None:
        """As of the responses."""
        return self._inner.jumps()

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response."""
        return self._inner.moments(eta)

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return self._inner.draw(eta, rng)

    def _compared(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        return self._inner._compared(eta)

    def observed(self) -> Vector:
        """What was observed of the inverse link of eta."""
        return self._inner.observed()

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self._inner.start()

    def first_theta(self) -> Vector:
        """Where the search starts: the same dispersion for all."""
        found = self.inner.first_theta()
        return np.insert(np.delete(found, self.place), self.place, [h.start for h in self.coefficients])

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """As of the responses."""
        return self._inner.ends()

    @property
    def bounded(self) -> NDArray[np.bool_]:
        """As of the responses."""
        return self._inner.bounded

    def room(self, eta: Vector) -> Vector:
        """As of the responses."""
        return self._inner.room(eta)

    def end(self) -> str | None:
        """As of the responses."""
        return self._inner.end()


def _of_standardised(prior: Prior, size: float, label: str) -> Prior:
    """The prior of a coefficient as one of what a standard deviation of its column adds."""
    if isinstance(prior, Gaussian):
        return Gaussian(prior.mean * size, prior.precision / size**2, "standardised")
    if isinstance(prior, Flat):
        return prior
    raise InputError(f"the prior of {label!r} is gaussian or flat, not {prior.describe()}")
