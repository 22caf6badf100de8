"""The run file: what TOML may say, as pydantic models, and one sentence for what it says wrongly."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from geospde.errors import InputError
from geospde.families.base import Family
from geospde.families.registry import DEFAULT, path_of, read_family
from geospde.prediction.computed.registry import computed_layer
from geospde.prediction.layer import posterior_layers
from geospde.prediction.steps import several_steps
from geospde.survey.covariates.reading import check_covariates
from geospde.text.words import did_you_mean, in_brief, listed


def _pair(value: Any) -> Any:
    """Let a key of the mesh be one number or two: inner zone, outer zone."""
    numbers = value if isinstance(value, list | tuple) else [value]
    if not 1 <= len(numbers) <= 2 or not all(_is_number(n) for n in numbers):
        raise ValueError(f"must be a number or two, [inner, outer], not {in_brief(value)}")
    return tuple(float(n) for n in numbers) if isinstance(value, list | tuple) else float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


LARGEST = 1e15  # of any number in a run file
MOST_VERTICES = 50_000_000  # of what a mesh may be allowed
Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(strict=True, ge=1)]
MOST_DRAWS = 1_000_000
MOST_LAYERS = 100  # of one kind
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Flag = Annotated[bool, Field(strict=True)]
Pair = Annotated[Any, BeforeValidator(_pair)]
Text = Annotated[str, Field(strict=True, min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def given(self, *names: str) -> dict[str, Any]:
        """Return the keys that the run file sets: defaults are the business of the functions they go to."""
        return {n: getattr(self, n) for n in names or type(self).model_fields if n in self.model_fields_set}


class SurveySection(_Section):
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


class MeshSection(_Section):
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


class ModelSection(_Section):
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


class InferenceSection(_Section):
    """``[inference]``: how the model is fitted, as in `geospde.fit`."""

    method: Literal["inla", "eb", "ml", "reml", "ubre"] = "inla"
    integration: Text = "auto"
    strategy: Text = "auto"
    quadrature: Annotated[Count, Field(le=1000)] = 1
    certify: Flag | Annotated[Count, Field(le=MOST_DRAWS)] = False

    @property
    def how(self) -> dict[str, Any]:
        """The keys that say how the model is fitted."""
        return self.given("method", "integration", "strategy", "quadrature")


class PredictionSection(_Section):
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
        if not all(_is_number(n) for n in numbers):
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
            several_steps(value)
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


class RegionsSection(_Section):
    """``[regions]``: figures for areas, as in `geospde.Fit.predict_regions`; without the section there are none."""

    areas: tuple[Text, ...] = ()
    name: Text | None = None
    layer: Text | None = None
    weights: Text | None = None
    kind: Literal["mean", "total", "share"] = "mean"
    threshold: Number | None = None
    exceed: tuple[Number, ...] = ()
    draws: Annotated[int, Field(strict=True, ge=10, le=MOST_DRAWS)] = 4000
    seed: Seed = 0

    @field_validator("areas", "exceed", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return list(value) if isinstance(value, list | tuple) else [value]

    @model_validator(mode="after")
    def _share_above(self) -> RegionsSection:
        if (self.kind == "share") != (self.threshold is not None):
            raise ValueError("needs a threshold for kind 'share', and for that kind only")
        return self


class OutputSection(_Section):
    """``[output]``: the run's folder, from the folder that the command is run in, and words for what is mapped."""

    dir: Text | None = None
    label: Text | None = None
    sites: Flag = False
    formats: tuple[Literal["png", "pdf", "svg"], ...] = ("png",)
    style: Literal["paper", "screen"] | None = None
    graticule: Flag | None = None
    inset: Flag = False


class ExcursionsSection(_Section):
    """``[excursions]``: thresholds that maps are decided at, all cells at once, as in `Prediction.excursions`."""

    exceed: tuple[Number, ...] = ()
    level: Annotated[Number, Field(gt=0, lt=1)] = 0.95
    draws: Annotated[int, Field(strict=True, ge=100, le=MOST_DRAWS)] = 4000
    seed: Seed = 1

    @field_validator("exceed", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        numbers = list(value) if isinstance(value, list | tuple) else [value]
        if not numbers or not all(_is_number(n) for n in numbers):
            raise ValueError(f"must be a list of numbers, not {value!r}")
        return sorted(set(map(float, numbers)))

    @model_validator(mode="after")
    def _some(self) -> ExcursionsSection:
        if self.model_fields_set and not self.exceed:
            raise ValueError("needs the key 'exceed'")
        return self


class ValidationSection(_Section):
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


class Config(_Section):
    """A run file.

    Attributes
    ----------
    survey, mesh, model, inference, prediction, excursions, validation, regions, output
        Its sections.
    priors : dict
        A prior for each named parameter, as in `geospde.fit`; or the name of a set of priors.
    covariates : dict
        A raster for each covariate that the points have no column of, as in `geospde.fit`.
    graphs : dict
        A file for each graph of areas that the formula names: a vector layer, or R-INLA's graph.
    """

    survey: SurveySection
    model: ModelSection
    mesh: MeshSection = MeshSection()
    priors: dict[str, Any] | str = Field(default_factory=dict)
    covariates: dict[str, Any] = Field(default_factory=dict)
    graphs: dict[str, Text] = Field(default_factory=dict)
    inference: InferenceSection = InferenceSection()
    prediction: PredictionSection = PredictionSection()
    excursions: ExcursionsSection = ExcursionsSection()
    validation: ValidationSection = ValidationSection()
    regions: RegionsSection = RegionsSection()
    output: OutputSection = OutputSection()

    _file: Path | None = PrivateAttr(default=None)
    _folder: Path = PrivateAttr(default=Path())

    @field_validator("covariates", mode="after")
    @classmethod
    def _known_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            check_covariates(value)
        except InputError as error:
            raise ValueError(f"cannot be read: {error}") from None
        return value

    @property
    def file(self) -> Path | None:
        """The run file, if it was read from one."""
        return self._file

    @property
    def validates(self) -> bool:
        """Whether a run is to be cross-validated."""
        return "validation" in self.model_fields_set

    @property
    def wants_regions(self) -> bool:
        """Whether a run is to sum its map up over areas."""
        return "regions" in self.model_fields_set

    def path(self, name: str) -> Path:
        """Return an input's path: relative ones start at the run file."""
        return self._folder / Path(name).expanduser()

    def folder(self, beside: str = "") -> Path:
        """Return the run's folder, or one beside it: ``outputs/bay``, ``outputs/bay-explore``.

        Raises
        ------
        InputError
            If the run file does not say where the run's folder is; those beside it are then named after the file.
        """
        if self.output.dir is None and not beside:
            raise InputError("the run file does not say where the output goes: set dir in [output], or --out")
        run = Path(self.output.dir or (self.file.stem if self.file else "survey"))
        run = run if run.name else run.absolute()  # "." has a name only in its parent
        return run.with_name(f"{run.name}-{beside}") if beside else run

    def replacing(self, section: str, keys: Mapping[str, Any]) -> Config:
        """Return the configuration with other keys in one section; raises InputError as `read_config` does."""
        config = _validated({**self.settings(), section: keys}, "options", "")
        config._file, config._folder = self._file, self._folder
        return config

    def settings(self) -> dict[str, Any]:
        """Return all keys with their values, those left out at their defaults, as plain JSON types."""
        unasked = {"validation", "excursions", "regions"} - self.model_fields_set  # without the section nothing is done
        unasked |= set() if self.excursions.exceed else {"excursions"}
        return self.model_dump(mode="json", exclude_none=True, exclude=unasked)


def read_config(source: str | Path | Mapping[str, Any]) -> Config:
    """Read a run file.

    Parameters
    ----------
    source : path or mapping
        A TOML file, or its content as nested dictionaries (its paths then start at the current directory).

    Returns
    -------
    Config

    Raises
    ------
    InputError
        If the file cannot be read, or a key is unknown, missing or of the wrong kind; names the line and the
        nearest key.

    Examples
    --------
    >>> sections = {"survey": {"points": "p.csv"}, "mesh": {"max_edges": 300}, "model": {"formula": "y ~ 1"}}
    >>> read_config(sections)
    Traceback (most recent call last):
        ...
    geospde.errors.InputError: run: [mesh] has no key 'max_edges': did you mean 'max_edge'?
    """
    if isinstance(source, Mapping):
        return _validated(source, "run", "")
    path = Path(source)
    if path.is_dir():
        made = (path / "run.json").exists()
        told = "the folder of a run: name the run file that made it" if made else "a folder: name the run file in it"
        raise InputError(f"{str(source)!r} is {told}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        config = _validated(tomllib.loads(text), path.name, text)
    except FileNotFoundError:
        raise InputError(f"there is no run file {str(source)!r}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is not UTF-8 text: a run file is TOML") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path.name} is not TOML: {_lower(str(error))}") from None
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise InputError(f"{path.name} is nested deeper than any run file is") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path.name} is not TOML: it holds a number of thousands of digits") from None
    config._file, config._folder = path, path.parent
    return config


def recorded_config(settings: Mapping[str, Any], file: Path | None) -> Config:
    """Return what a record says of a run, its paths from the run file that made it; raises as `read_config` does."""
    config = read_config(settings)
    if file is not None:
        config._file, config._folder = file, file.parent
    return config


def _validated(keys: Mapping[str, Any], name: str, text: str) -> Config:
    try:
        return Config.model_validate(dict(keys))
    except ValidationError as error:
        raise InputError(_sentence(error, keys, name, text)) from None


def _sentence(error: ValidationError, keys: Mapping[str, Any], name: str, text: str) -> str:
    """Turn pydantic's first complaint, unknown keys before all others, into one sentence."""
    faults = error.errors(include_url=False)
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    section, *rest = (str(part) for part in fault["loc"])
    key = rest[0] if rest else None
    line = _line_of(text, section, key)
    place = f"{name}, line {line}:" if line else f"{name}:"
    owner = f"[{section}]"
    match fault["type"]:
        case "extra_forbidden" if key is None:
            if isinstance(keys.get(section), Mapping):
                return f"{place} there is no section {owner}: {did_you_mean(section, _SECTIONS, 'sections')}"
            return f"{place} {section!r} stands outside of any section: {_home(section)}"
        case "extra_forbidden":
            return f"{place} {owner} has no key {key!r}: {_home(str(key), section)}"
        case "missing" if key is None:
            return f"{place} the section {owner} is missing"
        case "missing":
            return f"{place} {owner} needs the key {key!r}"
        case "literal_error":
            known = re.findall(r"'([^']+)'", fault["ctx"]["expected"])
            return f"{place} {owner} {key} must be one of {listed(known)}, not {in_brief(fault['input'])}"
        case "value_error":
            return f"{place} {' '.join(filter(None, [owner, key]))} {fault['ctx']['error']}"
        case "model_type" | "model_attributes_type":
            return f"{place} {owner} must be a section with keys, not {in_brief(fault['input'])}"
    what = _lower(fault["msg"]).removeprefix("input ").replace("should be", "must be")
    what = what.replace("a valid string", "text in quotes").replace("a valid ", "a ")
    what = what.replace("a boolean", "true or false").replace("greater than or equal to", "at least")
    return f"{place} {' '.join(filter(None, [owner, key]))} {what}, not {in_brief(fault['input'])}"


_SECTIONS = {name: field.annotation for name, field in Config.model_fields.items()}


def _home(key: str, section: str | None = None) -> str:
    """Return the end of a sentence about a key that its section does not know."""
    keys = {name: list(getattr(s, "model_fields", ())) for name, s in _SECTIONS.items()}
    for name, known in keys.items():
        if key in known:
            return f"it belongs into [{name}]"
    return did_you_mean(key, keys[section], "keys") if section else did_you_mean(key, keys, "sections")


def _line_of(text: str, section: str, key: str | None) -> int | None:
    """Return the line of a key, else of its section's header, in a run file's text."""
    here, found = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*\"?([\w-]+)\"?\s*\]", line):
            here = header[1]
            if here == section:
                found = number
                if key is None:
                    return number
        elif match := re.match(r"\s*(?:\"([^\"]+)\"|([\w-]+))\s*=", line):
            name = match[1] or match[2]
            if (here == section and name == key) or (not here and name == section):
                return number
    return found


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
