"""`EstimatedFit`: what fits without priors share, estimates with standard errors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.inference.hyper import Posterior
from geospde.inference.marginals import Marginal, predictor_quantiles
from geospde.inference.mixture import GaussianMixture
from geospde.likelihood.degrees import groups_of
from geospde.likelihood.intervals import COLUMNS, hyper_table, wald
from geospde.likelihood.likelihoods import Estimated, Unpriored
from geospde.likelihood.search import Maximum
from geospde.likelihood.spread import Spread
from geospde.likelihood.vanishing import residual_edges, residual_places
from geospde.linalg.threads import one_blas_thread
from geospde.model.build import Model
from geospde.results import checks
from geospde.results.base import Fit
from geospde.results.hypothesis import read
from geospde.results.state import LEVELS, Vector
from geospde.results.storage import Stored, stored_maximum
from geospde.results.wald import WaldTest, wald_test
from geospde.text.findings import Checks, Finding
from geospde.text.keywords import answers_keywords
from geospde.text.words import nearest, numeral

_BAYES = "fit with method='inla'"


@answers_keywords
class EstimatedFit(Fit):
    """A model whose parameters were estimated without priors: by ML, REML, UBRE or GCV.

    Attributes
    ----------
    maximum : Maximum
        The estimates, and what the search found there.
    unpriored : Model
        The model as the method sees it, without priors.
    """

    _LACKS: ClassVar[Mapping[str, tuple[str, str]]] = {
        "posterior": ("posterior", f"see fixed, hyper and random for its estimates, or {_BAYES}"),
        "log_marginal_likelihood": ("log marginal likelihood, which takes priors", f"see log_likelihood, or {_BAYES}"),
        "marginal": ("posterior marginals", f"see fixed, hyper, confint and estimate(name), or {_BAYES}"),
        "certify": ("posterior to certify", _BAYES),
        "prior": ("priors", _BAYES),
        "plot_prior_posterior": ("priors to draw", f"see plot_marginal, or {_BAYES}"),
        "loo": ("leave-one-out predictions", f"see aic, or {_BAYES}"),
        "plot_pit": ("leave-one-out predictions to draw", f"see plot_residual_variogram, or {_BAYES}"),
        "validate": ("cross-validation", _BAYES),
        "theta_points": ("integration over the hyperparameters", f"see hyper, or {_BAYES}"),
        "to_arviz": ("posterior draws", f"see sample, or {_BAYES}"),
    }

    def __init__(
        self,
        model: Model,
        maximum: Maximum,
        settings: dict[str, Any],
        notes: tuple[str, ...] = (),
        seconds: float = 0.0,
    ):
        basis, inner = maximum.coordinates
        of_fixed = inner if maximum.whole_curvature and np.isfinite(inner).all() else None
        self.unpriored = Unpriored.of(model)
        if residual_edges(model, maximum):
            self.unpriored = replace(self.unpriored, vanishing=residual_places(model))
        laplace = Estimated(self.unpriored, maximum.theta, maximum.x, of_fixed, basis)
        point = laplace.point(maximum.log_likelihood)
        approximation = Posterior([point], np.ones(1), maximum.log_likelihood, None, point, "gaussian")
        laplace.evaluations, laplace.factorisations = maximum.evaluations, maximum.factorisations
        super().__init__(model, laplace, approximation, settings, seconds)
        self.maximum = maximum
        self.notes = notes

    def _evidence(self) -> str:
        return f"log likelihood {self.criteria['log_likelihood']:,.2f}".replace("-", "\N{MINUS SIGN}")

    # -- the likelihood -------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def n_parameters(self) -> float:
        """Number of parameters that the criteria count."""

    @property
    @abstractmethod
    def deviance(self) -> float:
        """Deviance of the fit."""

    @property
    @abstractmethod
    def aic(self) -> float:
        """Akaike's criterion."""

    @property
    def bic(self) -> float:
        """Schwarz's criterion."""
        return self.criteria["bic"]

    @property
    @abstractmethod
    def reml_criterion(self) -> float:
        """Minus twice the restricted log likelihood, of method REML."""

    @property
    def is_singular(self) -> bool:
        """Whether a standard deviation is estimated as zero, or a covariance as singular."""
        return bool(self.maximum.edges.any())

    @cached_property
    def groups(self) -> dict[str, int]:
        """Grouping factors and how many levels of each occur."""
        return {name: int(codes.max()) + 1 for name, codes in groups_of(self.model).items()}

    # -- tables ---------------------------------------------------------------------------------------------

    @cached_property
    def hyper(self) -> pd.DataFrame:
        """Hyperparameters on the user's scale."""
        return hyper_table(self.model, self.maximum)

    @cached_property
    def fitted(self) -> pd.DataFrame:
        """Mean per unit exposure at the modes of the latent variables."""
        link, point = self.model.family.link, self.point
        se = np.sqrt(np.maximum(point.eta_variance, 0.0))
        table = wald(point.eta, se)
        columns = {name: link.inverse(table[name].to_numpy()) for name in ("estimate", "lower", "upper")}
        low, high = columns["lower"], columns["upper"]
        columns["lower"], columns["upper"] = np.where(link.falls, high, low), np.where(link.falls, low, high)
        return pd.DataFrame({**columns, "se": np.exp(link.log_derivative(point.eta)) * se})[COLUMNS]

    plug_in: ClassVar[bool] = True

    @cached_property
    def spread(self) -> Spread | None:
        """What the hyperparameters' uncertainty adds to sums over a map."""
        assert isinstance(self.laplace, Estimated)
        return Spread.of(self.laplace, self.point, self.maximum)

    def response(self, mixture: GaussianMixture, quantiles: Sequence[float] = LEVELS) -> dict[str, Vector]:
        """The mean per unit exposure at the estimated predictor, its standard error (as `sd`), and normal limits."""
        link, eta = self.model.family.link, mixture.mean
        with np.errstate(over="ignore"):  # far outside the data a rate may be infinite
            values = predictor_quantiles(mixture, link, quantiles)
            limits = {f"q{numeral(p)}": link.inverse(each) for p, each in zip(quantiles, values)}
            return {"mean": link.inverse(eta), "sd": np.exp(link.log_derivative(eta)) * mixture.sd, **limits}

    def _fitted_predictor(self) -> Vector:
        return self.point.eta

    @cached_property
    def pointwise(self) -> pd.DataFrame:
        """One row per observation: ``log_likelihood`` at the modes of the latent variables, and Pearson ``residual``.

        Residuals are not a number where the family's class does not write its moments.
        """
        likelihood = self.laplace.likelihood_at(self.point.theta)
        left = self.residuals("pearson") if likelihood.has_moments else np.nan
        return pd.DataFrame({"log_likelihood": likelihood.log_density(self.point.eta), "residual": left})

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects."""
        names = self.model.effects.names
        return pd.DataFrame(self.maximum.fixed_covariance, index=pd.Index(names), columns=names)

    @property
    def correlation(self) -> pd.DataFrame:
        """Correlation matrix of the fixed effects."""
        se = np.sqrt(np.diag(self.maximum.fixed_covariance))
        return self.vcov / np.outer(se, se)

    # -- one quantity ---------------------------------------------------------------------------------------

    def estimate(self, name: str | Mapping[str, float]) -> Marginal:
        """An estimate with the normal distribution of its error.

        Parameters
        ----------
        name : str or dict
            A row of `fixed` or `random`; ``"eta[3]"`` or ``"fitted[3]"``, the predictor and the mean of an observation,
            counted from 0; or a dict from names of fixed effects and latent variables to weights, for a linear
            combination.

        Returns
        -------
        Marginal
            With `mean`, the estimate; `sd`, its standard error; `interval(level)`, normal.

        Raises
        ------
        InputError
            For an unknown name, or a hyperparameter, whose intervals are in `hyper` and `confint`.
        """
        if isinstance(name, str) and name.removeprefix("log ") in self.hyper.index:
            raise InputError(f"{name!r} is a hyperparameter, whose estimates are not normal: see hyper and confint")
        return self._marginal_of(name)

    def hypothesis(self, text: str, level: float | None = None) -> WaldTest:
        """Test a hypothesis about fixed effects and latent variables by Wald's test.

        Parameters
        ----------
        text : str
            Two sides, each of numbers, names of rows of `fixed` or `random`, ``+ - * / **``, brackets and ``exp``,
            ``log``, ``sqrt``, ``abs``, joined by ``>``, ``<`` or ``=``: ``"Days > 10"``,
            ``"period[2] - period[3] = 0"``. What is not linear is taken by the delta method.
        level : float, optional
            Of the interval; by default 0.9, and 0.95 for ``=``.

        Returns
        -------
        WaldTest

        Raises
        ------
        InputError
            For what cannot be read, a name that the model does not have, or a hyperparameter: `confint`, `profile` and
            likelihood-ratio tests (`geospde.compare`) are for those.
        """
        difference = read(text, self._names)
        for name in difference.used.values():
            if name in self.hyper.index:
                raise InputError(
                    f"a Wald test is of fixed effects and latent variables, and {name!r} is a hyperparameter: see "
                    "confint, or compare with a fit without the term (geospde.compare)"
                )
        degrees = self.fixed["df"].to_dict() if "df" in self.fixed else {}
        return wald_test(difference, level, self._normal, degrees)

    def _normal(self, weights: Mapping[str, float]) -> tuple[float, float]:
        """Estimate and standard error of a linear combination."""
        mixture = self.mixture(self._combination(weights))
        return float(mixture.mean[0]), float(mixture.sd[0])

    def _parameters(self, names: str | Sequence[str] | None) -> list[str]:
        """Rows of `hyper` and `fixed` of these names, by default all; raises InputError for an unknown one."""
        every = [*self.hyper.index, *self.fixed.index]
        if names is not None and not isinstance(names, Iterable):
            raise InputError(f"parameters are given by name, not as {names!r}")
        chosen = every if names is None else [names] if isinstance(names, str) else list(names)
        for name in chosen:
            if name not in every:
                near = nearest(str(name), every)
                hint = f"did you mean {near!r}?" if near else f"there are {', '.join(every)}"
                raise InputError(f"{name!r} is not a parameter: {hint}")
        return chosen

    def _wald_intervals(self, chosen: list[str], level: float) -> pd.DataFrame:
        """By standard errors: normal, of the hyperparameters on their inner scale."""
        of_fixed = wald(self.maximum.fixed, self.fixed["se"].to_numpy(), self.fixed.index, level)
        tables = [hyper_table(self.model, self.maximum, level), of_fixed]
        return pd.concat(tables)[["lower", "upper"]].loc[chosen]

    # -- onwards --------------------------------------------------------------------------------------------

    @one_blas_thread()
    def check(self) -> Checks:
        """Look for what makes the figures doubtful: each field against its mesh, variances at zero.

        Returns
        -------
        Checks
            A finding for each thing that was looked at, with a remedy where one is needed.
        """
        of_model = checks.model_findings(self.model, self.laplace, self.point, self.hyper["estimate"])
        return Checks([*of_model, *self._singular()])

    def _singular(self) -> Iterator[Finding]:
        own = residual_edges(self.model, self.maximum)
        return checks.singular_findings(bool(np.delete(self.maximum.edges, own).any()), bool(own))

    def _stored(self) -> Stored:
        return stored_maximum(self.maximum, self.notes, self.point, self.laplace)

    def describe(self) -> dict[str, Any]:
        """Settings and sizes, for reports."""
        return {**super().describe(), "parameters": self.n_parameters, "singular": self.is_singular}

    def summary(self) -> None:
        """Print the fit."""
        print(self._text())

    @abstractmethod
    def _text(self) -> str:
        """The summary."""
