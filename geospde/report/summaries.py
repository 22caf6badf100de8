"""Tables of a report: what a survey, a mesh, a fit, a prediction and a run are in numbers."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from geospde.export.provenance import versions
from geospde.mesh.trimesh import Mesh
from geospde.prediction.layer import RESPONSE
from geospde.prediction.layers import Layers
from geospde.report.findings import on_land
from geospde.report.page import Link, Table, frame_table, shown
from geospde.results.base import Fit
from geospde.survey.crs import parse_crs, unit_of
from geospde.survey.survey import Survey
from geospde.text.findings import without_moments
from geospde.text.systems import crs_name
from geospde.text.words import area, bytes_of, counted, length, lengths, number, numbers_alike

_CRITERIA = {
    "dic": "DIC",
    "p_dic": "effective parameters (DIC)",
    "waic": "WAIC",
    "p_waic": "effective parameters (WAIC)",
    "elpd_loo": "expected log density, leave-one-out",
    "p_loo": "effective parameters (leave-one-out)",
    "looic": "LOOIC, −2 × expected log density",
    "pareto_k_above_0.7": "observations with Pareto k above 0.7",
    "log_score": "log score (mean of −log CPO)",
    "cpo_failures": "observations without a CPO",
    "aic": "AIC",
    "bic": "BIC",
}

_FILES = {
    "run.json": "what was run: settings, versions, hashes of the inputs, seconds",
    "run.log": "each step with its time, and the warnings",
    "checks.csv": "what was looked at in survey, mesh and fit",
    "validation.csv": "scores of the cross-validation",
    "validation-pointwise.csv": "each observation predicted from the others",
    "validation.png": "calibration of those predictions",
    "validation-summary.json": "what the cross-validation is of and says",
    "prediction.tif": "the layers of the map, for a GIS",
    "index.csv": "mean and total of the whole map by year, or what else it is mapped at several values of",
    "index.json": "what the index is",
    "grid.csv": "the layers of the map, one row per cell",
    "layers.gpkg": "outlines, places and contours, for a GIS",
    "project.qgz": "QGIS project of all layers, styled: a double click opens it",
    "prediction.qml": "colours of prediction.tif in QGIS",
    "mesh.gpkg": "the mesh, for a GIS",
    "fixed.csv": "fixed effects",
    "hyper.csv": "hyperparameters",
    "fitted.csv": "fitted means of the observations",
    "criteria.json": "information criteria",
    "fit.json": "the fit, for geospde.load_fit (settings)",
    "fit.npz": "the fit, for geospde.load_fit (numbers)",
    "report.html": "this page",
}


def estimates(fit: Fit) -> list[Table]:
    """Return fixed effects and hyperparameters."""
    heavy = without_moments(fit.hyper)
    hyper = "Hyperparameters (–: see the note on moments)" if heavy else "Hyperparameters"
    tables = [("Fixed effects (scale of the linear predictor)", fit.fixed), (hyper, fit.hyper)]
    return [frame_table(caption, frame) for caption, frame in tables if len(frame)]


def criteria_table(fit: Fit) -> Table:
    """Return information criteria, and the marginal likelihood first."""
    known = {name: fit.criteria[name] for name in _CRITERIA if fit.criteria.get(name) is not None}
    rows = [[_CRITERIA[name], number(float(value))] for name, value in known.items()]
    evidence = getattr(fit, "log_marginal_likelihood", None)
    if evidence is not None:
        rows.insert(0, ["log marginal likelihood", number(float(evidence))])
    return Table("Criteria", ["", "value"], rows)


def layers_table(prediction: Layers, survey: Survey | None, label: str) -> Table:
    """Return the spread of every layer over the land: what the map's colours say, in numbers."""
    land, place = on_land(prediction, *(getattr(survey, name, None) for name in ("coastline", "outline")))
    frame, rate = prediction.frame[land], prediction.rate(label)
    parts = [0.0, 0.05, 0.5, 0.95, 1.0]
    rows = []
    for layer in prediction.layers:
        spread = frame[layer.name].quantile(parts) * (rate.per if layer.unit == RESPONSE else 1.0)
        within = (spread[0.95] - spread[0.05]) / 4  # about a standard deviation
        rows.append([layer.with_label(*rate).title, *numbers_alike(spread, float(within))])
    of = counted(len(frame), "cell" if prediction.grid is not None else "row")
    unit = f", {rate.label}" if rate.per != 1 else ""
    return Table(f"Layers over the {place} ({of}){unit}", ["", "least", "5 %", "median", "95 %", "greatest"], rows)


def survey_table(survey: Survey, columns: str) -> Table:
    """Return size, place and totals of a survey.

    Parameters
    ----------
    survey : Survey
    columns : str
        Names of the columns to sum up, ``"counts / time"``; those that the survey lacks are left out.
    """
    rows = [["name", survey.name], [f"{getattr(survey, 'word', 'site')}s", f"{len(survey.points):,}"]]
    for name in columns.split(" / ") if columns else []:
        if name in survey.points.columns:
            column = survey.points[name]
            spread = f"{number(column.min())} to {number(column.max())}"
            rows.append([name, f"{spread}, in all {number(column.sum())}"])
    crs = None if survey.crs is None else parse_crs(survey.crs)
    unit = unit_of(crs)
    if survey.coastline is not None and unit not in ("", "degree"):
        rows.append([f"area within the {getattr(survey, 'outline', 'coastline')}", area(survey.coastline.area, unit)])
    rows.append(["coordinates", "no CRS" if crs is None else crs_name(crs)])
    return Table("The survey", [], rows)


def mesh_table(mesh: Mesh) -> Table:
    """Return the quality of a mesh."""
    quality = mesh.quality()
    rows = [
        ["vertices", f"{quality.n_vertices:,}"],
        ["triangles", f"{quality.n_triangles:,}"],
        ["angles, smallest to largest", f"{quality.min_angle:.1f}° to {quality.max_angle:.1f}°"],
    ]
    unit = unit_of(None if mesh.crs is None else parse_crs(mesh.crs))
    for zone, edges in (("inner", quality.inner_edges), ("outer", quality.outer_edges)):
        if edges:
            low, middle, high = edges
            spread = f"{lengths([low, high], unit)}, median {length(middle, unit)}"
            rows.append([f"edges of the {zone} zone", spread])
    return Table("The mesh", [], rows)


def model_table(fit: Fit) -> Table:
    """Return what a fit says about how it was made."""
    facts = dict(fit.describe())
    if isinstance(facts.get("priors"), Mapping):
        facts["priors"] = "; ".join(f"{', '.join(names)}: {text}" for names, text in priors_once(facts["priors"]))
    return Table("Model", [], [[str(key), shown(value)] for key, value in facts.items() if value not in (None, "")])


def priors_once(priors: Mapping[str, Any]) -> list[tuple[list[str], str]]:
    """Say each prior once, with all parameters that have it: a joint prior stands under every one of them.

    Examples
    --------
    >>> priors_once({"range(spde)": "PC", "sigma(spde)": "PC", "size": "gamma"})
    [(['range(spde)', 'sigma(spde)'], 'PC'), (['size'], 'gamma')]
    """
    holders: dict[str, list[str]] = {}
    for name, text in priors.items():
        holders.setdefault(shown(text), []).append(name)
    return [(names, text) for text, names in holders.items()]


def settings_tables(settings: Mapping[str, Any]) -> list[Table]:
    """Return a table for each section of the run file."""
    tables, loose = [], []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows = [[str(key), said] for key, item in value.items() if item is not None and (said := shown(item))]
            if rows:
                tables.append(Table(f"[{name}]", [], rows))
        elif value is not None:
            loose.append([name, shown(value)])
    return ([Table("Run", [], loose)] if loose else []) + tables


def seconds_table(seconds: Mapping[str, float]) -> Table:
    """Return how long each step took, and all."""
    rows = [[name, f"{value:.2f}"] for name, value in seconds.items()]
    return Table("Seconds", [], [*rows, ["all", f"{sum(seconds.values()):.2f}"]])


def versions_table() -> Table:
    """Return the versions of geospde and what it stands on."""
    return Table("Versions", [], [[name, value] for name, value in versions().items()])


def links(files: Iterable[str | Path], folder: Path) -> list[Link]:
    """Return links to files at or under a folder, by paths from it; what lies elsewhere is left out.

    Examples
    --------
    >>> links(["run/my map.tif", "elsewhere.csv"], Path("run"))
    [Link(href='my%20map.tif', name='my map.tif', what='', size='')]
    """
    found = []
    for path in sorted(set(map(Path, files))):
        if path.is_relative_to(folder):
            name = path.relative_to(folder).as_posix()
            size = bytes_of(max(path.stat().st_size, 1000)) if path.is_file() else ""
            seen = name.encode("utf-8", "replace").decode()  # a name need not be UTF-8
            found.append(Link(quote(name, errors="surrogateescape"), seen, _FILES.get(name, ""), size))
    return found


def summary(survey: Survey | None, mesh: Mesh | None, prediction: Layers | None, label: str) -> str:
    """Return the line under the title."""
    parts = []
    if survey is not None:
        parts.append(counted(len(survey.points), getattr(survey, "word", "site")))
    if mesh is not None:
        parts.append(f"mesh of {counted(len(mesh.vertices), 'vertex', 'vertices')}")
    if prediction is not None:
        what = "cell" if prediction.grid is not None else "place"
        parts.append(f"{label} predicted at {counted(len(prediction.frame), what)}")
    return " · ".join(parts)
