"""Responses bound to a family: log densities, moments, distribution functions and draws.

A family is bound to data (`Family.bind`) and gives a `Likelihood`, all that inference sees of the response: log
densities as functions of the linear predictor eta and of the family's hyperparameters theta, on their unbounded
internal scale, with derivatives.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, NoReturn, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from geospde.errors import InputError, NumericalError
from geospde.families.links import Link
from geospde.families.priors import Prior

Vector = NDArray[np.float64]
Derivatives = tuple[Vector, Vector, Vector]
FURTHEST = 100.0  # a theta beyond it counts as an overflow
RESIDUALS = ("response", "pearson", "standardized")
STEP = 1e-3  # of differences in theta: of the fourth order, they err by 1e-12 times a fifth derivative


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter of a family.

    Attributes
    ----------
    name : str
        The user's.
    kind : str
        What priors it can have, see `geospde.families.priors.prior_by_name`.
    prior : Prior
        The default.
    start : float
        Where the search for its mode starts, on the internal scale.
    transform : callable
        Increasing map from the internal to the user's scale.
    """

    name: str
    kind: str
    prior: Prior
    start: float
    transform: Callable[[Vector], Vector] = np.exp

    def default_prior(self, unit: float | None) -> Prior:
        """The default prior, where standard deviations are counted in a unit: no answer may depend on the data's.

        Parameters
        ----------
        unit : float or None
            `Likelihood.residual_unit`. A prior of an sd that has a method ``in_unit`` is rescaled by it.
        """
        rescaled = getattr(self.prior, "in_unit", None) if self.kind == "sd" and unit is not None else None
        prior: Prior = self.prior if rescaled is None else rescaled(unit)
        return prior


def above_two(theta: Vector) -> Vector:
    """``2 + exp(theta)``, the map of degrees of freedom."""
    return 2.0 + np.exp(theta)


def between_one_and_two(theta: Vector) -> Vector:
    """``1 + expit(theta)``, the map of a power."""
    values: Vector = 1.0 + expit(theta)
    return values


def unchanged(theta: Vector) -> Vector:
    """The identity, the map of a parameter of either sign."""
    return theta


def probability(theta: Vector) -> Vector:
    """The logistic map."""
    values: Vector = expit(theta)
    return values


@dataclass(frozen=True)
class Likelihood:
    """Responses bound to a family: everything is per observation, as a function of eta, times the weights.

    A family's own class must write ``_log_density`` and ``_derivatives``. It should write ``cdf`` (PIT values, quantile
    residuals), ``draw`` (cross-validation, simulation) and ``moments`` (residuals): without them what needs them says
    which method to write. It may write ``_theta_derivatives``, which are differences otherwise; ``sf``, where small
    probabilities matter; ``_weights``, where it is not log-concave; ``start``, ``first_theta`` and `unit`, where the
    general ones are poor; ``ends``, where responses can draw an estimate away without end.

    Attributes
    ----------
    y, exposure, trials, weights : (m,) arrays
    link : Link
    prior : Prior
        Of the hyperparameters, on their internal scale.
    theta : (k,) array
        Hyperparameters, on their internal scale; (k, m) where they differ between rows, see `dispersion`.
    hyper : tuple of Parameter
        What they are, of the class.
    dispersion : str
        The name of the one that a formula may stand for (`geospde.families.dispersed`), empty where there is none. A
        class that names one takes its entry of theta as a number or as an array of one value per row, and reads the
        others by `common`.
    bends_units : bool
        Whether the unit of the response moves predictors by what is no linear function of theta: modes are then found
        to the end, as how near a search begins depends on the unit.
    """

    y: Vector
    exposure: Vector
    trials: Vector
    weights: Vector
    link: Link
    prior: Prior
    theta: Vector

    hyper: ClassVar[tuple[Parameter, ...]] = ()
    dispersion: ClassVar[str] = ""
    bends_units: ClassVar[bool] = False

    @property
    def n(self) -> int:
        """Number of observations."""
        return self.y.size

    @property
    def unit(self) -> float | None:
        """Standard deviation of the response where eta, and hyperparameters of kind ``"sd"``, are in its unit."""
        return None

    @property
    def residual_unit(self) -> float | None:
        """What default priors of hyperparameters of kind ``"sd"`` are counted in; by default `unit`."""
        return self.unit

    @property
    def says(self) -> Vector:
        """How much each row says of its predictor, (m,), beside the others: its weight, unless the class knows more."""
        return self.weights

    def less_offset(self, offset: Vector) -> Self:
        """The responses that an offset leaves to be explained: default priors are of them.

        These, unless the class knows how to take it out.
        """
        return self

    def refuse_endless(self) -> None:
        """Raise InputError where the likelihood grows without end towards these hyperparameters; by default never."""

    def at_odds(self) -> str:
        """How responses contradict a default prior that is not in their unit; empty where they do not."""
        return ""

    @property
    def largest_sd(self) -> float:
        """What the standard deviation of a field or a smooth is seldom above: default priors are of it.

        Three standard deviations of the rough predictor (`start`), and at least a tenth of its unit, or 1 where it has
        none: rare events, and points of a pattern, hide how the logarithm of their rate varies. Rows count by
        `says`: one that says nothing moves no prior. It is exact where it has a unit, so that no answer depends on
        that; a pure number has two digits.
        """
        wide = 3 * self._rough_sd()
        return max(float(f"{wide:.2g}"), 1.0) if self.unit is None else max(wide, 0.1 * self.unit)

    def _rough_sd(self) -> float:
        """Standard deviation of the rough predictor."""
        return deviation(self.start(), self.says)

    @property
    def rough_words(self) -> str:
        """What `largest_sd` is three standard deviations of, where the predictor has no unit."""
        return f"the {self.link.name} of the data"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the hyperparameters on the user's scale."""
        return tuple(h.name for h in self.hyper)

    def user(self, theta: Vector) -> Vector:
        """Hyperparameters on the user's scale."""
        near = np.clip(np.asarray(theta, dtype=float), -700.0, 700.0)
        return np.array([h.transform(t) for h, t in zip(self.hyper, self.user_map @ near)])

    @property
    def user_map(self) -> Vector:
        """What each hyperparameter is a linear function of, before its transform: a row of theta's coefficients."""
        return np.eye(len(self.hyper))

    def common(self, k: int) -> float:
        """Entry k of theta, which is the same for all rows."""
        return float(np.ravel(self.theta[k])[0])

    @property
    def has_one_mean(self) -> bool:
        """Whether the mean per unit exposure is one function of eta, the same for all rows."""
        return True

    def at(self, theta: Vector) -> Self:
        """The same observations with these hyperparameters; raises FloatingPointError where they overflow."""
        if not self.hyper:
            return self
        theta = np.asarray(theta, dtype=float)
        if not (np.abs(theta) < FURTHEST).all():
            raise FloatingPointError(f"hyperparameters overflow: {theta}")
        return replace(self, theta=theta)

    def of_rows(self, index: NDArray[np.intp]) -> Self:
        """Some of the observations."""
        own = {name: getattr(self, name)[index] for name in ("y", "exposure", "trials", "weights")}
        return replace(self, **own, theta=self.theta[:, index] if self.theta.ndim == 2 else self.theta)

    def without(self, index: NDArray[np.intp]) -> Self:
        """The same observations, some of which count for nothing."""
        weights = self.weights.copy()
        weights[index] = 0.0
        return replace(self, weights=weights)

    def unweighted(self) -> Self:
        """The same observations, each counting once."""
        return replace(self, weights=np.ones(self.n))

    # -- the density ----------------------------------------------------------------------------------------

    def log_density(self, eta: Vector) -> Vector:
        """Log p(y | eta), all constants included; eta may have leading axes."""
        return self.weights * self._log_density(eta)

    def derivatives(self, eta: Vector) -> Derivatives:
        """First, second and third derivative of `log_density` in eta."""
        first, second, third = self._derivatives(eta)
        return self.weights * first, self.weights * second, self.weights * third

    @property
    def pairs(self) -> NDArray[np.intp] | None:
        """Pairs (i, j) of rows, (k, 2), whose densities depend on both predictors; None where each has its own.

        With pairs the second of `derivatives` has k entries more: the log density bends as half the sum of the first
        ones times eta_i squared, and of these times ``(eta_i + eta_j)`` squared, which says any 2 x 2 block.
        """
        return None

    def pull(self, eta: Vector, third: Vector, variances: Vector) -> Vector:
        """Derivative in eta, (m,), of the sum of variances times second derivatives, as `derivatives` has them."""
        return variances * third

    def newton_weights(self, eta: Vector, second: Vector) -> Vector:
        """Non-negative weights for Newton steps; `second` is the second derivative at eta.

        The observed information where it is positive, a positive stand-in elsewhere.
        """
        if (second <= 0).all():
            return -second
        return np.where(second <= 0, -second, self.weights * self._weights(eta))

    def theta_derivatives(self, eta: Vector) -> Derivatives:
        """Derivatives in each theta, (k, m), of `log_density` and of its first two derivatives in eta.

        Raises NumericalError where theta is at the edge of what has a density.
        """
        if not self.hyper:
            nothing = np.zeros((0, self.n))
            return nothing, nothing, nothing
        try:
            density, first, second = self._theta_derivatives(eta)
        except FloatingPointError as error:  # a difference steps to where no density is
            raise NumericalError(f"no derivatives in the hyperparameters: {error}") from None
        return self.weights * density, self.weights * first, self.weights * second

    def _log_density(self, eta: Vector) -> Vector:
        """Log density of a response of weight 1."""
        self._refuse("_log_density(eta)", "the log density of each response, constants included")

    def _derivatives(self, eta: Vector) -> Derivatives:
        """Its first, second and third derivative in eta."""
        self._refuse("_derivatives(eta)", "the first three derivatives of the log density in eta")

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        """Derivatives in each theta, (k, m), of the log density and of its first two derivatives; by differences."""
        found = []
        for axis in np.eye(len(self.theta)):
            axis = axis[:, None] if self.theta.ndim == 2 else axis
            near, far = ([self._at_step(eta, sign * size * axis) for sign in (1.0, -1.0)] for size in (STEP, 2 * STEP))
            found.append((8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * STEP))
        density, first, second = np.moveaxis(np.array(found), 1, 0)
        return density, first, second

    def _at_step(self, eta: Vector, step: Vector) -> Vector:
        """Log density and its first two derivatives, (3, m), a step away in theta."""
        moved = self.at(self.theta + step)
        first, second, _ = moved._derivatives(eta)
        return np.array([moved._log_density(eta), first, second])

    def _weights(self, eta: Vector) -> Vector:
        """Stand-in for the information, positive; log-concave families differ from it by rounding alone."""
        return np.zeros_like(eta)

    # -- the response ---------------------------------------------------------------------------------------

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response."""
        self._refuse("moments(eta)", "the mean and the variance of each response: residuals are made of them")

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        self.refuse_without_cdf()
        raise NotImplementedError

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta); a class that has it as a tail of its own keeps its digits where it is small."""
        return 1.0 - self.cdf(eta)

    @property
    def is_replicated(self) -> bool:
        """Whether `draw` makes what `y` is one of: not of bounds of censored responses, nor of several likelihoods."""
        return True

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta; eta may have leading axes."""
        self._refuse("draw(eta, rng)", "a new response for each eta: cross-validation and simulation draw them")

    def log_cdf(self, eta: Vector) -> Vector:
        """Log P(Y <= y | eta); a class that has it in closed form keeps its digits where `cdf` underflows."""
        with np.errstate(divide="ignore"):
            return np.log(self.cdf(eta))

    def log_sf(self, eta: Vector) -> Vector:
        """Log P(Y > y | eta)."""
        with np.errstate(divide="ignore"):
            return np.log(self.sf(eta))

    def flow(self) -> Vector:
        """What minus the derivative of P(Y <= y) in eta is, over the density of `edge`, (m,), whatever eta is.

        Responses may be censored (`geospde.families.censored`) where a class writes it: 1 for a location, y for the
        logarithm of a scale.
        """
        raise InputError("responses of this family cannot be censored: its class has no method flow()")

    def edge(self) -> Self:
        """What the density that `flow` multiplies is of: the same responses; of counts those that are one higher."""
        return self

    @property
    def has_flow(self) -> bool:
        """Whether responses may be censored."""
        return type(self).flow is not Likelihood.flow

    @property
    def observed_exactly(self) -> bool:
        """Whether every response is known, not by bounds alone."""
        return True

    def jumps(self) -> NDArray[np.bool_] | None:
        """Which responses have a probability rather than a density; None where that is so of all or none.

        Then `Family.is_discrete` says it.
        """
        return None

    @property
    def has_cdf(self) -> bool:
        """Whether the class writes its distribution function."""
        return type(self).cdf is not Likelihood.cdf

    @property
    def has_moments(self) -> bool:
        """Whether the class writes its mean and variance."""
        return type(self).moments is not Likelihood.moments

    def refuse_without_cdf(self) -> None:
        """Raise InputError where the class does not write it."""
        if not self.has_cdf:
            self._refuse("cdf(eta)", "P(Y <= y | eta) of each response: PIT values and quantile residuals are of it")

    def _refuse(self, method: str, gives: str) -> NoReturn:
        name = type(self).__name__
        raise InputError(f"{name} has no method {method}: write it on the class, to return {gives}")

    def residuals(self, eta: Vector, kind: str = "response") -> Vector:
        """What is left of the responses, (m,).

        Parameters
        ----------
        eta : (m,) array
        kind : {"response", "pearson", "standardized"}
            Response less its mean; that over its standard deviation, which the last two both are.

        Raises
        ------
        InputError
            For another kind, or where the class has no `moments`.
        """
        if kind not in RESIDUALS:
            raise InputError(f"residuals are of kind {', '.join(map(repr, RESIDUALS))}, not {kind!r}")
        value, mean, variance = self._compared(eta)
        left = value - mean
        return left if kind == "response" else left / np.sqrt(variance)

    def _compared(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """Responses, their means and variances, on the scale on which residuals are taken."""
        return self.y, *self.moments(eta)

    def observed(self) -> Vector:
        """What was observed of the inverse link of eta, to be set beside fitted values."""
        return self.y / (self.exposure * self.trials)

    # -- where a search starts, and where it would not end --------------------------------------------------

    def start(self) -> Vector:
        """A rough eta to start from: the link of the response, drawn in where that is infinite."""
        eta = self.link.forward(self.observed())
        finite = eta[np.isfinite(eta)]
        return np.clip(eta, finite.min(), finite.max()) if finite.size else np.zeros_like(eta)

    def first_theta(self) -> Vector:
        """Where the search for the hyperparameters' mode starts."""
        return np.array([h.start for h in self.hyper])

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which responses lie where the density grows all the way as eta goes down, and which as it goes up."""
        return np.zeros(self.n, bool), np.zeros(self.n, bool)

    @property
    def bounded(self) -> NDArray[np.bool_]:
        """Of which responses the predictor has an end, beyond which they have no density."""
        return np.zeros(self.n, bool)

    def room(self, eta: Vector) -> Vector:
        """How far each predictor is from an end beyond which it has no density; infinite where there is none."""
        return np.full(self.n, np.inf)

    def end(self) -> str | None:
        """``"lower"`` or ``"upper"`` where every response lies at that end of what the family allows.

        The likelihood then draws an intercept away without end.
        """
        lower, upper = self.ends()
        return "lower" if lower.all() else "upper" if upper.all() else None


def scaled(values: Vector, logs: Vector) -> Vector:
    """Positive values times exponentials, positive and finite whatever those are."""
    with np.errstate(over="ignore", under="ignore"):
        return np.clip(values * np.exp(np.clip(logs, -600.0, 600.0)), 1e-300, 1e300)


def deviation(values: Vector, weights: Vector) -> float:
    """Standard deviation of values that count by their weights; of all alike where no weight is positive."""
    largest = float(weights.max(initial=0.0))
    if largest <= 0 or (weights == largest).all():
        return float(np.std(values))
    share = weights / largest
    middle = np.average(values, weights=share)
    return float(np.sqrt(np.average((values - middle) ** 2, weights=share)))


def spread(values: Vector, weights: Vector | None = None) -> float:
    """Weighted standard deviation; the largest size of values that are all the same, and 1 if that is 0."""
    weights = np.ones(len(values)) if weights is None else weights
    counted = np.abs(values[weights > 0] if (weights > 0).any() else values)
    found, largest = deviation(values, weights), float(counted.max(initial=0.0))
    return found if found > 1e-9 * largest else largest or 1.0
