"""Sections of a run file that say how it is fitted, and what is made of the fit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from geospde.errors import InputError
from geospde.prediction.computed.registry import computed_layer
from geospde.prediction.layer import posterior_layers
from geospde.prediction.steps import several_steps
from geospde.results.saving.schema import Method
from geospde.run.sections.values import (
    MOST_DRAWS,
    MOST_LAYERS,
    Count,
    Flag,
    Number,
    Section,
    Seed,
    Text,
    Title,
    is_number,
)
from geospde.text.words import in_brief


class InferenceSection(Section):
    """``[inference]``: how the model is fitted, as in `geospde.fit`."""

    method: Method = "inla"
    integration: Text = "auto"
    strategy: Text = "auto"
    quadrature: Annotated[Count, Field(le=1000)] = 1
    certify: Flag | Annotated[Count, Field(le=MOST_DRAWS)] = False

    @property
    def how(self) -> dict[str, Any]:
        """The keys that say how the model is fitted."""
        return self.given("method", "integration", "strategy", "quadrature")


class PredictionSection(Section):
    """``[prediction]``: the grid, and what is predicted in its cells."""

    shape: tuple[int, int] | None = None
    cell: Annotated[Number, Field(gt=0)] | None = None
    buffer: Number = 0.0
    quantiles: tuple[Number, ...] = (0.025, 0.5, 0.975)
    exceed: tuple[Number, ...] = ()
    layers: tuple[Text, ...] = ()
    at: dict[str, Any] = Field(default_factory=dict)
    crop: Flag = False

    @field_validator("shape", mode="before")
    @classmethod
    def _two_counts(cls, value: Any) -> Any:
        whole = isinstance(value, list | tuple) and all(type(n) is int and n > 0 for n in value)
        if value is not None and not (whole and len(value) == 2):
            raise ValueError(f"must be two whole numbers, [rows, columns], not {in_brief(value)}")
        return value

    @field_validator("quantiles", "exceed", mode="before")
    @classmethod
    def _numbers(cls, value: Any, info: ValidationInfo) -> Any:
        numbers = list(value) if isinstance(value, list | tuple) else [value]
        if not all(is_number(n) for n in numbers):
            raise ValueError(f"must be a list of numbers, not {in_brief(value)}")
        if len(numbers) > MOST_LAYERS:
            raise ValueError(f"has {len(numbers):,} numbers, each of which is a map: {MOST_LAYERS} are the most")
        if info.field_name == "quantiles" and not all(0 < n < 1 for n in numbers):
            raise ValueError(f"must lie between 0 and 1, not {in_brief(value)}")
        return sorted(set(map(float, numbers)))

    @field_validator("at")
    @classmethod
    def _one_of_each(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            several_steps(value, who="")
        except InputError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("layers", mode="before")
    @classmethod
    def _computed(cls, value: Any) -> Any:
        names = list(value) if isinstance(value, list | tuple) else [value]
        for name in names:
            try:
                computed_layer(name)
            except InputError as error:
                raise ValueError(f"must name layers that can be computed: {error}") from None
        return list(dict.fromkeys(names))

    @model_validator(mode="after")
    def _one_resolution(self) -> PredictionSection:
        if self.shape is not None and self.cell is not None:
            raise ValueError("has both shape and cell: keep one")
        try:
            posterior_layers(self.quantiles, self.exceed)
        except InputError as error:
            raise ValueError(f"has {error}") from None
        return self


class RegionsSection(Section):
    """``[regions]``: figures for areas, as in `geospde.Fit.predict_regions`; without the section there are none."""

    areas: Annotated[tuple[Text, ...], Field(max_length=MOST_LAYERS)] = ()
    name: Text | None = None
    layer: Annotated[tuple[Text, ...], Field(max_length=MOST_LAYERS)] = ()
    weights: Text | dict[str, Any] | None = None
    kind: Literal["mean", "total", "share"] = "mean"
    threshold: Number | None = None
    exceed: Annotated[tuple[Number, ...], Field(max_length=MOST_LAYERS)] = ()
    draws: Annotated[int, Field(strict=True, ge=10, le=MOST_DRAWS)] = 4000
    seed: Seed = 0

    @field_validator("areas", "layer", "exceed", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return list(value) if isinstance(value, list | tuple) else [value]

    @property
    def layers(self) -> list[tuple[str, str | None]]:
        """File and layer of all areas: several layers are of one file, or one of each."""
        if len(self.layer) < 2:
            return [(file, self.layer[0] if self.layer else None) for file in self.areas]
        files = self.areas * len(self.layer) if len(self.areas) == 1 else self.areas
        return list(zip(files, self.layer, strict=True))

    @model_validator(mode="after")
    def _one_each(self) -> RegionsSection:
        if len(self.layer) > 1 < len(self.areas) != len(self.layer):
            raise ValueError(f"has {len(self.layer)} layers of {len(self.areas)} files: give one file, or one of each")
        return self

    @model_validator(mode="after")
    def _share_above(self) -> RegionsSection:
        if (self.kind == "share") != (self.threshold is not None):
            raise ValueError("needs a threshold for kind 'share', and for that kind only")
        return self


class OutputSection(Section):
    """``[output]``: the run's folder, from the folder that the command is run in, and words for what is mapped."""

    dir: Text | None = None
    label: Title | None = None
    sites: Flag = False
    formats: tuple[Literal["png", "pdf", "svg"], ...] = ("png",)
    style: Literal["paper", "screen"] | None = None
    graticule: Flag | None = None
    inset: Flag | Text = False


class ExcursionsSection(Section):
    """``[excursions]``: thresholds that maps are decided at, all cells at once, as in `Prediction.excursions`."""

    exceed: tuple[Number, ...] = ()
    classes: Text | None = None
    limits: dict[str, Number] = Field(default_factory=dict)
    level: Annotated[Number, Field(gt=0, lt=1)] = 0.95
    draws: Annotated[int, Field(strict=True, ge=100, le=MOST_DRAWS)] = 4000
    seed: Seed = 1

    @field_validator("exceed", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        numbers = list(value) if isinstance(value, list | tuple) else [value]
        if not numbers or not all(is_number(n) for n in numbers):
            raise ValueError(f"must be a list of numbers, not {in_brief(value)}")
        if len(numbers) > MOST_LAYERS:
            raise ValueError(f"has {len(numbers):,} numbers, each of which is a map: {MOST_LAYERS} are the most")
        return sorted(set(map(float, numbers)))

    @model_validator(mode="after")
    def _some(self) -> ExcursionsSection:
        if self.model_fields_set and not self.is_wanted:
            raise ValueError("needs the key 'exceed', or 'classes' and 'limits'")
        if bool(self.classes) != bool(self.limits):
            raise ValueError("needs both of 'classes' and 'limits': which classes there are, and the limit of each")
        return self

    @property
    def is_wanted(self) -> bool:
        """Whether anything is to be decided."""
        return bool(self.exceed or self.classes or self.limits)


class ValidationSection(Section):
    """``[validation]``: how a run is cross-validated, as in `BayesianFit.validate`; without the section it is not."""

    folds: Literal["blocks", "random", "loo", "buffered", "future"] = "blocks"
    k: Annotated[Count, Field(le=1_000_000)] | None = None
    distance: Annotated[Number, Field(gt=0)] | None = None
    seed: Seed = 0
    observations: Text | None = None

    @model_validator(mode="after")
    def _several(self) -> ValidationSection:
        if self.k == 1 and self.folds in ("blocks", "random"):
            raise ValueError(f"k must be 2 or more, not 1: with one of the {self.folds} nothing is left to fit")
        return self
