"""A Matérn field of any smoothness as a sum of sparse fields: ``spde(mesh, nu=0.5)``, ``spde(mesh, nu="estimate")``."""

from functools import cached_property
from math import comb, isclose, log, pi
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import Independent, LogitBeta, PCRange, PCSd, Prior
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.determinant import DeterminantCurve
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.spde.base import Call, FieldPrecision
from geospde.terms.precisions.spde.best_rational import (
    Fractions,
    best_fractions,
    interpolated_fractions,
    whole_power,
)
from geospde.terms.precisions.spde.patterns import on_pattern, union_pattern

Vector = NDArray[np.float64]
SMOOTHEST = 3.0
LARGEST_ESTIMATE = 2.0  # of nu: a field of order 3, and of the pattern that this needs
ORDERS = (2, 3, 4)


class RationalMatern(FieldPrecision):
    """A Matérn field with any smoothness nu, theta = (log range, log sigma) or (log range, log sigma, logit(nu / 2)).

    The field is a sum of independent ones, of precisions ``C (L^power) (L + pole) / scale`` with
    L = C⁻¹G / kappa² + 1, whose spectra are the fractions of `geospde.terms.precisions.spde.best_rational`; for a whole
    number nu it is one field, exact as far as finite elements are.

    Parameters
    ----------
    mass : (n,) array
        Diagonal of the lumped mass matrix C.
    stiffness : (n, n) sparse matrix
        Stiffness matrix G.
    nu : float or None
        0 < nu <= 3; None where it is estimated, between 0 and 2.
    order : int
        Number of fields, 2, 3 or 4.
    constr : bool
        Condition the field on integrating to zero.
    label : str
        Name in tables.

    References
    ----------
    Bolin, Simas & Xiong (2024), J. Comput. Graph. Stat. 33, 64-74.
    """

    options = ("nu", "order")

    def __init__(
        self,
        mass: NDArray[np.floating],
        stiffness: Any,
        nu: float | None,
        order: int = 2,
        constr: bool = False,
        label: str = "spde",
    ):
        self.mass = np.asarray(mass, dtype=float)
        self.nu = nu
        self.order = order
        self.label = label
        self.is_rough = nu is not None and nu < 1
        self._fractions = None if nu is None else _fractions(nu, order)
        self.layers = order if self._fractions is None else self._fractions.poles.size
        highest = int(LARGEST_ESTIMATE) + 1 if self._fractions is None else self._fractions.power + 1
        size = self.mass.size
        self.n = size * self.layers
        g = sp.csc_matrix(stiffness, dtype=float)
        step = sp.csc_matrix(sp.diags_array(1.0 / self.mass) @ g)
        matrices = [sp.csc_matrix(sp.diags_array(self.mass)), g]
        for _ in range(highest - 1):
            matrices.append(sp.csc_matrix(matrices[-1] @ step))
        one = union_pattern(matrices)
        self._basis = np.column_stack([on_pattern(one, m) for m in matrices])
        self.pattern = sp.block_diag([one] * self.layers, format="csc")
        self.pattern.sort_indices()
        self.edge_pattern = union_pattern(matrices[:2])
        self.stiffness = g
        if constr:
            self.constraints = np.tile(self.mass, self.layers)[:, None]
        of_nu: tuple[Prior, ...] = ()
        if nu is None:
            self.parameters, self.kinds = ("range", "sigma", "nu"), ("range", "sd", "nu")
            of_nu = (LogitBeta(2.0, 2.0, LARGEST_ESTIMATE),)
        self.prior = Independent((PCRange(1.0, 0.5), PCSd(1.0, 0.05), *of_nu))

    @classmethod
    def read(cls, call: Call) -> "RationalMatern":
        """The field of a ``spde(mesh, nu=)`` call, with the number of fields as ``order=``."""
        nu, order, constr = (call.options.get(o, d) for o, d in (("nu", None), ("order", None), ("constr", False)))
        if nu is None:
            raise InputError(f"order is how many fields stand for one of smoothness nu: give nu, too, in {call.text}")
        if nu != "estimate":
            if not isinstance(nu, (int, float)) or isinstance(nu, bool) or not 0.01 <= nu <= SMOOTHEST:
                raise InputError(f"nu of spde is a number from 0.01 to {SMOOTHEST:g}, or 'estimate': {call.text}")
            nu = float(nu)
        if order is not None and (isinstance(order, bool) or order not in ORDERS):
            raise InputError(f"order of spde, how many fields stand for one, is 2, 3 or 4: {call.text}")
        if order is None:
            order = 4 if nu != "estimate" and nu < 1 else 2
        matrices = fem_matrices(call.mesh.vertices, call.mesh.triangles)
        return cls(*matrices, nu=None if nu == "estimate" else nu, order=order, constr=constr, label=call.label)

    def default_priors(self, of_range: Prior, of_sigma: Prior) -> list[Prior]:
        """Those of range and sigma, and Beta(2, 2) for nu / 2."""
        return [of_range, of_sigma, *self.prior.parts[2:]]  # type: ignore[attr-defined]

    def start(self, extent: float, unit: float) -> Vector:
        """Where a search begins: at nu = 0.7, beside the whole number 1, where another sum of fractions takes over."""
        out = super().start(extent, unit)
        out[2:] = -log(LARGEST_ESTIMATE / 0.7 - 1.0)
        return out

    def hyperparameters(self) -> list[Hyperparameter]:
        """Range, sigma, perhaps nu, and kappa = sqrt(8 nu) / range."""
        own = super().hyperparameters()
        direction = -np.eye(len(own))[0]
        if self.nu is not None:
            return [*own, Hyperparameter(f"kappa({self.label})", direction, 0.5 * log(8 * self.nu))]
        own[2] = Hyperparameter(own[2].name, own[2].direction, 0.0, own[2].prior, _nu)
        direction[2] = 1.0  # which thetas enter
        kappa = Hyperparameter(f"kappa({self.label})", direction, function=_kappa)
        return [*own, kappa]

    def user(self, theta: Vector) -> Vector:
        """Theta on the user's scale."""
        return np.array([*np.exp(theta[:2]), *_nu(theta[2:])])

    def method_sentences(self, name: str) -> list[str]:
        """What the methods paragraph of a report says of it."""
        nu = "estimated smoothness ν" if self.nu is None else f"smoothness {self.nu:g}"
        how = f"the sum of {self.layers} fields with" if self.layers > 1 else "a field with"
        return [
            f"{name} has a Matérn covariance of {nu}, as {how} sparse precision matrices on piecewise linear elements: "
            "a rational approximation of its spectrum ({rational}; {spde}).",
            "Its range is √(8ν)/κ, where correlation has fallen to about 0.1.",
        ]

    # -- the matrices ---------------------------------------------------------------------------------------

    def _state(self, theta: Vector) -> tuple[float, float, Fractions, Vector]:
        """Nu, log kappa, the fractions, and d log kappa / d theta."""
        slope = np.zeros(len(self.parameters))
        slope[0] = -1.0
        if self.nu is not None:
            assert self._fractions is not None
            return self.nu, 0.5 * log(8 * self.nu) - theta[0], self._fractions, slope
        nu = float(_nu(theta[2]))
        slope[2] = 0.5 / nu * self._nu_slope(nu)
        return nu, 0.5 * log(8 * nu) - theta[0], _interpolated(nu, self.order), slope

    @staticmethod
    def _nu_slope(nu: float) -> float:
        """Derivative of nu in its theta."""
        return nu * (1.0 - nu / LARGEST_ESTIMATE)

    def _scales(self, theta: Vector, nu: float, form: Fractions) -> tuple[Vector, Vector]:
        """Log of what each field's ``kappa² K_1 ... K_pole / kappa^(2 power + 2)`` is multiplied with; derivatives."""
        values = -2.0 * theta[1] - log(4 * pi * nu) - np.log(form.shares) - np.log1p(form.poles)
        slopes = np.zeros((len(self.parameters), self.layers))
        slopes[1] = -2.0
        if self.nu is None:
            of_pole = form.poles / (1.0 + form.poles) * form.pole_slopes
            slopes[2] = -(1.0 / nu + form.share_slopes + of_pole) * self._nu_slope(nu)
        return values, slopes

    def _coefficients(self, theta: Vector) -> tuple[Vector, Vector]:
        """Of C, G, G C⁻¹ G, ... in each field's precision, (k, layers), and their derivatives, (d, k, layers)."""
        nu, log_kappa, form, of_kappa = self._state(theta)
        scales, of_scales = self._scales(theta, nu, form)
        count, m = self._basis.shape[1], form.power
        k = np.arange(count)
        first = np.array([comb(m, j) for j in k], dtype=float)  # of (1 + y)^m
        shifted = np.array([comb(m, j - 1) if j else 0 for j in k], dtype=float)  # of y (1 + y)^m
        powers = 2.0 * (1.0 - k)
        factor = np.exp(scales + (powers * log_kappa)[:, None])
        values = factor * (np.multiply.outer(first, 1.0 + form.poles) + shifted[:, None])
        slopes = values * (of_scales[:, None, :] + np.multiply.outer(of_kappa, powers)[:, :, None])
        if self.nu is None:
            slopes[2] += factor * np.multiply.outer(first, form.poles * form.pole_slopes) * self._nu_slope(nu)
        return values, slopes

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta), field by field."""
        return (self._basis @ self._coefficients(theta)[0]).T.ravel()

    def gradients(self, theta: Vector) -> Vector:
        """Derivatives of `values` in each theta, (d, nnz)."""
        return np.stack([(self._basis @ of).T.ravel() for of in self._coefficients(theta)[1]])

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """By the determinants of the sparser matrices that each precision is a product of, which stand on one curve."""
        nu, log_kappa, form, of_kappa = self._state(theta)
        scales, of_scales = self._scales(theta, nu, form)
        size, m = self.mass.size, form.power
        value = 0.5 * size * float((scales - 2.0 * m * log_kappa).sum()) - 0.5 * m * self.layers * self._log_mass
        slope = 0.5 * size * (of_scales.sum(axis=1) - 2.0 * m * self.layers * of_kappa)
        pole_slope = np.zeros(self.layers)
        if self.nu is None:
            pole_slope = form.poles / (1.0 + form.poles) * form.pole_slopes * self._nu_slope(nu)
        shifts = 2.0 * log_kappa + np.log1p(form.poles)
        weighted = [(2.0 * log_kappa, m * self.layers, 0.0), *zip(shifts, np.ones(self.layers), pole_slope)]
        for shift, weight, of_pole in weighted:
            log_determinant, change = self._determinants(shift)
            value += 0.5 * weight * log_determinant
            slope = slope + weight * change * of_kappa
            if self.nu is None:
                slope[2] += 0.5 * weight * change * of_pole
        if self.constraints is not None:
            # G leaves a constant at zero, so that (G + exp(s) C)⁻¹ C 1 = exp(-s) 1: Q⁻¹ C 1 is a constant a field
            solved = np.repeat(np.exp(-scales - shifts), size)[:, None]
            more, of_constraints = self.constraint_part(theta, solved, gradient)
            value, slope = value + more, slope + of_constraints
        return value, slope

    learns = True

    @property
    def factorisations(self) -> int:  # type: ignore[override]
        """Of matrices on the mesh's edges, so far."""
        return self._determinants.factorisations

    @cached_property
    def _determinants(self) -> DeterminantCurve:
        return DeterminantCurve(self.edge_pattern, on_pattern(self.edge_pattern, self.stiffness), self.mass)

    @cached_property
    def _log_mass(self) -> float:
        return float(np.log(self.mass).sum())


def _nu(theta: Any) -> Any:
    """Nu between its ends, from its theta."""
    return LARGEST_ESTIMATE / (1.0 + np.exp(-np.asarray(theta, dtype=float)))


def _kappa(thetas: Vector) -> Vector:
    return np.asarray(np.sqrt(8.0 * _nu(thetas[:, 2])) * np.exp(-thetas[:, 0]))


def _fractions(nu: float, order: int) -> Fractions:
    """Of a given smoothness."""
    power = int(np.floor(nu + 1.0 + 1e-9))
    if isclose(nu + 1.0, power, abs_tol=1e-9):
        return whole_power(power - 1)
    return best_fractions(nu + 1.0 - power, power, order)


def _interpolated(nu: float, order: int) -> Fractions:
    """As a function of nu; at a whole number, where one fraction has all, next to it."""
    power = min(int(np.floor(nu + 1.0)), int(LARGEST_ESTIMATE))
    return interpolated_fractions(float(np.clip(nu + 1.0 - power, 1e-3, 1 - 1e-3)), power, order)
