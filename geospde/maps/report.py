"""The report of a run: one HTML file that needs nothing beside it."""

import base64
import datetime
import struct
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from geospde.crs import parse_crs, unit_of
from geospde.errors import InputError
from geospde.maps.findings import area, findings, number
from geospde.provenance import versions
from geospde.words import counted, length

_CAPTIONS = {
    "maps": "Posterior mean and limits of {label}, on one colour scale.",
    "mean": "Posterior mean of {label}.",
    "lower": "Lower limit of {label}.",
    "upper": "Upper limit of {label}.",
    "sd": "Posterior standard deviation of {label}: how uncertain the mean is.",
    "observed": "What was observed: {label} at each site, on the colours of the posterior mean.",
    "fitted": "Fitted means with their limits against what was observed, a point a site.",
    "mesh": "The mesh that carries the field, with coast and sites.",
}

_CRITERIA = {
    "aic": "AIC",
    "bic": "BIC",
    "dic": "DIC",
    "p_dic": "effective parameters (DIC)",
    "waic": "WAIC",
    "p_waic": "effective parameters (WAIC)",
    "log_score": "log score (mean of −log CPO)",
    "elpd_loo": "expected log density, leave-one-out",
    "p_loo": "effective parameters (leave-one-out)",
}


_NAMES = {
    "poisson": "Poisson",
    "gaussian": "Gaussian",
    "t": "Student t",
    "bernoulli": "Bernoulli",
    "nbinomial": "negative binomial",
    "zeroinflatedpoisson1": "zero-inflated Poisson",
    "zeroinflatednbinomial1": "zero-inflated negative binomial",
}

_METHODS = {
    "inla": "It was fitted by integrated nested Laplace approximation (Rue, Martino & Chopin 2009).",
    "eb": "It was fitted by Laplace approximation with the hyperparameters at their posterior mode.",
}


class Picture(NamedTuple):
    """A figure with what a reader needs to read it."""

    uri: str
    caption: str
    width: int
    height: int


class Table(NamedTuple):
    """A table as the page shows it: everything is text."""

    caption: str
    head: list[str]
    rows: list[list[str]]


def write_report(
    path: str | Path,
    *,
    title: str,
    survey: Any = None,
    mesh: Any = None,
    fit: Any = None,
    prediction: Any = None,
    figures: Sequence[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
    seconds: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
    label: str | None = None,
) -> Path:
    """Write the report of a run: maps, what they say, tables, settings.

    Parameters
    ----------
    path : str or Path
        The HTML file.
    title : str
        Of the page.
    survey, mesh, fit, prediction : optional
        What the run made; a part that is not given is left out.
    figures : sequence of paths
        PNG files, as `geospde.maps.figures.save_figures` returns them; they are taken into the page.
    settings : mapping, optional
        The run file, by section.
    seconds : mapping of str to float, optional
        How long each step took.
    notes : sequence of str
        Warnings of the run.
    label : str, optional
        What is predicted, in words; by default the prediction's own label.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    InputError
        If a figure cannot be read or the page cannot be written.
    """
    import jinja2

    path = Path(path)
    columns = "" if prediction is None else prediction.label
    label = label or columns
    try:
        pictures = _pictures(figures, label)
        page = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        ).from_string(files("geospde.maps").joinpath("templates/report.html").read_text(encoding="utf-8"))
        text = page.render(
            title=title,
            date=datetime.date.today().isoformat(),
            summary=_summary(survey, mesh, prediction, label),
            lead=[pictures[name] for name in ("maps", "mean") if name in pictures][:1],
            findings=[] if prediction is None else findings(prediction, survey=survey, fit=fit, label=label),
            maps=[p for n, p in pictures.items() if n == "sd" or n.startswith("exceed_")],
            data=[pictures[n] for n in ("observed", "fitted") if n in pictures],
            mesh=[pictures[n] for n in ("mesh",) if n in pictures],
            notes=list(notes),
            estimates=_estimates(fit),
            survey_table=_survey_table(survey, columns),
            mesh_table=_mesh_table(mesh),
            methods=_methods(mesh, fit, prediction, label),
            settings=_settings(settings or {}),
            model=_describe(fit),
            seconds=_seconds(seconds or {}),
            versions=Table("Versions", [], [[name, value] for name, value in versions().items()]),
        )
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the report {path}: {error}") from error
    return path


def _pictures(paths: Iterable[str | Path], label: str) -> dict[str, Picture]:
    """Take PNG files in as data URIs."""
    pictures = {}
    for path in map(Path, paths):
        caption = _CAPTIONS.get(path.stem, path.stem)
        if path.stem.startswith("exceed_"):
            caption = f"Probability of {{label}} above {path.stem.removeprefix('exceed_')}."
        png = path.read_bytes()
        width, height = struct.unpack(">II", png[16:24])  # in pixels; shown at half, sharp on fine screens
        uri = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        caption = caption.replace("{label}", label or "the response")
        pictures[path.stem] = Picture(uri, caption, width // 2, height // 2)
    return pictures


def _summary(survey: Any, mesh: Any, prediction: Any, label: str) -> str:
    """Return the line under the title."""
    parts = []
    if survey is not None:
        parts.append(counted(len(survey.points), "site"))
    if mesh is not None:
        parts.append(f"mesh of {counted(len(mesh.vertices), 'vertex', 'vertices')}")
    if prediction is not None:
        what = "cell" if prediction.grid is not None else "place"
        parts.append(f"{label} predicted at {counted(len(prediction.to_frame()), what)}")
    return " · ".join(parts)


def _methods(mesh: Any, fit: Any, prediction: Any, label: str) -> list[str]:
    """Return the methods paragraph, a sentence each, as a paper would say it."""
    said = []
    if fit is not None:
        told = fit.describe()
        link = f" and a {told['link']} link" if told.get("link") else ""
        said.append(f"The model is {fit.formula}, with a {_NAMES.get(fit.family, fit.family)} likelihood{link}.")
        how = _METHODS.get(str(told.get("method")))
        said += [how] if how else []
        if mesh is not None and "spde(" in fit.formula:
            said.append(
                "The spatial field has a Matérn covariance and is carried by piecewise linear elements on a "
                f"mesh of {counted(len(mesh.vertices), 'vertex', 'vertices')}, where its precision matrix is "
                "sparse (Lindgren, Rue & Lindström 2011)."
            )
    if prediction is not None and prediction.grid is not None:
        grid = prediction.grid
        unit = unit_of(None if prediction.crs is None else parse_crs(prediction.crs))
        said.append(
            f"Predictions are for the centres of {counted(grid.n, 'cell')} of {length(grid.dx, '')} by "
            f"{length(grid.dy, unit)}; limits are quantiles of the posterior of {label}."
        )
    return said


def _estimates(fit: Any) -> list[Table]:
    """Return the tables of a fit."""
    if fit is None:
        return []
    tables = [
        _frame_table("Fixed effects (scale of the linear predictor)", fit.fixed),
        _frame_table("Hyperparameters", fit.hyper),
    ]
    values = {name: fit.criteria[name] for name in _CRITERIA if fit.criteria.get(name) is not None}
    rows = [[_CRITERIA[name], number(float(value))] for name, value in values.items()]
    evidence = getattr(fit, "log_marginal_likelihood", None)
    if evidence is not None:
        rows.insert(0, ["log marginal likelihood", number(float(evidence))])
    return [*tables, Table("Criteria", [], rows)]


def _frame_table(caption: str, frame: Any) -> Table:
    """Return a DataFrame as text, its index first."""
    head = ["", *(_column(str(name)) for name in frame.columns)]
    rows = [[str(name), *map(number, row)] for name, row in zip(frame.index, frame.to_numpy(dtype=float))]
    return Table(caption, head, rows)


def _column(name: str) -> str:
    """Return a column's heading.

    Examples
    --------
    >>> _column("q0.025"), _column("q0.5"), _column("sd")
    ('2.5%', 'median', 'sd')
    """
    if name == "q0.5":
        return "median"
    return f"{100 * float(name[1:]):.4g}%" if name.startswith("q") and name[1:2].isdigit() else name


def _survey_table(survey: Any, columns: str) -> Table | None:
    """Return size, place and totals of a survey."""
    if survey is None:
        return None
    rows = [["name", survey.name], ["sites", f"{len(survey.points):,}"]]
    for name in columns.split(" / ") if columns else []:
        if name in survey.points.columns:
            column = survey.points[name]
            spread = f"{number(column.min())} to {number(column.max())}"
            rows.append([name, f"{spread}, in all {number(column.sum())}"])
    crs = None if survey.crs is None else parse_crs(survey.crs)
    unit = unit_of(crs)
    if survey.coastline is not None and unit not in ("", "degree"):
        rows.append(["area within the coastline", area(survey.coastline.area, unit)])
    rows.append(["coordinates", "no CRS" if crs is None else crs.name])
    return Table("Survey", [], rows)


def _mesh_table(mesh: Any) -> Table | None:
    """Return the quality of a mesh."""
    if mesh is None:
        return None
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
            spread = f"{length(low, '')} to {length(high, unit)}, median {length(middle, unit)}"
            rows.append([f"edges of the {zone} zone", spread])
    return Table("Mesh", [], rows)


def _describe(fit: Any) -> Table | None:
    """Return what a fit says about how it was made."""
    if fit is None:
        return None
    told = dict(fit.describe())
    if isinstance(told.get("priors"), Mapping):
        told["priors"] = "; ".join(_once(told["priors"]))
    return Table("Model", [], [[str(key), _shown(value)] for key, value in told.items()])


def _once(priors: Mapping[str, str]) -> list[str]:
    """Say each prior once, with all parameters that have it: a joint prior stands under every one of them.

    Examples
    --------
    >>> _once({"range(spde)": "PC", "sigma(spde)": "PC", "size": "gamma"})
    ['range(spde), sigma(spde): PC', 'size: gamma']
    """
    holders: dict[str, list[str]] = {}
    for name, text in priors.items():
        holders.setdefault(_shown(text), []).append(name)
    return [f"{', '.join(names)}: {text}" for text, names in holders.items()]


def _settings(settings: Mapping[str, Any]) -> list[Table]:
    """Return a table for each section of the run file."""
    tables, loose = [], []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows = [[str(key), _shown(item)] for key, item in value.items() if item is not None]
            if rows:
                tables.append(Table(f"[{name}]", [], rows))
        elif value is not None:
            loose.append([name, _shown(value)])
    return ([Table("Run", [], loose)] if loose else []) + tables


def _shown(value: Any) -> str:
    """Return a setting as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return str(value)


def _seconds(seconds: Mapping[str, float]) -> Table | None:
    """Return how long each step took, and all."""
    if not seconds:
        return None
    rows = [[name, f"{value:.2f}"] for name, value in seconds.items()]
    return Table("Seconds", [], [*rows, ["all", f"{sum(seconds.values()):.2f}"]])
