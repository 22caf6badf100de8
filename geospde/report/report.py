"""The report of a run: one interactive HTML file that needs nothing beside it."""

import base64
import datetime
import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache, reduce
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from geospde import __version__
from geospde.errors import InputError
from geospde.plots.exploration import exploration_section
from geospde.plots.figures import figure_name
from geospde.prediction.layers import Layers
from geospde.report import summaries
from geospde.report.areas import areas_on_a_grid
from geospde.report.findings import area_findings, findings
from geospde.report.methods import Methods
from geospde.report.page import (
    LEVELS,
    Found,
    Picture,
    Section,
    certificate_section,
    found,
    picture,
    regions_sections,
    survey_section,
    validation_section,
)
from geospde.report.parts import RunParts
from geospde.report.webmap import web_map
from geospde.survey.survey import Survey
from geospde.text.rates import Rate, with_article

_CAPTIONS = {
    "maps": "{mean} and limits of {label}, on one colour scale.",
    "observed": "What was observed: {label} at each {place}, on the colours of the map of the mean.",
    "fitted": "Fitted means with their limits against what was observed, a point a {place}.",
    "predictive_check": "The share of responses up to each value, in the band of 95 % of replicates drawn from the "
    "fit: a line beyond the band tells of which responses the model makes too few or too many.",
    "prior_predictive_check": "The same among data drawn from the priors, but for effects with a flat prior, which are "
    "as estimated: a line beyond the band tells that the priors expected other data.",
    "mesh": "The mesh that carries the field, with {outline} and {place}s.",
}
"""Of figures that are not of one layer, which have captions of their own."""

_SCRIPTS = ("data.js", "view.js", "paint.js", "readout.js", "sites.js", "moves.js", "start.js")


def write_report(path: str | Path, run: RunParts) -> Path:
    """Write the report of a run: an interactive map, what it says, tables, methods, settings.

    Parameters
    ----------
    path : str or Path
        The HTML file.
    run : RunParts
        What the run made; a part that it has not made is left out.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    InputError
        If a figure cannot be read or the page cannot be written.

    Notes
    -----
    Every text is escaped, and the page's own policy lets a browser run no script but its own, and load nothing.
    """
    path = Path(path)
    try:
        path.write_text(_render(**_content(run, path.parent)), encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"cannot write the report {path}: {error}") from error
    return path


def _content(run: RunParts, folder: Path) -> dict[str, Any]:
    """Return what the template shows, by the names that it has for it."""
    survey, mesh, fit, prediction = run.survey, run.mesh, run.fit, run.prediction
    columns = "" if prediction is None else prediction.label
    label = run.label or columns
    explored = None if run.exploration is None else exploration_section(run.exploration)
    pictures = _pictures(run.figures, prediction, label, survey)
    mapped = prediction
    if mapped is None and fit is not None and run.regions:
        mapped = areas_on_a_grid(run.regions[0], fit.model.response_label)
    return {
        "title": run.title,
        "date": datetime.date.today().isoformat(),
        "version": __version__,
        "summary": summaries.summary(survey, mesh, prediction, label),
        "findings": area_findings(run.regions)
        if prediction is None
        else findings(prediction, survey=survey, fit=fit, label=label),
        "map": web_map(survey=survey, mesh=mesh, fit=fit, prediction=mapped, label=label or None),
        "still": [pictures.pop(name) for name in ("maps", "mean") if name in pictures][:1],
        "layers": None if prediction is None else summaries.layers_table(prediction, survey, label),
        "notes": list(run.notes),
        "survey": _survey(survey, columns, _chosen(pictures, "observed"), explored),
        "estimates": [] if fit is None else summaries.estimates(fit),
        "criteria": None if fit is None else summaries.criteria_table(fit),
        "certificate": None if run.certificate is None else certificate_section(run.certificate),
        "fitted": _chosen(pictures, "fitted"),
        "checks": sorted(map(found, [*(explored or {}).get("findings", ()), *run.checks]), key=_gravest_first),
        "checked": [*_chosen(pictures, "predictive_check"), *_chosen(pictures, "prior_predictive_check")],
        "levels": LEVELS,
        "validation": None if run.validation is None else validation_section(run.validation),
        "regions": regions_sections(run.regions),
        "likelihoods": regions_sections(run.likelihoods),
        "index": regions_sections(run.index),
        "figures": _further(pictures, prediction),
        "mesh_table": None if mesh is None else summaries.mesh_table(mesh),
        "mesh": _chosen(pictures, "mesh"),
        "methods": Methods(mesh, fit, prediction, label, run.settings),
        "links": summaries.links(run.files, folder),
        "settings": summaries.settings_tables(run.settings),
        "model": None if fit is None else summaries.model_table(fit),
        "seconds": summaries.seconds_table(run.seconds) if run.seconds else None,
        "versions": summaries.versions_table(),
    }


def _survey(
    survey: Survey | None, columns: str, pictures: list[Picture], explored: Mapping[str, Any] | None
) -> Section | None:
    if explored is not None:
        return survey_section(explored)
    return None if survey is None else Section(tables=[summaries.survey_table(survey, columns)], pictures=pictures)


def _gravest_first(finding: Found) -> int:
    return -list(LEVELS).index(finding.level)


def _render(**content: Any) -> str:
    """Fill the page's template; style and script stand in it, and its policy names their hashes."""
    style = _template("report.css")
    script = "(() => {\n'use strict';\n" + "\n".join(map(_template, _SCRIPTS)) + "})();\n"
    hashes = {"style_hash": _hash(style), "script_hash": _hash(script)}
    return str(_page().render(style=style, script=script, **hashes, **content))


@cache
def _page() -> Any:
    """Return the page's template, which takes longer to compile than to fill."""
    import jinja2

    return jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_unbroken
    ).from_string(_template("report.html"))


def _unbroken(value: Any) -> Any:
    """Keep a percent sign on the line of its number; what is HTML or data already stays as it is."""
    return re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", value) if type(value) is str else value


def _template(name: str) -> str:
    return resources("geospde.report").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return a hash as a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _pictures(
    paths: Iterable[str | Path], prediction: Layers | None, label: str, survey: Survey | None
) -> dict[str, Picture]:
    """Take PNG files in, with their captions."""
    if prediction is not None and prediction.steps:
        prediction = prediction.at_step(prediction.steps[0])
    rate = Rate("the response") if prediction is None else prediction.rate(label or "the response")
    layers = () if prediction is None else prediction.layers
    mean = next((layer.title for layer in layers if layer.kind == "mean"), "Mean")
    place = {"{place}": getattr(survey, "word", "site"), "{outline}": getattr(survey, "outline", "coastline")}
    said = {"{mean}": mean, "{label}": with_article(rate.label), **place}
    captions = {name: reduce(lambda t, key: t.replace(key, said[key]), said, text) for name, text in _CAPTIONS.items()}
    if prediction is not None:
        for layer in layers:
            captions[figure_name(prediction, layer.name)] = layer.with_label(*rate).caption
    return {path.stem: picture(path, captions.get(path.stem, path.stem)) for path in map(Path, paths)}


def _further(pictures: Mapping[str, Picture], prediction: Layers | None) -> list[Picture]:
    """Return the figures of single layers that the interactive map cannot stand for: all but mean and quantiles."""
    if prediction is not None and prediction.steps:
        prediction = prediction.at_step(prediction.steps[0])
    layers = () if prediction is None else prediction.layers
    names = [layer.name for layer in layers if layer.kind not in ("mean", "quantile")]
    return [pictures[name] for name in names if name in pictures]


def _chosen(pictures: Mapping[str, Picture], name: str) -> list[Picture]:
    return [pictures[name]] if name in pictures else []
