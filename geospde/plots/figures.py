"""Maps for a paper: posterior mean, limits, standard deviation, exceedance, observations, mesh."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from geospde.errors import InputError
from geospde.plots.canvas import FRAME, INK, SMALL, Scale, View, colour_bar, dress, sheet, title
from geospde.plots.drawing import draw_cells, draw_coast, draw_land, draw_scale_bar
from geospde.plots.fitted import draw_fitted
from geospde.prediction.cells import cells_that_meet
from geospde.text.words import counted, did_you_mean


def save_figures(
    folder: str | Path,
    *,
    survey: Any = None,
    mesh: Any = None,
    fit: Any = None,
    prediction: Any = None,
    label: str | None = None,
    dpi: int = 200,
    crop: bool = True,
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
        Mean, limits, standard deviation and every exceedance probability it holds.
    label : str, optional
        What is predicted, in words for titles and colour bars; by default the prediction's own label.
    dpi : int, default 200
        Dots per inch of a figure of at most 180 mm; journals ask for 300.
    crop : bool, default True
        Paint land only. False paints all predicted cells, those in the sea too.

    Returns
    -------
    list of Path
        The files, the most telling first.

    Raises
    ------
    InputError
        If the folder or a file cannot be written.
    """
    folder, paths = Path(folder), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in _figures(survey, mesh, fit, prediction, label, crop):
            path = folder / f"{name}.png"
            _write_png(figure, path, dpi)
            paths.append(path)
    except OSError as error:
        raise InputError(f"cannot write the figures into {folder}: {error}") from error
    return paths


def _write_png(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure without an alpha channel: smaller, and half as long in the compressor as `savefig`."""
    from PIL import Image

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3]))
    picture.save(path, dpi=(dpi, dpi), compress_level=4)


def _figures(
    survey: Any, mesh: Any, fit: Any, prediction: Any, label: str | None, crop: bool
) -> Iterator[tuple[str, Figure]]:
    """Yield name and figure, one at a time so that one is in memory."""
    coastline = getattr(survey, "coastline", None)
    if prediction is not None and prediction.points is not None:
        frame, words = prediction.to_frame(), label or prediction.label
        limits = limit_columns(frame)
        trio = ["mean", *limits]
        shared = scale_of(prediction, trio, coastline=coastline, crop=crop)
        options: dict[str, Any] = {"coastline": coastline, "label": words, "crop": crop}
        if limits:
            yield "maps", layers_map(prediction, trio, scale=shared, **options)
        for name, column in zip(("mean", "lower", "upper"), trio):
            yield name, layers_map(prediction, [column], scale=shared, **options)
        for column in frame.columns:
            if column == "sd" or column.startswith("exceed_"):
                yield column, layers_map(prediction, [column], **options)
        rates = observed(survey, prediction.label)
        if rates is not None:
            yield "observed", sites_map(survey, rates, words, scale=shared)
            if fit is not None and {"mean", *limits} <= set(fit.fitted.columns) and limits:
                yield "fitted", fitted_plot(fit.fitted, rates, words, limits=limits)
    if mesh is not None:
        yield "mesh", mesh_map(mesh, survey=survey)


def layers_map(
    prediction: Any,
    columns: Sequence[str],
    *,
    coastline: Any = None,
    label: str | None = None,
    crop: bool = True,
    scale: Scale | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw columns of a prediction as maps with one colour scale.

    Parameters
    ----------
    prediction : Prediction
        On a grid, or at points.
    columns : sequence of str
        Such as ``["mean", "q0.025", "q0.975"]``.
    coastline : polygons, optional
        Drawn on top.
    label : str, optional
        What is predicted, in words; by default the prediction's own label.
    crop : bool, default True
        Paint only what lies on land, if there is a coastline.
    scale : Scale, optional
        Made from the columns by default.
    figure : Figure, optional
        Draw into this one.

    Returns
    -------
    Figure
        At most 180 by 230 mm.

    Raises
    ------
    InputError
        If the prediction has no such column.
    """
    frame = prediction.to_frame()
    for column in columns:
        if column not in frame.columns:
            raise InputError(f"the prediction has no column {column!r}: {did_you_mean(column, frame.columns)}")
    label = label or prediction.label
    painted = _painted(prediction, coastline, crop)
    scale = scale_of(prediction, columns, coastline=coastline, crop=crop) if scale is None else scale
    view = _view(prediction, coastline)
    figure, axes, place, room = sheet(view, len(columns), figure=figure)
    for ax, column in zip(axes, columns):
        _draw_layer(ax, prediction, frame[column].to_numpy(), scale, coastline, crop)
        title(ax, heading(column, label), room)
    draw_scale_bar(axes[-1], view, coastline)
    shown = scale.showing(*(frame[column].to_numpy()[painted] for column in columns))
    colour_bar(place, shown, _bar_label(columns[0], label))
    return figure


def plot_prediction(
    prediction: Any,
    column: str = "mean",
    *,
    coastline: Any = None,
    label: str | None = None,
    crop: bool = True,
    scale: Scale | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one column of a prediction for the screen, as ``prediction.plot()`` does.

    Parameters
    ----------
    prediction, column, label, crop, scale
        As in `layers_map`.
    coastline : polygons, optional
        As in `layers_map`; by default the region that the prediction's grid was laid around.
    ax : Axes, optional
        Draw into these axes, with a colour bar beside them; a new pyplot figure by default.

    Returns
    -------
    Axes
    """
    label = label or prediction.label
    if coastline is None and prediction.grid is not None:
        coastline = prediction.grid.domain
    if ax is None:
        from matplotlib import pyplot as plt

        options: dict[str, Any] = {"coastline": coastline, "label": label, "crop": crop, "scale": scale}
        return layers_map(prediction, [column], figure=plt.figure(), **options).axes[0]
    scale = scale_of(prediction, [column], coastline=coastline, crop=crop) if scale is None else scale
    view = _view(prediction, coastline)
    values = prediction.to_frame()[column].to_numpy()
    dress(ax, view)
    _draw_layer(ax, prediction, values, scale, coastline, crop)
    title(ax, heading(column, label))
    draw_scale_bar(ax, view, coastline)
    shown = scale.showing(values[_painted(prediction, coastline, crop)])
    # An inset is as tall as the map, whatever its aspect.
    colour_bar(ax.inset_axes((1.02, 0.0, 0.025, 1.0)), shown, _bar_label(column, label))
    return ax


def sites_map(survey: Any, values: NDArray[np.float64], label: str, *, scale: Scale | None = None) -> Figure:
    """Draw values at the survey's sites.

    Parameters
    ----------
    survey : Survey
        Gives sites and coastline.
    values : (sites,) array
        What to show.
    label : str
        What they are, for title and colour bar.
    scale : Scale, optional
        Colours, as those of the prediction; made from the values by default.
    """
    scale = Scale.over([values]) if scale is None else scale.showing(values)
    sites = _sites(survey)
    bounds = [(*sites.min(axis=0), *sites.max(axis=0))]
    if survey.coastline is not None:
        bounds.append(survey.coastline.bounds)
    view = View.of(bounds, survey.crs)
    figure, (ax,), place, room = sheet(view)
    if survey.coastline is not None:
        draw_land(ax, survey.coastline)
        draw_coast(ax, survey.coastline)
    order = np.argsort(values)  # the largest on top
    x, y = sites[order].T
    ax.scatter(x, y, c=values[order], s=8, edgecolors=INK, linewidths=0.25, zorder=4, **scale.style)
    title(ax, f"Observed {label} at {counted(len(sites), 'site')}", room)
    draw_scale_bar(ax, view, survey.coastline)
    colour_bar(place, scale, label)
    return figure


def mesh_map(mesh: Any, *, survey: Any = None) -> Figure:
    """Draw the mesh, with coast and sites if a survey is given.

    Parameters
    ----------
    mesh : Mesh
        Drawn by its own `plot`.
    survey : Survey, optional
        Gives coastline and sites.
    """
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    view = View.of([(*low, *high)], mesh.crs)
    figure, (ax,), _, room = sheet(view, bar=False)
    mesh.plot(ax)
    dress(ax, view)
    ax.set_facecolor("white")
    ax.set_title("")
    words = f"{counted(len(mesh.vertices), 'vertex', 'vertices')}, {counted(len(mesh.triangles), 'triangle')}"
    if survey is not None:
        if survey.coastline is not None:
            draw_coast(ax, survey.coastline, color="#a34a00", width=0.9)
            words += ", coastline"
        x, y = _sites(survey).T
        ax.scatter(x, y, s=5, color=INK, linewidths=0, zorder=4)
        words += f" and {counted(len(x), 'site')}"
    title(ax, f"Mesh: {words}", room)
    draw_scale_bar(ax, view, shapely.convex_hull(shapely.multipoints(mesh.vertices)))
    return figure


def fitted_plot(fitted: Any, rates: ArrayLike, label: str, *, limits: Sequence[str]) -> Figure:
    """Draw fitted means and limits against what was observed.

    Parameters
    ----------
    fitted : DataFrame
        A row a site, with ``mean`` and the two columns `limits`.
    rates : (sites,) array
        What was observed, per unit exposure.
    label : str
        What they are.
    limits : pair of str
        Names of the lower and the upper column.
    """
    figure = Figure(figsize=(90 / 25.4, 90 / 25.4), facecolor="white")
    ax = figure.add_axes((0.16, 0.13, 0.81, 0.80))
    draw_fitted(ax, rates, fitted["mean"], *(fitted[column] for column in limits))
    ax.tick_params(labelsize=SMALL, length=2, width=0.5, color=FRAME)
    for spine in ax.spines.values():
        spine.set(linewidth=0.5, edgecolor=FRAME)
    ax.set_xlabel(f"observed {label}", fontsize=SMALL)
    ax.set_ylabel(f"fitted {label}", fontsize=SMALL)
    title(ax, f"Fitted against observed, with {100 * (_level(limits[1]) - _level(limits[0])):.4g}% limits")
    return figure


def scale_of(prediction: Any, columns: Sequence[str], *, coastline: Any = None, crop: bool = True) -> Scale:
    """Make the colour scale of some columns from the cells that are painted; probabilities get 0 to 1."""
    if columns[0].startswith("exceed_"):
        return Scale(0.0, 1.0, 1.0, "cividis")
    painted = _painted(prediction, coastline, crop)
    frame = prediction.to_frame()
    values = [frame[column].to_numpy()[painted] for column in columns]
    return Scale.over(values, "plasma" if columns[0] == "sd" else "viridis")


def observed(survey: Any, label: str) -> NDArray[np.float64] | None:
    """Return the survey's response per unit exposure, or None if the label's columns are not in it.

    Parameters
    ----------
    survey : Survey or None
        With the columns that the label names.
    label : str
        A response, or ``"response / exposure"``.
    """
    names = [name.strip() for name in label.split(" / ")]
    if survey is None or len(names) > 2 or not set(names) <= set(survey.points.columns):
        return None
    response, *exposure = (survey.points[name].to_numpy(dtype=float) for name in names)
    return response / exposure[0] if exposure else response


def heading(column: str, label: str) -> str:
    """Return a map's title.

    Examples
    --------
    >>> heading("q0.975", "counts / time"), heading("exceed_8", "counts / time")
    ('Upper limit (97.5% quantile)', 'Probability of counts / time above 8')
    """
    if column.startswith("exceed_"):
        return f"Probability of {label} above {column.removeprefix('exceed_')}"
    if _is_quantile(column):
        side = "Lower" if _level(column) < 0.5 else "Upper"
        return "Median" if _level(column) == 0.5 else f"{side} limit ({100 * _level(column):.4g}% quantile)"
    return {"mean": "Posterior mean", "sd": "Posterior standard deviation"}.get(column, column)


def _bar_label(column: str, label: str) -> str:
    if column.startswith("exceed_"):
        return "probability"
    return f"standard deviation of {label}" if column == "sd" else label


def _is_quantile(column: str) -> bool:
    return column.startswith("q") and column[1:2].isdigit()


def _level(column: str) -> float:
    return float(column[1:])


def limit_columns(frame: Any, *, every: bool = False) -> list[str]:
    """Return the outermost pair of quantile columns, or nothing; or every quantile column."""
    levels = sorted(filter(_is_quantile, frame.columns), key=_level)
    if every:
        return levels
    pair = [c for c in levels if _level(c) < 0.5][:1] + [c for c in levels if _level(c) > 0.5][-1:]
    return pair if len(pair) == 2 else []


def _painted(prediction: Any, coastline: Any, crop: bool) -> NDArray[np.bool_]:
    """Tell which rows of a prediction a map shows: with a crop, the cells that meet the land."""
    grid = prediction.grid
    everything = np.ones(len(prediction.to_frame()), dtype=bool)
    if grid is None or coastline is None or not crop:
        return everything
    x = grid.x0 + grid.dx * np.arange(grid.cols + 1)
    y = grid.y0 + grid.dy * np.arange(grid.rows + 1)
    shown = cells_that_meet(coastline, x, y)[grid.mask]
    return shown if shown.any() else everything


def _view(prediction: Any, coastline: Any) -> View:
    """Return the window of the land if there is some, else of the grid or the points."""
    if coastline is not None:
        bounds = coastline.bounds
    elif prediction.grid is not None:
        bounds = prediction.grid.bounds
    else:
        bounds = (*prediction.points.min(axis=0), *prediction.points.max(axis=0))
    return View.of([bounds], prediction.crs)


def _draw_layer(
    ax: Axes, prediction: Any, values: NDArray[np.float64], scale: Scale, coastline: Any, crop: bool
) -> None:
    """Paint one column: cells of a grid, or marks at points."""
    if prediction.grid is not None:
        image, clip = prediction.grid.to_array(values), coastline if crop else None
        draw_cells(ax, image, prediction.grid.bounds, clip=clip, **scale.style)
    else:
        x, y = prediction.points.T
        ax.scatter(x, y, c=values, s=10, edgecolors=INK, linewidths=0.2, **scale.style)
    if coastline is not None:
        draw_coast(ax, coastline)


def _sites(survey: Any) -> NDArray[np.float64]:
    """Coordinates of the survey's sites, (n, 2)."""
    return shapely.get_coordinates(survey.points.geometry.array)
