"""Predictions at grid cells, table rows or points, in chunks, with exact standard deviations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.formula.table import coordinates, per_row
from geospde.prediction.grid import Grid
from geospde.results.result import Fit
from geospde.text.notebook import card, frame_table, picture

if TYPE_CHECKING:
    from pathlib import Path

    import xarray
    from numpy.typing import NDArray


CHUNK = 20_000  # points at a time: a few hundred bytes each for every theta point


class Prediction:
    """Posterior of the mean per unit exposure at many places.

    Attributes
    ----------
    points : (m, 2) array or None
        Where, in the units of `crs`.
    grid : Grid or None
        The raster that the points are the cells of.
    crs : pyproj.CRS or None
    label : str
        What is predicted, such as ``"counts / time"``.

    Examples
    --------
    >>> import geospde as gs
    >>> survey = gs.load_dataset("rongelap")
    >>> mesh = gs.build_mesh(survey.coastline, max_edge=(300, 600), offset=600)
    >>> fit = gs.fit("counts ~ 1 + spde(mesh)", survey.points, mesh=mesh, family="poisson", exposure="time")
    >>> surface = fit.predict(gs.Grid.around(survey.coastline, cell=100), exceed=[8])
    >>> surface.to_frame().columns.tolist()
    ['x', 'y', 'mean', 'sd', 'q0.025', 'q0.5', 'q0.975', 'exceed_8']
    """

    def __init__(
        self,
        fit: Fit,
        rows: _Rows,
        frame: pd.DataFrame,
        grid: Grid | None,
        crs: Any,
        label: str,
    ):
        self._fit = fit
        self._rows = rows
        self._frame = frame
        self.points = rows.points
        self.grid = grid
        self.crs = crs
        self.label = label

    def __repr__(self) -> str:
        where = f"on {self.grid!r}" if self.grid is not None else f"at {len(self._frame)} places"
        return f"<Prediction of {self.label} {where}>"

    def _repr_html_(self) -> str:
        """Show it in a notebook: what was predicted where, its columns in numbers, and a map of the mean."""
        columns = self._frame.drop(columns=["x", "y"], errors="ignore")
        spread = pd.DataFrame({"least": columns.min(), "average": columns.mean(), "greatest": columns.max()})
        parts = [frame_table(spread)]
        if self.points is not None:
            from geospde.plots.thumbnails import prediction_png

            parts.append(picture(prediction_png(self, self._frame["mean"].to_numpy(), self.label), "Map of the mean"))
        where = repr(self).removeprefix(f"<Prediction of {self.label} ").removesuffix(">")
        return card(f"Prediction of {self.label}", f"{where}; {self.model}", *parts)

    def to_frame(self) -> pd.DataFrame:
        """A row a place: ``x, y, mean, sd, q0.025, ..., exceed_8``."""
        return self._frame.copy()

    @property
    def model(self) -> str:
        """The model behind it: formula, family and method."""
        return f"{self._fit.formula}, {self._fit.family}, {self._fit.method}"

    def exceedance(self, threshold: float) -> NDArray[np.float64]:
        """P(mean per unit exposure > threshold) at each place, (m,)."""
        column = f"exceed_{threshold:g}"
        if column in self._frame:
            return self._frame[column].to_numpy()
        parts = [_exceed(m, self._fit, threshold, s) for m, s in self._rows.mixtures(self._fit)]
        return np.concatenate(parts)

    def to_raster(self, path: str | Path, *, crop: Any = None, cog: bool = False) -> None:
        """Write a GeoTIFF, a named band a column; see `geospde.export.raster.write_raster`.

        Parameters
        ----------
        path : str or Path
        crop : polygon, optional
            Cells whose centre lies outside it become nodata.
        cog : bool, default False
            Write a cloud-optimised GeoTIFF.
        """
        if self.grid is None:
            raise InputError("only a prediction on a Grid can be written as a raster: predict(gs.Grid.around(...))")
        from geospde.export.raster import write_raster

        write_raster(path, self.grid, self._frame.drop(columns=["x", "y"]), crs=self.crs, crop=crop, cog=cog)

    def to_xarray(self, *, units: str | None = None) -> xarray.Dataset:
        """Return an xarray Dataset with CF attributes; see `geospde.export.dataset.to_dataset`."""
        from geospde.export.dataset import to_dataset

        return to_dataset(self, units=units)

    def to_netcdf(self, path: str | Path, *, units: str | None = None) -> None:
        """Write NetCDF with CF attributes; see `geospde.export.dataset.write_netcdf`."""
        from geospde.export.dataset import write_netcdf

        write_netcdf(self, path, units=units)

    def contours(self, column: str = "mean", **options: Any) -> Any:
        """Trace contour lines of one column; see `geospde.export.contours.contour_lines`."""
        from geospde.export.contours import contour_lines

        return contour_lines(self, column, **options)

    def plot(self, column: str = "mean", **options: Any) -> Any:
        """Draw one column as a map; see `geospde.plots.figures.plot_prediction`."""
        from geospde.plots.figures import plot_prediction

        return plot_prediction(self, column, **options)

    def plot_panels(self, columns: Sequence[str] | None = None, ax: Any = None, **options: Any) -> Any:
        """Draw several columns as maps, a panel each; see `geospde.plots.overview.plot_panels`."""
        from geospde.plots.overview import plot_panels

        return plot_panels(self, columns, ax, **options)


class _Rows:
    """Places to predict at, handed out as chunks of design rows."""

    def __init__(self, model: Any, table: pd.DataFrame, points: Any, offset: Any, scale: Any, options: dict[str, Any]):
        self._model = model
        self._table = table
        self._options = options
        self.points = points
        self._offset = offset
        self._scale = scale
        self.size = len(table)

    def mixtures(self, fit: Fit, callback: Callable[[int, int | None, str], None] | None = None) -> Any:
        """Mixture of the predictor and the exposure for each chunk."""
        for a in range(0, self.size, CHUNK):
            part = slice(a, min(a + CHUNK, self.size))
            rows = self._model.rows(
                self._table.iloc[part], None if self.points is None else self.points[part], **self._options
            )
            yield fit.mixture(rows, self._offset[part]), self._scale[part]
            if callback is not None:
                callback(part.stop, self.size, "prediction")


def predict(
    fit: Fit,
    where: Any,
    *,
    quantiles: Sequence[float] = (0.025, 0.5, 0.975),
    exceed: Sequence[float] = (),
    exposure: Any = None,
    offset: Any = None,
    groups: bool = True,
    allow_new_levels: bool = False,
    callback: Callable[[int, int | None, str], None] | None = None,
) -> Prediction:
    """Posterior of the mean per unit exposure at new places; after ML, REML or UBRE its estimate and standard error.

    Parameters
    ----------
    fit : Fit
    where : Grid, DataFrame, GeoDataFrame or (m, 2) array
        Where. Covariates and groups of the model must be columns of a table.
    quantiles : sequence of float
        Levels of the quantile columns.
    exceed : sequence of float
        Thresholds: a column ``exceed_<threshold>`` with P(mean > threshold).
    exposure : float, array or str, optional
        Multiplies the mean; by default the prediction is per unit exposure.
    offset : float, array or str, optional
        Adds to the predictor; asked for where the model was fitted with one.
    groups : bool
        False leaves the effects of groups, ``(x | g)``, out: the population, as lme4's ``re.form = NA``. Then `where`
        need not name them.
    allow_new_levels : bool
        Let a group's level be one that the fit has not seen, missing, or not be named at all: its effects are then a
        draw from the group, of mean zero, and their variance is part of the uncertainty. Rows of one new level share
        its effects; each row without a level has its own.
    callback : callable, optional
        Called as ``callback(done, total, message)`` after each chunk.

    Returns
    -------
    Prediction

    Raises
    ------
    InputError
        For places outside the mesh, missing columns or values, levels that the fit has not seen, or a CRS that differs
        from the data's.
    """
    model = fit.model
    for p in quantiles:
        if not 0 < p < 1:
            raise InputError(f"a quantile level lies between 0 and 1, not {p}")
    for t in exceed:
        if not isinstance(t, (int, float, np.number)) or not np.isfinite(t):
            raise InputError(f"a threshold must be a finite number, not {t!r}")
    grid, table, points, crs = _places(model, where)
    if crs is not None and model.crs is not None and crs != model.crs:
        raise InputError(
            f"the model is in {model.crs.name!r} but the prediction is asked for in {crs.name!r}: "
            "bring them to one CRS with to_crs"
        )
    options = {"leave_out": () if groups else model.groups, "allow_new_levels": allow_new_levels}
    multiplier = _vector(table, exposure, "exposure", 1.0)
    rows = _Rows(model, table, points, _offset(model, table, offset), multiplier, options)
    parts: list[pd.DataFrame] = []
    for mixture, scale in rows.mixtures(fit, callback):
        columns = fit.response(mixture, quantiles)
        columns = {name: scale * values for name, values in columns.items()}
        for threshold in exceed:
            columns[f"exceed_{threshold:g}"] = _exceed(mixture, fit, threshold, scale)
        parts.append(pd.DataFrame(columns))
    frame = pd.concat(parts, ignore_index=True)
    if points is not None:
        frame.insert(0, "x", points[:, 0])
        frame.insert(1, "y", points[:, 1])
    label = model.response_label if exposure is None else model.formula.response
    return Prediction(fit, rows, frame, grid, crs if crs is not None else model.crs, label)


def _places(model: Any, where: Any) -> tuple[Grid | None, pd.DataFrame, Any, Any]:
    """Grid, table, points and CRS of `where`."""
    if isinstance(where, Grid):
        return where, pd.DataFrame(index=range(where.n)), where.centres, where.crs
    if isinstance(where, pd.DataFrame):
        coords = model.coords if model.coords and set(model.coords) <= set(where.columns) else None
        points, crs = coordinates(where, coords)
        table = pd.DataFrame(where.drop(columns="geometry", errors="ignore")).reset_index(drop=True)
    else:
        wanted = "points to predict at are an (m, 2) array of finite coordinates, a table or a Grid"
        try:
            points, crs = np.asarray(where, dtype=float), None
        except (TypeError, ValueError):
            raise InputError(f"{wanted}, not {type(where).__name__}") from None
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            raise InputError(wanted)
        table = pd.DataFrame(index=range(len(points)))
    if len(table) == 0:
        raise InputError("there is nowhere to predict: the table is empty")
    return None, table, points, crs


def _vector(table: pd.DataFrame, value: Any, what: str, default: float) -> Any:
    return per_row(table, default if value is None else value, what, len(table))


def _offset(model: Any, table: pd.DataFrame, given: Any) -> Any:
    """The offset at the new places: given here, or the columns that the model was fitted with."""
    if given is not None or not model.has_offset:
        return _vector(table, given, "offset", 0.0)
    return model.offsets.of(table)


def _exceed(mixture: Any, fit: Fit, threshold: float, scale: Any) -> NDArray[np.float64]:
    """P(scale * inverse link > threshold)."""
    at = fit.model.family.link.forward(threshold / scale)
    return np.where(np.isnan(at), 1.0, np.clip(1.0 - mixture.cdf(np.where(np.isnan(at), 0.0, at)), 0.0, 1.0))
