"""Latent terms of a formula: a field on its mesh, a group with its levels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.latent.fem import fem_matrices
from geospde.latent.iid import Iid
from geospde.latent.matern import MaternSpde, pc_prior, spde2_prior
from geospde.latent.priors import Independent, PCSd
from geospde.model.families import Likelihood
from geospde.model.formula import Name, TermCall
from geospde.model.priors import read_prior
from geospde.model.table import column_of

Vector = NDArray[np.float64]
SPDE_OPTIONS = (
    "alpha", "constr", "prior", "prior_range", "prior_sigma", "nominal_range", "nominal_sigma", "label",
)  # fmt: skip


@dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter in the user's words: ``transform(direction @ theta + shift)``."""

    name: str
    direction: Vector
    shift: float
    prior: str = ""
    transform: Callable[[Any], Any] = np.exp

    def inverse(self, value: float) -> float:
        """The inner value of one on the user's scale; raises InputError where there is none."""
        low, high = -40.0, 40.0
        if not self.transform(low) <= value <= self.transform(high):
            raise InputError(f"{self.name} cannot be {value:g}")
        for _ in range(100):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.transform(middle) < value else (low, middle)
        return 0.5 * (low + high)

    def holding(self, held: Vector) -> "Hyperparameter":
        """The same as a function of the free parameters alone, the others held where `held` is a number."""
        free = np.isnan(held)
        shift = self.shift + float(self.direction[~free] @ held[~free])
        return replace(self, direction=self.direction[free], shift=shift)

    def value(self, theta: Vector) -> float:
        """On the user's scale."""
        return float(self.transform(self.direction @ theta + self.shift))

    def inner_map(self, logarithm: bool) -> Callable[[Any], Any] | None:
        """Map from the inner scale to the user's or to its logarithm; None for the identity."""
        if not logarithm:
            return self.transform
        return None if self.transform is np.exp else lambda t: np.log(self.transform(t))


class Field:
    """An SPDE term with the mesh it lives on."""

    def __init__(self, term: MaternSpde, mesh: Any, mesh_name: str):
        self.term = term
        self.mesh = mesh
        self.mesh_name = mesh_name

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> sp.csr_matrix:
        """Rows of the design: basis functions at the points."""
        if points is None:
            raise InputError(
                f"the term {self.term.label!r} needs coordinates: give a GeoDataFrame of points or coords=('x', 'y')"
            )
        return sp.csr_matrix(self.mesh.basis(points))

    def names(self) -> list[str]:
        """Names of the latent variables."""
        return [f"{self.term.label}[{i}]" for i in range(self.term.n)]


class Group:
    """An iid term with the levels of its group."""

    def __init__(self, term: Iid, column: str, levels: list[Any]):
        self.term = term
        self.column = column
        self.levels = levels

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> sp.csr_matrix:
        """Rows of the design: the level's indicator; a row of zeros for a level that was not seen."""
        code = pd.Index(self.levels).get_indexer(pd.Index(column_of(table, self.column)))
        known = code >= 0
        shape = (len(table), self.term.n)
        return sp.csr_matrix((np.ones(known.sum()), (np.flatnonzero(known), code[known])), shape=shape)

    def names(self) -> list[str]:
        """Names of the latent variables."""
        return [f"{self.term.label}[{level}]" for level in self.levels]


def _label(base: str, parts: list[Field | Group]) -> str:
    taken = {part.term.label for part in parts}
    label, k = base, 2
    while label in taken:
        label, k = f"{base}{k}", k + 1
    return label


def _pair(value: Any, option: str, text: str) -> tuple[float, float]:
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
        return float(value[0]), float(value[1])
    raise InputError(f"{option} takes two numbers (value, probability): {text!r}")


def make_field(
    call: TermCall, meshes: Any, parts: list, likelihood: Likelihood, overrides: dict[str, Any], crs: Any
) -> Field:
    """Read an ``spde(...)`` call; takes its priors out of `overrides`."""
    unknown = [o for o in call.options if o not in SPDE_OPTIONS]
    if unknown:
        near = get_close_matches(unknown[0], SPDE_OPTIONS, 1)
        raise InputError(
            f"spde has no option {unknown[0]!r}; "
            + (f"did you mean {near[0]!r}?" if near else f"it has {', '.join(SPDE_OPTIONS)}")
        )
    if len(call.arguments) != 1 or not isinstance(call.arguments[0], Name):
        raise InputError(f"spde takes the name of one mesh, as in spde(mesh): {call.text!r}")
    mesh = _mesh(call.arguments[0], meshes)
    if crs is not None and mesh.crs is not None and crs != mesh.crs:
        raise InputError(
            f"the data are in {crs.name!r} but the mesh is in {mesh.crs.name!r}: bring them to one CRS with to_crs"
        )
    options = dict(call.options)
    label = str(options.get("label") or _label("spde", parts))
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
        defaults = _default_pc(mesh, likelihood)
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
    return Field(term, mesh, str(call.arguments[0]))


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

    The extent is that of the inner zone; the spread three standard deviations of the rough predictor.
    """
    corners = mesh.vertices[np.unique(mesh.triangles[mesh.inner])]
    extent = float(np.hypot(*(corners.max(axis=0) - corners.min(axis=0))))
    spread = float(np.std(likelihood.start()))
    return (round_to(extent / 20, 2), 0.05), (round_to(max(3 * spread, 0.1 * (likelihood.unit or 1.0)), 2), 0.05)


def round_to(value: float, digits: int) -> float:
    """Round to significant digits."""
    return float(f"{value:.{digits}g}")


def make_group(
    call: TermCall, table: pd.DataFrame, parts: list, likelihood: Likelihood, overrides: dict[str, Any]
) -> Group:
    """Read an ``iid(g)`` or ``(1 | g)`` call; takes its prior out of `overrides`.

    By default P(sd > 1) = 0.05, or P(sd > three standard deviations of the response) = 0.05 where the predictor is in
    its unit.
    """
    if len(call.arguments) != 1 or not isinstance(call.arguments[0], Name):
        raise InputError(f"iid takes the name of one column: {call.text!r}")
    if call.options:
        raise InputError(f"iid has no option {next(iter(call.options))!r}: {call.text!r}")
    column = str(call.arguments[0])
    values = pd.Series(column_of(table, column))
    if values.isna().any():
        row = int(np.flatnonzero(values.isna())[0])
        raise InputError(f"column {column!r} has no value in row {row}: drop or fill it")
    levels = list(pd.unique(values)) if values.dtype != "category" else list(values.cat.categories)
    if len(levels) < 2:
        raise InputError(f"the group {column!r} has one level only: a random effect needs two or more")
    prior = None if likelihood.unit is None else Independent((PCSd(round_to(3 * likelihood.unit, 2), 0.05),))
    term = Iid(len(levels), prior, label=f"Intercept | {column}")
    name = f"sd({term.label})"
    if name in overrides:
        term.prior = Independent((read_prior(overrides.pop(name), name, "sd"),))
    return Group(term, column, levels)
