"""An SPDE field on its mesh, as a part of a model."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.likelihood import Likelihood
from geospde.families.priors import Independent, read_prior
from geospde.formula.formula import Name, TermCall
from geospde.terms.base import Context, LatentTerm, Variable, round_to
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.matern import MaternSpde, pc_prior, spde2_prior

Vector = NDArray[np.float64]
SPDE_OPTIONS = (
    "alpha", "constr", "prior", "prior_range", "prior_sigma", "nominal_range", "nominal_sigma", "label",
)  # fmt: skip


class Field(LatentTerm):
    """An SPDE term with the mesh it lives on."""

    precision: MaternSpde

    def __init__(self, precision: MaternSpde, mesh: Any, mesh_name: str):
        self.precision = precision
        self.mesh = mesh
        self.mesh_name = mesh_name

    @classmethod
    def read(cls, call: TermCall, context: Context) -> "Field":
        """Read an ``spde(...)`` call; takes its priors out of the overrides."""
        overrides, crs = context.overrides, context.crs
        unknown = [o for o in call.options if o not in SPDE_OPTIONS]
        if unknown:
            near = get_close_matches(unknown[0], SPDE_OPTIONS, 1)
            raise InputError(
                f"spde has no option {unknown[0]!r}; "
                + (f"did you mean {near[0]!r}?" if near else f"it has {', '.join(SPDE_OPTIONS)}")
            )
        if len(call.arguments) != 1 or not isinstance(call.arguments[0], Name):
            raise InputError(f"spde takes the name of one mesh, as in spde(mesh): {call.text!r}")
        mesh = _mesh(call.arguments[0], context.meshes)
        if crs is not None and mesh.crs is not None and crs != mesh.crs:
            raise InputError(
                f"the data are in {crs.name!r} but the mesh is in {mesh.crs.name!r}: bring them to one CRS with to_crs"
            )
        options = dict(call.options)
        label = str(options.get("label") or context.label("spde"))
        alpha, constr = options.get("alpha", 2), options.get("constr", False)
        if not isinstance(alpha, (int, float)) or isinstance(alpha, bool):
            raise InputError(f"alpha must be a number between 1 and 2: {call.text!r}")
        if not isinstance(constr, bool):
            raise InputError(f"constr must be True or False: {call.text!r}")
        term = MaternSpde(
            *fem_matrices(mesh.vertices, mesh.triangles), alpha=float(alpha), constr=constr, label=label
        )
        prior = options.get("prior", "pc")
        given = {o for o in ("prior_range", "prior_sigma") if o in options}
        nominal = {o: options[o] for o in ("nominal_range", "nominal_sigma") if o in options}
        if prior == "spde2":
            if given:
                raise InputError(f"prior_range and prior_sigma belong to prior='pc', not to 'spde2': {call.text!r}")
            term.prior = spde2_prior(term, mesh.diameter, **nominal)
        elif prior == "pc":
            if nominal:
                raise InputError(f"nominal_range and nominal_sigma belong to prior='spde2': {call.text!r}")
            defaults = _default_pc(mesh, context.likelihood)
            pairs = [
                _pair(options.get(o, d), o, call.text)
                for o, d in zip(("prior_range", "prior_sigma"), defaults)
            ]
            term.prior = pc_prior(*pairs)
        else:
            raise InputError(f"the prior of spde is 'pc' or 'spde2', not {prior!r}")
        named = [f"range({label})", f"sigma({label})"]
        if any(n in overrides for n in named):
            if prior == "spde2":
                raise InputError(f"{label!r} has prior='spde2' in the formula and another among the priors: drop one")
            parts_of = list(term.prior.parts)  # type: ignore[attr-defined]
            for k, (name, kind) in enumerate(zip(named, ("range", "sd"))):
                if name in overrides:
                    parts_of[k] = read_prior(overrides.pop(name), name, kind)
            term.prior = Independent(tuple(parts_of))
        return cls(term, mesh, str(call.arguments[0]))

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> sp.csr_matrix:
        """Rows of the design: basis functions at the points."""
        if points is None:
            raise InputError(
                f"the term {self.precision.label!r} needs coordinates: give a GeoDataFrame of points or "
                "coords=('x', 'y')"
            )
        return sp.csr_matrix(self.mesh.basis(points))

    def names(self) -> list[str]:
        """Names of the latent variables."""
        return [f"{self.precision.label}[{i}]" for i in range(self.precision.n)]

    def variables(self) -> list[Variable]:
        """The field, along its vertices."""
        places = np.arange(self.n)
        return [Variable(self.label, f"{self.label}_vertex", places, places)]

    def hyperparameters(self) -> list[Hyperparameter]:
        """Range and sigma, then kappa and tau."""
        priors = getattr(self.precision.prior, "parts", None)
        words = [p.describe() for p in priors] if priors else [self.precision.prior.describe()] * 2
        label = self.precision.label
        own = [Hyperparameter(f"{n}({label})", np.eye(2)[k], 0.0, words[k]) for k, n in enumerate(("range", "sigma"))]
        for k, name in ((1, "kappa"), (0, "tau")):
            row, shift = self.precision.to_tau_kappa[k], float(self.precision.tau_kappa_shift[k])
            own.append(Hyperparameter(f"{name}({label})", row, shift))
        return own

    def start(self, unit: float) -> Vector:
        """A fifth of the inner zone's extent, and the predictor's scale."""
        inner = self.mesh.areas[self.mesh.inner].sum()
        return np.log([0.2 * np.sqrt(inner), unit])


def _pair(value: Any, option: str, text: str) -> tuple[float, float]:
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
        return float(value[0]), float(value[1])
    raise InputError(f"{option} takes two numbers (value, probability): {text!r}")


def _mesh(name: str, meshes: Any) -> Any:
    if meshes is None:
        raise InputError(f"spde({name}) needs a mesh: give mesh=gs.build_mesh(...)")
    if isinstance(meshes, Mapping):
        if name not in meshes:
            raise InputError(f"no mesh {name!r}; there are {', '.join(meshes)}")
        return meshes[name]
    if not hasattr(meshes, "triangles"):
        raise InputError(f"mesh must be a Mesh, not a {type(meshes).__name__}")
    if name != "mesh":
        raise InputError(f"no mesh {name!r}; the argument mesh= is called mesh in a formula, as in spde(mesh)")
    return meshes


def _default_pc(mesh: Any, likelihood: Likelihood) -> tuple[tuple[float, float], tuple[float, float]]:
    """Weakly informative: the range is seldom below a twentieth of the extent, sigma seldom above the spread.

    The extent is the diagonal of a square as large as the inner zone: of an island that is long and thin, its length
    says less of the distances between sites. The spread is three standard deviations of the rough predictor.
    """
    extent = float(np.sqrt(2 * mesh.areas[mesh.inner].sum()))
    spread = float(np.std(likelihood.start()))
    return (round_to(extent / 20, 2), 0.05), (round_to(max(3 * spread, 0.1 * (likelihood.unit or 1.0)), 2), 0.05)
