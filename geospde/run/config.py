"""The run file: what TOML may say, as pydantic models, and one sentence for what it says wrongly."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from geospde.errors import InputError
from geospde.families.delta import PARTS, delta_of
from geospde.families.registry import family_by_name
from geospde.formula.parser import parse_sides
from geospde.model.pattern import LABEL as POINTS
from geospde.run.sections.model import OF_POINTS, MeshSection, ModelSection, SurveySection
from geospde.run.sections.observations import ObservationsSection
from geospde.run.sections.results import (
    ExcursionsSection,
    InferenceSection,
    OutputSection,
    PredictionSection,
    RegionsSection,
    ValidationSection,
)
from geospde.run.sections.sentences import lower_first, sentence_of
from geospde.run.sections.values import Section, Text
from geospde.survey.covariates.reading import check_covariates
from geospde.survey.paths import refuse_unreadable
from geospde.text.files import refuse_special
from geospde.text.words import in_brief

OF_PLACES = ("mesh", "covariates", "excursions")
"""Sections that areas by their labels have no use for."""
OF_CELLS = ("shape", "cell", "buffer", "layers", "crop")
"""Keys of ``[prediction]`` that they have no use for, either."""
OF_DATA = ("x", "y", "layer", "domain")
"""Keys of ``[survey]`` that are of its own points, not of those that one of several likelihoods has."""
BY_LABEL = (
    "the survey is of areas by their labels: leave it out, or say with areas in [model] that a row is the mean or the "
    "total over its area"
)


class Config(Section):
    """A run file.

    Attributes
    ----------
    survey, mesh, model, inference, prediction, excursions, validation, regions, output
        Its sections.
    priors : dict
        A prior for each named parameter, as in `geospde.fit`; or the name of a set of priors.
    covariates : dict
        A raster for each covariate that the points have no column of, as in `geospde.fit`.
    observations : tuple of ObservationsSection
        Several likelihoods, in place of the one of ``model``.
    terms : dict
        What they share, as in `geospde.fit`.
    graphs : dict
        A file for each graph of areas that the formula names: a vector layer, or R-INLA's graph.
    """

    survey: SurveySection
    model: ModelSection = ModelSection(formula="~ 1")
    observations: tuple[ObservationsSection, ...] = ()
    terms: dict[str, Text] = Field(default_factory=dict)
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
    _survey_name: str | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _of_one_kind(self) -> Config:
        if self.observations:
            return self._of_several()
        if "model" not in self.model_fields_set:
            raise ValueError("the section [model] is missing")
        if self.terms:
            raise ValueError("[terms] are what several likelihoods share: write [[observations]] for each")
        if self.survey.points is None and self.survey.areas is None:
            raise ValueError("[survey] needs the key 'points', a table of sites, or 'areas', a layer of polygons")
        if self.survey.areas is None and self.model.areas is not None:
            raise ValueError("[model] areas needs a survey of areas: name their layer with areas in [survey]")
        if self.survey.domain is not None and not self.is_pattern:
            raise ValueError(
                f"[survey] domain is only for point patterns, and family {self.model.family!r} is not one: give "
                "the area to map as coastline or boundary"
            )
        if self.has_places:
            return self
        for name in OF_PLACES:
            if name in self.model_fields_set:
                raise ValueError(f"[{name}] is of places, and {BY_LABEL}")
        for key in OF_CELLS:
            if key in self.prediction.model_fields_set:
                raise ValueError(f"[prediction] {key} is of a map of cells, and {BY_LABEL}")
        return self

    def _of_several(self) -> Config:
        """Check a run file of several likelihoods."""
        if "model" in self.model_fields_set:
            raise ValueError("[model] is for a single likelihood: with several, its keys go in each [[observations]]")
        if len(self.observations) < 2:
            raise ValueError("[[observations]] must be two or more: a single likelihood goes in [survey] and [model]")
        if self.survey.areas is not None:
            raise ValueError("[survey] areas is for a single likelihood, and [[observations]] take points")
        for number, one in enumerate(self.observations, 1):
            if not one.has_data and self.survey.points is None:
                raise ValueError(f"[[observations]] number {number} needs the key 'points', or [survey] has them")
        return self

    @model_validator(mode="after")
    def _of_areas(self) -> Config:
        if self.wants_regions and not self.regions.areas and self.has_places:
            raise ValueError("[regions] needs the key 'areas': the file of their polygons, or several")
        return self

    @field_validator("covariates", mode="after")
    @classmethod
    def _known_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            check_covariates(value)
        except InputError as error:
            raise ValueError(f"cannot be read: {error}") from None
        return value

    @property
    def survey_name(self) -> str | None:
        """Name of the survey, where the run file says it, or a record of what it was called."""
        return self.survey.name or self._survey_name

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
        """Whether a run is to have figures for areas."""
        return "regions" in self.model_fields_set or not self.has_places

    def likelihoods(self) -> list[Config]:
        """Return a configuration of survey and model for each of several likelihoods, in their order."""
        survey, parts = self.survey.given(), []
        for number, one in enumerate(self.observations, 1):
            own = OF_DATA if one.has_data else ()
            own = own if one.areas is None else (*own, "points", *OF_POINTS)
            beside = {k: v for k, v in survey.items() if k not in own}
            keys = {"survey": beside | one.data, "model": one.model}
            if "domain" in beside and "domain" not in one.data and not _is_pattern(one.family, one.link):
                del keys["survey"]["domain"]
            part = _validated(keys, f"[[observations]] number {number}", "")
            part._file, part._folder = self._file, self._folder
            parts.append(part)
        return parts

    @property
    def is_pattern(self) -> bool:
        """Whether the response is the places themselves."""
        return not self.observations and _is_pattern(self.model.family, self.model.link)

    @property
    def label(self) -> str | None:
        """What maps and report call the value; without one they have the response's name."""
        if self.output.label is None and self.is_pattern:
            return family_by_name(self.model.family).quantity(POINTS)
        return self.output.label

    @property
    def has_places(self) -> bool:
        """Whether there are a mesh and cells: a survey of areas by their labels has neither."""
        return self.survey.areas is None or self.model.areas is not None

    def covariate_files(self) -> dict[str, Any]:
        """Return ``[covariates]`` with paths from the run file."""
        found: dict[str, Any] = {}
        for name, given in self.covariates.items():
            keys = {"raster": given} if isinstance(given, str) else dict(given)
            found[name] = keys | {key: str(self.path(keys[key])) for key in ("raster", "distance_to") if key in keys}
        return found

    def path(self, name: str) -> Path:
        """Return an input's path: relative ones start at the run file."""
        try:
            return self._folder / Path(name).expanduser()
        except RuntimeError:  # ~ of a user whom the system does not know
            return self._folder / name

    def files_read(self) -> list[Path]:
        """Return the run file, and all files that a text in it names."""
        named = map(self.path, _texts(self.settings()))
        return [path for path in (*([self._file] if self._file else []), *named) if os.path.isfile(path)]

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
        config._file, config._folder, config._survey_name = self._file, self._folder, self._survey_name
        return config

    def refuse_at_once(self) -> None:
        """Refuse inputs that are not there, unknown families and formulas that do not parse; opens no file.

        What reads a run file does so before it imports what reads and fits, which takes seconds.
        """
        for number, part in enumerate(self.likelihoods(), 1):
            try:
                part.refuse_at_once()
            except InputError as error:
                raise InputError(f"[[observations]] number {number}: {error}") from None
        self._refuse_unknown_part()
        beside = {f"graph {name}": file for name, file in self.graphs.items()} | {"barrier": self.mesh.barrier}
        beside |= {"inset": self.output.inset} if isinstance(self.output.inset, str) else {}
        keys = () if self.observations else ("points", "areas", "table", "coastline", "boundary", "domain")
        for key, given in {**{key: getattr(self.survey, key) for key in keys}, **beside}.items():
            if given is not None:
                refuse_unreadable(self.path(given), key)
        if self.observations:
            return
        if not self.is_pattern:
            parse_sides(self.model.formula)

    def _refuse_unknown_part(self) -> None:
        """Refuse to validate one of several likelihoods that none of them is."""
        named = self.validation.observations
        if self.observations:
            parts = [one.called for one in self.observations]
            if named is None and "validation" in self.model_fields_set:
                raise InputError(
                    "[validation] is of one of several likelihoods", remedy=f"say observations = {parts[0]!r}"
                )
        else:
            parts = list(PARTS) if delta_of(self.model.family, self.model.link) is not None else []
        if named is not None and named not in parts:
            remedy = f"there are {', '.join(parts)}" if parts else "take it out: there is but one"
            raise InputError(f"[validation] observations: none is called {in_brief(named)}", remedy=remedy)

    def settings(self) -> dict[str, Any]:
        """Return all keys with their values, those left out at their defaults, as plain JSON types."""
        unasked = {"validation", "excursions", "regions"} - self.model_fields_set  # without the section nothing is done
        unasked |= {"model"} if self.observations else {"observations", "terms"}
        unasked |= set() if self.excursions.is_wanted else {"excursions"}
        left_out: dict[str, Any] = dict.fromkeys(unasked, True)
        if not self.has_places:
            left_out |= dict.fromkeys(OF_PLACES, True) | {"prediction": set(OF_CELLS)}
        return self.model_dump(mode="json", exclude_none=True, exclude=left_out)


def _texts(content: Any) -> Iterator[str]:
    """Every text in nested tables and lists."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping | list):
        for part in content.values() if isinstance(content, Mapping) else content:
            yield from _texts(part)


def _is_pattern(family: str, link: str | None) -> bool:
    return delta_of(family, link) is None and family_by_name(family, link).is_pattern


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
        what = "the folder of a run: name the run file that made it" if made else "a folder: name the run file in it"
        raise InputError(f"{str(source)!r} is {what}")
    refuse_special(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        config = _validated(tomllib.loads(text), path.name, text)
    except FileNotFoundError:
        raise InputError(f"there is no run file {str(source)!r}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is not UTF-8 text: a run file is TOML", remedy=_for_data(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path.name} is not TOML: {lower_first(str(error))}", remedy=_for_data(path)) from None
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise _too_deep(path.name) from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path.name} is not TOML: it holds a number of thousands of digits") from None
    config._file, config._folder = path, path.parent
    return config


_DATA = {".csv", ".tsv", ".txt", ".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet"}


def _for_data(path: Path) -> str:
    """Return what to do with a file that is no run file but may be a survey's."""
    return f"of a survey, geospde init {path.name} writes a run file" if path.suffix.casefold() in _DATA else ""


def recorded_config(record: Mapping[str, Any], file: Path | None) -> Config:
    """Return what a record says of a run, its paths from the run file that made it; raises as `read_config` does."""
    config = read_config(record["configuration"])
    if file is not None:
        config._file, config._folder = file, file.parent
    name = record.get("survey")  # it may come from the folder, which may be called otherwise by now
    config._survey_name = name if isinstance(name, str) else None
    return config


def _validated(keys: Mapping[str, Any], name: str, text: str) -> Config:
    level: list[Any] = [keys]
    for _ in range(_DEEPEST):
        level = [part for each in level for part in (each.values() if isinstance(each, Mapping) else each)]
        level = [part for part in level if isinstance(part, Mapping | list)]
    if level:
        raise _too_deep(name)
    try:
        return Config.model_validate(dict(keys))
    except ValidationError as error:
        raise InputError(sentence_of(error, keys, name, text, _SECTIONS)) from None


_DEEPEST = 50  # tables and lists within each other: what reads and writes them again ends at some hundreds


def _too_deep(name: str) -> InputError:
    return InputError(f"{name} is nested deeper than any run file is")


_SECTIONS = {name: field.annotation for name, field in Config.model_fields.items()}
_SECTIONS["observations"] = ObservationsSection
