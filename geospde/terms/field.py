"""An SPDE field on its mesh, as a part of a model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.families.likelihood import Likelihood
from geospde.families.priors import Fixed, Independent, PCRange, PCSd, Prior, read_prior, refuse_size
from geospde.formula.formula import Name, TermCall
from geospde.mesh.coarse import coarser
from geospde.mesh.trimesh import Mesh
from geospde.survey.crs import central_place, check_of_one_crs, unit_of, utm_of
from geospde.survey.places import unprojected
from geospde.terms.base import Context, LatentTerm, Variable
from geospde.terms.by import By
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.spde.base import Call, FieldPrecision
from geospde.terms.precisions.spde.choice import all_options, chosen_precision
from geospde.terms.precisions.spde.one_range import OneRange
from geospde.terms.times import TIME_OPTIONS, Times, read_times
from geospde.text.systems import crs_name
from geospde.text.words import did_you_mean, in_unit

Vector = NDArray[np.float64]
RUN_OFF = 0.1  # of the width of a triangle, below which neighbouring vertices are independent
TREND = 10.0  # times across the study area: with a range beyond it, likelihoods change by a hundredth and less
LONG = 2.0  # the same, of one that the data tell within a factor of ten at best
SEEN = 5_000  # places that are looked at, of many
FARTHEST = 1e4  # times across the mesh: a range beyond it is none
PRIOR_OPTIONS = ("prior", "prior_range", "prior_sigma", "nominal_range", "nominal_sigma")


class Field(LatentTerm):
    """An SPDE term with the mesh it lives on.

    Attributes
    ----------
    precision : FieldPrecision
    by : By
        What the field, or each of its copies, is multiplied with.
    unit : float
        Of sigma, beside the predictor's: a field that is multiplied with large numbers is small.
    times : Times or None
        Steps of time, where the field changes.
    call : TermCall
        What it was read from.
    """

    precision: FieldPrecision
    mesh: Mesh

    follows_all = True

    def __init__(
        self,
        precision: FieldPrecision,
        mesh: Mesh,
        mesh_name: str,
        by: By,
        unit: float,
        times: Times | None,
        call: TermCall,
    ):
        self.precision = precision
        self.mesh = mesh
        self.mesh_name = mesh_name
        self.by = by
        self.unit = unit
        self.times = times
        self.time_column = "" if times is None else times.column
        self.call = call

    @classmethod
    def read(cls, call: TermCall, context: Context) -> "Field":
        """Read an ``spde(...)`` call; takes its priors out of the overrides.

        With a number for ``by=``, the field is the coefficient of that column, which so varies in space. With labels,
        each level has a field; with ``by=(1, x)`` there are the field itself and one that x multiplies. Fields of one
        term are independent, and share all but sigma.
        """
        known = (*all_options(), *TIME_OPTIONS, "by", "constr", "label", *PRIOR_OPTIONS)
        unknown = [o for o in call.options if o not in known]
        if unknown:
            raise InputError(f"spde has no option {unknown[0]!r}; {did_you_mean(unknown[0], known, 'options')}")
        if len(call.arguments) != 1 or not isinstance(call.arguments[0], Name):
            raise InputError(f"spde takes the name of one mesh, as in spde(mesh): {call.text!r}")
        mesh = _mesh(call.arguments[0], context.meshes)
        check_of_one_crs("data", context.crs, mesh.crs)
        for places, crs in ((context.points, context.crs), (mesh.vertices, mesh.crs)):
            _refuse_degrees(places, crs, call.text)
        _warn_of_degrees(context, mesh, call.text)
        options = dict(call.options)
        if not isinstance(options.get("constr", False), bool):
            raise InputError(f"constr must be True or False: {call.text!r}")
        by = By.read(options.get("by"), context.table, call.text)
        unit = 1.0 / float(np.sqrt((by.sizes(context.table) ** 2).mean()))
        label = context.own_label(options["label"]) if "label" in options else context.label("spde")
        precision, times = _precision(call, mesh, label, by, context.table)
        precision.prior = _prior(precision, call, context, mesh, unit)
        return cls(precision, mesh, str(call.arguments[0]), by, unit, times, call)

    def coarser(self, table: pd.DataFrame) -> "Field":
        """The field on a mesh of about a quarter of the vertices."""
        mesh = coarser(self.mesh)
        precision, times = _precision(self.call, mesh, self.label, self.by, table)
        precision.prior = self.precision.prior
        return type(self)(precision, mesh, self.mesh_name, self.by, self.unit, times, self.call)

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> Any:
        """Rows of the design: basis functions at the points, times what the field is multiplied with, at their times.

        Beyond the first and last steps they are forecasts.
        """
        if points is None:
            raise InputError(
                f"the term {self.precision.label!r} needs coordinates: give a GeoDataFrame of points or "
                "coords=('x', 'y')",
                remedy="or say what the response is of polygons, as in areas='mean'",
            )
        rows = self.by.rows(self.precision.rows(sp.csr_matrix(self.mesh.basis(points))), table)
        return rows if self.times is None else self.times.rows(rows, table, self.label, new)

    def reach(self, points: Vector) -> sp.csr_matrix | None:
        """The vertices of the triangles that the places lie in, also where a covariate multiplies them.

        None of fields by level or time, of which a place has one.
        """
        if self.times is not None or self.by.coding is not None:
            return None
        rows = self.precision.rows(sp.csr_matrix(self.mesh.basis(points, outside="zero")))
        return sp.csr_matrix(sp.hstack([rows] * (self.n // rows.shape[1]), format="csr"))

    def names(self) -> list[str]:
        """Names of the latent variables."""
        return self.precision.latent_names()

    def variables(self) -> list[Variable]:
        """The field, along its vertices."""
        places = np.arange(self.n)
        return [Variable(self.label, f"{self.label}_vertex", places, places)]

    def hyperparameters(self) -> list[Hyperparameter]:
        """Those of the precision."""
        return self.precision.hyperparameters()

    @property
    def kind(self) -> tuple[tuple[str, str], ...]:
        """Options that the call chose its precision by."""
        given = self.call.options
        return tuple((option, str(given[option])) for option in all_options() if option in given)

    @property
    def identities(self) -> tuple[Any, ...]:
        """Mesh, kind, what multiplies the field, its time; of a field that does not change beside it, too."""
        if self.by.coding is not None:
            return ()
        priors = tuple(self.precision.prior.describe().split("; ")[:2])  # of range and sigma
        alike = (self.mesh_name, self.kind, self.by.columns, priors)
        if self.times is None:
            return ((alike, None),)
        changing = (alike, (self.times.column, type(self.times.changing.steps)))
        return ((alike, None), changing) if self.times.before else (changing,)

    def method_sentences(self, several: bool) -> list[str]:
        """Of the precision, the constraint, and what the field is multiplied with."""
        out = self.precision.method_sentences(f"The spatial field {self.label}" if several else "The spatial field")
        if self.precision.constraints is not None:
            out.append("The field is conditioned on integrating to zero.")
        return out + self.by.method_sentences()

    def notes(self, theta: Vector) -> list[str]:
        """That a field's range is far beyond its mesh, or within its triangles, which then do not tell what it is."""
        shortest = self.precision.shortest_range(theta)
        own = dict(zip(self.precision.parameters, self.precision.user(theta))).get("range", 0.0)
        extent = float(np.hypot(*np.ptp(self.mesh.vertices[np.unique(self.mesh.triangles[self.mesh.inner])], axis=0)))
        if (shortest or own) > TREND * extent:
            return [
                f"the range of {self.label}, {own:.3g}, is {own / extent:.2g} times as long as the study area: "
                "the field is a trend, and range, sigma and the standard error of an intercept beside it have no "
                "finite estimate; add coordinates as covariates, or take priors, method 'inla'"
            ]
        if (shortest or own) > LONG * extent:
            return [
                f"the range of {self.label}, {own:.3g}, is {own / extent:.2g} times as long as the study area: "
                "the field is little more than a trend, of which the data tell sigma over the range, and neither of "
                "them well: see their intervals, add coordinates as covariates, or take priors, method 'inla'"
            ]
        edges = self.mesh.quality().inner_edges
        wide = edges[1] if edges else 0.0
        if shortest is None and 0 < own < wide:
            return [_within_triangles(self.label, own, wide, unit_of(self.mesh.crs))]
        if shortest is None or shortest > wide:
            return []
        return [
            f"the range of {self.label} in its shortest direction, {shortest:.2g}, is within the triangles of the "
            f"mesh, {wide:.2g} wide: the ratio of its ranges has run off; refine the mesh, or take priors, method "
            "'inla'"
        ]

    def notes_at(self, points: Vector, theta: Vector) -> list[str]:
        """That points, of which some are looked at, lie in triangles of the outer zone that are wider than a range."""
        own = dict(zip(self.precision.parameters, self.precision.user(theta))).get("range", np.inf)
        longest = self.mesh.edge_lengths[self.mesh.triangle_edges].max(axis=1)
        wide = ~self.mesh.inner & (longest > own)
        if not wide.any():
            return []
        seen = np.asarray(points)[:: len(points) // SEEN + 1]
        share = float(wide[self.mesh.locate(seen)].mean())
        if not share:
            return []
        return [
            f"{100 * max(share, 0.01):.0f} % of the places lie beyond the mesh's inner zone, in triangles wider than "
            f"the range of {self.label}, {own:.3g}: between vertices the standard deviation comes out too small there, "
            "by up to a half; mesh what is mapped with the inner max_edge"
        ]

    def start(self, unit: float) -> Vector:
        """From the inner zone's extent, and the predictor's scale."""
        return self.precision.start(float(np.sqrt(self.mesh.areas[self.mesh.inner].sum())), self.unit * unit)


def _within_triangles(label: str, own: float, wide: float, unit: str) -> str:
    """That a range is shorter than the mesh's triangles are wide, and the edge to set."""
    if own > RUN_OFF * wide:
        return (
            f"the range of {label}, {own:.3g}, is within the triangles of the mesh, {wide:.3g} wide: range and sigma "
            f"are those of this mesh; lower max_edge, towards {in_unit(own / 5, unit)}, until they no longer change"
        )
    return (
        f"the range of {label}, {own:.2g}, has run off within the triangles of the mesh, {wide:.3g} wide: the data "
        "show nothing that its vertices have in common, and tell sigma times the range alone; lower max_edge, "
        f"towards {in_unit(wide / 5, unit)}, and leave the field out where the range runs off again"
    )


def _precision(
    call: TermCall, mesh: Mesh, label: str, by: By, table: pd.DataFrame
) -> tuple[FieldPrecision, Times | None]:
    """The precision of a call on a mesh, without its prior, and the steps of time where it changes."""
    precision = chosen_precision(Call(mesh, dict(call.options), label, call.text))
    if len(by.labels) > 1:
        precision = OneRange(precision, by.labels)
    return read_times(call, table, precision, len(by.labels))


def _prior(precision: FieldPrecision, call: TermCall, context: Context, mesh: Mesh, unit: float) -> Prior:
    """The prior that a call and the overrides give, or the default one."""
    options, names = call.options, precision.names
    chosen = options.get("prior", "pc")
    if chosen not in ("pc", "spde2"):
        raise InputError(f"the prior of spde is 'pc' or 'spde2', not {chosen!r}")
    given = [o for o in ("prior_range", "prior_sigma") if o in options]
    nominal = {o: options[o] for o in ("nominal_range", "nominal_sigma") if o in options}
    is_joint = chosen == "spde2"
    if is_joint and given:
        raise InputError(f"prior_range and prior_sigma belong to prior='pc', not to 'spde2': {call.text!r}")
    if is_joint and any(name in context.overrides for name in names[:2]):
        raise InputError(f"{precision.label!r} has prior='spde2' in the formula and another among the priors: drop one")
    if nominal and not is_joint:
        raise InputError(f"nominal_range and nominal_sigma belong to prior='spde2': {call.text!r}")
    pairs = [
        _pair(options.get(o, default), o, call.text)
        for o, default in zip(("prior_range", "prior_sigma"), _default_pc(mesh, context.likelihood, unit))
    ]
    parts = precision.default_priors(PCRange(*pairs[0]), PCSd(*pairs[1]))
    for k, (name, kind) in enumerate(zip(names, precision.kinds)):
        if name in context.overrides and not kind:
            raise InputError(f"{name} has a prior by an option of {call.text}, not by its name")
        if name in context.overrides:
            parts[k] = precision.prior_of_theta(k, read_prior(context.overrides.pop(name), name, kind))
    if is_joint:
        return Independent((precision.nominal_prior(mesh.diameter, call.text, **nominal), *parts[2:]))
    _refuse_far(parts[0], names[0], mesh.diameter)
    return Independent(tuple(parts))


def _refuse_far(prior: Prior, name: str, across: float) -> None:
    """Raise InputError for a range, or a prior of ranges, that no field on this mesh can tell from infinite ones."""
    is_fixed = isinstance(prior, Fixed)
    far = prior.value if isinstance(prior, Fixed) else getattr(prior, "range0", 0.0)
    if far > FARTHEST * across:
        raise InputError(
            f"{name} is held at {far:g}, and the mesh is {across:.3g} across"
            if is_fixed
            else f"the prior of {name} is of ranges about {far:g}, and the mesh is {across:.3g} across",
            remedy="give the range in the unit of the coordinates",
        )


def _pair(value: Any, option: str, text: str) -> tuple[float, float]:
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
        for number in value:
            refuse_size(number, option)
        return float(value[0]), float(value[1])
    raise InputError(f"{option} takes two numbers (value, probability): {text!r}")


def _mesh(name: str, meshes: Any) -> Any:
    if meshes is None:
        raise InputError(f"spde({name}) needs a mesh: give mesh=gs.build_mesh(...)")
    if isinstance(meshes, Mapping):
        if name not in meshes:
            raise InputError(f"no mesh {name!r}; there are {', '.join(meshes)}")
        meshes, name = meshes[name], "mesh"
    if not hasattr(meshes, "triangles"):
        raise InputError(f"mesh must be a Mesh, not a {type(meshes).__name__}")
    if name != "mesh":
        raise InputError(f"no mesh {name!r}; the argument mesh= is called mesh in a formula, as in spde(mesh)")
    return meshes


def _refuse_degrees(places: Vector | None, crs: Any, text: str) -> None:
    """Raise InputError where coordinates are longitudes and latitudes, of which the range would be in degrees."""
    if places is None or crs is None or not crs.is_geographic:
        return
    code, name = utm_of(*central_place(places))
    raise InputError(
        f"{text} measures lengths, and the coordinates are degrees ({crs_name(crs)}): "
        "a degree is shorter east than north",
        remedy=f"project points, coastline and mesh first, for {name} with .to_crs({code!r})",
    )


def _warn_of_degrees(context: Context, mesh: Mesh, text: str) -> None:
    """Warn of coordinates without a system that are called longitude and latitude."""
    if context.points is None or not (context.crs is None and mesh.crs is None):
        return
    found = unprojected(context.table, context.points)
    if found is not None:
        alert(GeospdeWarning(f"of {text}, {found.message}", remedy=found.remedy))


def _default_pc(mesh: Mesh, likelihood: Likelihood, unit: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Weakly informative: the range is seldom below a twentieth of the extent, sigma seldom above the spread.

    The extent is the diagonal of a square as large as the inner zone: of an island that is long and thin, its length
    says less of the distances between sites. The spread is `Likelihood.largest_sd`, in the unit of sigma.
    """
    extent = float(np.sqrt(2 * mesh.areas[mesh.inner].sum()))
    largest = unit * likelihood.largest_sd
    return (extent / 20, 0.05), (largest, 0.05)
