"""A pattern of a period that changes slowly: ``seasonal(t, period=12)``."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import Independent
from geospde.formula.covariates import Covariates
from geospde.formula.formula import TermCall
from geospde.terms.base import Context, LatentTerm, Variable
from geospde.terms.calls import default_sd, flag, one_column, own_prior, refuse_unknown, whole_number
from geospde.terms.precisions.intrinsic import Intrinsic
from geospde.terms.series.forecast import rows_of_steps
from geospde.terms.series.lattice import Lattice

Vector = NDArray[np.float64]


class Seasonal(LatentTerm):
    """Effects of the steps of a column, of which any period's sum has mean zero and variance sd².

    A pattern that repeats exactly costs nothing. A prediction beyond the steps repeats it, ever less surely.

    Attributes
    ----------
    precision : Intrinsic
    covariates : Covariates
        The column.
    lattice : Lattice
    period : int

    References
    ----------
    Rue & Held (2005), Gaussian Markov Random Fields, section 3.4.3.
    """

    precision: Intrinsic
    free_part = "the pattern that repeats"
    without_free_part = "take a period of which the data have every step"

    def __init__(self, precision: Intrinsic, covariates: Covariates, lattice: Lattice, period: int):
        self.precision = precision
        self.covariates = covariates
        self.function_of = covariates.names
        self.lattice = lattice
        self.period = period

    @classmethod
    def read(cls, call: TermCall, context: Context) -> "Seasonal":
        """Read a call; takes its prior out of the overrides.

        By default P(sd > s) = 0.05, where s is three standard deviations of the response, or 1 where the predictor is
        not in its unit. With ``scale=True`` the sd is that of the effects apart from what repeats.

        Raises
        ------
        InputError
            For other than one column of numbers with a step in common, and less than a period of them.
        """
        refuse_unknown(call, ("period", "scale"))
        if "period" not in call.options:
            raise InputError(f"seasonal has a period, as in seasonal(month, period=12): {call.text}")
        period = whole_number(call, "period", 12, 2)
        covariates, values = one_column(call, context, "seasonal(t, period=12)")
        lattice = Lattice.of(values, call.text)
        if lattice.size <= period:
            raise InputError(f"{call.text} needs more than a period of steps, and there are {lattice.size}")
        label = context.label(f"seasonal({covariates.names[0]})")
        prior = own_prior(context, f"sd({label})", "sd", default_sd(context))
        windows = sp.diags_array(
            [np.ones(lattice.size)] * period, offsets=list(range(period)),
            shape=(lattice.size - period + 1, lattice.size),
        ).tocsr()  # fmt: skip
        null = np.eye(period)[:, :-1]
        null[-1] = -1.0
        null = null[np.arange(lattice.size) % period]
        precision = Intrinsic.of_structure(
            sp.csc_matrix(windows.T @ windows), null, None, scale=flag(call, "scale", False),
            prior=Independent((prior,)), label=label, unpenalised=null,
        )  # fmt: skip
        return cls(precision, covariates, lattice, period)

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> Any:  # noqa: ARG002
        """Rows of the design: the step that a row is at; of a prediction beyond the steps, the forecast.

        Raises
        ------
        InputError
            For a value between two steps.
        """
        x = self.covariates.values(table, points)[:, 0]
        return rows_of_steps(self.lattice.steps(x, self.label, table.index.to_numpy()), self.n, self.conditional)

    def conditional(self, theta: Vector, ahead: NDArray[np.intp]) -> tuple[Vector, Vector]:
        """What the steps at an end tell of those so many beyond it; see `geospde.terms.series.forecast.Forecast`."""
        furthest, known = int(ahead[-1]), self.period - 1
        # each step is minus the sum of those before it that complete a period, and an error
        weights, errors = np.zeros((known + furthest, known)), np.zeros((known + furthest, furthest))
        weights[:known] = np.eye(known)[::-1]
        for k in range(known, known + furthest):
            weights[k] = -weights[k - known : k].sum(axis=0)
            errors[k] = -errors[k - known : k].sum(axis=0)
            errors[k, k - known] = 1.0
        sd = np.exp(theta[0]) / np.sqrt(self.precision.scaling)
        at = known - 1 + ahead
        return weights[at], sd * errors[at]

    def places(self, column: str) -> Vector | None:
        """The steps."""
        return self.lattice.places if column in self.function_of else None

    def start(self, unit: float) -> Vector:
        """A tenth of the predictor's scale: patterns mostly repeat."""
        return np.log([0.1 * unit])

    def names(self) -> list[str]:
        """Names of the latent variables: the steps."""
        return [f"{self.label}[{value:.12g}]" for value in self.lattice.places]

    def variables(self) -> list[Variable]:
        """The effects, along their steps."""
        return [Variable(self.label, f"{self.label}_step", self.lattice.places, np.arange(self.n))]
