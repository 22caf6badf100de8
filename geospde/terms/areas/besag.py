"""Intrinsic effects of areas, ``besag(g, graph=w)``: neighbours differ by little."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import Independent
from geospde.formula.formula import TermCall
from geospde.survey.graphs import Graph
from geospde.terms.areas.area import Area
from geospde.terms.base import Context
from geospde.terms.calls import default_sd, flag, own_prior
from geospde.terms.precisions.intrinsic import Intrinsic, generalised_inverse

Vector = NDArray[np.float64]


class Besag(Area):
    """Effects of which differences of neighbours are penalised, that sum to zero over each connected part.

    References
    ----------
    Besag, York & Mollié (1991), Ann. Inst. Statist. Math. 43, 1-20; for parts and islands Freni-Sterrantino,
    Ventrucci & Rue (2018), Spat. Spatio-temporal Epidemiol. 26, 25-34.
    """

    options = ("graph", "scale", "by")
    free_part = "the level of an island"
    without_free_part = "take scale=True, where islands have effects of their own"

    @classmethod
    def read(cls, call: TermCall, context: Context) -> "Besag":
        """Read a call; takes its prior out of the overrides.

        By default P(sd > s) = 0.05, where s is three standard deviations of the response, or 1 where the predictor is
        not in its unit, over the root mean square of ``by``.
        """
        areas = cls.areas_of(call, context)
        label = areas.label
        prior = Independent((own_prior(context, f"sd({label})", "sd", default_sd(context, areas.size)),))
        parts = structure_of(areas.graph, flag(call, "scale", True))
        precision = Intrinsic(
            parts.structure, parts.constraints, parts.rank_deficiency, parts.log_determinant, prior, label, parts.free
        )
        return cls(precision, areas)


@dataclass(frozen=True)
class Structure:
    """The precision of effects of areas for an sd of 1.

    Attributes
    ----------
    structure : (n, n) sparse matrix
    constraints : (n, k) array or None
        Ones over each connected part of two areas or more.
    rank_deficiency : int
    log_determinant : float
        Of what is not flat.
    free : (n, m) array or None
        Unit vectors of islands that nothing penalises.
    """

    structure: sp.csc_matrix
    constraints: Vector | None
    rank_deficiency: int
    log_determinant: float
    free: Vector | None


def structure_of(graph: Graph, scale: bool) -> Structure:
    """Sum of squared differences of neighbours.

    With `scale` the variances have geometric mean 1 in each connected part (Sørbye & Rue 2014, Spat. Stat. 8, 39-51),
    and the effect of an island is independent of all others, of variance 1. Without, nothing penalises it, as in
    R-INLA.
    """
    laplacian = sp.csc_matrix(sp.diags_array(graph.degrees) - graph.adjacency)
    numbers, sizes = graph.components, np.bincount(graph.components)
    parts = np.flatnonzero(sizes > 1)
    indicators = np.asarray(numbers[:, None] == parts, dtype=float)
    islands = np.flatnonzero(sizes[numbers] == 1)
    free = np.eye(graph.n)[:, islands]
    log_determinant, variances = generalised_inverse(laplacian, np.hstack([indicators, free]))
    if not scale:
        flat = len(parts) + islands.size
        return Structure(laplacian, indicators, flat, log_determinant, free if islands.size else None)
    logs = np.log(np.maximum(variances, 1e-300))
    factors = np.ones(graph.n)
    for part in parts:
        own = numbers == part
        factors[own] = np.exp(logs[own].mean())
        log_determinant += (own.sum() - 1) * logs[own].mean()
    structure = sp.diags_array(factors) @ laplacian
    structure = structure + sp.diags_array((sizes[numbers] == 1).astype(float))
    return Structure(sp.csc_matrix(structure), indicators, len(parts), log_determinant, None)
