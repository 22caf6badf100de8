"""`Fit`: what every fitted model has, whatever the method; the kinds of fits are siblings above it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError, LackingError
from geospde.families.likelihood import RESIDUALS as OF_LIKELIHOOD
from geospde.results.draws import draw
from geospde.results.effects import Effects, effects
from geospde.results.quantile_residuals import quantile_residuals
from geospde.results.state import FitState, Vector
from geospde.results.storage import Stored, write_fit
from geospde.text.findings import Checks
from geospde.text.keywords import answers_keywords
from geospde.text.notebook import card, facts, frame_table
from geospde.text.progress import Callback
from geospde.text.words import counted, nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESIDUALS = (*OF_LIKELIHOOD, "quantile")


@answers_keywords
class Fit(FitState):
    """A fitted model: what those of every method have; made by `geospde.fit`.

    It is a `BayesianFit` (methods ``"inla"``, ``"eb"``), a `MaximumLikelihoodFit` (``"ml"``, ``"reml"``) or a
    `PenalisedFit` (``"ubre"``, and any of the last two with smooths). What one kind has and another has not, such as
    the AIC, is answered by a sentence that names what to use instead.

    Attributes
    ----------
    fixed, hyper, random, fitted : DataFrame
        Fixed effects, hyperparameters on the user's scale, latent variables of the random terms, and the mean per unit
        exposure at each observation: posterior ``mean, sd, q0.025, q0.5, q0.975, mode``, or ``estimate, se, lower,
        upper``.
    pointwise : DataFrame
        One row per observation: what its kind of fit says of it.
    criteria : dict
        The criteria of its kind of fit.
    log_likelihood : float
    notes : tuple of str
        What a user should look at.
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
    `plot_predictive_check`    distribution of the responses among those of replicates
    `plot_pit`                 leave-one-out PIT histogram
    =========================  =============================================================================

    Conditional effects are drawn by ``effects(...).plot()``, maps by ``predict(...).plot()``, a cross-validation by
    ``validate(...).plot()``. Of fits without priors, densities are normal distributions by the standard errors, and
    there is no `plot_prior_posterior` and no `plot_pit`.
    """

    _LACKS: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """What this kind of fit does not have: what it is, in words, and what to use instead."""

    notes: tuple[str, ...] = ()

    if not TYPE_CHECKING:  # what is not defined stays an error of type checkers

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property that raised an AttributeError of its own: raise that
                return object.__getattribute__(self, name)
            if name in self._LACKS:
                what, remedy = self._LACKS[name]
                raise LackingError(f"a fit by method {self.method!r} has no {what}", remedy=remedy)
            near = None if name.startswith("_") else nearest(name, [n for n in dir(self) if not n.startswith("_")])
            hint = f": did you mean {near!r}?" if near else ""
            raise AttributeError(f"a {type(self).__name__} has no attribute {name!r}{hint}", name=name, obj=self)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.formula!r}, {self.family}, {self.method}: "
            f"{self.model.likelihood.n} observations, {self._in_one_number()}>"
        )

    def _repr_html_(self) -> str:
        """Show formula, tables and priors in a notebook; what takes time to compute, such as criteria, is left out."""
        subtitle = (
            f"{self.family} ({self.model.family.link.name} link), {counted(self.model.likelihood.n, 'observation')}, "
            f"method {self.method}, {self._evidence()}"
        )
        notes = facts({str(k): note for k, note in enumerate(self.notes, 1)}, "notes")
        return card(self.formula, subtitle, *self._card_tables(), notes)

    def _card_tables(self) -> list[str]:
        return [frame_table(self.fixed, "fixed effects"), frame_table(self.hyper, "hyperparameters")]

    @abstractmethod
    def _in_one_number(self) -> str:
        """What the data say for the model, for its `repr`."""

    @abstractmethod
    def _evidence(self) -> str:
        """The same for a notebook."""

    # -- tables ---------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def fixed(self) -> pd.DataFrame:
        """Fixed effects."""

    @property
    @abstractmethod
    def random(self) -> pd.DataFrame:
        """Latent variables of the random terms: vertices of a field, levels of a group."""

    @property
    @abstractmethod
    def hyper(self) -> pd.DataFrame:
        """Hyperparameters on the user's scale."""

    @property
    @abstractmethod
    def fitted(self) -> pd.DataFrame:
        """Mean per unit exposure at each observation."""

    @property
    @abstractmethod
    def pointwise(self) -> pd.DataFrame:
        """What the fit says of each observation, a row each."""

    @property
    @abstractmethod
    def criteria(self) -> dict[str, float]:
        """Criteria to compare fits of its kind by; see `geospde.compare`."""

    def compute_criteria(self, callback: Callback | None = None) -> dict[str, float]:
        """Return `criteria`; where they take time, call ``callback(done, total, message)`` on the way."""
        return self.criteria

    @property
    @abstractmethod
    def log_likelihood(self) -> float:
        """Log likelihood; its kind says at which parameters."""

    def residuals(self, kind: str = "response", *, seed: int = 0) -> Vector:
        """Residuals: responses less what was fitted.

        Parameters
        ----------
        kind : {"response", "pearson", "standardized", "quantile"}
            Response less its fitted mean, that of `fitted` (counts times exposure, successes of all trials); that over
            its standard deviation, which the next two both are; normal scores of the responses, which suit counts, too
            (Dunn & Smyth 1996; see `geospde.results.quantile_residuals`).
        seed : int
            Of the uniforms that spread counts, in quantile residuals.

        Returns
        -------
        (m,) array
            Those of a lognormal are of the logarithms.

        Raises
        ------
        InputError
            For another kind.
        """
        if kind not in RESIDUALS:
            raise InputError(f"residuals are of kind {', '.join(map(repr, RESIDUALS))}, not {kind!r}")
        if kind == "quantile":
            return quantile_residuals(self, seed)
        likelihood = self.laplace.likelihood_at(self.point.theta)
        return np.asarray(likelihood.residuals(self._fitted_predictor(), kind))

    @abstractmethod
    def _fitted_predictor(self) -> Vector:
        """The predictor whose inverse link is the fitted mean, (m,)."""

    def sample(self, n: int = 1000, seed: int | None = None) -> pd.DataFrame:
        """Draws of the hyperparameters, fixed effects and latent variables together.

        Of a posterior, the latent vector comes from its Gaussians at the integration points, with their weights; theta
        from its own density near that point. Of a fit without priors, hyperparameters stay at their estimates, and the
        others come from their joint normal distribution about theirs.

        Parameters
        ----------
        n : int
            Number of draws.
        seed : int, optional

        Returns
        -------
        DataFrame
            One row per draw; one column per hyperparameter (user's scale), fixed effect and latent variable.

        Raises
        ------
        InputError
            Unless `n` is a positive whole number.
        """
        draws, split = draw(self, n, seed), self.laplace.n_random
        columns = np.hstack([draws.hyper, draws.latent[:, split:], draws.latent[:, :split]])
        return pd.DataFrame(columns, columns=self._names)

    def simulate(self, n: int = 1, seed: int | None = None) -> pd.DataFrame:
        """Replicate the responses: each replicate with parameters and effects of its own, drawn as `sample` does.

        Parameters
        ----------
        n : int
            Number of replicates.
        seed : int, optional

        Returns
        -------
        DataFrame
            One row per observation, one column per replicate, from 1.

        Raises
        ------
        InputError
            Unless `n` is a positive whole number, or for a family that draws no responses.
        """
        from geospde.results.simulate import simulate_fit

        return simulate_fit(self, n, seed)

    # -- onwards --------------------------------------------------------------------------------------------

    def predict(
        self,
        where: Any,
        *,
        quantiles: Sequence[float] = (0.025, 0.5, 0.975),
        exceed: Sequence[float] = (),
        at: Mapping[str, Any] | None = None,
        exposure: Any = None,
        offset: Any = None,
        groups: bool = True,
        allow_new_levels: bool = False,
        observations: str | None = None,
        callback: Callback | None = None,
    ) -> Any:
        """Predict the mean per unit exposure at the cells of a Grid, the rows of a table, or points.

        Parameters
        ----------
        where : Grid, DataFrame, GeoDataFrame or (m, 2) array
            Where. Covariates and groups of the model must be columns of a table.
        quantiles : sequence of float
            Levels of the quantile columns.
        exceed : sequence of float
            Thresholds: a column ``exceed_<threshold>`` with P(mean > threshold).
        at : dict, optional
            Values of columns that are the same at all places, such as ``{"year": 2012}``; one column may have
            several, ``{"year": [2012, 2013]}``: the prediction is then of all these steps.
        exposure : float, array or str, optional
            Multiplies the mean; by default the prediction is per unit exposure.
        offset : float, array or str, optional
            Adds to the predictor; asked for where the model was fitted with one.
        groups : bool
            False leaves the effects of groups, ``(x | g)``, out: the population, as lme4's ``re.form = NA``.
        allow_new_levels : bool
            Let a group's level be one that the fit has not seen.
        observations : str, optional
            Which of several likelihoods the mean is of, by its name.
        callback : callable, optional
            Called as ``callback(done, total, message)`` after each chunk.

        Returns
        -------
        Prediction or SteppedPrediction
            See `geospde.prediction.surface.predict`.
        """
        from geospde.prediction.surface import predict

        return predict(
            self, where, quantiles=quantiles, exceed=exceed, at=at, exposure=exposure, offset=offset, groups=groups,
            allow_new_levels=allow_new_levels, observations=observations, callback=callback,
        )  # fmt: skip

    def predict_raster(
        self, path: str | Path, grid: Any, *, quantiles: Sequence[float] = (0.025, 0.5, 0.975),
        exceed: Sequence[float] = (), layers: Sequence[str] = (), crop: Any = None, unfinished: Path | None = None,
        at: Mapping[str, Any] | None = None, exposure: float | None = None, offset: float | None = None,
        groups: bool = True, allow_new_levels: bool = False, observations: str | None = None,
        callback: Callback | None = None,
    ) -> Path:  # fmt: skip
        """Predict the cells of a Grid into a cloud-optimised GeoTIFF, window by window: for maps of any size.

        The arguments are those of `geospde.export.windowed.predict_raster` and of `predict`.
        """
        from geospde.export.windowed import predict_raster

        return predict_raster(
            self, path, grid, quantiles=quantiles, exceed=exceed, layers=layers, crop=crop, unfinished=unfinished,
            at=at, exposure=exposure, offset=offset, groups=groups, allow_new_levels=allow_new_levels,
            observations=observations, callback=callback,
        )  # fmt: skip

    def predict_regions(
        self, areas: Any, *, weights: Any = None, kind: str = "mean", threshold: float | None = None, grid: Any = None,
        name: str | None = None, layer: str | None = None, at: Mapping[str, Sequence[Any]] | None = None,
        quantiles: Sequence[float] = (0.025, 0.5, 0.975), exceed: Sequence[float] = (), groups: bool = True,
        draws: int = 4000, seed: int | None = 0, observations: str | None = None,
        callback: Callback | None = None,
    ) -> Any:  # fmt: skip
        """Predict means, totals or shares above a threshold over areas, with all covariance between their cells.

        Parameters
        ----------
        areas : path, GeoDataFrame, GeoSeries or sequence of polygons
            In any CRS.
        weights : raster or array, optional
            Such as counts of people; by default the area.
        kind : {"mean", "total", "share"}
            Weighted mean, weighted sum, or share of the weight above `threshold`.
        threshold : float, optional
        grid : Grid, optional
            The cells; by default 150 along the longer side of the areas.
        name, layer : str, optional
            The column that names the areas; which layer of a file.
        at : mapping, optional
            Values of other columns, such as ``{"year": [2003, 2004]}``: an index by year.
        quantiles, exceed : sequence of float
            Levels of quantile columns; thresholds of columns ``exceed_<threshold>``.
        groups : bool
            False leaves the effects of groups out.
        draws, seed : int
            Of the quantiles under other links than identity and log, and of shares.
        observations : str, optional
            Which of several likelihoods, by its name.
        callback : callable, optional

        Returns
        -------
        RegionPrediction
            See `geospde.prediction.regions.regions.predict_regions`.
        """
        from geospde.prediction.regions.regions import predict_regions

        return predict_regions(
            self, areas, weights=weights, kind=kind, threshold=threshold, grid=grid, name=name, layer=layer, at=at,
            quantiles=quantiles, exceed=exceed, groups=groups, draws=draws, seed=seed, observations=observations,
            callback=callback,
        )  # fmt: skip

    def index(
        self, where: Any, along: str, values: Sequence[Any] | None = None, *, weights: Any = None, kind: str = "total",
        at: Mapping[str, Any] | None = None, quantiles: Sequence[float] = (0.025, 0.5, 0.975), groups: bool = True,
        draws: int = 4000, seed: int | None = 0, observations: str | None = None,
        callback: Callback | None = None,
    ) -> Any:  # fmt: skip
        """Sum up a region at each value of a column, such as a year; see `geospde.prediction.regions.index.index`."""
        from geospde.prediction.regions.index import index

        return index(
            self, where, along, values, weights=weights, kind=kind, at=at, quantiles=quantiles, groups=groups,
            draws=draws, seed=seed, observations=observations, callback=callback,
        )  # fmt: skip

    def effects(
        self,
        name: str | Sequence[str],
        *,
        at: Mapping[str, Any] | None = None,
        size: int = 100,
        surface: bool = False,
        quantiles: Sequence[float] = (0.025, 0.5, 0.975),
        offset: float = 0.0,
        observations: str | None = None,
    ) -> Effects:
        """Conditional effects of a covariate, such as ``"Days"``, or of two, ``"x2:fac"``.

        Parameters
        ----------
        name : str or sequence of str
        at : dict, optional
            Values of other covariates; by default numbers are at their mean and factors at their first level.
        size : int
            Points along a number.
        surface : bool
            Let both of two numbers run over their ranges.
        quantiles : sequence of float
        offset : float
            Adds to the predictor.
        observations : str, optional
            Which of several likelihoods the mean is of, by its name.

        Returns
        -------
        Effects
            See `geospde.results.effects.effects`.
        """
        return effects(
            self, name, at=at, size=size, surface=surface, quantiles=quantiles, offset=offset, observations=observations
        )

    @abstractmethod
    def hypothesis(self, text: str, level: float | None = None) -> Any:
        """Weigh ``"Days > 10"`` and its like."""

    @abstractmethod
    def check(self) -> Checks:
        """Look for what makes the figures doubtful, with remedies.

        Returns
        -------
        Checks
            A finding for each thing that was looked at, with a remedy where one is needed.
        """

    def save(self, path: str | Path) -> None:
        """Write ``path.npz`` and ``path.json``; `geospde.load_fit` reads them.

        Raises
        ------
        InputError
            Where the folder does not exist, or a prior was given as an object.
        """
        write_fit(self, path, self._stored())

    @abstractmethod
    def _stored(self) -> Stored:
        """What its kind of fit writes to disk, beside the model."""

    def describe(self) -> dict[str, Any]:
        """Settings and sizes, for reports."""
        return {
            **{k: v for k, v in self.settings.items() if v is not None},
            "observations": self.model.likelihood.n,
            "latent variables": self.laplace.n,
            "evaluations": self.laplace.evaluations,
            "factorisations": self.laplace.factorisations,
            "seconds": round(self.seconds, 3),
        }

    @abstractmethod
    def summary(self) -> None:
        """Print the fit."""

    # -- pictures -------------------------------------------------------------------------------------------

    def plot_hyper(self, names: Sequence[str] | None = None, ax: Any = None, *, prior: bool = True) -> NDArray[Any]:
        """Draw the hyperparameters, a panel each; see `geospde.plots.marginals.plot_hyper`."""
        from geospde.plots.marginals import plot_hyper

        return plot_hyper(self, names, ax, prior=prior)

    def plot_marginal(self, name: str | Mapping[str, float], ax: Axes | None = None, *, prior: bool = True) -> Axes:
        """Draw the density of one quantity; see `geospde.plots.marginals.plot_marginal`."""
        from geospde.plots.marginals import plot_marginal

        return plot_marginal(self, name, ax, prior=prior)

    def plot_random(self, term: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw the effects of a group's levels, sorted; see `geospde.plots.random_effects.plot_random`."""
        from geospde.plots.random_effects import plot_random

        return plot_random(self, term, ax)

    def plot_fitted(self, ax: Axes | None = None) -> Axes:
        """Draw fitted means against the observations; see `geospde.plots.fitted.plot_fitted`."""
        from geospde.plots.fitted import plot_fitted

        return plot_fitted(self, ax)

    def plot_predictive_check(
        self, ax: Axes | None = None, *, draws: int = 200, seed: int = 0, prior: bool = False
    ) -> Axes:
        """Draw what was observed among replicates; see `geospde.plots.fitted.plot_predictive_check`."""
        from geospde.plots.fitted import plot_predictive_check

        return plot_predictive_check(self, ax, draws=draws, seed=seed, prior=prior)

    def plot_residual_variogram(
        self, ax: Axes | None = None, *, kind: str = "quantile", permutations: int = 199, seed: int = 1
    ) -> Axes:
        """Draw the variogram of the residuals; see `geospde.plots.residuals.plot_residual_variogram`."""
        from geospde.plots.residuals import plot_residual_variogram

        return plot_residual_variogram(self, ax, kind=kind, permutations=permutations, seed=seed)
