"""A field whose range and sigma vary in space: ``spde(mesh, log_range="~ elev", log_sigma="~ elev")``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log, pi
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import Fixed, Flat, Gaussian, Independent, InUnit, PCRange, PCSd, Prior
from geospde.formula.columns import Columns
from geospde.formula.formula import parse_formula
from geospde.mesh.trimesh import Mesh
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.spde.base import Call
from geospde.terms.precisions.spde.operator import OperatorPrecision
from geospde.terms.precisions.spde.patterns import on_pattern, union_pattern
from geospde.text.words import did_you_mean

Vector = NDArray[np.float64]
LOG_8_HALF = 0.5 * log(8.0)


class Varying(OperatorPrecision):
    """``(kappa(s)² - Laplacian)(tau(s) u) = W``: theta = (log range, log sigma, coefficients of both).

    At each vertex the logarithms of range and sigma are linear in columns: `range` and `sigma` are where all are zero.
    They are those of a stationary field with the parameters there, which the field has where these change slowly. A
    call's columns are standardised, so that theta, its prior and the search are the same in any unit.

    Parameters
    ----------
    mesh : Mesh
    of_range, of_sigma : (n, p) and (n, q) arrays
        Columns at the vertices.
    range_names, sigma_names : sequence of str
    constr : bool
        Condition the field on integrating to zero.
    label : str
        Name in tables.
    units : (p + q,) array, optional
        Standard deviations that the columns were divided by: coefficients are reported of what they were before.

    References
    ----------
    Lindgren, Rue & Lindström (2011), J. R. Statist. Soc. B 73, 423-498, section 3.2; Ingebrigtsen, Lindgren &
    Steinsland (2014), Spat. Stat. 8, 20-38.
    """

    options = ("log_range", "log_sigma")

    def __init__(
        self,
        mesh: Mesh,
        of_range: Vector,
        of_sigma: Vector,
        range_names: Sequence[str],
        sigma_names: Sequence[str],
        constr: bool = False,
        label: str = "spde",
        units: Vector | None = None,
    ):
        self.label = label
        self.mass, g = fem_matrices(mesh.vertices, mesh.triangles)
        self.areas = self.mass
        self.n = self.mass.size
        c = sp.csc_matrix(sp.diags_array(self.mass))
        g = sp.csc_matrix(g)
        g2 = sp.csc_matrix(g @ sp.diags_array(1.0 / self.mass) @ g)
        self.edge_pattern = union_pattern([c, g])
        self._edge_stiffness = on_pattern(self.edge_pattern, g)
        self.pattern = union_pattern([c, g, g2])
        self._stiffness, self._square = on_pattern(self.pattern, g), on_pattern(self.pattern, g2)
        self._rows = self.pattern.indices
        self._columns = np.repeat(np.arange(self.n), np.diff(self.pattern.indptr))
        one, none = np.ones((self.n, 1)), np.zeros((self.n, 1))
        p, q = of_range.shape[1], of_sigma.shape[1]
        log_range = np.hstack([one, none, of_range, np.zeros((self.n, q))])
        log_sigma = np.hstack([none, one, np.zeros((self.n, p)), of_sigma])
        self._log_kappa = -log_range  # derivatives at each vertex, (n, d)
        self._log_tau = log_range - log_sigma
        own = [f"log_range[{name}]" for name in range_names] + [f"log_sigma[{name}]" for name in sigma_names]
        self.parameters = ("range", "sigma", *own)
        self.kinds = ("range", "sd", *(["real"] * (p + q)))
        self._names = [f"log_range({label}, {name})" for name in range_names]
        self._names += [f"log_sigma({label}, {name})" for name in sigma_names]
        if constr:
            self.constraints = self.areas[:, None]
        self.units = np.ones(p + q) if units is None else units
        slopes = [InUnit(Gaussian(0.0, float(unit) ** 2, "natural"), float(unit)) for unit in self.units]
        self.prior = Independent((PCRange(1.0, 0.5), PCSd(1.0, 0.05), *slopes))

    @classmethod
    def read(cls, call: Call) -> "Varying":
        """The field of a ``spde(mesh, log_range="~ x", log_sigma="~ x")`` call."""
        (of_range, range_names), (of_sigma, sigma_names) = (_columns(call, option) for option in cls.options)
        within = np.unique(call.mesh.triangles[call.mesh.inner])
        units = np.hstack([of_range, of_sigma])[within].std(axis=0)
        of_range, of_sigma = ((c - c[within].mean(axis=0)) / c[within].std(axis=0) for c in (of_range, of_sigma))
        constr = call.options.get("constr", False)
        return cls(call.mesh, of_range, of_sigma, range_names, sigma_names, constr, call.label, units)

    @property
    def names(self) -> tuple[str, ...]:
        """User names of the hyperparameters, one for each theta."""
        return (f"range({self.label})", f"sigma({self.label})", *self._names)

    def default_priors(self, of_range: Prior, of_sigma: Prior) -> list[Prior]:
        """Those of range and sigma; of a coefficient N(0, 1 / sd²), with the sd of its column in the inner zone."""
        return [of_range, of_sigma, *self.prior.parts[2:]]  # type: ignore[attr-defined]

    def prior_of_theta(self, at: int, prior: Prior) -> Prior:
        """Of a coefficient, in the unit of its column."""
        plain = at < 2 or isinstance(prior, Fixed | Flat)  # a density of 1 is one in any unit
        return prior if plain else InUnit(prior, float(self.units[at - 2]))

    def hyperparameters(self) -> list[Hyperparameter]:
        """Range and sigma where all columns are at their means, and the coefficients."""
        own = super().hyperparameters()
        return own[:2] + [replace(h, transform=_OverUnit(float(u))) for h, u in zip(own[2:], self.units)]

    def user(self, theta: Vector) -> Vector:
        """Theta on the user's scale."""
        return np.concatenate([np.exp(theta[:2]), theta[2:] / self.units])

    def method_sentences(self, name: str) -> list[str]:
        """What the methods paragraph of a report says of it."""
        return [
            f"{name} solves the stochastic partial differential equation (κ(s)² − Δ)(τ(s) u) = W, in which the "
            "logarithms of range and standard deviation are linear in covariates ({spde}); it is carried by piecewise "
            "linear elements."
        ]

    # -- the matrices ---------------------------------------------------------------------------------------

    def _state(self, theta: Vector) -> tuple[Vector, Vector]:
        """Squared kappa and tau at each vertex."""
        log_kappa = LOG_8_HALF + self._log_kappa @ theta
        log_tau = -0.5 * log(4 * pi) - LOG_8_HALF + self._log_tau @ theta
        return np.exp(2.0 * log_kappa), np.exp(log_tau)

    def _parts(self, theta: Vector) -> tuple[Vector, Vector, Vector, Vector]:
        """Squared kappa; tau tau' on the pattern; values of both; the diagonal's part."""
        squared, tau = self._state(theta)
        product = tau[self._rows] * tau[self._columns]
        diagonal = np.zeros(self._rows.size)
        diagonal[self.pattern.indptr[:-1]] = squared**2 * self.mass
        inside = (squared[self._rows] + squared[self._columns]) * self._stiffness + self._square + diagonal
        return squared, product, product * inside, diagonal

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta)."""
        return self._parts(np.asarray(theta, dtype=float))[2]

    def gradients(self, theta: Vector) -> Vector:
        """Derivatives of `values` in each theta, (d, nnz)."""
        squared, product, values, diagonal = self._parts(np.asarray(theta, dtype=float))
        out = np.zeros((len(self.parameters), values.size))
        for k, (of_kappa, of_tau) in enumerate(zip(self._log_kappa.T, self._log_tau.T)):
            moved = 2.0 * squared * of_kappa
            inside = (moved[self._rows] + moved[self._columns]) * self._stiffness
            inside += 4.0 * of_kappa[self._rows] * diagonal
            out[k] = (of_tau[self._rows] + of_tau[self._columns]) * values + product * inside
        return out

    def operator(self, theta: Vector) -> tuple[Vector, Vector]:
        """``kappa² C + G``."""
        squared = self._state(np.asarray(theta, dtype=float))[0]
        at, slopes = self.edge_pattern.indptr[:-1], np.zeros((len(self.parameters), self._edge_stiffness.size))
        entries = self._edge_stiffness.copy()
        entries[at] += squared * self.mass
        slopes[:, at] = (2.0 * squared * self.mass) * self._log_kappa.T
        return entries, slopes

    def log_scale(self, theta: Vector) -> tuple[Vector, Vector]:
        """Log tau."""
        return np.log(self._state(np.asarray(theta, dtype=float))[1]), self._log_tau.T


@dataclass(frozen=True)
class _OverUnit:
    """From the coefficient of a standardised column to that of the column."""

    unit: float

    def __call__(self, inner: Any) -> Any:
        return inner / self.unit


def _columns(call: Call, option: str) -> tuple[Vector, list[str]]:
    """Columns of a one-sided formula at the vertices, without the intercept, and their names."""
    mesh, written = call.mesh, call.options.get(option)
    if written is None:
        return np.zeros((len(mesh.vertices), 0)), []
    if not isinstance(written, str) or not written.strip().startswith("~"):
        raise InputError(f'{option} of spde takes a formula in quotes, as in {option}="~ elev": {call.text}')
    formula = parse_formula(f"y {written}", ())
    table = pd.DataFrame({**dict(zip("xy", mesh.vertices.T)), **(mesh.values or {})})
    for name in formula.columns[1:]:
        if name not in table:
            hint = did_you_mean(name, list(table), "columns there")
            raise InputError(
                f"{option} needs {name!r} at the vertices of the mesh; {hint}",
                remedy=f"name a raster of it in covariates, or give the mesh its values: mesh.with_values({name}=...)",
            )
    columns = Columns(formula.effects, table)
    own = [k for k, name in enumerate(columns.names) if name != "Intercept"]
    if not own:
        raise InputError(f"{option} names no column, so that it says nothing: leave it out of {call.text}")
    matrix = np.asarray(columns.matrix, dtype=float)[:, own]
    within = matrix[np.unique(mesh.triangles[mesh.inner])]
    constant = np.flatnonzero(np.ptp(within, axis=0) <= 1e-12 * np.abs(within).max(axis=0))
    if constant.size:
        name = columns.names[own[constant[0]]]
        raise InputError(f"{name!r} of {option} is the same at every vertex of the inner zone")
    return matrix, [columns.names[k] for k in own]
