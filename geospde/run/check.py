"""What can be said before a fit: a run file's survey explored; survey, mesh and model checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geospde.explore.explore import Exploration, explore
from geospde.explore.mesh_checks import ExpectedRange, check_mesh
from geospde.export.provenance import write_json
from geospde.formula.formula import parse_formula
from geospde.formula.response import read_response
from geospde.plots.exploration import save_exploration
from geospde.run import pipeline
from geospde.run.config import Config, read_config
from geospde.run.folders import whole_folder
from geospde.run.progress import Progress, StepLog, compiling_told
from geospde.survey.survey import Survey
from geospde.text.findings import Finding, findings_frame

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
    log = StepLog(progress or Progress())
    if not write:
        exploration = _explored(config, log)
        return Explored(exploration, None, (*exploration.findings, *_remaining(log, exploration.findings)))
    target = Path(out) if out is not None else config.folder("explore")
    with whole_folder(target, overwrite=overwrite, mark=MARK) as folder:
        exploration = _explored(config, log)
        explored = Explored(exploration, target, (*exploration.findings, *_remaining(log, exploration.findings)))
        with log.step("write"):
            write_exploration(folder, explored)
    return explored


def check_run(config: Config, log: StepLog) -> tuple[Finding, ...]:
    """Read and check everything that a run would, and say what was found.

    Parameters
    ----------
    config : Config
    log : StepLog
        Hears the steps survey, mesh, grid and model.

    Returns
    -------
    tuple of Finding
        Of the survey, the mesh, the grid and the model, what is well too.

    Raises
    ------
    InputError
        If a run would.
    """
    exploration = _explored(config, log)
    survey = exploration.survey
    with log.step("mesh") as told:
        mesh = pipeline.make_mesh(config, survey)
        told(repr(mesh))
    findings = [*exploration.findings, *check_mesh(mesh, survey, ExpectedRange.of(survey, exploration.variogram))]
    with log.step("grid") as told, compiling_told(log.progress):
        grid = pipeline.make_grid(config, survey, mesh)
        pipeline.refuse_too_large(config, grid, Path())
        told(repr(grid))
    findings.append(Finding("ok", "prediction", repr(grid).removeprefix("Grid").strip("<>()")))
    with log.step("model") as told:
        model = pipeline.compile_model(config, survey, mesh, grid)
        told(model)
    findings.append(Finding("ok", "model", model))
    return (*findings, *_remaining(log, findings))


def explore_survey(config: Config, survey: Survey) -> Exploration:
    """Explore a survey that was read for a run: the response as the formula has it, on the family's scale."""
    model = config.model
    response = read_response(parse_formula(model.formula).left, survey.points)
    column, *trials = pipeline.response_columns(model.formula)
    over: str | float | None = model.exposure or (trials[0] if trials else None)
    if over is None and response.trials is not None:
        over = float(response.trials[0])
    return explore(survey, column, over, family=model.family)


def write_exploration(folder: Path, explored: Explored) -> None:
    """Write pictures, tables and JSON of an exploration."""
    exploration = explored.exploration
    save_exploration(folder, exploration)
    exploration.table().to_csv(folder / "facts.csv")
    exploration.quantiles().to_csv(folder / "quantiles.csv")
    findings_frame(explored.findings).to_csv(folder / "findings.csv", index=False)
    if exploration.variogram is not None:
        exploration.variogram.table.to_csv(folder / "variogram.csv")
    write_json(folder / MARK, explored.to_dict())


def _explored(config: Config, log: StepLog) -> Exploration:
    with log.step("survey") as told:
        survey = pipeline.load_survey(config)
        exploration = explore_survey(config, survey)
        told(repr(survey).strip("<>").removeprefix("Survey "))
    return exploration


def _remaining(log: StepLog, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the warnings of the steps that no finding tells in full."""
    subjects = {finding.subject for finding in findings}
    for warning in log.caught:
        if warning.subject not in subjects:
            yield Finding("warning", "input", str(warning))
