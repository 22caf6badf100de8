"""Proper autoregressions over areas: ``car(g, graph=w)`` and ``sar(g, graph=w)``."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit

from geospde.families.pc import correlation
from geospde.families.priors import Gaussian, Independent
from geospde.formula.formula import TermCall
from geospde.survey.graphs import Graph
from geospde.terms.areas.area import Area
from geospde.terms.base import Context
from geospde.terms.calls import default_sd, own_prior
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.neighbours import Neighbours

Vector = NDArray[np.float64]


class Car(Area):
    """Conditional autoregression: given all others the mean of an area is rho times that of its neighbours.

    The precision is ``(D - rho W) / sd²``, D the numbers of neighbours, rho between 0 and 1: the variance given the
    others is sd² over the number of neighbours, or sd² of an island.
    """

    precision: Neighbours
    signed = False
    shares = "conditional"

    @classmethod
    def read(cls, call: TermCall, context: Context) -> "Car":
        """Read a call; takes its priors out of the overrides.

        By default P(sd > s) = 0.05, where s is three standard deviations of the response, or 1 where the predictor is
        not in its unit, over the root mean square of ``by``, and the logit of rho is Gaussian, of mean 0 and precision
        0.15.
        """
        areas = cls.areas_of(call, context)
        label = areas.label
        sd = own_prior(context, f"sd({label})", "sd", default_sd(context, areas.size))
        kind = "autocorrelation" if cls.signed else "probability"
        rho = own_prior(context, f"rho({label})", kind, Gaussian(0.0, 0.15, "logit"))
        return cls(Neighbours(*cls.parts(areas.graph), cls.signed, Independent((sd, rho)), label), areas)

    @staticmethod
    def parts(graph: Graph) -> tuple[sp.csc_matrix, sp.csc_matrix, sp.csc_matrix]:
        """A, B and C of the precision A + rho B + rho² C."""
        degrees, n = np.maximum(graph.degrees, 1.0), graph.n
        return sp.csc_matrix(sp.diags_array(degrees)), sp.csc_matrix(-graph.adjacency), sp.csc_matrix((n, n))

    def hyperparameters(self) -> list[Hyperparameter]:
        """Standard deviation and rho."""
        first, second = super().hyperparameters()
        transform = correlation if self.signed else expit
        return [first, Hyperparameter(second.name, second.direction, 0.0, second.prior, transform)]


class Sar(Car):
    """Simultaneous autoregression: an area is rho times the mean of its neighbours, and an error of variance sd².

    The precision is ``(I - rho M)'(I - rho M) / sd²``, M with rows of equal weights that sum to one, rho between -1 and
    1.
    """

    signed = True
    shares = "simultaneous"

    @staticmethod
    def parts(graph: Graph) -> tuple[sp.csc_matrix, sp.csc_matrix, sp.csc_matrix]:
        """A, B and C of the precision A + rho B + rho² C."""
        means = sp.csc_matrix(sp.diags_array(1.0 / np.maximum(graph.degrees, 1.0)) @ graph.adjacency)
        return sp.identity(graph.n, format="csc"), sp.csc_matrix(-means - means.T), sp.csc_matrix(means.T @ means)
