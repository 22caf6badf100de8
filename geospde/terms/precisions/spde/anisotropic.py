"""A field whose range depends on the direction: ``spde(mesh, anisotropy=True)``."""

from math import log, pi, sqrt
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import Gaussian, Independent, PCRange, PCSd, Prior
from geospde.mesh.trimesh import Mesh
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.spde.base import Call
from geospde.terms.precisions.spde.elements import gradients, stiffness_by_direction, weighted_mass
from geospde.terms.precisions.spde.operator import OperatorPrecision
from geospde.terms.precisions.spde.patterns import on_pattern, union_pattern

Vector = NDArray[np.float64]
PRIOR = (5.0, 0.05)  # P(ratio > 5) = 0.05


class Anisotropic(OperatorPrecision):
    """``(kappa² - div H grad) (tau u) = W`` with theta = (log range, log sigma, v1, v2).

    H = exp([[v1, v2], [v2, -v1]]) has determinant 1: along its first axis, at half the angle of v, the range is
    exp(|v| / 2) times `range`, across it `range` over that, so that exp(|v|) is their ratio. v = 0 is isotropic.

    Parameters
    ----------
    mesh : Mesh
    prior : (float, float)
        (r, p) of P(ratio > r) = p: v1 and v2 are independent Gaussians, so that all angles are alike.
    constr : bool
        Condition the field on integrating to zero.
    label : str
        Name in tables.

    References
    ----------
    Fuglstad, Lindgren, Simpson & Rue (2015), Statist. Sinica 25, 115-133; Llamazares-Elias, Latz & Lindgren (2024),
    arXiv:2409.02743, for the parametrisation; its determinant of 1 is also that of sdmTMB.
    """

    options = ("anisotropy", "prior_anisotropy")
    parameters = ("range", "sigma", "anisotropy_ratio", "anisotropy_angle")
    kinds = ("range", "sd", "", "")

    def __init__(self, mesh: Mesh, prior: tuple[float, float] = PRIOR, constr: bool = False, label: str = "spde"):
        vertices, triangles = mesh.vertices, mesh.triangles
        self.n = len(vertices)
        self.label = label
        areas = gradients(vertices, triangles)[1]
        self.mass = self.areas = weighted_mass(triangles, areas, np.ones(len(triangles)), self.n)
        c, g = sp.csc_matrix(sp.diags_array(self.mass)), stiffness_by_direction(vertices, triangles)
        inverse = sp.diags_array(1.0 / self.mass)
        squares = [
            sp.csc_matrix(g[a] @ inverse @ g[b] + (g[b] @ inverse @ g[a] if a != b else 0 * c))
            for a in range(3)
            for b in range(a, 3)
        ]
        self.edge_pattern = union_pattern([c, *g])
        self._edges = np.column_stack([on_pattern(self.edge_pattern, m) for m in (c, *g)])
        self.pattern = union_pattern([c, *g, *squares])
        self._basis = np.column_stack([on_pattern(self.pattern, m) for m in (c, *g, *squares)])
        if constr:
            self.constraints = self.areas[:, None]
        sd = log(prior[0]) / sqrt(-2.0 * log(prior[1]))
        precision = 1.0 / sd**2
        direction = Gaussian(0.0, precision, f"v, so that P(ratio > {prior[0]:g}) = {prior[1]:g}, any")
        self.prior = Independent((PCRange(1.0, 0.5), PCSd(1.0, 0.05), direction, direction))

    @classmethod
    def read(cls, call: Call) -> "Anisotropic":
        """The field of a ``spde(mesh, anisotropy=True, prior_anisotropy=(5, 0.05))`` call."""
        prior = call.options.get("prior_anisotropy", PRIOR)
        if call.options.get("anisotropy") is not True:
            raise InputError(f"anisotropy of spde is True, or left out: {call.text}")
        if not (isinstance(prior, (tuple, list)) and len(prior) == 2 and prior[0] > 1 and 0 < prior[1] < 1):
            raise InputError(f"prior_anisotropy takes (r, p), for P(ratio > r) = p, with r above 1: {call.text}")
        return cls(call.mesh, (float(prior[0]), float(prior[1])), call.options.get("constr", False), call.label)

    def default_priors(self, of_range: Prior, of_sigma: Prior) -> list[Prior]:
        """Those of range and sigma, and of v."""
        return [of_range, of_sigma, *self.prior.parts[2:]]  # type: ignore[attr-defined]

    def start(self, extent: float, unit: float) -> Vector:
        """Where a search begins: off v = 0, where the angle means nothing."""
        return np.array([*super().start(extent, unit)[:2], 0.1, 0.1])

    def hyperparameters(self) -> list[Hyperparameter]:
        """Range, sigma, the ratio of the longest range to the shortest, the angle of the longest in degrees."""
        own = super().hyperparameters()
        both = np.array([0.0, 0.0, 1.0, 1.0])
        for k, function, transform in ((2, _ratio, np.exp), (3, _angle, _degrees)):
            period = 180.0 if function is _angle else None
            own[k] = Hyperparameter(own[k].name, both, 0.0, own[k].prior, transform, function, period=period)
        return [*own, Hyperparameter(f"kappa({self.label})", -np.eye(4)[0], 0.5 * log(8.0))]

    def user(self, theta: Vector) -> Vector:
        """Theta on the user's scale."""
        return np.array([*np.exp(theta[:2]), *_ratio(theta[None, :]), *_angle(theta[None, :])])

    def shortest_range(self, theta: Vector) -> float:
        """The range across the first axis of H."""
        return float(np.exp(theta[0] - 0.5 * np.hypot(theta[2], theta[3])))

    def method_sentences(self, name: str) -> list[str]:
        """What the methods paragraph of a report says of it."""
        return [
            f"{name} solves the stochastic partial differential equation (κ² − ∇·H∇)(τu) = W, whose H of determinant "
            "1 makes its range depend on the direction ({anisotropy}; {spde}); it is carried by piecewise linear "
            "elements.",
            "Its range is the geometric mean of the longest and the shortest.",
        ]

    # -- the matrices ---------------------------------------------------------------------------------------

    @staticmethod
    def diffusion(theta: Vector) -> tuple[Vector, Vector]:
        """(H11, H12, H22), and its derivatives in v1 and v2, (2, 3)."""
        v = np.asarray(theta[2:4], dtype=float)
        length = float(np.hypot(*v))
        cosh = np.cosh(length)
        if length < 1e-3:  # by series, where the quotients lose their digits
            ratio, rest = 1.0 + length**2 / 6.0, 1.0 / 3.0 + length**2 / 30.0
        else:
            ratio = np.sinh(length) / length
            rest = (cosh - ratio) / length**2  # derivative of the ratio over the length
        h = np.array([cosh + ratio * v[0], ratio * v[1], cosh - ratio * v[0]])
        shape = np.array([v[0], v[1], -v[0]])
        slopes = np.stack([ratio * v[k] * np.array([1.0, 0.0, 1.0]) + rest * v[k] * shape for k in range(2)])
        slopes[0] += ratio * np.array([1.0, 0.0, -1.0])
        slopes[1] += ratio * np.array([0.0, 1.0, 0.0])
        return h, slopes

    def _coefficients(self, theta: Vector) -> tuple[Vector, Vector]:
        """Of all the basic matrices of Q, (10,), and their derivatives, (4, 10)."""
        h, of_h = self.diffusion(theta)
        squared = 8.0 * np.exp(-2.0 * theta[0])
        scale = np.exp(-2.0 * theta[1]) / (4 * pi * squared)  # tau²
        pairs = [(a, b) for a in range(3) for b in range(a, 3)]
        products = np.array([h[a] * h[b] for a, b in pairs])
        values = scale * np.concatenate([[squared**2], 2.0 * squared * h, products])
        powers = np.array([-2.0, 0, 0, 0, *([2.0] * 6)])  # of the range
        slopes = np.zeros((4, 10))
        slopes[0], slopes[1] = powers * values, -2.0 * values
        for k in range(2):
            of_products = [of_h[k, a] * h[b] + h[a] * of_h[k, b] for a, b in pairs]
            slopes[2 + k] = scale * np.concatenate([[0.0], 2.0 * squared * of_h[k], of_products])
        return values, slopes

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta)."""
        return self._basis @ self._coefficients(theta)[0]

    def gradients(self, theta: Vector) -> Vector:
        """Derivatives of `values` in each theta, (4, nnz)."""
        return (self._basis @ self._coefficients(theta)[1].T).T

    def operator(self, theta: Vector) -> tuple[Vector, Vector]:
        """``kappa² C + G_H``."""
        h, of_h = self.diffusion(theta)
        squared = 8.0 * np.exp(-2.0 * theta[0])
        slopes = np.zeros((4, 4))
        slopes[0, 0] = -2.0 * squared
        slopes[2:, 1:] = of_h
        return self._edges @ np.concatenate([[squared], h]), (self._edges @ slopes.T).T

    def log_scale(self, theta: Vector) -> tuple[Vector, Vector]:
        """Log tau."""
        value = -theta[1] - 0.5 * log(4 * pi) - 0.5 * log(8.0) + theta[0]
        slopes = np.zeros((4, self.n))
        slopes[0], slopes[1] = 1.0, -1.0
        return np.full(self.n, value), slopes


def _ratio(thetas: Vector) -> Vector:
    return np.asarray(np.exp(np.hypot(thetas[:, 2], thetas[:, 3])))


def _degrees(inner: Any) -> Any:
    """A scale of angles whose ends are beyond all there are."""
    return 3.0 * inner


def _angle(thetas: Vector) -> Vector:
    return np.asarray(np.degrees(0.5 * np.arctan2(thetas[:, 3], thetas[:, 2])))
