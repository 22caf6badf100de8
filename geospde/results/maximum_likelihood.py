"""`MaximumLikelihoodFit`: what a model fitted by maximum likelihood or REML says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from geospde.errors import InputError, LackingError, NumericalError, alert
from geospde.likelihood.degrees import inner_outer
from geospde.likelihood.intervals import Maximised, ml_maximum, profile_of, vanished, wald
from geospde.likelihood.search import Maximum
from geospde.likelihood.vanishing import down_to_zero
from geospde.results.estimates import EstimatedFit
from geospde.results.state import level_between
from geospde.results.summaries.likelihood import text
from geospde.text.keywords import answers_keywords

_SMOOTHS = "give the formula a smooth, s(x)"


@answers_keywords
class MaximumLikelihoodFit(EstimatedFit):
    """A model fitted by ML or REML; made by `geospde.fit`.

    Attributes
    ----------
    fixed : DataFrame
        ``estimate, se, df, t, p, lower, upper`` for continuous responses with a residual, with degrees of freedom by
        the inner-outer rule of nested groups (`geospde.likelihood.degrees`; infinite beside other terms), else
        ``estimate, se, z, p, lower, upper``; 95 % intervals.
    hyper : DataFrame
        ``estimate, se, lower, upper`` of standard deviations, correlations and so on; Wald intervals on the scale of
        logarithms or Fisher's z, mapped back.
    random : DataFrame
        ``estimate, se, lower, upper``: modes of the latent variables given the estimates, and standard deviations
        given the fixed effects, too.
    fitted : DataFrame
        ``estimate, se, lower, upper`` of the mean per unit exposure at the modes of the latent variables.
    criteria : dict
        ``log_likelihood``, ``aic``, ``bic`` for as many data as observations (lme4's; as groups after quadrature,
        GLMMadaptive's), ``bic_groups`` for as many as groups, and after REML ``bic_residual`` for as many as
        observations less fixed effects (nlme's).
    notes : tuple of str
        What to look at: a singular fit, a flat likelihood.

    Examples
    --------
    >>> import geospde as gs
    >>> fit = gs.fit("Reaction ~ Days + (Days | Subject)", gs.load_dataset("sleepstudy"), method="reml")
    >>> fit.fixed.columns.tolist()
    ['estimate', 'se', 'df', 't', 'p', 'lower', 'upper']
    >>> fit.hyper["estimate"].round(2).to_dict()
    {'sd(Intercept | Subject)': 24.74, 'sd(Days | Subject)': 5.92, 'cor(Intercept, Days | Subject)': 0.07,
     'sigma': 25.59}
    """

    _LACKS: ClassVar[Mapping[str, tuple[str, str]]] = {
        **EstimatedFit._LACKS,
        "smooths": ("table of smooths", _SMOOTHS),
        "edf": ("effective degrees of freedom", "see n_parameters"),
        "null_deviance": ("null deviance", _SMOOTHS),
        "deviance_explained": ("explained deviance", _SMOOTHS),
        "r_squared": ("R²", _SMOOTHS),
        "dispersion": ("dispersion", "see hyper for the family's parameters"),
        "score": ("score but its likelihood", "see log_likelihood and deviance"),
        "score_name": ("score but its likelihood", "see log_likelihood and deviance"),
        "variance_components": ("table of its own for variance components", "see hyper and confint"),
    }

    @property
    def quadrature(self) -> int:
        """Points of adaptive quadrature over the random effects of one group; 1 is Laplace."""
        return int(self.settings["quadrature"])

    def _in_one_number(self) -> str:
        return f"log likelihood {self.log_likelihood:.2f}"

    # -- the likelihood -------------------------------------------------------------------------------------

    @property
    def log_likelihood(self) -> float:
        """Log likelihood at the estimates, all constants included; restricted where the method is REML."""
        return self.maximum.log_likelihood

    @property
    def n_parameters(self) -> int:
        """Number of fixed effects and free hyperparameters."""
        return self.maximum.fixed.size + self.maximum.theta.size

    @property
    def deviance(self) -> float:
        """Minus twice the log likelihood."""
        return -2.0 * self.log_likelihood

    @property
    def reml_criterion(self) -> float:
        """Minus twice the restricted log likelihood; other methods than REML have none."""
        if self.method != "reml":
            raise LackingError(f"a fit by method {self.method!r} has no REML criterion: fit with method='reml'")
        return self.deviance

    @property
    def aic(self) -> float:
        """Akaike's criterion, with fixed effects and hyperparameters counted."""
        return self.deviance + 2.0 * self.n_parameters

    @property
    def bic(self) -> float:
        """Schwarz's criterion for as many data as observations, as lme4's; as groups after quadrature."""
        return self.criteria["bic"]

    @cached_property
    def criteria(self) -> dict[str, float]:
        """The information criteria."""
        n, groups = self.model.likelihood.n, min(self.groups.values(), default=0)
        sizes = {"bic": groups if self.quadrature > 1 else n}
        if groups:
            sizes["bic_groups"] = groups
        if self.method == "reml":
            sizes["bic_residual"] = n - self.maximum.fixed.size
        by_size = {name: self.deviance + self.n_parameters * float(np.log(size)) for name, size in sizes.items()}
        return {"log_likelihood": self.log_likelihood, "aic": self.aic, **by_size}

    @cached_property
    def ml_maximum(self) -> Maximum:
        """Where the likelihood, not the restricted one, is largest: what profiles are of."""
        return ml_maximum(self._maximised)

    @property
    def _maximised(self) -> Maximised:
        whole = down_to_zero(self.model, self.unpriored, False) or replace(self.unpriored, vanishing=())
        return Maximised(self.model, whole, self.maximum, self.method == "reml", self.quadrature)

    # -- tables ---------------------------------------------------------------------------------------------

    @cached_property
    def fixed(self) -> pd.DataFrame:
        """Fixed effects."""
        estimate, se = self.maximum.fixed, np.sqrt(np.diag(self.maximum.fixed_covariance))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = estimate / se
        table = pd.DataFrame({"estimate": estimate, "se": se}, index=pd.Index(self.model.effects.names))
        if not self.unpriored.is_gaussian:
            table["z"], table["p"] = ratio, 2.0 * ndtr(-np.abs(ratio))
            reach = np.full(estimate.size, ndtri(0.975))
        else:
            df = inner_outer(self.model)
            normal = np.isinf(df)
            table["df"], table["t"] = df, ratio
            table["p"] = 2.0 * np.where(normal, ndtr(-np.abs(ratio)), stdtr(df, -np.abs(ratio)))
            reach = np.where(normal, ndtri(0.975), stdtrit(df, 0.975))
        table["lower"], table["upper"] = estimate - reach * se, estimate + reach * se
        return table

    @cached_property
    def random(self) -> pd.DataFrame:
        """Modes of the latent variables given the estimates; standard deviations given the fixed effects, too."""
        laplace, point = self.laplace, self.point
        first = laplace.n_random
        variance = point.covariance[laplace.pattern.indptr[:first]]
        if laplace.n_fixed:
            pattern = laplace.pattern
            lower = sp.csc_matrix((point.covariance, pattern.indices, pattern.indptr), pattern.shape)
            cross, own = lower[first:, :first].toarray(), lower[first:, first:].toarray()
            own = own + np.tril(own, -1).T
            variance = variance - (cross * np.linalg.solve(own, cross)).sum(axis=0)
        there = ~vanished(self.model, self.maximum)
        se = np.where(there, np.sqrt(np.maximum(variance, 0.0)), 0.0)
        return wald(np.where(there, point.x[:first], 0.0), se, self.model.latent_names)

    # -- intervals ------------------------------------------------------------------------------------------

    def confint(
        self, names: str | Sequence[str] | None = None, *, method: str = "profile", level: float = 0.95
    ) -> pd.DataFrame:
        """Confidence intervals.

        Parameters
        ----------
        names : str or sequence of str, optional
            Rows of `hyper` and `fixed`; by default all.
        method : {"profile", "wald"}
            From the profile of the likelihood (of ML, after REML, too), as lme4's ``confint``; or from standard errors:
            of the fixed effects with normal quantiles, of the hyperparameters on the scale of logarithms or Fisher's z.
        level : float

        Returns
        -------
        DataFrame
            ``lower``, ``upper``, a row a name.

            NaN, with a warning, where the profile could not be followed; NaN in the table of all for what has none.

        Raises
        ------
        InputError
            For names, methods and levels that there are not, and for a name without a profile.
        """
        level_between(level)
        if method not in ("profile", "wald"):
            raise InputError(f"an interval is by 'profile' or 'wald', not {method!r}")
        chosen = self._parameters(names)
        if method == "wald":
            return self._wald_intervals(chosen, level)
        reach = float(ndtri(0.5 + 0.5 * level))
        rows = []
        for name in chosen:
            try:
                profile, back = profile_of(replace(self._maximised, maximum=self.ml_maximum), name)
            except InputError:
                if names is not None:
                    raise
                rows.append([np.nan, np.nan])
                continue
            row = []
            for wanted in (-reach, reach):
                try:
                    row.append(back(profile.limit(wanted)))
                except NumericalError as error:
                    row.append(np.nan)
                    alert(f"no profile limit of {name}: {error}")
            rows.append(row)
        return pd.DataFrame(rows, columns=["lower", "upper"], index=pd.Index(chosen))

    def profile(self, name: str, *, size: int = 21, reach: float = 3.0) -> pd.DataFrame:
        """Profile likelihood of one parameter.

        Parameters
        ----------
        name : str
            A row of `hyper` or `fixed`.
        size : int
            Number of points.
        reach : float
            How far they go, in the signed root of the profile deviance.

        Returns
        -------
        DataFrame
            ``value``; ``zeta``, the signed root of twice the loss of log likelihood; ``log_likelihood``, of ML.
        """
        self._parameters(name)
        profile, back = profile_of(replace(self._maximised, maximum=self.ml_maximum), name)
        low, high = profile.limit(-reach), profile.limit(reach)
        values = np.linspace(low, high, size)
        zeta = np.array([profile.zeta(value) for value in values])
        columns = {"value": [back(v) for v in values], "zeta": zeta, "log_likelihood": profile.largest - 0.5 * zeta**2}
        return pd.DataFrame(columns)

    def _text(self) -> str:
        return text(self)
