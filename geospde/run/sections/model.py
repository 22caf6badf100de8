"""Sections of a run file that say what is modelled: survey, mesh, formula and family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from geospde.families.base import Family
from geospde.families.registry import DEFAULT, path_of, read_family
from geospde.run.sections.values import MOST_VERTICES, Count, Flag, Number, Pair, Section, Text


class SurveySection(Section):
    """``[survey]``: the arguments of `geospde.read_survey`, paths from the run file."""

    points: Text
    x: Text | None = None
    y: Text | None = None
    coastline: Text | None = None
    boundary: Text | None = None
    crs: str | int | None = None
    source_crs: str | int | None = None
    layer: Text | None = None
    coastline_layer: Text | None = None
    ring: Text | None = None
    missing: tuple[Text, ...] = ()
    name: Text | None = None


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
