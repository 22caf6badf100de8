"""What families of responses have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.censored import Censored, Censoring
from geospde.families.likelihood import Likelihood, Parameter, Vector
from geospde.families.links import Link
from geospde.families.priors import Independent, Prior, read_prior
from geospde.families.relinked import Relinked

REQUIRED = {
    "name": "what users call it, a word",
    "links": "a tuple of links, such as (geospde.links.LOG,), the default first",
    "likelihood": "a class derived from geospde.families.Likelihood",
}


@dataclass(frozen=True)
class Candidate:
    """Values of a response whose family is not known yet.

    Attributes
    ----------
    values : (m,) array
        Finite.
    described : str
        What they are like, to begin a sentence with: ``"12 whole numbers from 0 to 9"``.
    named_counts, named_proportions : bool
        Whether the column's name says that they are such.
    trials : str or None
        The column of trials that they are successes of.
    named_logs : bool
        Whether the column's name says that they are logarithms.
    named_amounts : bool
        Whether it names a substance, such as pm10: whole numbers are then rounded measurements.
    """

    values: Vector
    described: str
    named_counts: bool = False
    named_proportions: bool = False
    trials: str | None = None
    named_logs: bool = False
    named_amounts: bool = False

    @property
    def whole(self) -> bool:
        """Whether all are whole numbers."""
        return bool((self.values == np.round(self.values)).all())

    @property
    def if_counts(self) -> str:
        """What to add to the reason where positive whole numbers are taken for measurements."""
        if self.named_amounts and self.whole:
            return "; measurements by their name, rounded to whole numbers"
        return "; none is small, so taken for measurements, poisson if they are counts" if self.whole else ""


@dataclass(frozen=True)
class Scatter:
    """How a response scatters from one site to those near it.

    Attributes
    ----------
    beyond, doubtful : bool
        Whether sites scatter by themselves, more than the family says they do; whether that may be so.
    ratio, ratio_error : float
        Of counts: how many times as far from each other those of neighbours are, squared, as Poisson counts of one
        rate, and its standard error were they such; NaN of other numbers.
    variance, lean, lean_error : float
        Variance and skewness of rough predictors around what neighbours have in common, and its standard error.
    """

    beyond: bool
    doubtful: bool
    ratio: float = math.nan
    ratio_error: float = math.nan
    variance: float = math.nan
    lean: float = math.nan
    lean_error: float = math.nan


class Family:
    """A family of responses: all that is to be known of it, and how data are bound to it.

    A class derived from it is a family, and may stand wherever a name may: ``gs.fit(..., family=Gumbel())``. It must
    have a `name`, `links` and a `likelihood`; the other attributes say what else is different from the defaults.

    Parameters
    ----------
    link : str, optional
        By default the first of `links`.
    priors : dict, optional
        Priors of its hyperparameters, from name to prior, as `geospde.fit` takes them.

    Attributes
    ----------
    name : str
    aliases : tuple of str
        Other names, in small letters, without spaces or dashes.
    words : str
        The name in a sentence, with its article: ``"a negative binomial"``.
    links : tuple of Link
        The default first.
    likelihood : type
        Class of the responses bound to it, a `Likelihood`, with the hyperparameters.
    natural_link : Link or None
        The link that the likelihood's densities are written in, `LOG` or `IDENTITY`; under the others they follow by
        the chain rule (`geospde.families.relinked`). None where the class serves every one of `links`.
    needs : str
        What a response must be, to end "family 'x' needs ...": see `outside`.
    is_discrete : bool
        Whether a response has a probability rather than a density.
    is_binary : bool
        Whether it is 0 or 1.
    takes_trials, has_exposure : bool
        Whether responses are successes of trials; whether an exposure multiplies the mean.
    takes_categories : bool
        Whether a response may be an ordered factor, whose levels count from 1.
    predicts_means : bool
        Whether the predictor's inverse link is a mean, so that the mean of an area is that of its places.
    without_exposure : str
        What to do instead of giving an exposure.
    fixed_scatter : bool
        Whether the mean alone says how far responses scatter about it: then an effect of each observation may be added.
    is_pattern : bool
        Whether the data are places in a domain, which `geospde.model.pattern` lays out as rows of points and of places
        of integration; the exposure may then be 0.
    first_choice_for : tuple of str
        What a survey may show that this family is worth trying for: ``"zeros"``, ``"skewness"``, ``"outliers"``.
    dispersion_power : float or None
        Of an exponential family (see `variance_function`): the dispersion is the exponential of this times theta;
        None where it is 1.
    former_priors : dict
        Default priors that are others now, from the last format of saved fits that may have them to `priors`.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[str] = ""
    links: ClassVar[tuple[Link, ...]]
    likelihood: ClassVar[type[Likelihood]]
    natural_link: ClassVar[Link | None] = None
    needs: ClassVar[str] = "finite numbers"
    is_discrete: ClassVar[bool] = False
    is_binary: ClassVar[bool] = False
    takes_trials: ClassVar[bool] = False
    takes_categories: ClassVar[bool] = False
    predicts_means: ClassVar[bool] = True
    has_exposure: ClassVar[bool] = False
    without_exposure: ClassVar[str] = "leave it out"
    fixed_scatter: ClassVar[bool] = False
    is_pattern: ClassVar[bool] = False
    first_choice_for: ClassVar[tuple[str, ...]] = ()
    dispersion_power: ClassVar[float | None] = None
    former_priors: ClassVar[Mapping[int, Mapping[str, Any]]] = {}

    def __init__(self, link: str | None = None, priors: Mapping[str, Any] | None = None):
        for attribute, what in REQUIRED.items():
            if not hasattr(self, attribute):
                raise InputError(f"the family {type(self).__name__} has no {attribute}: give its class one, {what}")
        by_name = {each.name: each for each in self.links}
        if link is not None and (not isinstance(link, str) or link not in by_name):
            choices = ", ".join(map(repr, by_name))
            raise InputError(f"family {self.name!r} has the link {choices}, not {link!r}")
        self.link = self.links[0] if link is None else by_name[link]
        self.priors = dict(priors or {})
        self._check_priors()

    def hyperparameters(self, y: Vector | None = None) -> tuple[Parameter, ...]:
        """Hyperparameters of these responses; without any, those that are there whatever the responses."""
        return self.likelihood.hyper

    def _check_priors(self) -> None:
        """Refuse priors of hyperparameters that there are not."""
        kinds = {h.name: h.kind for h in self.hyperparameters()}
        for name, prior in self.priors.items():
            if name not in kinds:
                has = f"it has {', '.join(kinds)}" if kinds else "it has none"
                raise InputError(f"family {self.name!r} has no hyperparameter {name!r}: {has}")
            read_prior(prior, name, kinds[name])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.link.name!r})"

    # -- the response ---------------------------------------------------------------------------------------

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses lie outside the family's support."""
        return ~np.isfinite(y)

    def bind(
        self,
        y: Any,
        exposure: Any = None,
        weights: Any = None,
        trials: Any = None,
        priors: Mapping[str, Prior] | None = None,
        censoring: Censoring | None = None,
    ) -> Likelihood:
        """Check the response and bind it.

        Parameters
        ----------
        y : (m,) array
        exposure : (m,) array, optional
            Multiplies the mean.
        weights : (m,) array, optional
            Multiply the log density.
        trials : (m,) array, optional
            Of a binomial.
        priors : dict from str to Prior, optional
            Priors that replace the defaults, by a hyperparameter's name.
        censoring : Censoring, optional
            Which responses are known by bounds only.

        Raises
        ------
        InputError
            With the row and value that do not fit, or where the family has no exposure or trials.
        """
        y = np.asarray(y, dtype=float)
        ones = np.ones(y.size)
        if trials is not None:
            self.refuse_trials()
        refuse(self.name, self.needs, y, self.outside(y))
        exposure = ones if exposure is None else np.asarray(exposure, dtype=float)
        if not self.has_exposure and (exposure != 1).any():
            raise InputError(f"family {self.name!r} has no exposure: {self.without_exposure}")
        hyper = self.hyperparameters(y)
        own = {h.name: read_prior(self.priors[h.name], h.name, h.kind) for h in hyper if h.name in self.priors}
        own.update(priors or {})
        bound = self.likelihood(
            y,
            exposure,
            ones if trials is None else np.asarray(trials, dtype=float),
            ones if weights is None else np.asarray(weights, dtype=float),
            self.natural_link or self.link,
            Independent(tuple(h.prior for h in hyper)),
            np.zeros(len(hyper)),
        )
        self._check(bound)
        bound = replace(bound, prior=self._prior(bound, hyper, own), theta=bound.first_theta())
        bound = bound if censoring is None or not censoring.kind.any() else self._censored(bound, censoring)
        written = self.natural_link is None or self.natural_link is self.link
        return bound if written else Relinked.of(bound, self.link)

    def _prior(self, bound: Likelihood, hyper: tuple[Parameter, ...], own: Mapping[str, Prior]) -> Independent:
        """The hyperparameters' prior: those given by name, the defaults of the others."""
        return Independent(tuple(own.get(h.name) or h.default_prior(bound.residual_unit) for h in hyper))

    def _censored(self, bound: Likelihood, censoring: Censoring) -> Likelihood:
        """The responses where of some only bounds are known."""
        if not bound.has_flow:
            raise InputError(
                f"responses of family {self.name!r} cannot be censored: it is for measurements, times and "
                "counts that are poisson or nbinomial"
            )
        refuse(self.name, self.needs, censoring.upper, self.outside(censoring.upper))
        return Censored.of(bound, censoring)

    def _check(self, bound: Likelihood) -> None:
        """Refuse what only shows with everything bound."""

    def refuse_trials(self) -> None:
        """Raise InputError where responses of this family are not successes of trials."""
        if not self.takes_trials:
            raise InputError(f"p(successes, trials) is a response of family 'binomial', not of {self.name!r}")

    # -- words ----------------------------------------------------------------------------------------------

    @property
    def fitted_is(self) -> str:
        """What fitted values and predictions are of, where they are no means of the response; else empty."""
        return ""

    def fitted_label(self, response: str) -> str:
        """What figures call fitted values, with the response's label."""
        return response

    def quantity(self, response: str, exposure: str | None = None) -> str:
        """What a map of the predictions shows: ``"expected lead"``."""
        return f"expected {response}" if exposure is None else f"{response} per {exposure}"

    # -- what values suggest it -----------------------------------------------------------------------------

    @classmethod
    def suggested_by(cls, candidate: Candidate) -> tuple[Family, str] | None:
        """The family with its link, and a sentence that says why, where values suggest it; else None.

        Families are asked in the order of `geospde.families.registry.SUGGESTED`.
        """
        return None

    def given_scatter(self, candidate: Candidate, scatter: Scatter) -> tuple[Family, str] | None:
        """The family to take, and why, once it is known how sites scatter around their neighbours; None as it is.

        Parameters
        ----------
        candidate : Candidate
            The values.
        scatter : Scatter
        """
        return None

    # -- exponential families -------------------------------------------------------------------------------

    def variance_function(self, mean: Vector) -> Vector:
        """Variance of a response of weight and dispersion 1, for an exponential family.

        One of density ``exp(w (y t - b(t)) / dispersion + c)``: McCullagh & Nelder (1989), Generalized Linear Models,
        section 2.2.
        """
        raise InputError(f"family {self.name!r} has no variance function: it is no exponential family")

    def scale(self, theta: Vector) -> float:
        """The dispersion at hyperparameters of the family, which a smoothing parameter is in units of; 1 without."""
        return 1.0 if self.dispersion_power is None else float(np.exp(self.dispersion_power * theta[0]))

    @property
    def is_exponential(self) -> bool:
        """Whether it has a variance function, and with it a deviance."""
        return type(self).variance_function is not Family.variance_function


def refuse(family: str, needs: str, y: Vector, bad: NDArray[np.bool_]) -> None:
    """Raise InputError with the first row and value that are bad."""
    rows = np.flatnonzero(bad)
    if rows.size:
        more = f" ({rows.size} such rows)" if rows.size > 1 else ""
        raise InputError(f"family {family!r} needs {needs}: {{row}} holds {y[rows[0]]:g}{more}", row=int(rows[0]))


def not_counts(y: Vector) -> NDArray[np.bool_]:
    """Which values are not 0, 1, 2, ..."""
    value: NDArray[np.bool_] = ~((y >= 0) & (y == np.floor(y)) & np.isfinite(y))
    return value


def skewness(values: Vector) -> float:
    """Third standardised moment."""
    scale = values.std()
    return float(((values - values.mean()) ** 3).mean() / scale**3) if scale > 0 else 0.0
