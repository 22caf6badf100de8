"""The `priors` argument of a fit, and the priors of fixed effects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from geospde.errors import InputError
from geospde.families.base import Family
from geospde.families.default_priors import BrmsDefaults, Defaults, InlaDefaults
from geospde.families.priors import as_written, name_and_arguments, refuse_size
from geospde.text.words import in_brief

Vector = NDArray[np.float64]
SETS = ("default", "brms", "inla")


def prior_table(priors: Any) -> tuple[str, dict[str, Any]]:
    """The `priors` argument as the name of a set and a dict from names to priors as written."""
    if priors is None:
        return "default", {}
    if isinstance(priors, str) and priors in SETS:
        return priors, {}
    if isinstance(priors, Mapping):
        table = dict(priors)
        chosen = table.pop("defaults", "default")
        if chosen not in SETS:
            raise InputError(f"the defaults among priors are one of {', '.join(map(repr, SETS))}, not {chosen!r}")
        return chosen, table
    raise InputError(
        f"priors is one of {', '.join(map(repr, SETS))} or a dict from a parameter's name to a prior, not {priors!r}"
    )


@dataclass(frozen=True)
class GivenPriors:
    """The `priors` of a fit.

    Attributes
    ----------
    overrides : dict
        Those of a name, the family's own among them; what is used is taken out.
    written : dict
        All of them as a file holds them.
    defaults : Defaults or None
        For what has none of its own; None for those of each family and term.
    """

    overrides: dict[str, Any]
    written: dict[str, Any]
    defaults: Defaults | None


def given_priors(priors: Any, family: Family, responses: Vector) -> GivenPriors:
    """Read the `priors` argument; the set called "brms" is of the scale of the responses."""
    chosen, overrides = prior_table(priors)
    overrides = {**family.priors, **overrides}
    written = {name: as_written(prior) for name, prior in overrides.items()}
    if chosen == "default":
        return GivenPriors(overrides, written, None)
    defaults = InlaDefaults() if chosen == "inla" else BrmsDefaults.of_response(responses, family.link)
    return GivenPriors(overrides, {"defaults": chosen, **written}, defaults)


@dataclass(frozen=True)
class FixedPriors:
    """Priors of fixed effects: Gaussian, flat, or Student t in the shape of a Gaussian.

    Attributes
    ----------
    mean, precision : (k,) arrays
        Of ``transform @ coefficients``; precision 0 is flat.
    transform : (k, k) array
        Of determinant 1: the identity, or with a first row that moves the intercept to the covariates' means.
    df, scale : (k,) arrays
        Of those that are Student t; infinity and anything where Gaussian.
    log_shift : float
        What the Student t densities have over the Gaussians that stand for them.
    """

    mean: Vector
    precision: Vector
    transform: Vector
    df: Vector
    scale: Vector
    log_shift: float = 0.0

    @property
    def heavy_tailed(self) -> bool:
        """Whether there is a Student t among them."""
        return bool(np.isfinite(self.df).any())

    @property
    def sd(self) -> Vector:
        """Standard deviations of the Gaussians, scales of the Student t; infinite where flat, (k,)."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.precision**-0.5)

    @property
    def proper(self) -> Vector:
        """Combinations of the coefficients that have a proper prior, (r, k)."""
        return np.asarray(self.transform[self.precision > 0])

    def of(self, kept: NDArray[np.intp]) -> "FixedPriors":
        """The same of some of the coefficients; the others are zero."""
        return replace(
            self, mean=self.mean[kept], precision=self.precision[kept], transform=self.transform[np.ix_(kept, kept)],
            df=self.df[kept], scale=self.scale[kept],
        )  # fmt: skip

    def matched(self, coefficients: Vector) -> "FixedPriors":
        """The same with each Student t as the Gaussian about its centre of the same slope and height at these values.

        That is the Gaussian of its scale mixture, at the precision expected there; it is good as long as the data say
        more than the prior.
        """
        t = np.isfinite(self.df)
        df, scale = self.df[t], self.scale[t]
        z = ((self.transform @ coefficients - self.mean)[t]) / scale
        precision = self.precision.copy()
        precision[t] = (df + 1) / (df + z**2) / scale**2
        matched = replace(self, precision=precision, log_shift=0.0)
        return replace(matched, log_shift=float(matched.log_excess(coefficients)))

    def log_excess(self, coefficients: Vector) -> Vector:
        """What the Student t densities have over the Gaussians that stand for them, (...,), at coefficients, (..., k).

        Less `log_shift`: zero where they were matched.
        """
        t = np.isfinite(self.df)
        df, scale, precision = self.df[t], self.scale[t], self.precision[t]
        z = ((coefficients @ self.transform.T - self.mean)[..., t]) / scale
        height = gammaln(0.5 * (df + 1)) - gammaln(0.5 * df) - 0.5 * np.log(df * np.pi) - np.log(scale)
        height = height - 0.5 * (df + 1) * np.log1p(z**2 / df)
        gaussian = 0.5 * np.log(precision / (2 * np.pi)) - 0.5 * precision * (z * scale) ** 2
        return np.asarray((height - gaussian).sum(axis=-1) - self.log_shift)


def fixed_priors(
    names: Sequence[str], overrides: dict[str, Any], means: Vector, defaults: Defaults | None = None
) -> FixedPriors:
    """Priors of the coefficients: flat unless one is given, as {"gaussian": [mean, sd]} or {"student_t": [df, m, s]}.

    Parameters
    ----------
    names : sequence of str
    overrides : dict
        What is used is taken out.
    means : (k,) array
        Of the columns of the design.
    defaults : Defaults, optional
        Gives coefficients a prior where none is given; the intercept's may be of its value at the covariates' means.
    """
    k = len(names)
    mean, precision, transform = np.zeros(k), np.zeros(k), np.eye(k)
    df, scale = np.full(k, np.inf), np.ones(k)
    for at, name in enumerate(names):
        if name not in overrides:
            if name != "Intercept":
                precision[at] = defaults.coefficient_precision if defaults is not None else 0.0
            elif defaults is not None and defaults.intercept is not None:
                (mean[at], scale[at]), df[at] = defaults.intercept, 3.0
                transform[at] = means
                transform[at, at] = 1.0
            continue
        given = overrides.pop(name)
        word, arguments = name_and_arguments(given, name)
        good = all(isinstance(a, float) or (isinstance(a, int) and abs(a) < 2**1023) for a in arguments)
        for number in arguments if good else ():
            refuse_size(float(number), name)
        if word == "flat" and not arguments:
            continue
        if word == "gaussian" and len(arguments) == 2 and good and arguments[1] > 0:
            mean[at], precision[at] = float(arguments[0]), float(arguments[1]) ** -2
        elif word == "student_t" and len(arguments) == 3 and good and min(arguments[0], arguments[2]) > 0:
            df[at], mean[at], scale[at] = (float(a) for a in arguments)
        else:
            raise InputError(
                f"the prior of {name!r} reads {{'gaussian': [mean, sd]}} or {{'student_t': [df, location, scale]}}, "
                f"not {in_brief(given)}"
            )
    t = np.isfinite(df)
    precision[t] = scale[t] ** -2.0
    return FixedPriors(mean, precision, transform, df, scale)
