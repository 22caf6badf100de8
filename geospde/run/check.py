"""What can be said before a fit: a run file's survey explored; survey, mesh and model checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.explore.explore import Exploration
from geospde.explore.mesh_checks import ExpectedRange, check_mesh
from geospde.explore.survey_checks import check_structure, check_survey
from geospde.export.provenance import write_json
from geospde.families.delta import delta_of
from geospde.inference.system import System
from geospde.mesh.refine import expected_vertices
from geospde.model.build import Model
from geospde.run import analysis
from geospde.run.config import Config, read_config
from geospde.run.folders import nearest_folder, refuse_folder, whole_folder
from geospde.run.inputs import explore_survey, in_short, load_survey
from geospde.run.progress import Progress, StepLog, announce_compiling
from geospde.run.proposal.look import FirstLook
from geospde.run.record import MARK as RUN
from geospde.run.regions import check_regions
from geospde.run.room import refuse_fine_mesh, refuse_too_large
from geospde.survey.places import outside_area_of_use, stray_sites
from geospde.survey.survey import Survey
from geospde.text.findings import Finding, findings_frame
from geospde.text.systems import crs_name
from geospde.text.words import counted, number

STRETCHED, MANY = 4.0, 10_000
"""A mesh of so many times the area without its stray sites is mostly empty, and large with so many vertices."""

MARK = "explore.json"
"""The file that tells an exploration's folder, which may be replaced, from somebody's other work."""


@dataclass(frozen=True)
class Explored:
    """What `explore_run` made.

    Attributes
    ----------
    exploration : Exploration
    folder : pathlib.Path or None
        Where its files are, if any were written.
    findings : tuple of Finding
        Those of the exploration, and of reading the files.
    """

    exploration: Exploration
    folder: Path | None
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but pictures as plain types, for JSON."""
        folder = None if self.folder is None else str(self.folder)
        return self.exploration.to_dict() | {"findings": [f.to_dict() for f in self.findings], "folder": folder}


def explore_run(
    source: str | Path | Mapping[str, Any] | Config,
    *,
    out: str | Path | None = None,
    write: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Explored:
    """Explore the survey of a run file: its response, exposure and family, and every column that may be a covariate.

    Parameters
    ----------
    source : path, mapping or Config
        The run file, or its content.
    out : path, optional
        The folder to write; by default beside the run's own, with ``-explore`` after its name. It appears
        whole or not at all.
    write : bool
        Whether to write pictures and tables at all.
    overwrite : bool
        Replace the folder of an earlier exploration.
    progress : Progress, optional
        Told of every step.

    Returns
    -------
    Explored

    Raises
    ------
    InputError
        If the run file, the survey or the output folder need mending.
    """
    config = source if isinstance(source, Config) else read_config(source)
    if config.observations:
        raise InputError("an exploration is of one response, and [[observations]] have several")
    if config.is_pattern:
        raise InputError("a point pattern has no response to explore: what was seen are its places")
    log = StepLog(progress or Progress())
    if not write:
        _, exploration = _explored(config, log)
        assert exploration is not None
        return Explored(exploration, None, (*exploration.findings, *_remaining(log, exploration.findings)))
    target = Path(out) if out is not None else config.folder("explore")
    reads = config.files_read()
    with whole_folder(target, overwrite=overwrite, mark=MARK, what="exploration", reads=reads, writes=FILES) as folder:
        _, exploration = _explored(config, log)
        assert exploration is not None
        explored = Explored(exploration, target, (*exploration.findings, *_remaining(log, exploration.findings)))
        with log.step("write"):
            write_exploration(folder, explored)
    return explored


def check(source: str | Path | Mapping[str, Any] | Config, *, progress: Progress | None = None) -> tuple[Finding, ...]:
    """Read and check everything that a run would, fit nothing and write nothing.

    Parameters
    ----------
    source : path, mapping or Config
        The run file, or its content.
    progress : Progress, optional
        Told of the steps survey, mesh, grid and model.

    Returns
    -------
    tuple of Finding
        On survey, mesh, prediction and model, those where all is well too; on the survey alone where a site far from
        all others would have most of the mesh.

    Raises
    ------
    InputError
        If a run would.
    """
    config = source if isinstance(source, Config) else read_config(source)
    log = StepLog(progress or Progress())
    output = _output(config)
    with announce_compiling(log.progress):
        findings = [*_checked(config, log), *output]
    return (*findings, *_remaining(log, findings))


def _output(config: Config) -> list[Finding]:
    """Say whether a run's folder can be written: an InputError where no run could, a note where it needs a word."""
    if config.output.dir is None:
        return []
    target = config.folder()
    is_there = os.path.isfile(target.expanduser() / RUN)
    writes: list[str] = []
    if is_there:
        from geospde.run.pipeline import written_files  # and all steps with it, which an empty folder has no use for

        writes = written_files()
    refuse_folder(target, overwrite=True, reads=config.files_read(), writes=writes)
    if not is_there:
        return []
    return [Finding("note", "output", f"{target} holds an earlier run", "geospde run replaces it with --overwrite")]


def _checked(config: Config, log: StepLog) -> list[Finding]:
    """What is found on survey, mesh, prediction and model."""
    survey, exploration = _explored(config, log)
    findings = [*(check_survey(survey) if exploration is None else exploration.findings)]
    seen = None if exploration is None else exploration.variogram
    mesh = grid = None
    spoilt = _spoilt(config, survey)
    if spoilt:
        return [*findings, *spoilt]
    if config.has_places:
        with log.step("mesh") as summarise:
            refuse_fine_mesh(config, survey)
            mesh = analysis.make_mesh(config, survey)
            summarise(repr(mesh))
        with log.step("grid") as summarise:
            grid = analysis.make_grid(config, survey, mesh)
            refuse_too_large(config, grid, nearest_folder(config.output.dir or Path()))
            summarise(repr(grid))
        findings.append(Finding("ok", "prediction", repr(grid).removeprefix("Grid").strip("<>()")))
    if exploration is not None:
        findings += _thresholds(config, exploration)
    with log.step("model") as summarise:
        model = analysis.make_model(config, survey, mesh)
        if grid is not None:
            for one in model.parts.values() if config.observations else [model]:
                analysis.check_predictable(one, grid, config.prediction.at)
            analysis.check_classes(config, survey, grid)
        findings += check_regions(config, survey, model, grid)
        System(model).analysed()  # refuses what does not fit into memory
        summarise(analysis.describe_model(model))
    if mesh is not None:
        usual = ExpectedRange.of(survey, seen)
        expected = _first_look(config, model, usual)
        if seen is not None and expected is not usual:  # one guess at the range, that of `geospde init`
            told = check_structure(seen, survey.word, says_range=False)
            findings = [told if finding.subject == told.subject else finding for finding in findings]
        findings += check_mesh(mesh, survey, expected)
    findings.append(Finding("ok", "model", analysis.describe_model(model)))
    return findings


def _first_look(config: Config, model: Model, usual: ExpectedRange) -> ExpectedRange:
    """The range that `geospde init` takes, of what the fixed effects leave; the usual one where it takes none."""
    parts = config.observations or delta_of(config.model.family, config.model.link) is not None
    if parts or model.points is None or model.support is not None or model.family.is_pattern:
        return usual
    if len(np.unique(model.points, axis=0)) < 2:
        return usual
    fixed = model.design[:, model.design.shape[1] - len(model.fixed_mean) :].toarray()
    look = FirstLook.at(model.points, model.likelihood, fixed if fixed.shape[1] > 1 else None)
    of = "a first look at what covariates leave" if look.less else "a first look"
    return ExpectedRange(look.range, of if look.seen else "", max(look.reach, usual.value))


def _spoilt(config: Config, survey: Survey) -> list[Finding]:
    """Say that a mesh is not worth building: it is large, and stray sites or a wrong CRS stretch what sites span."""
    places, edges = shapely.get_coordinates(survey.points.geometry), config.mesh.max_edge
    if survey.coastline is not None or not config.has_places or edges is None or len(places) == 0:
        return []
    area, why = _stretched(survey, places)
    vertices = expected_vertices([area], (float(np.ravel(edges)[0]),))
    if not why or vertices < MANY:
        return []
    return [
        Finding(
            "warning",
            "mesh",
            f"not built, and neither map nor model looked into: of more than {float(f'{vertices:.1g}'):,.0f} vertices "
            f"{why}",
            "see the coordinates; if they are right, take a longer max_edge",
        )
    ]


def _stretched(survey: Survey, places: NDArray[np.float64]) -> tuple[Any, str]:
    """An area that sites span where it is far more than is meant, and what is wrong with it: nothing, mostly."""
    stray, hull = stray_sites(places), shapely.multipoints(places).convex_hull
    if len(stray) and hull.area >= STRETCHED * shapely.multipoints(np.delete(places, stray, axis=0)).convex_hull.area:
        return hull, f"most would lie between {counted(len(stray), 'site')} and all others"
    if survey.crs is not None and outside_area_of_use(survey.crs, places).all():
        return shapely.envelope(hull), f"all would lie where lengths in {crs_name(survey.crs)} are no lengths"
    return hull, ""


def _thresholds(config: Config, exploration: Exploration) -> Iterator[Finding]:
    """Yield limits of ``[prediction]`` that lie outside of all that was observed: in another unit, most often."""
    rates = exploration.observed.rates[exploration.observed.known]
    if exploration.observed.classes or not len(rates):
        return
    low, high = float(rates.min()), float(rates.max())
    for limit in config.prediction.exceed:
        if not low <= limit <= high:
            side = "above" if limit > high else "below"
            yield Finding(
                "note",
                "threshold",
                f"{number(limit)} lies {side} all that was observed, {number(low)} to {number(high)}",
                "see whether it is in the unit of the data: its maps may be of one colour",
            )


_PICTURES = ("exploration", "rates", "variogram", "histogram", "trends")
FILES = ("facts.csv", "quantiles.csv", "findings.csv", "variogram.csv", *(f"{name}.png" for name in _PICTURES))
"""What the folder of an exploration holds, beside its mark."""


def write_exploration(folder: Path, explored: Explored) -> None:
    """Write pictures, tables and JSON of an exploration."""
    from geospde.plots.exploration import save_exploration  # and matplotlib with it, which no check has use for

    exploration = explored.exploration
    save_exploration(folder, exploration)
    exploration.table().to_csv(folder / "facts.csv")
    exploration.quantiles().to_csv(folder / "quantiles.csv")
    findings_frame(explored.findings).to_csv(folder / "findings.csv", index=False)
    if exploration.variogram is not None:
        exploration.variogram.table.to_csv(folder / "variogram.csv")
    write_json(folder / MARK, explored.to_dict())


def _explored(config: Config, log: StepLog) -> tuple[Survey, Exploration | None]:
    with log.step("survey") as summarise:
        survey = load_survey(config)
        exploration = explore_survey(config, survey)
        summarise(in_short(survey))
    return survey, exploration


def _remaining(log: StepLog, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the warnings of the steps that no finding tells in full."""
    subjects = {finding.subject for finding in findings}
    for warning in log.caught:
        if warning.subject not in subjects:
            yield Finding("warning", "input", str(warning))
