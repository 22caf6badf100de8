"""Effects of areas, ``bym2(g, graph=w)``: in part alike among neighbours, in part independent."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from geospde.families.pc import PCMixing
from geospde.families.priors import Independent, PCSd
from geospde.formula.formula import TermCall
from geospde.terms.areas.area import Area
from geospde.terms.areas.besag import structure_of
from geospde.terms.base import Context, Variable
from geospde.terms.calls import own_prior
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.mixed import Mixed

Vector = NDArray[np.float64]


class Bym2(Area):
    """Effects ``sd (sqrt(1 - phi) v + sqrt(phi) u)``: v independent, u as of `Besag`, scaled.

    The latent variables are the effects, and u.
    """

    precision: Mixed

    @classmethod
    def read(cls, call: TermCall, context: Context) -> "Bym2":
        """Read a call; takes its priors out of the overrides.

        The default priors are R-INLA's: P(sd > 1) = 0.01, or for a response with a unit three standard deviations of
        it, over the root mean square of ``by``, and the PC prior of phi with P(phi < 0.5) = 0.5.
        """
        areas = cls.areas_of(call, context)
        label = areas.label
        parts = structure_of(areas.graph, True)
        assert parts.constraints is not None
        precision = Mixed(parts.structure, parts.constraints, parts.log_determinant, Independent(()), label)
        unit = context.likelihood.unit
        largest = (1.0 if unit is None else float(f"{3 * unit:.2g}")) / areas.size
        sd = PCSd(largest, 0.01) if context.defaults is None else None
        of_sd = own_prior(context, f"sd({label})", "sd", sd or context.defaults.sd())  # type: ignore[union-attr]
        of_phi: Any = own_prior(context, f"phi({label})", "mixing", PCMixing(0.5, 0.5))
        if isinstance(of_phi, PCMixing):
            of_phi = of_phi.of(precision.eigenvalues)
        precision.prior = Independent((of_sd, of_phi))
        return cls(precision, areas)

    @property
    def identities(self) -> tuple[Any, ...]:
        """What neighbours share, and the independent effects that ``(1 | g)`` has, or ``(0 + by | g)``, too."""
        return (*super().identities, ("independent", self.column, *self._multiplied))

    def names(self) -> list[str]:
        """Names of the latent variables: the effects, then what neighbours share of them."""
        return [*super().names(), *(f"{self.label}[shared, {label}]" for label in self.graph.labels)]

    def variables(self) -> list[Variable]:
        """Effects, and what neighbours share, along the areas."""
        m, labels, dimension = self.graph.n, list(self.graph.labels), f"{self.column}_area"
        shared = Variable(f"{self.label}[shared]", dimension, labels, m + np.arange(m))
        return [Variable(self.label, dimension, labels, np.arange(m)), shared]

    def hyperparameters(self) -> list[Hyperparameter]:
        """Standard deviation, and the share of variance that neighbours have in common."""
        first, second = super().hyperparameters()
        return [first, Hyperparameter(second.name, second.direction, 0.0, second.prior, expit)]
