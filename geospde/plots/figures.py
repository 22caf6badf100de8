"""Figures for a paper: every layer of a prediction, observations, fitted means, mesh."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from geospde.errors import InputError
from geospde.mesh.trimesh import Mesh
from geospde.plots.canvas import FRAME, INK, PLAIN, SMALL, Look, View, colour_bar, dress, sheet, title
from geospde.plots.drawing import draw_areas, draw_coast, draw_graticule, draw_land, draw_scale_bar
from geospde.plots.fitted import draw_fitted, draw_predictive_check, fitted_response, responses_label
from geospde.plots.frame import dots_of, figure_png, packed_png
from geospde.plots.maps import layers_map, mapped_layers, scale_of, steps_map
from geospde.plots.scale import Scale
from geospde.prediction.layer import Layer, interval_percent, outer_limits
from geospde.prediction.layers import Layers
from geospde.results.base import Fit
from geospde.results.simulate import PredictiveCheck, is_delta
from geospde.survey.crs import is_local, parse_crs
from geospde.survey.survey import Survey
from geospde.text.rates import observed_label
from geospde.text.words import counted, listed, observed_words

FORMATS = ("png", "pdf", "svg")
"""What figures may be written as."""


def save_figures(
    folder: str | Path,
    *,
    survey: Survey | None = None,
    mesh: Mesh | None = None,
    fit: Fit | None = None,
    prediction: Layers | None = None,
    check: PredictiveCheck | None = None,
    prior_check: PredictiveCheck | None = None,
    label: str | None = None,
    dpi: int | None = None,
    crop: bool = True,
    sites: bool = False,
    formats: Sequence[str] = ("png",),
    style: str | None = None,
    graticule: bool | None = None,
    inset: Any = None,
) -> list[Path]:
    """Draw every figure that the given objects allow and write them as ``folder/*.png``.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there.
    survey : Survey, optional
        Gives the coastline, the sites and the observed rates.
    mesh : Mesh, optional
        Drawn with coast and sites.
    fit : Fit, optional
        Its fitted means are drawn against the observed rates.
    prediction : Prediction, optional
        Every layer that it has, but quantiles between the outermost limits.
    check, prior_check : PredictiveCheck, optional
        The responses among replicates of the fit, and of its priors.
    label : str, optional
        What is predicted, in words for titles and colour bars; by default the prediction's own label.
    dpi : int, optional
        Dots per inch of a figure of at most 180 mm: by default 200, or what `style` has; journals ask for 300.
    crop : bool, default True
        Paint land only. False paints all predicted cells, those in the sea too.
    sites : bool, default False
        Mark the survey's sites on the map of the mean.
    formats : sequence of {"png", "pdf", "svg"}
        What each is written as; pdf and svg are made of lines and letters, with cells as a picture in them.
    style, inset
        As `geospde.prediction.layers.Layers.plot` takes them.
    graticule : bool, optional
        Whether maps have degrees along their sides: by default those of a survey in longitude and latitude.

    Returns
    -------
    list of Path
        The files, the most telling first.

    Raises
    ------
    InputError
        If the folder or a file cannot be written, or for a format that is none of these.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError(f"figures are not written as {unknown[0]!r}", remedy=f"the formats are {listed(FORMATS)}")
    degrees = in_degrees(survey) if graticule is None else graticule
    look, folder, paths = Look(style, degrees, inset), Path(folder), []
    dpi = look.made().dpi if dpi is None else dpi
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(max_workers=1) as writer:  # packs a picture while the next one is drawn
            packed = []
            for name, figure in _figures(survey, mesh, fit, prediction, (check, prior_check), label, crop, sites, look):
                for kind in formats:
                    path = folder / f"{name}.{kind}"
                    packed.append(_write(figure, path, dpi, writer))
                    paths.append(path)
            for one in packed:
                if one is not None:
                    one.result()
    except OSError as error:
        raise InputError(f"cannot write the figures into {folder}: {error}") from error
    return paths


def write_picture(figure: Figure, path: Path, formats: Sequence[str], dpi: int = 200) -> bytes:
    """Write a figure as a PNG, which is returned, and in those formats that are others, into a folder that is made."""
    path.parent.mkdir(exist_ok=True)
    png = figure_png(figure, dpi)
    path.write_bytes(png)
    for kind in formats:
        if kind != "png":
            _save(figure, path.with_name(f"{path.stem}.{kind}"), dpi)
    return png


def _write(figure: Figure, path: Path, dpi: int, writer: Executor) -> Future[int] | None:
    """Write a figure in the format of its name's ending, without the time of day: the same data, the same file.

    Of a PNG the writing is left to `writer`, and its future returned.
    """
    if path.suffix == ".png":
        dots = dots_of(figure, dpi)
        return writer.submit(lambda: path.write_bytes(packed_png(dots, dpi)))
    _save(figure, path, dpi)
    return None


def _save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure as PDF or SVG."""
    metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Date": None}
    with rc_context({"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": path.stem}):
        figure.savefig(path, dpi=dpi, metadata=metadata)


def _figures(
    survey: Survey | None,
    mesh: Mesh | None,
    fit: Fit | None,
    prediction: Layers | None,
    checks: Sequence[PredictiveCheck | None],
    label: str | None,
    crop: bool,
    sites: bool,
    look: Look,
) -> Iterator[tuple[str, Figure]]:
    """Yield name and figure, one at a time so that one is in memory."""
    coastline = getattr(survey, "coastline", None)
    if prediction is not None and prediction.steps:
        one = prediction.at_step(prediction.steps[0])
        for column in mapped_layers(one):
            figure = Figure()
            marked = survey if sites and column == "mean" else None
            steps_map(
                prediction, column, coastline=coastline, label=label, crop=crop, sites=marked, figure=figure, look=look
            )
            yield figure_name(one, column), figure
    elif prediction is not None and prediction.points is not None:
        rate, limits = prediction.rate(label), outer_limits(prediction.layers)
        level = [layer.name for layer in prediction.layers if layer.kind == "mean"]
        level += [layer.name for layer in limits or ()]
        shared = scale_of(prediction, level, coastline=coastline, crop=crop) if level else None

        def drawn(columns: Sequence[str], scale: Scale | None = None) -> Figure:
            marked = survey if sites and columns == level[:1] else None
            return layers_map(
                prediction, columns, coastline=coastline, label=label, crop=crop, sites=marked, scale=scale, look=look
            )

        if limits:
            yield "maps", drawn(level, shared)
        for column in mapped_layers(prediction):
            yield figure_name(prediction, column), drawn([column], shared if column in level else None)
        rates = None if survey is None else observed(survey.points, prediction.label, fit)
        if survey is not None and rates is not None:
            yield "observed", sites_map(survey, rates, rate.label, scale=shared, per=rate.per, look=look)
            fitted = _fitted(fit)
            if fitted is not None and len(fitted) == len(rates) and limits and set(level) <= set(fitted.columns):
                whole = rate.per / _whole(fit, len(rates))
                yield "fitted", fitted_plot(fitted.mul(whole, axis=0), rate.per * rates, rate.label, limits=limits)
    for check in checks:
        if check is not None and fit is not None:
            name = f"{'prior_' if check.prior else ''}predictive_check"
            yield name, predictive_plot(check, responses_label(fit))
    if mesh is not None:
        yield "mesh", mesh_map(mesh, survey=survey, look=look)


def _fitted(fit: Fit | None) -> pd.DataFrame | None:
    """Fitted means and limits of the response: of a delta family those of the whole, not of its parts."""
    if fit is None:
        return None
    return fitted_response(fit)[fit.fitted.columns.drop("mode", errors="ignore")] if is_delta(fit.model) else fit.fitted


def figure_name(prediction: Layers, column: str) -> str:
    """Return the name of a layer's figure: ``lower`` and ``upper`` of the limits, else that of the layer."""
    limits = outer_limits(prediction.layers)
    sides = {} if limits is None else {limits[0].name: "lower", limits[1].name: "upper"}
    return sides.get(column, column)


def sites_map(
    survey: Survey,
    values: NDArray[np.float64],
    label: str,
    *,
    scale: Scale | None = None,
    per: float = 1.0,
    look: Look = PLAIN,
) -> Figure:
    """Draw values at the survey's sites, or in its areas.

    Parameters
    ----------
    survey : Survey
        Gives sites or areas, and coastline.
    values : (sites,) array
        What to show.
    label : str
        What they are, or what is predicted of them, for title and colour bar.
    scale : Scale, optional
        Colours, as those of the prediction; made from the values by default.
    per : float
        What values are multiplied with under this label.
    look : Look
        Style and graticule.
    """
    label = observed_label(label)
    scale = Scale.over([values], spacing="auto") if scale is None else scale.showing(values)
    sites, areas = _sites(survey), getattr(survey, "areas", None)
    bounds = [(*sites.min(axis=0), *sites.max(axis=0)) if areas is None else tuple(areas.total_bounds)]
    if survey.coastline is not None:
        bounds.append(survey.coastline.bounds)
    view = View.of(bounds, survey.crs)
    figure, (ax,), place, room = sheet(view, look=look)
    if survey.coastline is not None:
        draw_land(ax, survey.coastline)
        draw_coast(ax, survey.coastline)
    order = np.argsort(values)  # the largest on top
    if areas is None:
        x, y = sites[order].T
        ax.scatter(x, y, c=values[order], s=8, edgecolors=INK, linewidths=0.25, zorder=4, **scale.style)
    else:
        draw_areas(ax, np.asarray(areas.array), values, scale)
    where = f"{'at' if areas is None else 'in'} {counted(len(sites), getattr(survey, 'word', 'site'))}"
    title(ax, f"{observed_words(label)} {where}", room)
    if look.graticule:
        draw_graticule(ax, view, survey.crs)
    draw_scale_bar(ax, view, survey.coastline)
    colour_bar(place, scale, label, per)
    return figure


def mesh_map(mesh: Mesh, *, survey: Survey | None = None, look: Look = PLAIN) -> Figure:
    """Draw the mesh, with coast and sites if a survey is given.

    Parameters
    ----------
    mesh : Mesh
        Drawn by its own `plot`.
    survey : Survey, optional
        Gives coastline and sites.
    look : Look
        Its style.
    """
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    view = View.of([(*low, *high)], mesh.crs)
    figure, (ax,), _, room = sheet(view, bar=False, look=look)
    mesh.plot(ax)
    dress(ax, view)
    ax.set_facecolor("white")
    ax.set_title("")
    words = f"{counted(len(mesh.vertices), 'vertex', 'vertices')}, {counted(len(mesh.triangles), 'triangle')}"
    if survey is not None:
        if survey.coastline is not None:
            draw_coast(ax, survey.coastline, color="#a34a00", width=0.9)
            words += f", {getattr(survey, 'outline', 'coastline')}"
        x, y = _sites(survey).T
        ax.scatter(x, y, s=5, color=INK, linewidths=0, zorder=4)
        words += f" and {counted(len(x), 'site')}"
    title(ax, f"Mesh: {words}", room)
    draw_scale_bar(ax, view, shapely.convex_hull(shapely.multipoints(mesh.vertices)))
    return figure


def fitted_plot(fitted: Any, rates: ArrayLike, label: str, *, limits: tuple[Layer, Layer]) -> Figure:
    """Draw fitted means and limits against what was observed.

    Parameters
    ----------
    fitted : DataFrame
        One row per site, with ``mean`` and the columns of the two `limits`.
    rates : (sites,) array
        What was observed, per unit exposure.
    label : str
        What they are.
    limits : pair of Layer
        The lower and the upper quantile.
    """
    figure = Figure(figsize=(90 / 25.4, 90 / 25.4), facecolor="white")
    ax = figure.add_axes((0.16, 0.13, 0.81, 0.80))
    draw_fitted(ax, rates, fitted["mean"], *(fitted[layer.name] for layer in limits))
    ax.tick_params(labelsize=SMALL, length=2, width=0.5, color=FRAME)
    for spine in ax.spines.values():
        spine.set(linewidth=0.5, edgecolor=FRAME)
    ax.set_xlabel(f"observed {observed_label(label)}", fontsize=SMALL)
    ax.set_ylabel(f"fitted {label}", fontsize=SMALL)
    title(ax, f"Fitted against observed, with {interval_percent(limits)} limits")
    return figure


def predictive_plot(check: PredictiveCheck, label: str) -> Figure:
    """Draw a predictive check as a figure of a page."""
    figure = Figure(figsize=(120 / 25.4, 80 / 25.4), facecolor="white")
    draw_predictive_check(check, label, figure.add_axes((0.09, 0.12, 0.88, 0.80)))
    return figure


def observed(sites: gpd.GeoDataFrame, label: str, fit: Fit | None = None) -> NDArray[np.float64] | None:
    """Return the sites' response per unit exposure, as a map has it, or None if the label's columns are not in them.

    Parameters
    ----------
    sites : GeoDataFrame
        With the columns that the label names.
    label : str
        A response, or ``"response / exposure"``.
    fit : Fit, optional
        Its family says what was observed of ordered classes: whether they are above the first. Totals of areas are over
        their area, or weights.
    """
    model = getattr(fit, "model", None)
    if model is not None and getattr(getattr(model, "family", None), "takes_categories", False):
        above = np.asarray(model.likelihood.observed())
        return above if len(above) == len(sites) else None
    names = [name.strip() for name in label.split(" / ")]
    if len(names) > 2 or not set(names) <= set(sites.columns):
        return None
    response, *exposure = (sites[name].to_numpy(dtype=float) for name in names)
    return np.asarray((response / exposure[0] if exposure else response) / _whole(fit, len(response)))


def _whole(fit: Fit | None, rows: int) -> NDArray[np.float64]:
    """What rows that are totals are over, in the unit of a map of them: their area, or sum of weights; else 1."""
    support = getattr(getattr(fit, "model", None), "support", None)
    if support is None or support.weights.shape[0] != rows:
        return np.ones(rows)
    return np.asarray(support.weights.sum(axis=1), dtype=float).ravel()


def in_degrees(survey: Survey | None) -> bool:
    """Tell whether a survey came in longitude and latitude, and its CRS leads back there: its maps have degrees."""
    came, crs = getattr(survey, "source_crs", None), getattr(survey, "crs", None)
    if came is None or crs is None:
        return False
    return bool(parse_crs(came).is_geographic) and not is_local(parse_crs(crs))


def _sites(survey: Survey) -> NDArray[np.float64]:
    """Coordinates of the survey's sites, (n, 2)."""
    return np.asarray(shapely.get_coordinates(survey.points.geometry.array))
