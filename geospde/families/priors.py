"""Priors of hyperparameters, as densities on the unbounded internal scale with their gradients.

Internal scales: a range, standard deviation, kappa or tau enters as its logarithm, as do a family's size, shape and
precision; degrees of freedom as log(df - 2), a probability as its logit. Each density includes its normalising
constant and the Jacobian of the change of scale, so that marginal likelihoods can be compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property, partial
from math import isfinite, log, nan, pi, sqrt
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, expit, gammainccinv, gammaincinv, gammaln, log_expit

from geospde.errors import InputError
from geospde.families.pc import PCCor0, PCCor1, PCDf, PCMixing, PCRange, PCSd, PCSize, PCWeibull, parameters
from geospde.text.words import in_brief

__all__ = [
    "LKJ", "Fixed", "Flat", "GammaPositive", "Gaussian", "HalfStudentT", "Independent", "InverseGamma",
    "LinearGaussian", "LogGamma", "LogitBeta", "PCCor0", "PCCor1", "PCDf", "PCMixing", "PCRange", "PCSd", "PCSize",
    "PCWeibull", "Prior", "prior_by_name",
]  # fmt: skip

Vector = NDArray[np.float64]
LARGEST = 1e30  # of a prior's parameters: squares of it, and of its inverse, are still numbers beside others


class Prior(Protocol):
    """A density on theta: its logarithm, the gradient of that, and words for the summary."""

    def log_density(self, theta: Vector) -> float: ...  # noqa: D102
    def gradient(self, theta: Vector) -> Vector: ...  # noqa: D102
    def describe(self) -> str: ...  # noqa: D102


@parameters
class _Gamma:
    shape: float
    rate: float

    def __post_init__(self) -> None:
        if not (self.shape > 0 and self.rate > 0):
            raise InputError(f"loggamma needs a positive shape and rate, not {self.shape} and {self.rate}")


@parameters
class LogGamma(_Gamma):
    """Gamma(shape, rate) prior of the precision 1/sd², seen on log(sd); without numbers, R-INLA's default."""

    shape: float = 1.0
    rate: float = 5e-5

    def in_unit(self, unit: float) -> "LogGamma":
        """The same prior of an sd that is counted in `unit`, as one of the sd itself."""
        return LogGamma(self.shape, self.rate * unit**2)

    def log_density(self, theta: Vector) -> float:
        """Log density of log(sd)."""
        log_precision = -2.0 * theta[0]
        value: float = (
            self.shape * log(self.rate)
            - float(gammaln(self.shape))
            + self.shape * log_precision
            - self.rate * np.exp(log_precision)
            + log(2.0)
        )
        return value

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        return np.array([-2.0 * self.shape + 2.0 * self.rate * np.exp(-2.0 * theta[0])])

    def describe(self) -> str:
        """One line for the summary."""
        return f"loggamma: precision ~ Gamma({self.shape:g}, rate {self.rate:.4g})"


class GammaPositive(_Gamma):
    """Gamma(shape, rate) prior of a positive parameter, seen on its logarithm: R-INLA's ``loggamma``."""

    def log_density(self, theta: Vector) -> float:
        """Log density of the logarithm."""
        constant = self.shape * log(self.rate) - float(gammaln(self.shape))
        value: float = constant + self.shape * theta[0] - self.rate * np.exp(theta[0])
        return value

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        return np.array([self.shape - self.rate * np.exp(theta[0])])

    def describe(self) -> str:
        """One line for the summary."""
        return f"loggamma: Gamma({self.shape:g}, rate {self.rate:g})"


@parameters
class InverseGamma:
    """Inverse gamma prior of a length-scale, seen on its logarithm: its density vanishes fast towards zero."""

    shape: float
    scale: float

    def __post_init__(self) -> None:
        if not (self.shape > 0 and self.scale > 0):
            raise InputError(f"inv_gamma needs a positive shape and scale, not {self.shape} and {self.scale}")

    @classmethod
    def between(cls, shortest: float, longest: float, tail: float = 0.01) -> "InverseGamma":
        """The one with P(length < shortest) = P(length > longest) = tail, for a longest at least twice the shortest.

        A length-scale below the smallest distance of the data, or above the largest, is one that they cannot tell
        (Betancourt 2017, Robust Gaussian processes in Stan, part 3).
        """
        from scipy.optimize import brentq

        def excess(log_shape: float) -> float:
            a = np.exp(log_shape)
            return float(np.log(gammainccinv(a, tail) / gammaincinv(a, tail))) - log(longest / shortest)

        shape = float(np.exp(brentq(excess, log(0.05), log(100.0), xtol=1e-13)))
        return cls(shape, shortest * float(gammainccinv(shape, tail)))

    def log_density(self, theta: Vector) -> float:
        """Log density of log(length)."""
        constant = self.shape * log(self.scale) - float(gammaln(self.shape))
        value: float = constant - self.shape * theta[0] - self.scale * np.exp(-theta[0])
        return value

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        return np.array([self.scale * np.exp(-theta[0]) - self.shape])

    def describe(self) -> str:
        """One line for the summary."""
        return f"inverse gamma({self.shape:.6g}, scale {self.scale:.6g})"


@parameters
class LogitBeta:
    """Beta(a, b) prior of a probability, or of a number from 0 to `largest` over it, seen on its logit."""

    a: float
    b: float
    largest: float = 1.0

    def __post_init__(self) -> None:
        if not (self.a > 0 and self.b > 0):
            raise InputError(f"a beta prior needs two positive numbers, not {self.a} and {self.b}")

    def log_density(self, theta: Vector) -> float:
        """Log density of the logit."""
        tails = self.a * log_expit(theta[0]) + self.b * log_expit(-theta[0])
        return float(tails - betaln(self.a, self.b))

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        return np.array([self.a * expit(-theta[0]) - self.b * expit(theta[0])])

    def describe(self) -> str:
        """One line for the summary."""
        return f"Beta({self.a:g}, {self.b:g})" + ("" if self.largest == 1 else f" from 0 to {self.largest:g}")


@parameters
class HalfStudentT:
    """Student t about zero, of positive values only, prior of a standard deviation, seen on its logarithm."""

    df: float
    scale: float

    def __post_init__(self) -> None:
        if not (self.df > 0 and self.scale > 0):
            raise InputError(f"student_t needs positive degrees of freedom and scale, not {self.df} and {self.scale}")

    def log_density(self, theta: Vector) -> float:
        """Log density of log(sd)."""
        constant = float(gammaln(0.5 * (self.df + 1)) - gammaln(0.5 * self.df)) - 0.5 * log(self.df * pi)
        log_z = theta[0] - log(self.scale)
        tail = float(np.logaddexp(0.0, 2.0 * log_z - log(self.df)))
        value: float = log(2.0) + constant + log_z - 0.5 * (self.df + 1) * tail
        return value

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        share = expit(2.0 * (theta[0] - log(self.scale)) - log(self.df))
        return np.array([1.0 - (self.df + 1) * share])

    def describe(self) -> str:
        """One line for the summary."""
        return f"half Student t, {self.df:g} degrees of freedom, scale {self.scale:g}"


@parameters
class LKJ:
    """LKJ(eta) prior of a correlation matrix, seen on one canonical partial correlation's Fisher z.

    Lewandowski, Kurowicka & Joe (2009), section 2.4: the partial correlations are independent, and (1 + rho) / 2 of one
    given `position` other effects of q is Beta(a, a), a = eta + (q - 2 - position) / 2. With eta = 1 all correlation
    matrices are equally likely.
    """

    eta: float
    effects: int = 2
    position: int = 0

    def __post_init__(self) -> None:
        if not self.eta > 0:
            raise InputError(f"lkj needs a positive number, not {self.eta}")

    @property
    def _a(self) -> float:
        return self.eta + 0.5 * (self.effects - 2 - self.position)

    def log_density(self, theta: Vector) -> float:
        """Log density of z."""
        constant = (2 * self._a - 1) * log(2.0) + float(betaln(self._a, self._a))
        return -2.0 * self._a * float(np.logaddexp(theta[0], -theta[0]) - log(2.0)) - constant

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        return np.array([-2.0 * self._a * np.tanh(theta[0])])

    def describe(self) -> str:
        """One line for the summary."""
        return f"LKJ({self.eta:g})"


@parameters
class Gaussian:
    """Gaussian prior of one internal parameter, by mean and precision."""

    mean: float
    precision: float
    scale: str = "log"

    def __post_init__(self) -> None:
        if not self.precision > 0:
            raise InputError(f"a Gaussian prior needs a positive precision, not {self.precision}")

    def log_density(self, theta: Vector) -> float:
        """Log density."""
        value: float = 0.5 * log(self.precision / (2 * pi)) - 0.5 * self.precision * (theta[0] - self.mean) ** 2
        return value

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        return np.array([-self.precision * (theta[0] - self.mean)])

    def describe(self) -> str:
        """One line for the summary."""
        return f"Gaussian on the {self.scale} scale: mean {self.mean:.4g}, sd {1 / sqrt(self.precision):.3g}"


@parameters
class Flat:
    """Density 1 on the internal scale (improper)."""

    def log_density(self, theta: Vector) -> float:
        """Zero."""
        return 0.0

    def gradient(self, theta: Vector) -> Vector:
        """Zero."""
        return np.zeros(1)

    def describe(self) -> str:
        """One line for the summary."""
        return "flat on the log scale"


@parameters
class Fixed:
    """No prior: the parameter is held at a value of the user's scale."""

    value: float

    def log_density(self, theta: Vector) -> float:
        """Zero."""
        return 0.0

    def gradient(self, theta: Vector) -> Vector:
        """Zero."""
        return np.zeros(1)

    def describe(self) -> str:
        """One line for the summary."""
        return f"fixed at {self.value:g}"


@parameters
class InUnit:
    """The prior of a parameter of which theta is `unit` times as much: a coefficient of a standardised column."""

    of_parameter: Prior
    unit: float

    def log_density(self, theta: Vector) -> float:
        """Log density of theta."""
        return self.of_parameter.log_density(theta / self.unit) - log(self.unit)

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        return self.of_parameter.gradient(theta / self.unit) / self.unit

    def describe(self) -> str:
        """One line for the summary, of the parameter."""
        return self.of_parameter.describe()


@parameters
class Independent:
    """Independent priors, each of one internal parameter or of so many as its `size` says."""

    parts: tuple[Prior, ...]

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Of each part in theta."""
        ends = np.cumsum([0, *(getattr(p, "size", 1) for p in self.parts)]).tolist()
        return tuple(slice(a, b) for a, b in zip(ends[:-1], ends[1:]))

    @property
    def of_theta(self) -> tuple[Prior, ...]:
        """The part that each internal parameter has its prior from."""
        return tuple(one for p in self.parts for one in getattr(p, "of_theta", (p,) * getattr(p, "size", 1)))

    def log_density(self, theta: Vector) -> float:
        """Sum of the parts' log densities."""
        return sum(p.log_density(theta[where]) for p, where in zip(self.parts, self.places))

    def gradient(self, theta: Vector) -> Vector:
        """The parts' gradients, one after the other."""
        return np.concatenate([np.zeros(0), *(p.gradient(theta[at]) for p, at in zip(self.parts, self.places))])

    def describe(self) -> str:
        """One line for the summary."""
        return "; ".join(p.describe() for p in self.parts)


@parameters
class LinearGaussian:
    """Independent Gaussians on ``transform @ theta + shift``, where ``|det transform| = 1``.

    The prior of `spde2.matern` is Gaussian on (log tau, log kappa), a linear function of (log range, log sigma).
    """

    transform: Vector
    shift: Vector
    mean: Vector
    precision: float
    names: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many internal parameters it is of."""
        return len(self.names)

    def log_density(self, theta: Vector) -> float:
        """Log density."""
        z = self.transform @ theta + self.shift - self.mean
        return 0.5 * z.size * log(self.precision / (2 * pi)) - 0.5 * self.precision * float(z @ z)

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        z = self.transform @ theta + self.shift - self.mean
        return -self.precision * (self.transform.T @ z)

    def describe(self) -> str:
        """One line for the summary."""
        about = ", ".join(f"{name} about {m:.3f}" for name, m in zip(self.names, self.mean))
        return f"Gaussian: {about}, sd {1 / sqrt(self.precision):.3g} each"


def _lkj(eta: float) -> LKJ:
    return LKJ(eta)


_POSITIVE = {"gaussian": Gaussian, "flat": Flat, "loggamma": GammaPositive}
_BY_KIND: dict[str, dict[str, Any]] = {
    "range": {"pc": PCRange, "gaussian": Gaussian, "flat": Flat},
    "lscale": {"inv_gamma": InverseGamma, **_POSITIVE},
    "sd": {
        "pc": PCSd,
        "pc.prec": PCSd,
        "student_t": HalfStudentT,
        "loggamma": LogGamma,
        "gaussian": Gaussian,
        "flat": Flat,
    },
    "size": {"pc": PCSize, **_POSITIVE},
    "shape": _POSITIVE,
    "weibull": {"pc": PCWeibull, **_POSITIVE},
    "real": {"gaussian": partial(Gaussian, scale="natural"), "flat": Flat},
    "power": {"gaussian": partial(Gaussian, scale="logit of p - 1"), "flat": Flat},
    "nu": {"beta": partial(LogitBeta, largest=2.0), "gaussian": partial(Gaussian, scale="logit(nu / 2)"), "flat": Flat},
    "correlation": {"lkj": _lkj},
    "mixing": {"pc": PCMixing, "gaussian": partial(Gaussian, scale="logit"), "beta": LogitBeta, "flat": Flat},
    "autocorrelation": {
        "pc": PCCor1,
        "pc.cor1": PCCor1,
        "pc.cor0": PCCor0,
        "gaussian": partial(Gaussian, scale="logit"),
        "beta": LogitBeta,
    },
    "df": {"pc": PCDf, "gaussian": Gaussian, "flat": Flat},
    "probability": {"gaussian": partial(Gaussian, scale="logit"), "beta": LogitBeta, "flat": Flat},
}


def prior_by_name(name: str, arguments: tuple[float, ...], kind: str) -> Prior:
    """Make a prior from its name, as formulas and run files give it.

    Parameters
    ----------
    name : {"pc", "student_t", "loggamma", "inv_gamma", "gaussian", "beta", "lkj", "flat", "fixed"}
        Family of the prior; R-INLA's "pc.prec", "pc.cor0" and "pc.cor1" go by their own names, too.
    arguments : tuple of float
        Its parameters, in the order of the class.
    kind : {"range", "lscale", "sd", "size", "shape", "df", "probability", "correlation", "autocorrelation",
        "mixing"}
        Or ``"weibull"``, a Weibull's shape; ``"power"``, a Tweedie's; ``"real"``, of either sign.
        What the prior is of.

    Raises
    ------
    InputError
        For an unknown name, one that does not fit the parameter, or wrong arguments.
    """
    choices: dict[str, Callable[..., Prior]] = {**_BY_KIND[kind], "fixed": Fixed}
    if name not in choices:
        raise InputError(f"no prior {name!r} for a {kind}; choose from {', '.join(choices)}")
    numbers = [_finite(argument, name) for argument in arguments]
    try:
        return choices[name](*numbers)
    except TypeError:
        raise InputError(f"prior {name!r} does not take the {len(arguments)} numbers {arguments}") from None


def _finite(argument: Any, name: str) -> float:
    """A prior's parameter as a number; raises InputError for another thing, or one that is not finite."""
    try:
        value = nan if isinstance(argument, bool) else float(argument)
    except (TypeError, ValueError, OverflowError):
        value = nan
    if not isfinite(value):
        raise InputError(f"the parameters of a prior are finite numbers: {name!r} was given {in_brief(argument)}")
    refuse_size(value, name)
    return value


def refuse_size(value: float, name: str) -> None:
    """Raise InputError for a finite parameter of a prior that is nearly 0 or infinite, and is neither."""
    if value and isfinite(value) and not 1 / LARGEST <= abs(value) <= LARGEST:
        sizes = f"the parameters of a prior lie between {1 / LARGEST:g} and {LARGEST:g} in size, or are 0"
        raise InputError(f"{sizes}: {name!r} was given {value:g}", remedy="give the data in another unit")


_CLASSES = (
    LKJ, Fixed, Flat, GammaPositive, Gaussian, HalfStudentT, InverseGamma, LogGamma, LogitBeta, PCCor0, PCCor1, PCDf,
    PCMixing, PCRange, PCSd, PCSize, PCWeibull,
)  # fmt: skip


def as_written(given: Any) -> Any:
    """A prior that was given as an object in words and numbers, so that it can be saved; what is written stays.

    Examples
    --------
    >>> as_written(PCSd(1.0, 0.01))
    {'PCSd': [1.0, 0.01]}
    """
    return {type(given).__name__: list(asdict(given).values())} if type(given) in _CLASSES else given


def read_prior(given: Any, name: str, kind: str) -> Any:
    """A prior from {"pc": [a, b]}, ("pc", a, b), a prior object, or what `as_written` made of one."""
    if hasattr(given, "log_density"):
        return given
    word, arguments = name_and_arguments(given, name)
    made: Any = next((each for each in _CLASSES if each.__name__ == word), None)
    if made is None:
        return prior_by_name(word, arguments, kind)
    return made(*(a if isinstance(a, str) else _finite(a, word) for a in arguments))


def name_and_arguments(given: Any, name: str) -> tuple[str, tuple[Any, ...]]:
    """Family and arguments of a prior as written."""
    if isinstance(given, Mapping) and len(given) == 1:
        ((family, arguments),) = given.items()
    elif isinstance(given, (tuple, list)) and given and isinstance(given[0], str):
        family, arguments = given[0], given[1:]
    elif isinstance(given, str):
        family, arguments = given, ()
    else:
        raise InputError(f"the prior of {name!r} reads like {{'pc': [1.0, 0.01]}}, not {given!r}")
    return family, tuple(arguments) if isinstance(arguments, (list, tuple)) else (arguments,)
