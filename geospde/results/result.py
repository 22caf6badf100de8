"""`Fit`: what a fitted model says, as tables, marginals, draws and predictions."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.inference.criteria import Criteria, criteria
from geospde.inference.full_laplace import marginal_shape
from geospde.inference.higher_order import LARGEST, HigherOrder
from geospde.inference.hyper import Posterior
from geospde.inference.laplace import Laplace
from geospde.inference.marginals import Marginal, marginal_of_mixture, response_summary
from geospde.inference.mixture import GaussianMixture, shape_of
from geospde.inference.sampling import leave_one_out
from geospde.linalg.threads import one_blas_thread
from geospde.model.build import Model
from geospde.results.hypothesis import hypothesis
from geospde.results.loo import Loo
from geospde.results.pictures import Pictures
from geospde.results.summary import show, text

Vector = NDArray[np.float64]
LEVELS = (0.025, 0.5, 0.975)
COLUMNS = ["mean", "sd", *(f"q{p:g}" for p in LEVELS), "mode"]


class Fit(Pictures):
    """A fitted latent Gaussian model; made by `geospde.fit`.

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
        A row an observation: ``cpo``, ``pit``, ``dic``, ``waic``, ``failure``, ``loo``, ``pareto_k``.
    log_marginal_likelihood : float
        All constants included; a flat-prior coefficient counts as density 1, as in R-INLA.
    formula, family, method : str
    seconds : float
        Wall time of the fit.

    Notes
    -----
    Pictures are methods ``plot_*``. Each takes `ax`, the matplotlib axes to draw into (a new pyplot figure by default),
    and returns it; `plot_hyper` and `Prediction.plot_panels` take and return an array of axes, one a panel.

    =========================  =============================================================================
    `plot_hyper`               marginals of the hyperparameters, each with its prior
    `plot_marginal`            marginal of one quantity, with its prior
    `plot_prior_posterior`     prior and posterior over all that both reach: what the data have told
    `plot_random`              effects of a group's levels, sorted, with intervals
    `plot_fitted`              fitted means against what was observed
    `plot_residual_variogram`  spatial structure that is left in the residuals, in a permutation envelope
    `plot_pit`                 leave-one-out PIT histogram
    =========================  =============================================================================

    Conditional effects are drawn by ``effects(...).plot()``, maps by ``predict(...).plot()``, a cross-validation by
    ``validate(...).plot()``. After ML and REML the marginals are normal distributions by the standard errors, without
    priors, and there is no `plot_prior_posterior` and no `plot_pit`.

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

    def __init__(
        self, model: Model, laplace: Laplace, posterior: Posterior, settings: dict[str, Any], seconds: float = 0.0
    ):
        self.model = model
        self.laplace = laplace
        self.posterior = posterior
        self.settings = settings
        self.seconds = seconds
        self.formula = str(settings["formula"])
        self.family = str(settings["family"])
        self.method = str(settings["method"])
        self.log_marginal_likelihood = posterior.log_marginal_likelihood

    def __repr__(self) -> str:
        return (
            f"<Fit {self.formula!r}, {self.family}, {self.method}: {self.model.likelihood.n} observations, "
            f"log marginal likelihood {self.log_marginal_likelihood:.2f}>"
        )

    def _repr_html_(self) -> str:
        """Show its tables in a notebook; see `geospde.results.card`."""
        from geospde.results.card import fit_card

        return fit_card(self)

    # -- tables ---------------------------------------------------------------------------------------------

    @cached_property
    def fixed(self) -> pd.DataFrame:
        """Fixed effects."""
        names = self.model.effects.names
        first = self.laplace.n_random
        return _table(self._latent(np.arange(first, first + len(names))), names)

    @cached_property
    def random(self) -> pd.DataFrame:
        """Latent variables of the random terms: vertices of a field, levels of a group."""
        return _table(self._latent(np.arange(self.laplace.n_random)), self.model.latent_names)

    @cached_property
    def hyper(self) -> pd.DataFrame:
        """Hyperparameters on the user's scale."""
        rows = []
        for h in self.model.hyperparameters:
            if not h.is_held:
                rows.append(_marginal_row(self.marginal(h.name)))
            else:  # held
                value = h.value(self.posterior.mode.theta)
                rows.append([value, 0.0, *[value] * (len(LEVELS) + 1)])
        return pd.DataFrame(
            rows, columns=COLUMNS, index=pd.Index([h.name for h in self.model.hyperparameters])
        )

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

    @cached_property
    def pointwise(self) -> pd.DataFrame:
        """Criteria an observation."""
        c = self._criteria
        columns = {"cpo": c.cpo, "pit": c.pit, "dic": c.dic, "waic": c.waic, "failure": c.failure}
        return pd.DataFrame({**columns, "loo": self.loo.pointwise, "pareto_k": self.loo.pareto_k})

    @cached_property
    def loo(self) -> Loo:
        """Leave-one-out log densities with standard errors, the Pareto k of their importance sampling, and a warning.

        Where k is above 0.5 the variance of importance sampling is infinite, and the CPO stands in, as a refit without
        the observation would.
        """
        elpd, k = leave_one_out(self.laplace, self.posterior)
        refit = (k > 0.5) & (self._criteria.failure == 0)
        pointwise = np.where(refit, self._criteria.log_cpo, elpd)
        log_predictive = self._criteria.p_waic - 0.5 * self._criteria.waic
        return Loo(pointwise, k, refit, log_predictive)

    @cached_property
    def _criteria(self) -> Criteria:
        return criteria(self.laplace, self.posterior, self._predictor)

    @cached_property
    def _predictor(self) -> GaussianMixture:
        """Predictors at the observations."""
        return self.mixture(self.model.design, self.model.offset)

    def _latent(self, which: NDArray[np.intp]) -> GaussianMixture:
        unit = sp.csr_matrix((np.ones(which.size), (np.arange(which.size), which)), shape=(which.size, self.laplace.n))
        return self.mixture(unit)

    def mixture(self, rows: Any, offset: Vector | float = 0.0) -> GaussianMixture:
        """Posterior of linear combinations of the latent vector, ``rows @ x + offset``.

        Parameters
        ----------
        rows : (m, n) csr_matrix or MovingRows
        offset : (m,) array or float
        """
        gaussian = self.laplace.mixture(self.posterior, rows, offset)
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
            return GaussianMixture(gaussian.weights, means, sds, shape_of(moments[:, 2]))
        if self._higher_order is None:
            return gaussian
        ratio, skewness = self._higher_order.of(rows, gaussian.sds[heaviest] ** 2)
        return GaussianMixture(gaussian.weights, gaussian.means, gaussian.sds * np.sqrt(ratio), shape_of(skewness))

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
        if isinstance(name, Mapping):
            places = [self._place(part) for part in name]
            weights = [float(weight) for weight in name.values()]
            rows = sp.csr_matrix((weights, (np.zeros(len(places), int), places)), shape=(1, self.laplace.n))
            return marginal_of_mixture(self.mixture(rows))
        for h in self.model.hyperparameters:
            if h.name == name.removeprefix("log "):
                if self.posterior.hyper is None or h.is_held:
                    raise InputError(f"{h.name} is held at {h.value(self.posterior.mode.theta):g}: it has no marginal")
                if h.function is not None:
                    values, density = self.posterior.hyper.of(h.function)
                    return Marginal(values, density, np.log if name.startswith("log ") else None)
                values, density = self.posterior.hyper.along(h.direction)
                return Marginal(values + h.shift, density, h.inner_map(name.startswith("log ")))
        observation = re.fullmatch(r"(eta|fitted)\[(\d+)\]", name)
        if observation and int(observation[2]) < self.model.likelihood.n:
            at = int(observation[2])
            mixture = self.mixture(self.model.design[[at]], self.model.offset[[at]])
            return marginal_of_mixture(mixture, None if observation[1] == "eta" else self.model.family.link.inverse)
        return marginal_of_mixture(self._latent(np.array([self._place(name)])))

    def prior(self, name: str) -> Marginal:
        """Prior of a row of `hyper` or `fixed`, the counterpart of `marginal`; see `geospde.results.prior`."""
        from geospde.results.prior import prior_marginal

        return prior_marginal(self, name)

    def _place(self, name: str) -> int:
        """Number of a fixed effect or latent variable in the latent vector."""
        if name in self.model.effects.names:
            return self.laplace.n_random + self.model.effects.names.index(name)
        if name in self.model.latent_names:
            return self.model.latent_names.index(name)
        from difflib import get_close_matches

        known = [h.name for h in self.model.hyperparameters] + self.model.effects.names
        near = get_close_matches(name, known + self.model.latent_names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise InputError(f"nothing is called {name!r}; {hint}")

    @cached_property
    def theta_points(self) -> pd.DataFrame:
        """Points of the integration over the hyperparameters (user's scale), log posterior and weight of each."""
        points = self.posterior.points
        columns = {h.name: [h.value(p.theta) for p in points] for h in self.model.hyperparameters}
        log_posterior = [p.log_posterior for p in points]
        return pd.DataFrame({**columns, "log_posterior": log_posterior, "weight": self.posterior.weights})

    def sample(self, n: int = 1000, seed: int | None = None) -> pd.DataFrame:
        """Draws from the joint posterior of hyperparameters and latent variables.

        The latent vector comes from its Gaussians at the integration points, with their weights; theta from its own
        density near that point.

        Parameters
        ----------
        n : int
            Number of draws.
        seed : int, optional

        Returns
        -------
        DataFrame
            A row a draw; a column a hyperparameter (user's scale), fixed effect and latent variable.
        """
        from geospde.results.draws import draw

        draws, split = draw(self, n, seed), self.laplace.n_random
        names = [h.name for h in self.model.hyperparameters] + self.model.effects.names + self.model.latent_names
        return pd.DataFrame(np.hstack([draws.hyper, draws.latent[:, split:], draws.latent[:, :split]]), columns=names)

    def to_arviz(self, n: int = 1000, seed: int | None = None) -> Any:
        """Draws as a DataTree for ArviZ; see `geospde.results.draws.to_arviz`."""
        from geospde.results.draws import to_arviz

        return to_arviz(self, n, seed)

    # -- onwards --------------------------------------------------------------------------------------------

    def predict(self, where: Any, **options: Any) -> Any:
        """Predict at the cells of a Grid, the rows of a table, or points; see `geospde.prediction.surface.predict`."""
        from geospde.prediction.surface import predict

        return predict(self, where, **options)

    def effects(self, name: str | Sequence[str], **options: Any) -> Any:
        """Conditional effects of a covariate, such as ``"Days"`` or ``"x2:fac"``; see `geospde.results.effects`."""
        from geospde.results.effects import effects

        return effects(self, name, **options)

    def hypothesis(self, text: str, level: float | None = None) -> Any:
        """Weigh ``"Days > 10"`` and its like; see `geospde.results.hypothesis.hypothesis`."""
        return hypothesis(self, text, level)

    def check(self) -> Any:
        """Look for what makes the figures doubtful, with remedies; see `geospde.results.checks.check`."""
        from geospde.results.checks import check

        return check(self)

    def validate(self, folds: str = "blocks", **options: Any) -> Any:
        """Cross-validate, by spatial blocks or otherwise; see `geospde.prediction.validation.validate`."""
        from geospde.prediction.validation import validate

        return validate(self, folds, **options)

    def save(self, path: Any) -> None:
        """Write ``path.npz`` and ``path.json``; `geospde.load_fit` reads them."""
        from geospde.results.saved import save_fit

        save_fit(self, path)

    def describe(self) -> dict[str, Any]:
        """Settings and sizes, for reports."""
        priors = {h.name: h.prior for h in self.model.hyperparameters if h.prior}
        return {
            **{k: v for k, v in self.settings.items() if v is not None},
            "observations": self.model.likelihood.n,
            "latent variables": self.laplace.n,
            "theta points": len(self.posterior.points),
            "evaluations": self.laplace.evaluations,
            "factorisations": self.laplace.factorisations,
            "seconds": round(self.seconds, 3),
            "priors": priors,
        }

    def summary(self) -> None:
        """Print the fit: in a terminal with ruled tables, elsewhere as plain text."""
        show(self)

    def _text(self) -> str:
        return text(self)


def _table(mixture: GaussianMixture, names: list[str]) -> pd.DataFrame:
    if not names:
        return pd.DataFrame(columns=COLUMNS)
    columns = [mixture.mean, mixture.sd, *(mixture.quantile(p) for p in LEVELS), mixture.mode()]
    return pd.DataFrame(np.column_stack(columns), columns=COLUMNS, index=pd.Index(names))


def _marginal_row(marginal: Marginal) -> list[float]:
    return [marginal.mean, marginal.sd, *marginal.quantile(np.array(LEVELS)), marginal.mode]
