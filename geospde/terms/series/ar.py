"""Autoregressive series along steps: ``ar1(t)`` and ``ar(t, order=2)``."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.pc import correlation
from geospde.families.priors import Gaussian, Independent, PCCor0, Prior
from geospde.formula.covariates import Covariates
from geospde.formula.formula import TermCall
from geospde.terms.base import Context, LatentTerm, Variable
from geospde.terms.calls import default_sd, multiplier, one_column, own_prior, refuse_unknown, whole_number
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.autoregressive import Autoregressive
from geospde.terms.rows import times
from geospde.terms.series.forecast import rows_of_steps
from geospde.terms.series.lattice import Lattice

Vector = NDArray[np.float64]


class Autoregression(LatentTerm):
    """A stationary autoregressive series over the steps of a column, from its least to its largest value.

    Steps that the data have not are there, too. A prediction before the first step or after the last is a forecast,
    whose variance grows to that of the series.

    Attributes
    ----------
    precision : Autoregressive
    covariates : Covariates
        The column.
    by : Covariates or None
        What the series multiplies: then it is a coefficient.
    lattice : Lattice
    """

    precision: Autoregressive
    first_order = False  # whether the call is of ar1

    follows_all = True

    def __init__(
        self, precision: Autoregressive, covariates: Covariates, lattice: Lattice, by: Covariates | None, by_size: float
    ):
        self.precision = precision
        self.covariates = covariates
        self.by = by
        self.function_of = covariates.names + (() if by is None else by.names)
        self.lattice = lattice
        self.time_column = covariates.names[0]
        self._size = by_size

    @classmethod
    def read(cls, call: TermCall, context: Context) -> "Autoregression":
        """Read a call; takes its priors out of the overrides.

        By default P(sd > s) = 0.05, where s is three standard deviations of the response, or 1 where the predictor is
        not in its unit, over the root mean square of ``by``. The correlation of neighbours has R-INLA's default, a
        Gaussian of mean 0 and precision 0.15 on its logit; of higher orders the k-th partial autocorrelation r has
        R-INLA's P(|r| > 0.5) = 0.5, 0.4, 0.3, 0.2, 0.1.

        Raises
        ------
        InputError
            For other than one column of numbers that have a step in common, and fewer of them than the order asks for.
        """
        refuse_unknown(call, ("by",) if cls.first_order else ("order", "by"))
        order = 1 if cls.first_order else whole_number(call, "order", 2, 1)
        covariates, values = one_column(call, context, f"{call.name}(t)")
        by, factors = multiplier(call, context)
        lattice = Lattice.of(values, call.text)
        if lattice.size < order + 2:
            raise InputError(f"{call.text} needs {order + 2} steps or more, and there are {lattice.size}")
        names = ", ".join((*covariates.names, *(by.names if by else ())))
        label = context.label(f"{call.name}({names})")
        size = float(np.sqrt((factors**2).mean()))
        parts: list[Prior] = [own_prior(context, f"sd({label})", "sd", default_sd(context, size))]
        for k in range(order):
            name = f"rho({label})" if order == 1 else f"pacf{k + 1}({label})"
            default: Prior = Gaussian(0.0, 0.15, "logit") if order == 1 else PCCor0(0.5, max(0.5 - 0.1 * k, 0.1))
            parts.append(own_prior(context, name, "autocorrelation", default))
        return cls(Autoregressive(lattice.size, order, Independent(tuple(parts)), label), covariates, lattice, by, size)

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> Any:
        """Rows of the design: the step that a row is at; of a prediction beyond the steps, the forecast.

        Raises
        ------
        InputError
            For a value between two steps.
        """
        x = self.covariates.values(table, points)[:, 0]
        step = self.lattice.steps(x, self.label, table.index.to_numpy())
        block = rows_of_steps(step, self.n, self.conditional)
        return block if self.by is None else times(block, self.by.values(table, points)[:, 0])

    def places(self, column: str) -> Vector | None:
        """The steps."""
        return self.lattice.places if column == self.covariates.names[0] else None

    def hyperparameters(self) -> list[Hyperparameter]:
        """The standard deviation, then the (partial) autocorrelations."""
        first, *others = super().hyperparameters()
        return [first, *(Hyperparameter(h.name, h.direction, 0.0, h.prior, correlation) for h in others)]

    @property
    def identities(self) -> tuple[Any, ...]:
        """Its order, and what it goes along and multiplies."""
        return (("autoregression", self.precision.order, self.function_of),)

    def start(self, unit: float) -> Vector:
        """Half the predictor's scale, and neighbours that are somewhat alike."""
        return np.array([np.log(0.5 * unit / self._size), 1.0, *(0.3,) * (self.precision.order - 1)])

    def names(self) -> list[str]:
        """Names of the latent variables: the steps."""
        return [f"{self.label}[{value:.12g}]" for value in self.lattice.places]

    def variables(self) -> list[Variable]:
        """The series, along its steps."""
        return [Variable(self.label, f"{self.label}_step", self.lattice.places, np.arange(self.n))]

    def conditional(self, theta: Vector, ahead: NDArray[np.intp]) -> tuple[Vector, Vector]:
        """What the steps at an end tell of those so many beyond it; see `geospde.terms.series.forecast.Forecast`."""
        near = np.arange(self.precision.order)
        acf = self.precision.autocorrelations(theta, int(ahead[-1]) + near.size)
        known, cross = acf[np.abs(near[:, None] - near)], acf[ahead[:, None] + near]
        weights = np.linalg.solve(known, cross.T).T
        values, vectors = np.linalg.eigh(acf[np.abs(ahead[:, None] - ahead)] - weights @ cross.T)
        return weights, np.exp(theta[0]) * vectors * np.sqrt(np.maximum(values, 0.0))


class FirstOrder(Autoregression):
    """``ar1(t)``: neighbours have correlation rho, those k steps apart rho to the k-th."""

    first_order = True
