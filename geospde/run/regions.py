"""``[regions]`` of a run file: figures for areas, predicted, written, read again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.export.provenance import write_json
from geospde.export.vectors import write_layers
from geospde.model.build import Model
from geospde.prediction.grid import Grid
from geospde.prediction.layer import Layer, outer_limits
from geospde.prediction.regions.areas import read_areas, refuse_elsewhere
from geospde.prediction.regions.regions import RegionPrediction, laid_over, predict_regions
from geospde.prediction.regions.weights import cell_weights
from geospde.results.base import Fit
from geospde.run.config import Config
from geospde.survey.survey import Survey
from geospde.text.findings import Finding
from geospde.text.offline import read_vectors
from geospde.text.progress import Callback

if TYPE_CHECKING:
    import geopandas as gpd

TABLE, LAYERS, WORDS, FIGURE = "regions.csv", "regions.gpkg", "regions.json", "figures/regions-{name}.png"
AT = "@"
"""Before the values of other columns, such as a year, in the name of what a picture shows."""
LIMITS = "limits"
"""After the name of a figure that has both limits; that of an exceedance has the name of its column."""

MOST_WEIGHED = 5_000_000
"""Cells up to which weights are looked at before a fit."""


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
    label : str
        What the figures are of.
    per : float
        What they are multiplied with under this label.
    layers : tuple of Layer
        What their columns are.
    pictures : mapping
        Maps as PNG by what they show: ``""`` mean and standard deviation, ``"limits"``, ``"exceed_1"``.
    """

    name: str
    title: str
    how: str
    frame: gpd.GeoDataFrame
    label: str
    per: float
    layers: tuple[Layer, ...]
    pictures: Mapping[str, bytes]

    @property
    def shown(self) -> list[tuple[str, bytes]]:
        """A caption and a picture for each map."""
        said = {"": f"{self.title}, and its standard deviation.", LIMITS: f"{self.title}: lower and upper limit."}
        said |= {layer.name: layer.with_label(self.label, self.per).caption for layer in self.layers}
        parted = [(what.partition(AT), png) for what, png in self.pictures.items()]
        return [(f"{step}: {said[kind]}" if step else said[kind], png) for (kind, _, step), png in parted]

    @property
    def table(self) -> pd.DataFrame:
        """Figures without shapes and the layer's own columns."""
        start = list(self.frame.columns).index("area")
        return pd.DataFrame(self.frame.iloc[:, start:].drop(columns=self.frame.geometry.name, errors="ignore"))


@dataclass(frozen=True, eq=False)
class IndexFigures:
    """What a run says of its whole region, one row per year or other value.

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

    @property
    def shown(self) -> list[tuple[str, bytes]]:
        """The picture with its caption."""
        return [(f"{self.title}, with its band.", self.picture)]


@dataclass(frozen=True, eq=False)
class NumberFigures:
    """What a run says of the numbers of a point pattern.

    Attributes
    ----------
    title, how : str
        As of `RegionFigures`.
    table : DataFrame
        Its first column are the areas.
    """

    title: str
    how: str
    table: pd.DataFrame

    @property
    def shown(self) -> list[tuple[str, bytes]]:
        """No pictures."""
        return []


OTHERS = "likelihoods"
"""The folder of what is predicted for the second of several likelihoods and those after it, a folder each."""


def folder_of(name: str) -> str:
    """Return the folder of one of several likelihoods, from the run's: a response may be an expression."""
    return "/".join([OTHERS, re.sub(r"[^\w .()-]+", "_", name)])


@dataclass(frozen=True, eq=False)
class LikelihoodFigures:
    """What a run says of one of several likelihoods.

    Attributes
    ----------
    title, how : str
        Its name; formula, family, and number of rows.
    table : DataFrame
        Its fixed effects; the first column are their names.
    folder : pathlib.Path
        Of its figures.
    label : str
        What its map is of.
    """

    title: str
    how: str
    table: pd.DataFrame
    folder: Path
    label: str

    @property
    def shown(self) -> list[tuple[str, bytes]]:
        """Those of its maps that there are."""
        said = {
            "maps": f"Posterior mean and limits of {self.label}.",
            "sd": f"Posterior standard deviation of {self.label}.",
        }
        there = [(caption, self.folder / f"{name}.png") for name, caption in said.items()]
        return [(caption, path.read_bytes()) for caption, path in there if path.exists()]


def check_regions(config: Config, survey: Survey, model: Model, grid: Grid | None = None) -> tuple[Finding, ...]:
    """Return what is to be said of areas and their weights on a grid, as far as it is not too fine to look.

    Raises an InputError for areas that cannot be read, or lie off a grid, and weights that weigh nothing on it.
    """
    weights = weights_of(config)
    file = weights["raster"] if weights is not None else None
    if file is not None and not file.is_file():
        raise InputError(f"there is no file {_written(config)!r} for the weights of [regions]")
    looked = grid is not None and grid.n <= MOST_WEIGHED
    found: dict[Finding, None] = {}
    for areas, layer in _areas(config, survey, model).values():
        polygons = read_areas(areas, model.crs if config.has_places else None, config.regions.name, layer)
        if grid is not None:
            refuse_elsewhere(polygons, grid)
        found |= dict.fromkeys(polygons.findings)
        if not config.has_places and not config.regions.areas:
            _refuse_unknown_rows(config, areas, model)
        if grid is not None and looked:
            cell, _, told = cell_weights(weights, grid, model.crs)
            found |= dict.fromkeys((*told, *laid_over(polygons, grid, cell)[-1]))
    return tuple(found)


def weights_of(config: Config) -> dict[str, Any] | None:
    """Return the keys of the raster that weighs cells, as those of a covariate, from where the run file stands."""
    given = config.regions.weights
    if given is None:
        return None
    keys = given if isinstance(given, dict) else {"raster": given}
    if not isinstance(keys.get("raster"), str):
        remedy = 'as in weights = "people.tif", or { raster = "people.tif", band = 2 }'
        raise InputError("the weights of [regions] are a raster", remedy=remedy)
    return {**keys, "raster": config.path(keys["raster"])}


def _written(config: Config) -> str:
    """The raster of weights as the run file calls it."""
    given = config.regions.weights
    return str(given["raster"] if isinstance(given, dict) else given)


def predict_all(
    config: Config, fit: Fit, survey: Survey, grid: Grid | None, callback: Callback | None = None
) -> dict[str, RegionPrediction]:
    """Predict for the areas of each file, or for those of the survey itself."""
    options = config.regions.given("kind", "threshold", "exceed", "draws", "name")
    options["seed"] = config.regions.seed
    if not config.has_places:  # there is no other map to ask for
        options["exceed"] = sorted({*config.prediction.exceed, *config.regions.exceed})
    weights = weights_of(config)
    at = {name: np.atleast_1d(value).tolist() for name, value in config.prediction.at.items()}
    return {
        name: predict_regions(
            fit,
            areas,
            grid=grid if config.has_places else None,
            weights=weights,
            groups=not config.has_places and not config.regions.areas,
            at=at or None,
            quantiles=config.prediction.quantiles,
            callback=callback,
            layer=layer,
            **options,
        )  # fmt: skip
        for name, (areas, layer) in _areas(config, survey, fit.model).items()
    }


def write_regions(
    folder: Path,
    regions: dict[str, RegionPrediction],
    label: str | None,
    *,
    degrees: bool = False,
    formats: Sequence[str] = (),
) -> tuple[RegionFigures, ...]:
    """Write a table, a layer for each file of areas, and its map, with lines of longitude and latitude if asked for.

    Maps are PNGs, and `formats` beside them.
    """
    from geospde.export.styles import filled, store_styles  # and matplotlib with them, which no check has use for
    from geospde.plots.figures import write_picture
    from geospde.plots.regions import regions_map

    made = []
    rate = min((one.rate(label) for one in regions.values()), key=lambda rate: rate.per)  # districts as their country
    for name, one in regions.items():
        pictures = {}
        for step, part in _steps(one).items():
            for what, columns in _pages(part).items():
                kind = f"{what}{AT}{step}" if step else what
                drawn = regions_map(part, columns, step=step, degrees=degrees, rate=rate)
                pictures[kind] = write_picture(drawn, folder / _figure(name, kind), formats)
        frame, said = one.to_geodataframe(), one.called(rate.label)
        how = ". ".join([one.how, *(f"{f.message[:1].upper()}{f.message[1:]}" for f in one.findings)])
        made.append(RegionFigures(name, said, how, frame, one.phrase(rate.label), rate.per, one.layers, pictures))
    pd.concat([one.table.assign(layer=one.name) for one in made]).to_csv(folder / TABLE, index=False)
    write_layers(folder / LAYERS, {one.name: one.frame for one in made})
    store_styles(folder / LAYERS, {one.name: filled("mean", one.frame["mean"]) for one in made})
    words = {
        one.name: {
            "title": one.title,
            "how": one.how,
            "label": one.label,
            "per": one.per,
            "layers": [layer.to_json() for layer in one.layers],
            "pictures": list(one.pictures),
        }
        for one in made
    }
    write_json(folder / WORDS, words)
    return tuple(made)


def read_regions(folder: Path) -> tuple[RegionFigures, ...]:
    """Read what `write_regions` wrote."""
    return tuple(_stored(folder))


def _stored(folder: Path) -> Iterator[RegionFigures]:

    try:
        words = json.loads((folder / WORDS).read_text(encoding="utf-8"))
        for name, said in words.items():
            frame = read_vectors(folder / LAYERS, name)
            pictures = {what: (folder / _figure(name, what)).read_bytes() for what in said["pictures"]}
            layers = tuple(map(Layer.from_json, said["layers"]))
            yield RegionFigures(
                name, said["title"], said["how"], frame, said["label"], said.get("per", 1.0), layers, pictures
            )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the areas in {folder} cannot be read ({error}): predict them again") from None


def _figure(name: str, what: str) -> str:
    kind, _, step = what.partition(AT)
    return FIGURE.format(name="-".join(filter(None, [name, kind, re.sub(r"[^\w.-]+", "_", step)])))


def _steps(one: RegionPrediction) -> dict[str, RegionPrediction]:
    """The figures at each combination of other columns, by what they are there; of one combination all."""
    table = one.to_frame()
    columns = list(table.columns[1 : list(table.columns).index("mean")])
    if not columns or len(table[columns].drop_duplicates()) == 1:
        return {"": one}
    parts = {}
    for values, rows in table.groupby(columns, sort=False, dropna=False):
        step = ", ".join(f"{column} {value}" for column, value in zip(columns, values))
        parts[step] = replace(one, _table=rows.reset_index(drop=True))
    return parts


def _pages(one: RegionPrediction) -> dict[str, tuple[str, ...]]:
    """The columns of each figure: mean and its spread, both limits, and each probability."""
    pages: dict[str, tuple[str, ...]] = {"": ("mean", "sd")}
    limits = outer_limits(one.layers)
    if limits is not None:
        pages[LIMITS] = (limits[0].name, limits[1].name)
    return pages | {layer.name: (layer.name,) for layer in one.layers if layer.kind == "probability"}


def _own_areas(survey: Survey, model: Model) -> Any:
    """The areas of the survey, each once: of those of several rows without the columns that differ among these."""
    frame = survey.table
    column = next((term.graph_column for term in model.terms if term.graph is not None), None)
    if column not in frame.columns or frame[column].is_unique:
        return frame
    shape = frame.geometry.name
    others = frame.drop(columns=shape).groupby(column, sort=False).nunique(dropna=False).max()
    return frame[~frame[column].duplicated()].drop(columns=list(others.index[others > 1])).reset_index(drop=True)


def _refuse_unknown_rows(config: Config, areas: Any, model: Model) -> None:
    """Raise an InputError for areas that miss a column of the model."""
    at = {name: np.atleast_1d(value)[0] for name, value in config.prediction.at.items()}
    table = pd.DataFrame(areas.drop(columns=areas.geometry.name)).assign(**at)
    try:
        model.rows(table, None)
    except InputError as error:
        remedy = "name its values in [prediction], as in at.year = [2019, 2020]"
        raise InputError(f"{error.what}, and each area is mapped once", remedy=remedy) from None


def _areas(config: Config, survey: Survey, model: Model) -> dict[str, tuple[Any, str | None]]:
    """Files of areas, and which layer of each, by what it is called; without any the areas of the survey."""
    if not config.has_places and not config.regions.areas:
        return {"areas": (_own_areas(survey, model), None)}
    found: dict[str, tuple[Any, str | None]] = {}
    for file, layer in config.regions.layers:
        path = config.path(file)
        name = path.stem if layer is None or len(config.regions.layer) < 2 else re.sub(r"[^\w.-]+", "_", layer)
        while name in found:
            name += "_"
        found[name] = path, layer
    return found
