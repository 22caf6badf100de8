"""Figures of areas that are rows of the data, or levels of a term such as `bym2`: one a row, without cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from geospde.errors import InputError
from geospde.model.build import Model
from geospde.prediction.layer import posterior_layers
from geospde.prediction.regions.areas import Areas, read_areas
from geospde.prediction.surface import predict
from geospde.text.progress import Callback

if TYPE_CHECKING:
    from geospde.results.base import Fit

HOW = "the posterior of each area, as predict gives it"


def is_of_areas(model: Model) -> bool:
    """Whether the model is of areas by their labels, or of rows without places."""
    return not model.meshes and (model.points is None or any(term.graph is not None for term in model.terms))


def areas_by_label(areas: Any, model: Model, name: str | None, layer: str | None) -> Areas:
    """The polygons, named by the column that the first term of areas has, where they have it."""
    column = next((term.graph_column for term in model.terms if term.graph is not None), None)
    if name is None and column in getattr(areas, "columns", ()):
        name = column
    return read_areas(areas, None, name, layer)


def figures_by_label(
    fit: Fit,
    areas: Areas,
    values: Mapping[str, Any],
    quantiles: Sequence[float],
    exceed: Sequence[float],
    groups: bool,
    callback: Callback | None,
) -> pd.DataFrame:
    """Mean, standard deviation, quantiles and exceedances of each area."""
    table = pd.DataFrame(areas.frame.drop(columns=areas.frame.geometry.name)).assign(**values)
    surface = predict(fit, table, quantiles=quantiles, exceed=exceed, groups=groups, callback=callback)
    own = [layer.name for layer in posterior_layers(quantiles, exceed)]
    return surface.to_frame()[own].assign(sd_error=0.0)


def refuse_cells(**given: Any) -> None:
    """Refuse what is of cells: areas by label have none."""
    for argument, value in given.items():
        if value is not None:
            raise InputError(f"{argument}= is only for models in space, and this one is of areas by their labels")
