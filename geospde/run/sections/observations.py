"""``[[observations]]`` of a run file: one of several likelihoods, with data of its own or the survey's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from geospde.families.registry import DEFAULT
from geospde.model.observations import Observations
from geospde.run.sections.model import support_of
from geospde.run.sections.values import Section, Text
from geospde.text.words import in_brief

DATA = ("points", "table", "key", "x", "y", "layer", "domain")
"""Keys that are of ``[survey]`` elsewhere."""


def _areas(value: Any) -> Any:
    """A layer of polygons, and what a row is of each."""
    keys = dict(value) if isinstance(value, Mapping) else {}
    if isinstance(keys.pop("file", None), str):
        try:
            support_of(keys if "weights" in keys else keys.get("kind") if set(keys) == {"kind"} else None)
            return dict(value)
        except ValueError:
            pass
    known = 'a table such as { file = "districts.gpkg", kind = "mean" }, with weights = "population.tif" or without'
    raise ValueError(f"is {known}, not {in_brief(value)}")


LONGEST = 200  # of a name in bytes: file systems take 255 a part of a path


class ObservationsSection(Section):
    """``[[observations]]``: one likelihood, as in `geospde.Observations`."""

    name: Text | None = None
    points: Text | None = None
    x: Text | None = None
    y: Text | None = None
    layer: Text | None = None
    areas: Annotated[Any, BeforeValidator(_areas)] = None
    table: Text | None = None
    key: Text | Annotated[tuple[Text, ...], Field(min_length=2, max_length=2)] | None = None
    domain: Text | None = None
    formula: Text
    dispformula: Text | None = None
    family: Text = DEFAULT
    link: Text | None = None
    exposure: Text | None = None
    offset: Text | None = None
    weights: Text | None = None

    @model_validator(mode="after")
    def _named_as_a_file(self) -> ObservationsSection:
        if self.name is None:
            return self
        if not all(c.isalnum() or c in " _-." for c in self.name) or not any(map(str.isalnum, self.name)):
            words = "letters and digits, with spaces, '_', '-' and '.'"
            raise ValueError(f"name is of {words}, as of a folder, not {in_brief(self.name)}")
        if len(self.name.encode()) > LONGEST:
            raise ValueError(f"name is that of a folder, and longer than {LONGEST} bytes: {in_brief(self.name)}")
        return self

    @model_validator(mode="after")
    def _points_or_areas(self) -> ObservationsSection:
        if self.areas is not None and self.points is not None:
            raise ValueError("has both points and areas: keep one")
        return self

    @property
    def called(self) -> str:
        """Its name, or the response."""
        return Observations(self.formula, None, name=self.name).called

    @property
    def has_data(self) -> bool:
        """Whether it has data of its own, and not the survey's."""
        return self.points is not None or self.areas is not None

    @property
    def data(self) -> dict[str, Any]:
        """The keys that say where its data are."""
        found = self.given(*DATA)
        return found if self.areas is None else {**found, "areas": self.areas["file"]}

    @property
    def model(self) -> dict[str, Any]:
        """The keys that say how it is modelled, as ``[model]`` has them."""
        found = self.given("formula", "dispformula", "family", "link", "exposure", "offset", "weights")
        if self.areas is None:
            return found
        kind = {name: value for name, value in self.areas.items() if name != "file"}
        return {**found, "areas": kind if "weights" in kind else kind["kind"]}
