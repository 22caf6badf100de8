"""``[[observations]]`` of a run file: one of several likelihoods, with data of its own or the survey's."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from geospde.families.registry import DEFAULT
from geospde.run.sections.values import Section, Text

DATA = ("points", "x", "y", "layer", "domain")
"""Keys that are of ``[survey]`` elsewhere."""


class ObservationsSection(Section):
    """``[[observations]]``: one likelihood, as in `geospde.Observations`."""

    name: Text | None = None
    points: Text | None = None
    x: Text | None = None
    y: Text | None = None
    layer: Text | None = None
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
        if self.name is not None and not all(c.isalnum() or c in " _-." for c in self.name):
            raise ValueError(f"name is of letters, digits, spaces, '_', '-' and '.', as of a folder, not {self.name!r}")
        return self

    @property
    def data(self) -> dict[str, Any]:
        """The keys that say where its data are."""
        return self.given(*DATA)

    @property
    def model(self) -> dict[str, Any]:
        """The keys that say how it is modelled, as ``[model]`` has them."""
        return self.given("formula", "dispformula", "family", "link", "exposure", "offset", "weights")
