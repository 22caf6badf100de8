"""``[regions]`` of a run file: figures for areas, predicted, written, read again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.export.provenance import write_json
from geospde.export.styles import filled, store_styles
from geospde.export.vectors import write_layers
from geospde.plots.regions import regions_map
from geospde.prediction.grid import Grid
from geospde.prediction.regions.areas import read_areas
from geospde.prediction.regions.regions import RegionPrediction, predict_regions
from geospde.results.base import Fit
from geospde.run.config import Config

if TYPE_CHECKING:
    import geopandas as gpd

TABLE, LAYERS, WORDS, FIGURE = "regions.csv", "regions.gpkg", "regions.json", "figures/regions-{name}.png"


@dataclass(frozen=True, eq=False)
class RegionFigures:
    """What a run says of the areas of one layer.

    Attributes
    ----------
    name : str
        Of the layer.
    title, how : str
        What the figures are, and how they were computed.
    frame : GeoDataFrame
    picture : bytes
        The map as PNG.
    """

    name: str
    title: str
    how: str
    frame: gpd.GeoDataFrame
    picture: bytes

    @property
    def table(self) -> pd.DataFrame:
        """Figures without shapes and the layer's own columns."""
        start = list(self.frame.columns).index("area")
        return pd.DataFrame(self.frame.iloc[:, start:].drop(columns=self.frame.geometry.name, errors="ignore"))


@dataclass(frozen=True, eq=False)
class IndexFigures:
    """What a run says of its whole region, a row a year or other value.

    Attributes
    ----------
    title, how : str
        As of `RegionFigures`.
    table : DataFrame
        Its first column are the values.
    picture : bytes
        The curve as PNG.
    """

    title: str
    how: str
    table: pd.DataFrame
    picture: bytes


def check_regions(config: Config, crs: Any) -> None:
    """Raise an InputError for areas that cannot be read."""
    if config.wants_regions and not config.regions.areas:
        raise InputError("[regions] needs the key 'areas': the file of their polygons, or several")
    weights = config.regions.weights
    if weights is not None and not config.path(weights).is_file():
        raise InputError(f"there is no file {weights!r} for the weights of [regions]")
    for path in _paths(config).values():
        read_areas(path, crs, config.regions.name, config.regions.layer)


def predict_all(config: Config, fit: Fit, grid: Grid, callback: Any = None) -> dict[str, RegionPrediction]:
    """Predict for the areas of each file."""
    options = config.regions.given("kind", "threshold", "exceed", "draws", "seed", "name", "layer")
    weights = config.regions.weights
    at = {name: np.atleast_1d(value).tolist() for name, value in config.prediction.at.items()}
    return {
        name: predict_regions(
            fit,
            path,
            grid=grid,
            weights=None if weights is None else config.path(weights),
            groups=False,
            at=at or None,
            quantiles=config.prediction.quantiles,
            callback=callback,
            **options,
        )  # fmt: skip
        for name, path in _paths(config).items()
    }


def write_regions(folder: Path, regions: dict[str, RegionPrediction], label: str | None) -> tuple[RegionFigures, ...]:
    """Write a table, a layer for each file of areas, and its map."""
    from geospde.plots.thumbnails import figure_png

    made = []
    for name, one in regions.items():
        said = one.title if label is None else one.title.replace(one.label, label)
        png = figure_png(regions_map(one, title=said), 200)
        made.append(RegionFigures(name, said, one.how, one.to_geodataframe(), png))
        path = folder / FIGURE.format(name=name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png)
    pd.concat([one.table.assign(layer=one.name) for one in made]).to_csv(folder / TABLE, index=False)
    write_layers(folder / LAYERS, {one.name: one.frame for one in made})
    store_styles(folder / LAYERS, {one.name: filled("mean", one.frame["mean"]) for one in made})
    write_json(folder / WORDS, {one.name: {"title": one.title, "how": one.how} for one in made})
    return tuple(made)


def read_regions(folder: Path) -> tuple[RegionFigures, ...]:
    """Read what `write_regions` wrote."""
    return tuple(_stored(folder))


def _stored(folder: Path) -> Iterator[RegionFigures]:
    import geopandas as gpd

    try:
        words = json.loads((folder / WORDS).read_text(encoding="utf-8"))
        for name, said in words.items():
            frame = gpd.read_file(folder / LAYERS, layer=name)
            png = (folder / FIGURE.format(name=name)).read_bytes()
            yield RegionFigures(name, said["title"], said["how"], frame, png)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the areas in {folder} cannot be read ({error}): predict them again") from None


def _paths(config: Config) -> dict[str, Path]:
    """Files of areas by the name of their layer."""
    paths: dict[str, Path] = {}
    for given in config.regions.areas:
        path = config.path(given)
        name = path.stem
        while name in paths:
            name += "_"
        paths[name] = path
    return paths
