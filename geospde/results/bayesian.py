"""`BayesianFit`: what a model with priors says, as tables, marginals, draws and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.inference.combinations import in_parts, mixture_of
from geospde.inference.criteria import Criteria, criteria
from geospde.inference.full_laplace import marginal_shape
from geospde.inference.hyper import Posterior
from geospde.inference.marginals import Marginal, response_summary
from geospde.inference.mixture import GaussianMixture
from geospde.inference.mode import silent
from geospde.inference.sampling import leave_one_out
from geospde.inference.second_order.combinations import LARGEST, HigherOrder
from geospde.linalg.threads import one_blas_thread
from geospde.results import checks
from geospde.results.base import Fit
from geospde.results.certificate import Certificate, certify
from geospde.results.draws import to_arviz
from geospde.results.hypothesis import Hypothesis, weigh
from geospde.results.loo import Loo, row_labels
from geospde.results.prior import prior_marginal
from geospde.results.state import LEVELS, Rows, Vector
from geospde.results.storage import Stored, stored_posterior
from geospde.results.summaries.posterior import Block, posterior_blocks, priors_of, show
from geospde.text.findings import Checks
from geospde.text.keywords import answers_keywords
from geospde.text.notebook import facts
from geospde.text.progress import Callback

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

COLUMNS = ["mean", "sd", *(f"q{p:g}" for p in LEVELS), "mode"]
QUICK = 1_000_000  # observations times theta points and what leave-one-out counts for: a second or so
DRAWS_COST = 100  # theta points that leave-one-out by 2,000 draws takes as long as
QUICK_LATENT = 10_000  # latent variables, of which leave-one-out draws two thousand vectors
QUICK_LOADINGS, QUICK_SUMS = 6e6, 1e10  # numbers in the loadings of second-order corrections, products of them
QUICK_FACTORS = 20_000  # latent variables times marginals by `strategy="laplace"`, at twenty factorisations each
_BY_ML = "fit with method='ml'"
_BY_SMOOTHS = "fit smooths with method='reml' or 'ubre'"


@answers_keywords
class BayesianFit(Fit):
    """A fitted latent Gaussian model with priors, by ``method="inla"`` or ``"eb"``; made by `geospde.fit`.

    Attributes
    ----------
    fixed, hyper, random, fitted : DataFrame
        Posterior mean, sd, quantiles and mode: of the fixed effects, of the hyperparameters on the user's scale, of
        every latent variable of the random terms, and of the mean per unit exposure at each observation.
    criteria : dict
        ``dic``, ``p_dic``, ``waic``, ``p_waic``, ``log_score`` (mean of -log CPO), ``cpo_failures``; ``elpd_loo``,
        ``p_loo``, ``looic`` by Pareto-smoothed importance sampling, with CPO where it fails, and how often that is,
        ``pareto_k_above_0.7``.
    pointwise : DataFrame
        One row per observation: ``cpo``, ``pit``, ``dic``, ``waic``, ``failure``, ``loo``, ``pareto_k``.
    log_marginal_likelihood : float
        All constants included; a flat-prior coefficient counts as density 1, as in R-INLA.
    log_likelihood : float
        At the posterior means of the predictor and the hyperparameters, where DIC has its plug-in deviance.

    Examples
    --------
    >>> import geospde as gs
    >>> survey = gs.load_dataset("rongelap")
    >>> mesh = gs.build_mesh(survey.coastline, max_edge=(300, 600), offset=600)
    >>> fit = gs.fit("counts ~ 1 + spde(mesh)", survey.points, mesh=mesh, family="poisson", exposure="time")
    >>> fit.fixed.columns.tolist()
    ['mean', 'sd', 'q0.025', 'q0.5', 'q0.975', 'mode']
    >>> low, high = fit.marginal("range(spde)").interval(0.9)
    >>> surface = fit.predict(gs.Grid.around(survey.coastline, cell=100))
    """

    _LACKS: ClassVar[Mapping[str, tuple[str, str]]] = {
        "aic": ("AIC", f"compare it by elpd_loo, WAIC or DIC (criteria, geospde.compare), or {_BY_ML}"),
        "bic": ("BIC", f"see log_marginal_likelihood, which it approximates, or {_BY_ML}"),
        "deviance": ("deviance of its own", f"see criteria['dic'] and log_likelihood, or {_BY_ML}"),
        "null_deviance": ("null deviance", _BY_SMOOTHS),
        "deviance_explained": ("explained deviance", _BY_SMOOTHS),
        "r_squared": ("R²", _BY_SMOOTHS),
        "reml_criterion": ("REML criterion", "fit with method='reml'"),
        "n_parameters": ("count of parameters", "see p_loo, p_waic and p_dic in criteria"),
        "confint": ("confidence intervals", "see fixed, hyper and marginal(name).interval(level) for credible ones"),
        "profile": ("profile of a likelihood", f"see marginal(name) and plot_marginal(name), or {_BY_ML}"),
        "ml_maximum": ("maximum of a likelihood", _BY_ML),
        "maximum": ("maximum of a likelihood", _BY_ML),
        "estimate": ("estimates with normal errors", "see marginal(name)"),
        "vcov": ("covariance matrix of its own", "see sample(n)[names].cov()"),
        "correlation": ("correlation matrix of its own", "see sample(n)[names].corr()"),
        "is_singular": ("singular covariance, which priors keep away", "see check()"),
        "groups": ("table of groups", "see random"),
        "quadrature": ("quadrature over groups", _BY_ML),
        "unpriored": ("model without priors", "see model"),
        "smooths": ("table of smooths", f"see hyper and effects(name), or {_BY_SMOOTHS}"),
        "edf": ("effective degrees of freedom", f"see p_loo, p_waic and p_dic in criteria, or {_BY_SMOOTHS}"),
        "dispersion": ("dispersion", "see hyper for the family's parameters"),
        "score": ("score that was minimised", f"see log_marginal_likelihood, or {_BY_SMOOTHS}"),
        "score_name": ("score that was minimised", f"see log_marginal_likelihood, or {_BY_SMOOTHS}"),
        "variance_components": ("table of variance components", "see hyper"),
    }

    @property
    def posterior(self) -> Posterior:
        """The joint posterior: Gaussians of the latent vector at points of the hyperparameters."""
        return self.approximation

    @property
    def log_marginal_likelihood(self) -> float:
        """Log marginal likelihood, or evidence."""
        return self.approximation.log_marginal_likelihood

    @property
    def log_likelihood(self) -> float:
        """Log likelihood at the posterior means of the predictor and the hyperparameters, all constants included.

        It is minus half of DIC's plug-in deviance; the responses' own, not integrated over the random effects as that
        of a maximum-likelihood fit is.
        """
        return float((self._criteria.p_dic - 0.5 * self._criteria.dic).sum())

    def _in_one_number(self) -> str:
        return f"log marginal likelihood {self.log_marginal_likelihood:.2f}"

    def _evidence(self) -> str:
        return f"log marginal likelihood {self.log_marginal_likelihood:,.2f}".replace("-", "\N{MINUS SIGN}")

    def _card_tables(self) -> list[str]:
        priors = {", ".join(names): words for words, names in priors_of(self.model).items()}
        return [*super()._card_tables(), facts(priors, "priors")]

    # -- tables ---------------------------------------------------------------------------------------------

    @cached_property
    def fixed(self) -> pd.DataFrame:
        """Fixed effects."""
        names, first = self.model.effects.names, self.laplace.n_random
        return _table(self._latent(np.arange(first, first + len(names))), names, finite=True)

    @cached_property
    def random(self) -> pd.DataFrame:
        """Latent variables of the random terms: vertices of a field, levels of a group."""
        return _table(self._latent(np.arange(self.laplace.n_random)), self.model.latent_names)

    @cached_property
    def hyper(self) -> pd.DataFrame:
        """Hyperparameters on the user's scale."""
        rows = []
        for h in self.model.hyperparameters:
            if not h.is_fixed:
                own = self.marginal(h.name)
                rows.append([*own.finite_moments, *own.quantile(np.array(LEVELS)), own.mode])
            else:
                value = h.value(self.posterior.mode.theta)
                rows.append([value, 0.0, *[value] * (len(LEVELS) + 1)])
        return pd.DataFrame(rows, columns=COLUMNS, index=pd.Index([h.name for h in self.model.hyperparameters]))

    @cached_property
    def fitted(self) -> pd.DataFrame:
        """Mean per unit exposure at each observation."""
        table = response_summary(self._predictor, self.model.family.link, LEVELS, mode=True)
        return pd.DataFrame(table)[COLUMNS]

    def response(self, mixture: GaussianMixture, quantiles: Sequence[float] = LEVELS) -> dict[str, Vector]:
        """Mean, sd and quantiles of the mean per unit exposure whose predictor has this posterior."""
        return response_summary(mixture, self.model.family.link, quantiles)

    @cached_property
    def criteria(self) -> dict[str, float]:
        """Totals of the information criteria."""
        estimates = self.loo.table["estimate"].to_dict()
        above = float((self.loo.pareto_k > 0.7).sum())
        return {**self._criteria.totals(), **estimates, "pareto_k_above_0.7": above}

    def compute_criteria(self, callback: Callback | None = None) -> dict[str, float]:
        """Return `criteria`; where they are not known yet, call ``callback(done, total, message)`` on the way."""
        if "loo" not in vars(self):
            vars(self)["loo"] = self._left_out(callback or silent)
        return self.criteria

    @cached_property
    def pointwise(self) -> pd.DataFrame:
        """Criteria an observation."""
        c = self._criteria
        columns = {"cpo": c.cpo, "pit": c.pit, "dic": c.dic, "waic": c.waic, "failure": c.failure}
        return pd.DataFrame({**columns, "loo": self.loo.pointwise, "pareto_k": self.loo.pareto_k})

    @cached_property
    def loo(self) -> Loo:
        """Leave-one-out log densities with standard errors, the Pareto k of their importance sampling, and a warning.

        Where k is above 0.5 the variance of importance sampling is infinite, and the CPO stands in; ``fit.loo.refit()``
        fits the model again without each observation whose k is above 0.7.
        """
        return self._left_out(silent)

    def _left_out(self, progress: Callback) -> Loo:
        elpd, k = leave_one_out(self.laplace, self.posterior, progress=progress)
        refit = (k > 0.5) & (self._criteria.failure == 0)
        pointwise = np.where(refit, self._criteria.log_cpo, elpd)
        log_predictive = self._criteria.p_waic - 0.5 * self._criteria.waic
        return Loo(pointwise, k, refit, log_predictive, row_labels(self.model), fit=self)

    @cached_property
    def _criteria(self) -> Criteria:
        return criteria(self.laplace, self.posterior, self._predictor)

    @cached_property
    def _predictor(self) -> GaussianMixture:
        """Predictors at the observations."""
        return self.mixture(self.model.design, self.model.offset)

    def _fitted_predictor(self) -> Vector:
        return np.asarray(self.model.family.link.forward(self.fitted["mean"].to_numpy()))

    def _latent(self, which: NDArray[np.intp]) -> GaussianMixture:
        return self.mixture(self._unit_rows(which))

    def _unit_rows(self, which: NDArray[np.intp]) -> sp.csr_matrix:
        return sp.csr_matrix((np.ones(which.size), (np.arange(which.size), which)), shape=(which.size, self.laplace.n))

    def mixture(self, rows: Rows, offset: Vector | float = 0.0) -> GaussianMixture:
        """Posterior of linear combinations of the latent vector, ``rows @ x + offset``.

        Parameters
        ----------
        rows : (m, n) csr_matrix or MovingRows
        offset : (m,) array or float
        """
        many = rows.shape[0] > self.laplace.n
        return in_parts(rows, offset, partial(self._mixture, many=many and not hasattr(rows, "at")))

    def _mixture(self, rows: Rows, offset: Vector | float, many: bool) -> GaussianMixture:
        forms = self.laplace.quadratic_map(rows) if many else None
        gaussian = mixture_of(self.laplace, self.posterior, rows, offset, forms)
        heaviest = int(np.argmax(self.posterior.weights))
        if hasattr(rows, "at"):
            rows = rows.at(self.posterior.heaviest.theta)[0]
        if self.posterior.strategy == "laplace":
            point = self.laplace.factor_again(self.posterior.heaviest)
            with one_blas_thread():
                shapes = [marginal_shape(self.laplace, point, row) for row in rows]
            moments = np.array([(s.mean, s.variance, s.skewness) for s in shapes]).reshape(-1, 3)
            shift = moments[:, 0] - rows @ point.mean
            scale = np.sqrt(moments[:, 1] / gaussian.sds[heaviest] ** 2)
            means, sds = gaussian.means + shift, gaussian.sds * scale
            return gaussian.corrected(means, sds, moments[:, 2])
        if self._higher_order is None:
            return gaussian
        quadratic = forms[0] if forms is not None and forms[1].all() else None
        ratio, skewness = self._higher_order.of(rows, gaussian.sds[heaviest] ** 2, quadratic)
        return gaussian.corrected(gaussian.means, gaussian.sds * np.sqrt(ratio), skewness)

    @property
    def _criteria_are_quick(self) -> bool:
        """Whether `criteria` are known already, or take a second or two."""
        if "criteria" in vars(self):
            return True
        if not self._corrections_are_quick:
            return False
        work = self.model.likelihood.n * (DRAWS_COST + len(self.posterior.points))
        return work < QUICK and self.laplace.n < QUICK_LATENT

    @property
    def _corrections_are_quick(self) -> bool:
        """Whether variances and skewness beyond the Gaussian's are known already, or take a second or two."""
        if "fixed" in vars(self) or "_higher_order" in vars(self) or self.posterior.strategy in ("gaussian", "vb"):
            return True
        m, n = self.laplace.design.shape
        moderate: bool = (m * n < QUICK_LOADINGS and n * min(m, 4 * n) ** 2 < QUICK_SUMS) or m * n > LARGEST
        return n * len(self.model.effects.names) < QUICK_FACTORS if self.posterior.strategy == "laplace" else moderate

    @cached_property
    def _higher_order(self) -> HigherOrder | None:
        design = self.laplace.design
        if self.posterior.strategy != "simplified" or design.shape[0] * design.shape[1] > LARGEST:
            return None
        with one_blas_thread():
            return HigherOrder.at(self.laplace, self.posterior.heaviest)

    # -- one quantity ---------------------------------------------------------------------------------------

    def marginal(self, name: str | Mapping[str, float]) -> Marginal:
        """Posterior marginal of one quantity.

        Parameters
        ----------
        name : str or dict
            A row of `fixed`, `hyper` or `random`; ``"log "`` and a row of `hyper`, such as ``"log tau(spde)"``;
            ``"eta[3]"`` or ``"fitted[3]"``, the predictor and the mean of an observation, counted from 0; or a dict
            from names of fixed effects and latent variables to weights, for a linear combination.

        Returns
        -------
        Marginal
            With `mean`, `sd`, `mode`, `density(x)`, `cdf(x)`, `quantile(p)`, `interval(level)`.

        Raises
        ------
        InputError
            For an unknown name.
        """
        for h in self.model.hyperparameters:
            if isinstance(name, str) and h.name == name.removeprefix("log "):
                if self.posterior.hyper is None or h.is_fixed:
                    raise InputError(f"{h.name} is held at {h.value(self.posterior.mode.theta):g}: it has no marginal")
                if h.function is not None:
                    return self.posterior.hyper.marginal(*h.inner_function(name.startswith("log ")), h.period)
                found = self.posterior.hyper.marginal(h.direction, h.inner_map(name.startswith("log ")))
                return replace(found, inner=found.inner + h.shift)
        return self._marginal_of(name)

    def prior(self, name: str) -> Marginal:
        """Prior of one quantity, the counterpart of `marginal`.

        Parameters
        ----------
        name : str
            A row of `hyper` or of `fixed`, or ``"log "`` and a row of `hyper`.

        Returns
        -------
        Marginal
            On the user's scale. Of a function of several hyperparameters, such as ``tau(spde)``, it is the density of
            that function.

        Raises
        ------
        InputError
            Where there is no density: for an improper prior, a value that is held, an unknown name.
        """
        return prior_marginal(self.model, name)

    @cached_property
    def theta_points(self) -> pd.DataFrame:
        """Points of the integration over the hyperparameters (user's scale), log posterior and weight of each."""
        points = self.posterior.points
        columns = {h.name: [h.value(p.theta) for p in points] for h in self.model.hyperparameters}
        log_posterior = [p.log_posterior for p in points]
        return pd.DataFrame({**columns, "log_posterior": log_posterior, "weight": self.posterior.weights})

    def to_arviz(self, n: int = 1000, seed: int | None = None) -> xarray.DataTree:
        """Draws as a DataTree for ArviZ; see `geospde.results.draws.to_arviz`."""
        return to_arviz(self, n, seed)

    # -- onwards --------------------------------------------------------------------------------------------

    def hypothesis(self, text: str, level: float | None = None) -> Hypothesis:
        """Weigh a hypothesis about fixed effects, latent variables and hyperparameters by its posterior probability.

        Parameters
        ----------
        text : str
            Two sides, each of numbers, names of rows of `fixed`, `hyper` or `random`, ``+ - * / **``, brackets and
            ``exp``, ``log``, ``sqrt``, ``abs``, joined by ``>``, ``<`` or ``=``: ``"Days > 10"``,
            ``"period[2] - period[3] = 0"``, ``"sd(Days | Subject) < sigma"``.
        level : float, optional
            Of the interval; by default 0.9, and 0.95 for ``=``.

        Returns
        -------
        Hypothesis
            Exact for one hyperparameter and for linear combinations of fixed effects and latent variables; from 20,000
            joint draws for anything else.

        Raises
        ------
        InputError
            For what cannot be read, or a name that the model does not have.
        """
        return weigh(text, level, self.model, self.posterior, self.marginal, self.sample)

    @one_blas_thread()
    def check(self) -> Checks:
        """Look for what makes the figures doubtful, with remedies.

        Fields against their meshes; hyperparameters that a prior holds; variances at zero; calibration (PIT),
        leave-one-out failures, influential observations; the Laplace approximation against its own next terms.

        Returns
        -------
        Checks
            A finding for each thing that was looked at, with a remedy where one is needed.
        """
        of_model = checks.model_findings(self.model, self.laplace, self.posterior.mode, self.hyper["q0.5"])
        tables = self._quick_fixed().frame, self.hyper, self.pointwise, self.loo
        return Checks([*of_model, *checks.posterior_findings(self.model, self.laplace, self.posterior, *tables)])

    def certify(self, draws: int = 2000, seed: int = 1, callback: Callback | None = None) -> Certificate:
        """Say how far the fit is from the exact posterior, and correct it, by importance sampling.

        Parameters
        ----------
        draws : int
            At least 200; rounded up to a multiple of 80.
        seed : int
        callback : callable, optional

        Returns
        -------
        Certificate
            Corrected tables, the exact log marginal likelihood, and a verdict in words.
        """
        return certify(self, draws, seed, callback)

    def validate(
        self,
        folds: str = "blocks",
        *,
        k: int | None = None,
        distance: float | None = None,
        baselines: bool = True,
        draws: int = 2000,
        seed: int = 0,
        observations: str | None = None,
        callback: Callback | None = None,
        client: Any = None,
    ) -> Any:
        """Cross-validate, by spatial blocks or otherwise.

        Parameters
        ----------
        folds : {"blocks", "random", "loo", "buffered", "future"}
            Square blocks; random; leave-one-out from the fit itself; single observations without all within a distance.
        k : int, optional
            Number of folds, 10 by default; of ``"buffered"`` the number of observations, at most 40.
        distance : float, optional
            Side of the blocks or radius of the buffer; by default the posterior median of the first field's range.
        baselines : bool
            Score simpler models, too.
        draws, seed : int
            From each predictive distribution.
        observations : str, optional
            Which of several likelihoods is left out and predicted.
        callback, client : optional

        Returns
        -------
        Validation
            See `geospde.prediction.validation.validate`.
        """
        from geospde.prediction.validation import validate

        return validate(self, folds, k=k, distance=distance, baselines=baselines, draws=draws, seed=seed,
                        observations=observations, callback=callback, client=client)  # fmt: skip

    def _stored(self) -> Stored:
        return stored_posterior(self.posterior, self.laplace, self.notes)

    def describe(self) -> dict[str, Any]:
        """Settings and sizes, for reports."""
        priors = {h.name: h.prior for h in self.model.hyperparameters if h.prior}
        return {**super().describe(), "theta points": len(self.posterior.points), "priors": priors}

    def summary(self) -> None:
        """Print the fit: in a terminal with ruled tables, elsewhere as plain text."""
        criteria = self.criteria if self._criteria_are_quick else {}
        accuracy = self.posterior.accuracy
        show(posterior_blocks(self, self.log_marginal_likelihood, self._quick_fixed(), criteria, accuracy))

    def _quick_fixed(self) -> Block:
        """Fixed effects, or where their corrections would take long, by the Gaussians of the latent vector alone."""
        if self._corrections_are_quick:
            return Block("Fixed effects", self.fixed)
        names, first = self.model.effects.names, self.laplace.n_random
        rows = self._unit_rows(np.arange(first, first + len(names)))
        table = _table(mixture_of(self.laplace, self.posterior, rows), names, finite=True)
        return Block("Fixed effects, by Gaussians: their corrections take time, see fit.fixed", table)

    def plot_prior_posterior(self, name: str, ax: Axes | None = None) -> Axes:
        """Draw what the data told, over all that the prior reaches; see `geospde.plots.prior_posterior`."""
        from geospde.plots.prior_posterior import plot_prior_posterior

        return plot_prior_posterior(self, name, ax)

    def plot_pit(self, ax: Axes | None = None, *, bins: int = 10) -> Axes:
        """Draw the leave-one-out PIT histogram; see `geospde.plots.pit.plot_pit`."""
        from geospde.plots.pit import plot_pit

        return plot_pit(self, ax, bins=bins)


def _table(mixture: GaussianMixture, names: list[str], finite: bool = False) -> pd.DataFrame:
    if not names:
        return pd.DataFrame(columns=COLUMNS)
    sd = mixture.finite_sd if finite else mixture.sd
    columns = [mixture.mean, sd, *(mixture.quantile(p) for p in LEVELS), mixture.mode()]
    return pd.DataFrame(np.column_stack(columns), columns=COLUMNS, index=pd.Index(names))
