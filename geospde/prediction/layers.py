"""Layers of values at places: what predictions, stored predictions and differences have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from geospde.errors import InputError
from geospde.prediction.computed.registry import computed_layer
from geospde.prediction.grid import Grid
from geospde.prediction.layer import PLACES, Layer
from geospde.text.keywords import answers_keywords
from geospde.text.notebook import card, frame_table, picture
from geospde.text.rates import Rate
from geospde.text.words import did_you_mean

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray
    from matplotlib.colors import Colormap, Normalize


@answers_keywords
@dataclass(frozen=True, eq=False, repr=False)
class Layers:
    """Layers of values at places, each with its meaning, which maps draw and rasters hold.

    Attributes
    ----------
    label : str
        What they are of, such as ``"counts / time"``.
    frame : DataFrame
        One row per place: ``x`` and ``y`` where it has them, and one column per layer.
    layers : tuple of Layer
        What the columns mean, in their order.
    grid : Grid or None
        The raster that the places are the cells of.
    points : (m, 2) array or None
        Where, in the units of `crs`; by default the centres of the cells.
    crs : pyproj.CRS or None
        By default the grid's.
    model : str
        What they come from, in words; empty where nobody said.
    contents : str
        What the whole is called in files: ``"Posterior of counts / time"``.
    """

    label: str
    frame: pd.DataFrame
    layers: tuple[Layer, ...]
    grid: Grid | None = None
    points: NDArray[np.float64] | None = None
    crs: Any = None
    model: str = ""
    contents: str = "Posterior"

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        columns = [name for name in self.frame.columns if name not in PLACES]
        if names != columns:
            raise InputError(f"the layers {', '.join(names)} are not the columns {', '.join(map(str, columns))}")
        if self.grid is not None:
            object.__setattr__(self, "points", self.grid.centres if self.points is None else self.points)
            object.__setattr__(self, "crs", self.grid.crs if self.crs is None else self.crs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.label} {self._where}>"

    @property
    def _where(self) -> str:
        return f"on {self.grid!r}" if self.grid is not None else f"at {len(self.frame)} places"

    def _repr_html_(self) -> str:
        """Show it in a notebook: what it is of and where, its columns in numbers, and a map of the first layer."""
        columns = self.frame[[layer.name for layer in self.layers]]
        spread = pd.DataFrame({"least": columns.min(), "average": columns.mean(), "greatest": columns.max()})
        parts = [frame_table(spread)]
        if self.points is not None:
            from geospde.plots.thumbnails import layer_png

            first = self.layers[0]
            parts.append(picture(layer_png(self, first.name), f"Map of the {first.short.lower()}"))
        words = "; ".join(filter(None, [self._where, self.model]))
        return card(f"{type(self).__name__} of {self.label}", words, *parts)

    # -- steps ----------------------------------------------------------------------------------------------

    @property
    def steps(self) -> tuple[str, ...]:
        """Steps that the layers are of, such as years; empty where they are of none."""
        return tuple(dict.fromkeys(layer.step for layer in self.layers if layer.step))

    def at_step(self, step: str) -> Layers:
        """Return the layers of one step, under the names that they would have alone."""
        chosen = [layer for layer in self.layers if layer.step == step]
        names = {layer.name: layer.without_step().name for layer in chosen}
        frame = self.frame[[name for name in PLACES if name in self.frame] + list(names)].rename(columns=names)
        layers = tuple(layer.without_step() for layer in chosen)
        return Layers(self.label, frame, layers, self.grid, self.points, self.crs, self.model, self.contents)

    def over_steps(self, name: str) -> list[Layer]:
        """Return the layers that are this one at each step, in the order of the steps; none where it has no steps."""
        return [layer for layer in self.layers if layer.step and layer.without_step().name == name]

    # -- layers ---------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """One row per place: ``x`` and ``y`` where it has them, then one column per layer."""
        return self.frame.copy()

    def layer(self, name: str) -> Layer:
        """Return what a column means.

        Raises
        ------
        InputError
            If there is no layer of this name; with the nearest one.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = [layer.name for layer in self.layers]
        raise InputError(f"the prediction has no column {name!r}: {did_you_mean(str(name), known)}")

    @property
    def sites(self) -> NDArray[np.float64] | None:
        """Where the model's observations are, (n, 2); None where that is not known."""
        return None

    def sites_of(self, layer: Layer) -> NDArray[np.float64] | None:  # noqa: ARG002
        """Where the observations of a layer are, (n, 2): of one of several steps, such as years, its own."""
        return self.sites

    def rate(self, label: str | None = None) -> Rate:
        """Return what is predicted in words, and what its numbers are multiplied with beside them: 1 if not small.

        Parameters
        ----------
        label : str, optional
            Words for it, in place of its own.
        """
        words = label or self.label
        level = next((layer.name for layer in self.layers if layer.kind == "mean"), None)
        values = np.zeros(0) if level is None else self.values(level)
        values = values[np.isfinite(values)]
        return Rate.of(words, float(np.quantile(values, 0.95)) if values.size else 0.0)

    def values(self, name: str) -> NDArray[np.float64]:
        """Return the values of a layer, (m,); `InputError` if there is none of this name."""
        return np.asarray(self.frame[self.layer(name).name], dtype=float)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return the values of a layer, as `values` does: ``surface["mean"]``."""
        return self.values(name)

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the layers."""
        return (layer.name for layer in self.layers)

    def with_layer(self, layer: Layer | str, values: ArrayLike | Callable[[Self], ArrayLike] | None = None) -> Self:
        """Return the same with one more layer, which then has its own colours and words wherever layers are shown.

        Parameters
        ----------
        layer : Layer or str
            A layer, or the name of one that geospde computes, such as ``"cv"``; see
            `geospde.prediction.computed.registry`.
        values : (m,) array or callable, optional
            One number per place, or a function of this object that returns them; not for the name of a computed layer.

        Raises
        ------
        InputError
            If there is such a layer already, or the values are not one number per place.

        Examples
        --------
        >>> import geospde as gs
        >>> frame = pd.DataFrame({"mean": [2.0, 4.0], "sd": [1.0, 1.0]})
        >>> table = Layers("y", frame, (gs.Layer("mean"), gs.Layer("sd")))
        >>> table.with_layer("cv").to_frame()["cv"].tolist()
        [0.5, 0.25]
        >>> doubled = table.with_layer(gs.Layer("twice", title="Twice the mean"), lambda t: 2 * t.values("mean"))
        >>> doubled.to_frame()["twice"].tolist()
        [4.0, 8.0]
        """
        if isinstance(layer, str):
            if values is not None:
                raise InputError(f"values need a layer that says what they mean: with_layer(gs.Layer({layer!r}), ...)")
            computed = computed_layer(layer)
            layer, values = computed.layer, computed.values(self)
        if not isinstance(layer, Layer):
            raise InputError(f"a layer is a gs.Layer or the name of a computed one, not {type(layer).__name__}")
        if any(layer.name == known.name for known in self.layers):
            raise InputError(f"there is a layer {layer.name!r} already")
        column = _numbers(layer.name, values(self) if callable(values) else values, len(self.frame))
        return replace(self, frame=self.frame.assign(**{layer.name: column}), layers=(*self.layers, layer))

    # -- files ----------------------------------------------------------------------------------------------

    def to_raster(self, path: str | Path, *, crop: Any = None, cog: bool = False) -> None:
        """Write a GeoTIFF, a named band a layer; see `geospde.export.raster.write_raster`.

        Parameters
        ----------
        path : str or Path
        crop : polygon, optional
            Cells whose centre lies outside it become nodata.
        cog : bool, default False
            Write a cloud-optimised GeoTIFF.
        """
        from geospde.export.raster import write_layers_raster

        write_layers_raster(path, self, crop=crop, cog=cog)

    def to_xarray(self, *, units: str | None = None) -> xarray.Dataset:
        """Return an xarray Dataset with CF attributes; see `geospde.export.dataset.to_dataset`."""
        from geospde.export.dataset import to_dataset

        return to_dataset(self, units=units)

    def to_netcdf(self, path: str | Path, *, units: str | None = None) -> None:
        """Write NetCDF with CF attributes; see `geospde.export.dataset.write_netcdf`."""
        from geospde.export.dataset import write_netcdf

        write_netcdf(self, path, units=units)

    def contours(
        self, column: str = "mean", *, levels: Sequence[float] | None = None, within: Any = None
    ) -> gpd.GeoDataFrame:
        """Trace contour lines of one layer; see `geospde.export.contours.contour_lines`."""
        from geospde.export.contours import contour_lines

        return contour_lines(self, column, levels=levels, within=within)

    # -- pictures -------------------------------------------------------------------------------------------

    def plot(
        self,
        column: str = "mean",
        ax: Any = None,
        *,
        coastline: Any = None,
        label: str | None = None,
        title: str | None = None,
        crop: bool = True,
        sites: Any = None,
        spacing: str | None = None,
        cmap: str | Colormap | None = None,
        norm: Normalize | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        style: str | None = None,
        graticule: bool = False,
        inset: Any = None,
    ) -> Any:
        """Draw one layer as a map; see `geospde.plots.maps.plot_layer`.

        Parameters
        ----------
        column : str
            Name of the layer. One that several steps have, such as years, is drawn as a panel each, of one scale.
        ax : matplotlib Axes, optional
            Draw into these axes, with a colour bar beside them; a new pyplot figure by default.
        coastline : polygons, optional
            Drawn on top; by default the region that the grid was laid around.
        label : str, optional
            What is predicted, in words for title and colour bar.
        title : str, optional
            Over the map, in place of the layer's own.
        crop : bool, default True
            Paint only what lies on land, if there is a coastline.
        sites : GeoDataFrame, Survey, bool or (n, 2) array, optional
            Places to mark on top; True takes those that the model was fitted to, of a step those of the step.
        spacing : {"auto", "linear", "log", "quantiles"}, optional
            How values are spread over the colours; by default as the layer says, and the colour bar tells.
        cmap : str or matplotlib Colormap, optional
            Colours; by default the layer's.
        norm : matplotlib Normalize, optional
            From values to colours, such as ``matplotlib.colors.LogNorm()``; then without `vmin` and `vmax`.
        vmin, vmax : float, optional
            Ends of the colours; an arrow of the colour bar tells of values beyond.
        style : {"paper", "screen"}, optional
            For a printed page of 180 mm at 300 dpi without tints, or for slides, with larger letters.
        graticule : bool
            Draw lines of longitude and latitude with their degrees.
        inset : bool or polygons, optional
            Show in a small map where the map is: within the coastline, if that goes beyond the map, or within these
            polygons.

        Returns
        -------
        Axes, or an array of Axes of several steps
        """
        from geospde.plots.canvas import Look
        from geospde.plots.maps import plot_layer

        return plot_layer(
            self, column, ax, coastline=coastline, label=label, title=title, crop=crop, sites=sites,
            spacing=spacing, cmap=cmap, norm=norm, vmin=vmin, vmax=vmax, look=Look(style, graticule, inset),
        )  # fmt: skip

    def explore(
        self,
        column: str = "mean",
        *,
        tiles: Any = None,
        coastline: Any = None,
        sites: Any = None,
        label: str | None = None,
        spacing: str | None = None,
        cmap: str | Colormap | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        opacity: float = 0.85,
        m: Any = None,
    ) -> Any:
        """Show one layer on an interactive map, as geopandas' `explore`; needs folium (``geospde[explore]``).

        Parameters
        ----------
        column : str
            Name of the layer.
        tiles : str or xyzservices provider, optional
            A basemap, such as ``"OpenStreetMap"``, which needs a network; none by default.
        coastline, label, spacing, cmap, vmin, vmax
            As `plot` takes them.
        sites : Survey, GeoDataFrame, bool or (n, 2) array, optional
            Places to mark on top, with all their columns in pop-ups; True takes those that the model was fitted to.
        opacity : float
            Of the cells, from 0 to 1.
        m : folium.Map, optional
            A map to draw into.

        Returns
        -------
        folium.Map
            A notebook shows it; ``.save("map.html")`` writes it. Its page takes Leaflet from the network.

        Raises
        ------
        InputError
            Without folium, without places, or for a layer that is not there.
        """
        from geospde.report.folium_map import explore_layer

        return explore_layer(
            self, column, tiles=tiles, coastline=coastline, sites=sites, label=label, spacing=spacing, cmap=cmap,
            vmin=vmin, vmax=vmax, opacity=opacity, m=m,
        )  # fmt: skip

    def plot_panels(
        self,
        columns: Sequence[str] | None = None,
        ax: Any = None,
        *,
        coastline: Any = None,
        label: str | None = None,
        crop: bool = True,
        style: str | None = None,
        graticule: bool = False,
    ) -> NDArray[Any]:
        """Draw several layers as maps, a panel each; see `geospde.plots.maps.plot_panels`."""
        from geospde.plots.canvas import Look
        from geospde.plots.maps import plot_panels

        look = Look(style, graticule)
        return plot_panels(self, columns, ax, coastline=coastline, label=label, crop=crop, look=look)


def _numbers(name: str, values: Any, size: int) -> NDArray[np.float64]:
    """Return one number per place."""
    try:
        column = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"the values of layer {name!r} must be numbers, one for each of the {size:,} places") from None
    if values is None or column.shape != (size,):
        what = "nothing" if values is None else f"an array of shape {column.shape}"
        raise InputError(f"layer {name!r} needs a number for each of the {size:,} places, not {what}")
    return column
