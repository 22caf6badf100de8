"""The Matérn field as a sparse precision: the SPDE (kappa² - Laplacian)^(alpha/2) (tau u) = white noise."""

from dataclasses import dataclass
from functools import cached_property
from math import gamma, log, pi
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import Independent, LinearGaussian, PCRange, PCSd, Prior
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.determinant import DeterminantCurve
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.spde.base import Call, FieldPrecision
from geospde.terms.precisions.spde.patterns import on_pattern, union_pattern

Vector = NDArray[np.float64]


def operator_coefficients(alpha: float) -> Vector:
    """Coefficients (b0, b1, b2) of the precision ``tau² kappa^(2 alpha - 4) (b0 kappa⁴ C + b1 kappa² G + b2 G2)``.

    Exact for alpha = 1 and 2; between them the parsimonious least-squares fit to the spectrum.

    References
    ----------
    Lindgren, Rue & Lindström (2011), J. R. Statist. Soc. B 73, 423-498: equation (10) and the authors'
    reply to the discussion (pp. 492-494), which gives the parsimonious fractional form.

    Examples
    --------
    >>> operator_coefficients(1.5)
    array([0.9375   , 1.875    , 0.1171875])
    """
    if not 1 <= alpha <= 2:
        raise InputError(f"alpha must lie between 1 and 2 (nu = alpha - 1 in the plane), not {alpha}")
    if alpha == 1:
        return np.array([1.0, 1.0, 0.0])
    if alpha == 2:
        return np.array([1.0, 2.0, 1.0])
    fraction = alpha - np.floor(alpha)
    h = 1.0 / (np.array([[4.0, 3.0, 2.0], [3.0, 2.0, 1.0], [2.0, 1.0, 0.0]]) + fraction)
    r = 1.0 / (np.array([4.0, 3.0, 2.0]) + fraction - alpha)
    b = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0], [0.0, 0.0, 1.0]])
    return b @ np.linalg.solve(h, r)


@dataclass(frozen=True)
class Factored:
    """The precision as ``exp(log_scale) K_1 C⁻¹ K_2`` or ``exp(log_scale) K_1``, with K_s = G + exp(s) C.

    Attributes
    ----------
    log_scale : float
    log_scale_gradient : (2,) array
        In theta.
    log_shifts : list of float
        The s of each, ``log(r kappa²)``.
    log_kappa_gradient : (2,) array
        In theta.
    """

    log_scale: float
    log_scale_gradient: Vector
    log_shifts: list[float]
    log_kappa_gradient: Vector


class MaternSpde(FieldPrecision):
    """A Matérn field on a mesh, as a latent term with theta = (log range, log sigma).

    ``range = sqrt(8 nu) / kappa`` and ``sigma² = Gamma(nu) / (Gamma(alpha) 4 pi kappa^(2 nu) tau²)`` with
    nu = alpha - 1. Below alpha = 1.5 both are nominal, computed with nu = 1/2.

    Parameters
    ----------
    mass : (n,) array
        Diagonal of the lumped mass matrix C.
    stiffness : (n, n) sparse matrix
        Stiffness matrix G, whose rows sum to zero.
    alpha : float, default 2
        Order of the operator, 1 to 2.
    prior : Prior, optional
        Density on (log range, log sigma). `pc_prior` and `spde2_prior` make the usual two.
    constr : bool, default False
        Condition the field on integrating to zero: ``sum_i C_ii u_i = 0``.
    label : str, default "spde"
        Name in tables.

    References
    ----------
    Lindgren, Rue & Lindström (2011), J. R. Statist. Soc. B 73, 423-498.

    Examples
    --------
    >>> import geospde as gs
    >>> from geospde.terms.precisions.fem import fem_matrices
    >>> mesh = gs.Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]])
    >>> field = MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles), alpha=2)
    >>> field.matrix([0.0, 0.0]).shape  # range 1, sigma 1
    (4, 4)
    """

    options = ("alpha",)

    def __init__(
        self,
        mass: NDArray[np.floating],
        stiffness: Any,
        alpha: float = 2.0,
        prior: Prior | None = None,
        constr: bool = False,
        label: str = "spde",
    ):
        self.alpha = float(alpha)
        self.b = operator_coefficients(self.alpha)
        self.mass = np.asarray(mass, dtype=float)
        self.n = self.mass.size
        self.label = label
        self.constraints = self.mass[:, None] if constr else None
        self.nu = max(0.5, self.alpha - 1.0)  # nominal below alpha = 1.5, as R-INLA reports it
        # log tau = intercept - nu log kappa - log sigma; log kappa = log(8 nu)/2 - log range
        order = max(self.nu + 1.0, self.alpha)
        half_log_variance = 0.5 * (log(gamma(self.nu)) - log(gamma(order)) - log(4 * pi))
        half_log_8nu = 0.5 * log(8 * self.nu)
        self.to_tau_kappa = np.array([[self.nu, -1.0], [-1.0, 0.0]])
        self.tau_kappa_shift = np.array([half_log_variance - self.nu * half_log_8nu, half_log_8nu])

        g = sp.csc_matrix(stiffness, dtype=float)
        c = sp.diags_array(self.mass).tocsc()
        g2 = (g @ sp.diags_array(1.0 / self.mass) @ g).tocsc()
        parts = [c, g, sp.csc_matrix((self.n, self.n)) if self.b[2] == 0.0 else g2]
        self.pattern = union_pattern(parts)
        self._basis = np.column_stack([b * on_pattern(self.pattern, m) for b, m in zip(self.b, parts)])
        self.prior = prior or Independent((PCRange(1.0, 0.5), PCSd(1.0, 0.05)))
        # Q is a product of matrices K_r = G + r kappa² C, whose pattern is that of the mesh's edges alone
        self.shifts = (1.0,) if self.b[2] == 0.0 else tuple(-np.roots(self.b[::-1]).real)
        self.edge_pattern = union_pattern([c, g])
        self._edge_stiffness = on_pattern(self.edge_pattern, g)

    @classmethod
    def read(cls, call: Call) -> "MaternSpde":
        """The field of an ``spde(mesh, alpha=2, constr=False)`` call."""
        alpha, constr = call.options.get("alpha", 2), call.options.get("constr", False)
        if not isinstance(alpha, (int, float)) or isinstance(alpha, bool):
            raise InputError(f"alpha must be a number between 1 and 2: {call.text!r}")
        matrices = fem_matrices(call.mesh.vertices, call.mesh.triangles)
        return cls(*matrices, alpha=float(alpha), constr=constr, label=call.label)

    def nominal_prior(self, diameter: float, text: str, **nominal: float) -> Prior:
        """As `spde2_prior` makes it."""
        return spde2_prior(self, diameter, **nominal)

    def hyperparameters(self) -> list[Hyperparameter]:
        """Range and sigma, then kappa and tau."""
        own = super().hyperparameters()
        for k, name in ((1, "kappa"), (0, "tau")):
            own.append(Hyperparameter(f"{name}({self.label})", self.to_tau_kappa[k], float(self.tau_kappa_shift[k])))
        return own

    def method_sentences(self, name: str) -> list[str]:
        """What the methods paragraph of a report says of it."""
        kind = "a" if self.alpha == 2 else "near a"
        matern = f", {kind} Matérn covariance of smoothness {self.nu:g}," if self.alpha >= 1.5 else ""
        out = [
            f"{name} solves the stochastic partial differential equation (κ² − Δ)^(α/2) (τu) = W with "
            f"α = {self.alpha:g}{matern} and is carried by piecewise linear elements, whose precision matrix is "
            "sparse ({spde})."
        ]
        if 1 < self.alpha < 2:
            out.append("For this α it is the parsimonious approximation of the authors' reply to the discussion there.")
        nominal = self.alpha < 1.5
        how = "nominal, as of smoothness 0.5" if nominal else "where correlation has fallen to about 0.1"
        return [*out, f"Its range is √(8ν)/κ, {how}."]

    def tau_kappa(self, theta: Vector) -> Vector:
        """(log tau, log kappa) at theta = (log range, log sigma)."""
        values: Vector = self.to_tau_kappa @ np.asarray(theta, dtype=float) + self.tau_kappa_shift
        return values

    def _coefficients(self, theta: Vector) -> tuple[Vector, Vector]:
        """Log-linear coefficients of (C, G, G2), and their gradients in theta (3 × 2)."""
        log_tau, log_kappa = self.tau_kappa(theta)
        powers = 2 * self.alpha - np.array([0.0, 2.0, 4.0])
        values = np.exp(2 * log_tau + powers * log_kappa)
        in_tau_kappa = np.column_stack([np.full(3, 2.0), powers]) * values[:, None]
        return values, in_tau_kappa @ self.to_tau_kappa

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta), in the order of `pattern`."""
        return self._basis @ self._coefficients(theta)[0]

    def gradients(self, theta: Vector) -> Vector:
        """Derivatives of `values` in each theta, (2, nnz)."""
        return (self._basis @ self._coefficients(theta)[1]).T

    def factored(self, theta: Vector) -> "Factored":
        """Q(theta) as a product of sparser matrices, for its determinant."""
        log_tau, log_kappa = self.tau_kappa(theta)
        power = 0.0 if len(self.shifts) == 1 else 2 * self.alpha - 4.0
        constant = 0.0 if len(self.shifts) == 1 else float(np.log(self.b[2]))
        scale = np.array([2.0, power])
        return Factored(
            float(scale @ [log_tau, log_kappa]) + constant,
            scale @ self.to_tau_kappa,
            [float(np.log(shift)) + 2.0 * log_kappa for shift in self.shifts],
            self.to_tau_kappa[1],
        )

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """By the determinants of the sparser matrices that Q is a product of, which all stand on one curve."""
        form = self.factored(theta)
        value = 0.5 * self.n * form.log_scale - 0.5 * (len(form.log_shifts) - 1) * self._log_mass
        slope = 0.5 * self.n * form.log_scale_gradient
        found = {s: self._determinants(s) for s in sorted(set(form.log_shifts))}
        for log_determinant, change in (found[s] for s in form.log_shifts):
            value += 0.5 * log_determinant
            slope = slope + change * form.log_kappa_gradient
        if self.constraints is not None:
            # G leaves a constant at zero, so that (G + exp(s) C)⁻¹ C 1 = exp(-s) 1
            solved = np.full((self.n, 1), np.exp(-form.log_scale - sum(form.log_shifts)))
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
        return DeterminantCurve(self.edge_pattern, self._edge_stiffness, self.mass)

    @cached_property
    def _log_mass(self) -> float:
        return float(np.log(self.mass).sum())


def pc_prior(prior_range: tuple[float, float], prior_sigma: tuple[float, float]) -> Prior:
    """PC prior: P(range < r0) = p and P(sigma > s0) = q, given as (r0, p) and (s0, q)."""
    return Independent((PCRange(*prior_range), PCSd(*prior_sigma)))


def spde2_prior(
    term: MaternSpde, diameter: float, nominal_range: float | None = None, nominal_sigma: float = 1.0
) -> Prior:
    """Gaussian prior on (log tau, log kappa) with precision 0.1, as R-INLA's `spde2.matern` has it.

    Its centre is where the nominal range is 0.2 times the mesh's diameter and the nominal sd is 1, unless
    they are given.
    """
    nominal_range = 0.2 * diameter if nominal_range is None else nominal_range
    if not (nominal_range > 0 and nominal_sigma > 0):
        raise InputError("nominal_range and nominal_sigma must be positive")
    centre = term.tau_kappa(np.log([nominal_range, nominal_sigma]))
    return LinearGaussian(term.to_tau_kappa, term.tau_kappa_shift, centre, 0.1, ("log tau", "log kappa"))
