"""`PenalisedFit`: a model with smooths, fitted by UBRE, GCV or REML, as a user of additive models reads one."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from geospde.errors import InputError, LackingError
from geospde.likelihood.intervals import hyper_table, wald
from geospde.likelihood.smooths import Smooths, corrected_edf
from geospde.results.estimates import EstimatedFit
from geospde.results.state import level_between
from geospde.results.summaries.posterior import of_exposure
from geospde.text.keywords import answers_keywords
from geospde.text.notebook import frame_table


@answers_keywords
class PenalisedFit(EstimatedFit):
    """A model with smooths, as `mgcv` reports one; made by `geospde.fit`.

    Standard errors, of the coefficients of smooths, too, are Bayesian: from (X'WX + S)⁻¹ at the smoothing parameters
    found (Wood 2006, Aust. N. Z. J. Statist. 48, 445-464).

    Attributes
    ----------
    smooths : DataFrame
        A row a smooth: ``edf``, ``ref_df``, ``chi_sq`` (or ``F``), ``p``, ``sp``; see
        `geospde.likelihood.smooths.Smooths.table`.
    edf : float
        Effective degrees of freedom of the whole model.
    deviance, null_deviance, deviance_explained, r_squared : float
        R² is adjusted for the degrees of freedom.
    dispersion : float
        Estimated, or 1.
    score : float
        What was minimised: `score_name` is ``"UBRE"``, ``"GCV"`` or ``"-REML"``.
    log_likelihood, aic, bic : float
        Of the penalised fit, with `edf` parameters; the AIC after REML counts that the smoothing parameters are
        estimated.

    Examples
    --------
    >>> import geospde as gs
    >>> fit = gs.fit("y ~ s(x2, bs='gp')", gs.load_dataset("gamsim4"), method="reml")
    >>> fit.smooths.columns.tolist()
    ['edf', 'ref_df', 'F', 'p', 'sp']
    >>> fit.score_name
    '-REML'
    """

    _LACKS: ClassVar[Mapping[str, tuple[str, str]]] = {
        **EstimatedFit._LACKS,
        "profile": ("profile of its likelihood, which is penalised", "see confint"),
        "ml_maximum": ("maximum of an unpenalised likelihood", "see maximum"),
        "quadrature": ("quadrature over groups", "that is of method='ml' without smooths"),
    }

    @cached_property
    def _of(self) -> Smooths:
        return Smooths(self.model, self.laplace, self.point)

    def _in_one_number(self) -> str:
        return f"edf {self.edf:.2f}, {self.score_name} {self.score:.4f}"

    def _card_tables(self) -> list[str]:
        fixed, hyper = super()._card_tables()
        return [fixed, frame_table(self.smooths, "smooths"), hyper]

    # -- figures --------------------------------------------------------------------------------------------

    @property
    def smooths(self) -> pd.DataFrame:
        """A row a smooth."""
        return self._of.table

    @property
    def score_name(self) -> str:
        """What was minimised."""
        if self.method == "ubre":
            return "GCV" if self._of.has_dispersion else "UBRE"
        return f"-{self.method.upper()}"

    @property
    def score(self) -> float:
        """Its value: minus the log likelihood, or the error of prediction."""
        if self.method != "ubre":
            return -self.maximum.log_likelihood
        n, scale = self.model.likelihood.n, self.dispersion
        if self._of.has_dispersion:
            return n * self.deviance / (n - self.edf) ** 2
        return self.deviance / n + 2.0 * scale * self.edf / n - scale

    @property
    def edf(self) -> float:
        """Effective degrees of freedom, fixed effects included."""
        return self._of.edf

    @property
    def n_parameters(self) -> float:
        """Effective degrees of freedom, a dispersion counting as one more."""
        return self.edf + self._of.has_dispersion

    @property
    def deviance(self) -> float:
        """Of the fit, in units of the dispersion."""
        return self._of.deviance

    @property
    def null_deviance(self) -> float:
        """Of the intercept and the offset alone."""
        return self._of.null_deviance

    @property
    def deviance_explained(self) -> float:
        """Share of the null deviance."""
        return 1.0 - self.deviance / self.null_deviance

    @property
    def r_squared(self) -> float:
        """Adjusted share of the variance of the responses."""
        return self._of.r_squared

    @property
    def dispersion(self) -> float:
        """Variance of a response over its variance function."""
        return self._of.dispersion

    @property
    def log_likelihood(self) -> float:
        """Of the penalised fit, with a dispersion at its best for the means."""
        return self._of.log_likelihood

    @property
    def reml_criterion(self) -> float:
        """Minus twice the restricted log likelihood; other methods than REML have none."""
        if self.method != "reml":
            raise LackingError(f"a fit by method {self.method!r} has no REML criterion: fit with method='reml'")
        return 2.0 * self.score

    @cached_property
    def aic(self) -> float:
        """Conditional, with effective degrees of freedom; after REML with those of Wood, Pya & Säfken (2016)."""
        edf = self.edf
        if self.method == "reml" and np.isfinite(self.maximum.covariance).all():
            edf = corrected_edf(self.unpriored, self.maximum)
        return -2.0 * self.log_likelihood + 2.0 * (edf + self._of.has_dispersion)

    @cached_property
    def criteria(self) -> dict[str, float]:
        """Score, log likelihood, AIC, BIC and effective degrees of freedom."""
        return {
            self.score_name: self.score,
            "log_likelihood": self.log_likelihood,
            "aic": self.aic,
            "bic": -2.0 * self.log_likelihood + self.n_parameters * float(np.log(self.model.likelihood.n)),
            "edf": self.edf,
        }

    # -- tables ---------------------------------------------------------------------------------------------

    @cached_property
    def fixed(self) -> pd.DataFrame:
        """Fixed effects: with z, or with t and the residual degrees of freedom where the dispersion is estimated."""
        estimate, se = self.maximum.fixed, np.sqrt(np.diag(self.maximum.fixed_covariance))
        table = pd.DataFrame({"estimate": estimate, "se": se}, index=pd.Index(self.model.effects.names))
        ratio = estimate / se
        if self._of.has_dispersion:
            df = self.model.likelihood.n - self.edf
            table["df"], table["t"], table["p"] = df, ratio, 2.0 * stdtr(df, -np.abs(ratio))
            reach = stdtrit(df, 0.975)
        else:
            table["z"], table["p"], reach = ratio, 2.0 * ndtr(-np.abs(ratio)), ndtri(0.975)
        table["lower"], table["upper"] = estimate - reach * se, estimate + reach * se
        return table

    @cached_property
    def random(self) -> pd.DataFrame:
        """Coefficients of the smooths and other random terms."""
        first, pattern = self.laplace.n_random, self.laplace.pattern
        variance = self.point.covariance[pattern.indptr[:first]]
        return wald(self.point.x[:first], np.sqrt(variance), self.model.latent_names)

    def variance_components(self, level: float = 0.95) -> pd.DataFrame:
        """Standard deviations of the smooths and of the residual, as `mgcv`'s ``gam.vcomp`` has them.

        That of a ``bs="gp"`` smooth is of its departure from the linear trend over the data, a priori; `mgcv` scales
        its kernel's coefficients otherwise, by a constant. Intervals are Wald's on the logarithm, after REML alone.

        Returns
        -------
        DataFrame
            ``sd``, ``lower``, ``upper``.
        """
        table = hyper_table(self.model, self.maximum, level_between(level))[["estimate", "lower", "upper"]]
        own = [name for name in table.index if name.startswith("sd(") or name == "sigma"]
        return table.loc[own].rename(columns={"estimate": "sd"})

    def confint(
        self, names: str | Sequence[str] | None = None, *, method: str = "wald", level: float = 0.95
    ) -> pd.DataFrame:
        """Confidence intervals by standard errors.

        Parameters
        ----------
        names : str or sequence of str, optional
            Rows of `hyper` and `fixed`; by default all.
        method : {"wald"}
            Of the fixed effects with normal quantiles, of the hyperparameters on the scale of logarithms.
        level : float

        Returns
        -------
        DataFrame
            ``lower``, ``upper``, a row a name.

        Raises
        ------
        InputError
            For names, methods and levels that there are not.
        """
        if method == "profile":
            raise InputError("a fit with smooths has intervals by standard errors alone: method='wald'")
        if method != "wald":
            raise InputError(f"an interval is by 'wald', not {method!r}")
        return self._wald_intervals(self._parameters(names), level_between(level))

    def describe(self) -> dict[str, Any]:
        """Settings and sizes, for reports."""
        return {**super().describe(), "parameters": round(self.n_parameters, 3), self.score_name: self.score}

    def _text(self) -> str:
        def block(title: str, frame: pd.DataFrame) -> list[str]:
            return ["", title, frame.to_string(float_format=lambda v: f"{v:.5g}")] if len(frame) else []

        by = self.score_name.removeprefix("-")
        ends = f"{self.score_name} {self.score:.4f}   AIC {self.aic:.2f}   dispersion {self.dispersion:.4g}"
        if self._of.is_exponential:
            ends = (
                f"R² (adjusted) {self.r_squared:.4f}   deviance explained {100 * self.deviance_explained:.2f} %\n{ends}"
            )
        lines = [
            f"Additive model by {by}",
            self.formula,
            f"{self.family} ({self.model.family.link.name} link), {self.model.likelihood.n} observations, "
            f"{self.edf:.2f} effective degrees of freedom{of_exposure(self)}",
            *block("Fixed effects", self.fixed),
            *(["", self.model.effects.left_out] if self.model.effects.dropped else []),
            *block("Smooths", self.smooths),
            *block("Standard deviations", self.variance_components()),
            "",
            ends,
            *self.notes,
        ]
        return "\n".join(lines)
