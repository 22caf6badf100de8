"""Sections of a run file that say what is modelled: survey, mesh, formula and family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from geospde.families.base import Family
from geospde.families.registry import DEFAULT, path_of, read_family
from geospde.run.sections.values import MOST_VERTICES, Count, Flag, Number, Pair, Section, Text, Title
from geospde.text.words import in_brief

SUPPORTS = ("mean", "total")
INPUTS = ("points", "areas", "table", "coastline", "boundary", "domain")
"""Keys of ``[survey]`` that are files."""
OF_POINTS = ("x", "y", "coastline", "coastline_layer", "ring", "domain")
"""Keys of ``[survey]`` that areas have no use for."""


class SurveySection(Section):
    """``[survey]``: the arguments of `geospde.read_survey`, paths from the run file; or a layer of areas."""

    points: Text | None = None
    areas: Text | None = None
    table: Text | None = None
    key: Text | Annotated[tuple[Text, ...], Field(min_length=2, max_length=2)] | None = None
    x: Text | None = None
    y: Text | None = None
    coastline: Text | None = None
    boundary: Text | None = None
    domain: Text | None = None
    crs: str | int | None = None
    source_crs: str | int | None = None
    layer: Text | None = None
    coastline_layer: Text | None = None
    ring: Text | None = None
    missing: tuple[Text, ...] = ()
    name: Title | None = None

    @model_validator(mode="after")
    def _points_or_areas(self) -> SurveySection:
        if self.points is not None and self.areas is not None:
            raise ValueError("has both points and areas: keep one")
        for key in OF_POINTS if self.areas is not None else ():
            if getattr(self, key) is not None:
                raise ValueError(f"{key} is only for points, and the survey has areas: leave it out")
        if (self.table is None) != (self.key is None):
            raise ValueError(
                "table and key go together: the file of what was counted in the areas, and the column of both that has "
                "their labels"
            )
        if self.table is not None and self.areas is None:
            raise ValueError("table is of a survey of areas: name the layer of their polygons with areas")
        return self


class MeshSection(Section):
    """``[mesh]``: the arguments of `geospde.build_mesh`."""

    max_edge: Pair = None
    offset: Pair = None
    convex: Pair = None
    concave: Pair = None
    cutoff: Number | None = None
    barrier: Text | None = None
    min_angle: Number = 21.0
    use_sites: Flag = True
    max_vertices: Annotated[Count, Field(le=MOST_VERTICES)] | None = None


def support_of(value: Any) -> Any:
    """Let rows be the mean or the total over areas, weighed by a raster or not."""
    if isinstance(value, str) and value in SUPPORTS:
        return value
    keys = dict(value) if isinstance(value, Mapping) else {}
    if set(keys) == {"kind", "weights"} and keys["kind"] in SUPPORTS and isinstance(keys["weights"], str):
        return keys
    known = """"mean", "total", or a table such as { kind = "mean", weights = "population.tif" }"""
    raise ValueError(f"is {known}, not {in_brief(value)}")


class ModelSection(Section):
    """``[model]``: formula and family, as in `geospde.fit`."""

    formula: Text
    formula2: Text | None = None
    dispformula: Text | None = None
    family: Text = DEFAULT
    link: Text | None = None
    exposure: Text | None = None
    offset: Text | None = None
    weights: Text | None = None
    areas: Annotated[Any, BeforeValidator(support_of)] = None
    levels: tuple[Text, ...] | None = None

    @model_validator(mode="after")
    def _ordered_levels(self) -> ModelSection:
        if self.levels and (len(self.levels) < 2 or len(set(self.levels)) < len(self.levels)):
            raise ValueError("levels are the words of the response, two or more, each once, the least first")
        return self

    @model_validator(mode="before")
    @classmethod
    def _named_family(cls, data: Any) -> Any:
        """Let a mapping hold a family as an object or a class: the record of a run needs its name or import path."""
        given = data.get("family") if isinstance(data, Mapping) else None
        if not isinstance(given, Family | type):
            return data
        family = read_family(given, data.get("link"))
        if family.priors:
            raise ValueError("has a family with priors of its own: give them in [priors]")
        return {**data, "family": path_of(family), "link": family.link.name}
