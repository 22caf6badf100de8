"""A field that goes around barriers: ``spde(mesh, barrier=0.1)`` on a mesh with marked triangles."""

from math import log, pi

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import Independent, PCRange, PCSd
from geospde.mesh.trimesh import Mesh
from geospde.terms.precisions.spde.base import Call
from geospde.terms.precisions.spde.elements import full_mass, gradients, weighted_mass, weighted_stiffness
from geospde.terms.precisions.spde.operator import OperatorPrecision
from geospde.terms.precisions.spde.patterns import on_pattern, union_pattern

Vector = NDArray[np.float64]


class Barrier(OperatorPrecision):
    """``u - div(r² / 8 grad u) = r sqrt(pi / 2) sigma W``, where r is the range, and a fraction of it in barriers.

    Correlation goes through water, around land: what it would have to do through a barrier, it does in a fraction of
    the range.

    Parameters
    ----------
    mesh : Mesh
        With `barrier`, the triangles that are one.
    fraction : float
        Of the range, in barriers.
    constr : bool
        Condition the field on integrating to zero.
    label : str
        Name in tables.

    References
    ----------
    Bakka, Vanhatalo, Illian, Simpson & Rue (2019), Spat. Stat. 29, 268-288.
    """

    options = ("barrier",)

    def __init__(self, mesh: Mesh, fraction: float = 0.1, constr: bool = False, label: str = "spde"):
        assert mesh.barrier is not None  # what reads the formula refuses other meshes
        vertices, triangles = mesh.vertices, mesh.triangles
        self.n = len(vertices)
        self.label = label
        areas = gradients(vertices, triangles)[1]
        weights = np.where(mesh.barrier, fraction**2, 1.0)
        self.mass = weighted_mass(triangles, areas, weights, self.n)  # over r²
        self.areas = weighted_mass(triangles, areas, np.ones(len(triangles)), self.n)
        mass, stiffness = full_mass(triangles, areas, self.n), weighted_stiffness(vertices, triangles, weights)
        inverse = sp.diags_array(1.0 / self.mass)
        cross = mass @ inverse @ stiffness
        squares = [sp.csc_matrix(m) for m in (mass @ inverse @ mass, cross + cross.T, stiffness @ inverse @ stiffness)]
        self.edge_pattern = union_pattern([mass, stiffness])
        self._edges = np.column_stack([on_pattern(self.edge_pattern, m) for m in (mass, stiffness)])
        self.pattern = union_pattern(squares)
        self._basis = np.column_stack([on_pattern(self.pattern, m) for m in squares])
        if constr:
            self.constraints = self.areas[:, None]
        self.prior = Independent((PCRange(1.0, 0.5), PCSd(1.0, 0.05)))

    @classmethod
    def read(cls, call: Call) -> "Barrier":
        """The field of a ``spde(mesh, barrier=0.1)`` call."""
        fraction = call.options["barrier"]
        if not isinstance(fraction, (int, float)) or isinstance(fraction, bool) or not 0 < fraction < 1:
            raise InputError(
                f"barrier of spde is the fraction of the range that is left in barriers, such as 0.1: {call.text}"
            )
        if call.mesh.barrier is None:
            raise InputError(
                f"the mesh of {call.text} has no barriers",
                remedy="give gs.build_mesh(..., barrier=polygons), or gs.Mesh(vertices, triangles, barrier=mask)",
            )
        if call.mesh.barrier.all():
            raise InputError(
                f"all of the mesh of {call.text} is barrier, and none of it is left for a field",
                remedy="give as barrier what the field goes around, land for one at sea",
            )
        return cls(call.mesh, float(fraction), call.options.get("constr", False), call.label)

    def method_sentences(self, name: str) -> list[str]:
        """What the methods paragraph of a report says of it."""
        return [
            f"{name} is a barrier model: it solves u − ∇·(r²/8 ∇u) = r √(π/2) σ W, whose range r is cut to a fraction "
            "in barriers, so that correlation goes around them ({barrier}); it is carried by piecewise linear elements."
        ]

    def _powers(self, theta: Vector) -> tuple[Vector, Vector]:
        """Coefficients of the three products in Q, and their derivatives, (2, 3)."""
        squared = np.exp(2.0 * theta[0])
        values = 2.0 / pi * np.exp(-2.0 * theta[1]) / squared * np.array([1.0, squared / 8.0, (squared / 8.0) ** 2])
        return values, np.stack([np.array([-2.0, 0.0, 2.0]) * values, -2.0 * values])

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta)."""
        return self._basis @ self._powers(theta)[0]

    def gradients(self, theta: Vector) -> Vector:
        """Derivatives of `values` in each theta, (2, nnz)."""
        return (self._basis @ self._powers(theta)[1].T).T

    def operator(self, theta: Vector) -> tuple[Vector, Vector]:
        """``J + r² / 8 D``, with the full mass matrix J."""
        eighth = np.exp(2.0 * theta[0]) / 8.0
        slopes = np.zeros((2, len(self._edges)))
        slopes[0] = 2.0 * eighth * self._edges[:, 1]
        return self._edges @ np.array([1.0, eighth]), slopes

    def log_scale(self, theta: Vector) -> tuple[Vector, Vector]:
        """``½ log(2 / pi) - log sigma - log range``."""
        slopes = np.full((2, self.n), -1.0)
        return np.full(self.n, 0.5 * log(2 / pi) - theta[0] - theta[1]), slopes
