"""`LikelihoodFit`: what a model fitted by maximum likelihood says."""

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from geospde.errors import GeospdeWarning, InputError, NumericalError
from geospde.inference.hyper import Posterior
from geospde.inference.mixture import GaussianMixture
from geospde.likelihood.degrees import groups_of, inner_outer
from geospde.likelihood.intervals import COLUMNS, hyper_table, ml_maximum, profile_of, vanished, wald
from geospde.likelihood.likelihoods import Estimated, Unpriored
from geospde.likelihood.search import Maximum
from geospde.model.build import Model
from geospde.results.result import Fit

Vector = NDArray[np.float64]


class LikelihoodFit(Fit):
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

    def __init__(
        self,
        model: Model,
        maximum: Maximum,
        settings: dict[str, Any],
        notes: tuple[str, ...] = (),
        seconds: float = 0.0,
    ):
        of_fixed = maximum.fixed_covariance if maximum.whole_curvature else None
        if of_fixed is not None and not np.isfinite(of_fixed).all():
            of_fixed = None
        laplace = Estimated(Unpriored.of(model), maximum.theta, maximum.x, of_fixed)
        point = laplace.point(maximum.log_likelihood)
        posterior = Posterior([point], np.ones(1), maximum.log_likelihood, None, point, "gaussian")
        laplace.evaluations, laplace.factorisations = maximum.evaluations, maximum.factorisations
        super().__init__(model, laplace, posterior, settings, seconds)
        self.maximum = maximum
        self.notes = notes
        self.quadrature = int(settings["quadrature"])

    def __repr__(self) -> str:
        return (
            f"<LikelihoodFit {self.formula!r}, {self.family}, {self.method}: {self.model.likelihood.n} observations, "
            f"log likelihood {self.log_likelihood:.2f}>"
        )

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
        """Minus twice the restricted log likelihood; raises InputError for other methods."""
        if self.method != "reml":
            raise InputError(f"method {self.method!r} has no REML criterion: fit with method='reml'")
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

    @property
    def unpriored(self) -> Unpriored:
        """The model as inference sees it, without priors."""
        return self.laplace.model  # type: ignore[return-value]

    @cached_property
    def ml_maximum(self) -> Maximum:
        """Where the likelihood, not the restricted one, is largest: what profiles are of."""
        return ml_maximum(self)

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
    def hyper(self) -> pd.DataFrame:
        """Hyperparameters on the user's scale."""
        return hyper_table(self.model, self.maximum)

    @cached_property
    def random(self) -> pd.DataFrame:
        """Modes of the latent variables given the estimates; standard deviations given the fixed effects, too."""
        laplace, point = self.laplace, self.posterior.mode
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

    @cached_property
    def fitted(self) -> pd.DataFrame:
        """Mean per unit exposure at the modes of the latent variables."""
        link, point = self.model.family.link, self.posterior.mode
        se = np.sqrt(np.maximum(point.eta_variance, 0.0))
        table = wald(point.eta, se)
        columns = {name: link.inverse(table[name].to_numpy()) for name in ("estimate", "lower", "upper")}
        return pd.DataFrame({**columns, "se": np.exp(link.log_derivative(point.eta)) * se})[COLUMNS]

    def response(self, mixture: GaussianMixture, quantiles: Sequence[float] = (0.025, 0.5, 0.975)) -> dict[str, Vector]:
        """The mean per unit exposure at the estimated predictor, its standard error (as `sd`), and normal limits."""
        link, eta = self.model.family.link, mixture.mean
        with np.errstate(over="ignore"):  # far outside the data a rate may be infinite
            limits = {f"q{p:g}": link.inverse(mixture.quantile(p)) for p in quantiles}
            return {"mean": link.inverse(eta), "sd": np.exp(link.log_derivative(eta)) * mixture.sd, **limits}

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

    def residuals(self, kind: str = "response") -> Vector:
        """Residuals at the modes of the latent variables.

        Parameters
        ----------
        kind : {"response", "pearson", "standardized"}
            Response less fitted mean (counts times exposure, successes of all trials); that over its standard
            deviation, which the last two both are.

        Returns
        -------
        (m,) array
        """
        data = self.laplace.likelihood_at(self.maximum.theta)
        return data.residuals(self.posterior.mode.eta, kind)

    # -- intervals ------------------------------------------------------------------------------------------

    def confint(self, names: Any = None, *, method: str = "profile", level: float = 0.95) -> pd.DataFrame:
        """Confidence intervals.

        Parameters
        ----------
        names : sequence of str, optional
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
        if not 0 < level < 1:
            raise InputError(f"the level of an interval lies between 0 and 1, not {level}")
        if method not in ("profile", "wald"):
            raise InputError(f"an interval is by 'profile' or 'wald', not {method!r}")
        names = [names] if isinstance(names, str) else names
        every = [*self.hyper.index, *self.fixed.index]
        chosen = every if names is None else list(names)
        for name in chosen:
            if name not in every:
                self._place(name)
                raise InputError(f"{name!r} is not a parameter: there are {', '.join(every)}")
        reach = float(ndtri(0.5 + 0.5 * level))
        if method == "wald":
            of_fixed = wald(self.maximum.fixed, self.fixed["se"].to_numpy(), self.fixed.index, level)
            tables = [hyper_table(self.model, self.maximum, level), of_fixed]
            return pd.concat(tables)[["lower", "upper"]].loc[chosen]
        rows = []
        for name in chosen:
            try:
                profile, back = profile_of(self, name)
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
                    warnings.warn(f"no profile limit of {name}: {error}", GeospdeWarning, stacklevel=2)
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
        profile, back = profile_of(self, name)
        low, high = profile.limit(-reach), profile.limit(reach)
        values = np.linspace(low, high, size)
        zeta = np.array([profile.zeta(value) for value in values])
        columns = {"value": [back(v) for v in values], "zeta": zeta, "log_likelihood": profile.largest - 0.5 * zeta**2}
        return pd.DataFrame(columns)

    # -- onwards --------------------------------------------------------------------------------------------

    def marginal(self, name: Any) -> Any:
        """Normal distribution of a fixed effect, latent variable or linear combination; see `Fit.marginal`."""
        if isinstance(name, str) and name.removeprefix("log ") in self.hyper.index:
            raise InputError(f"method {self.method!r} gives no posterior of {name!r}: see hyper, confint and profile")
        return super().marginal(name)

    @cached_property
    def pointwise(self) -> pd.DataFrame:
        """A row an observation: ``log_likelihood`` at the modes of the latent variables, and Pearson ``residual``."""
        point = self.posterior.mode
        density = self.laplace.likelihood_at(point.theta).log_density(point.eta)
        return pd.DataFrame({"log_likelihood": density, "residual": self.residuals("pearson")})

    def describe(self) -> dict[str, Any]:
        """Settings and sizes, for reports."""
        out = super().describe()
        del out["priors"], out["theta points"]
        return {**out, "parameters": self.n_parameters, "singular": self.is_singular}

    def _text(self) -> str:
        from geospde.results.likelihood_summary import text

        return text(self)
