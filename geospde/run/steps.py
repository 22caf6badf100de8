"""The steps of a run, one after the other or each by itself, from what those before it left in the folder."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from geospde.errors import GeospdeError, GeospdeWarning
from geospde.explore.explore import Exploration
from geospde.export.qgis import write_project
from geospde.mesh.trimesh import Mesh
from geospde.prediction.stored import read_prediction
from geospde.prediction.validation import Validation
from geospde.results.saved import load_fit
from geospde.run import pipeline
from geospde.run.check import explore_survey
from geospde.run.config import Config, read_config
from geospde.run.folders import amended_folder, unlink_from_original
from geospde.run.logs import LOG, begin, kept_if_failed
from geospde.run.progress import Progress, StepLog, compiling_told
from geospde.run.record import MARK, STANDS_ON, Record, read_record
from geospde.run.validate import IN_RUN, read_validation, validate, write_validation
from geospde.survey.survey import Survey
from geospde.text.findings import Finding, count_levels
from geospde.text.words import counted

_MAPS = ("maps", "mean", "lower", "upper", "sd", "exceed_*", "observed", "fitted")

FILES = {
    "mesh": ("mesh.gpkg", "figures/mesh.png"),
    "fit": ("fixed.csv", "hyper.csv", "fitted.csv", "criteria.json", "fit.npz", "fit.json", "checks.csv", *IN_RUN),
    "predict": ("grid.csv", "prediction.tif"),
    "map": ("prediction.qml", "layers.gpkg", "project.qgz", *(f"figures/{name}.png" for name in _MAPS)),
    "report": ("report.html",),
}
"""What each step writes, and writes anew."""


@dataclass
class Work:
    """A run's folder while it is filled, and the objects behind its files.

    Attributes
    ----------
    config : Config
    folder : pathlib.Path
    log : StepLog
    record : Record
    survey : Survey
    mesh, grid, fit, prediction, validation
        Made by a step, or read again from what it left.
    """

    config: Config
    folder: Path
    log: StepLog
    record: Record
    survey: Survey
    mesh: Any = None
    grid: Any = None
    fit: Any = None
    prediction: Any = None
    validation: Validation | None = None

    @classmethod
    def begun(
        cls, command: str, config: Config, folder: Path, log: StepLog, before: Mapping[str, Any] | None = None
    ) -> Work:
        """Read the survey; `before` is the record of earlier steps."""
        begin(log, f"{command} {config.file or ''}".strip())
        with log.step("survey") as told:
            survey = pipeline.load_survey(config)
            told(repr(survey).strip("<>").removeprefix("Survey "))
        return cls(config, folder, log, Record(config, survey, log, before), survey)

    @cached_property
    def exploration(self) -> Exploration:
        """The survey before any model."""
        return explore_survey(self.config, self.survey)

    @cached_property
    def checks(self) -> tuple[Finding, ...]:
        """What was looked at in the fit and its mesh."""
        return pipeline.check_fit(self.survey, self.mesh, self.fit)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was looked at: survey, fit, mesh."""
        return (*self.exploration.findings, *self.checks)

    def finish(self) -> None:
        """Write the record, and the log behind that of earlier steps."""
        log, mark = self.folder / LOG, self.folder / MARK
        earlier = log.read_bytes() if log.exists() else b""
        for path in (log, mark):  # in a copy they are the original's, too
            path.unlink(missing_ok=True)
        self.record.write(self.folder)
        log.write_bytes(earlier + self.log.text().encode())


def run_step(
    name: str,
    source: str | Path | Mapping[str, Any] | Config,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Work:
    """Do one step of a run in its folder, from what the steps before it left there.

    Parameters
    ----------
    name : str
        ``"mesh"``, ``"fit"``, ``"predict"``, ``"map"`` or ``"report"``.
    source : path, mapping or Config
        The run file, or its content.
    out : path, optional
        The run's folder, in place of the run file's ``[output] dir``. The step's files in it are replaced together or
        not at all.
    progress : Progress, optional
        Told of the step.

    Returns
    -------
    Work

    Raises
    ------
    InputError
        If the run file, the data or the folder need mending, or a step before this one is to be done first.
    NumericalError
        If the model cannot be fitted.
    """
    config = source if isinstance(source, Config) else read_config(source)
    target = Path(out) if out is not None else config.folder()
    log = StepLog(progress or Progress())
    with kept_if_failed(log, target), amended_folder(target, FILES[name]) as folder, compiling_told(log):
        work = Work.begun(name, config, folder, log, read_record(target) if (target / MARK).exists() else None)
        for before in (*STANDS_ON[name], *(["validate"] if name == "report" and config.validates else [])):
            work.record.require(before, target)
            if before in RECALL:
                RECALL[before](work)
        EVERY[name](work)
        work.finish()
    log.tell()
    return work


# ---- what each step does ----


def _mesh(work: Work) -> None:
    with work.log.step("mesh") as told:
        work.mesh = pipeline.make_mesh(work.config, work.survey)
        work.grid = pipeline.make_grid(work.config, work.survey, work.mesh)
        pipeline.refuse_too_large(work.config, work.grid, work.folder)
        work.mesh.to_gpkg(work.folder / "mesh.gpkg")
        pipeline.draw(work.folder, work.config, survey=work.survey, mesh=work.mesh)
        vertices = counted(work.mesh.n_vertices, "vertex", "vertices")
        told(f"{vertices}, {counted(work.grid.n, 'cell')} to predict")
    work.record.done("mesh")


def _fit(work: Work) -> None:
    with work.log.step("fit") as told:
        pipeline.compile_model(work.config, work.survey, work.mesh, work.grid)
        work.fit = pipeline.fit_model(work.config, work.survey, work.mesh, callback=work.log.progress.update)
        pipeline.write_fit(work.folder, work.fit)
        (what, value), *_ = pipeline.criteria_of(work.fit).items()
        told(f"{what.replace('_', ' ')} {value:.2f}")
    with work.log.step("check") as told:
        pipeline.write_checks(work.folder, work.findings)
        levels = count_levels(work.findings)
        told(f"{counted(levels['warning'], 'warning')}, {counted(levels['note'], 'note')}")
    for finding in work.checks:
        if finding.level in ("warning", "error"):
            work.log.warn_at_the_end(finding.as_warning())
    work.record.done("fit")
    if work.config.validates:
        _validate(work)


def _validate(work: Work) -> None:
    """Cross-validate; the fit has taken its time and is kept even where that fails."""
    with work.log.step("validate") as told:
        try:
            work.validation = validate(work.fit, work.config.validation, callback=work.log.progress.update)
        except GeospdeError as error:
            warnings.warn(f"the model is not cross-validated: {error}", GeospdeWarning, stacklevel=2)
        else:
            write_validation(work.folder, work.validation, IN_RUN)
            told(work.validation.describe())
    work.record.done("validate")


def _predict(work: Work) -> None:
    with work.log.step("predict"):
        work.prediction = pipeline.predict(work.config, work.fit, work.grid, callback=work.log.progress.update)
    with work.log.step("write"):
        pipeline.write_prediction(work.folder, work.config, work.survey, work.prediction)
    work.record.done("predict")


def _map(work: Work) -> None:
    objects = {"survey": work.survey, "fit": work.fit, "prediction": work.prediction}
    with work.log.step("figures") as told:
        unlink_from_original(work.folder / "mesh.gpkg")  # it takes in styles
        crop, label = pipeline.crop_of(work.config, work.survey), work.config.output.label
        write_project(work.folder, **objects, label=label, crop=crop)
        pipeline.draw(work.folder, work.config, **objects)
        told(counted(len(pipeline.figures_in(work.folder)), "figure"))
    work.record.done("map")


def _report(work: Work) -> None:
    told = {str(finding.as_warning()) for finding in work.checks}
    with work.log.step("report"):
        pipeline.report(
            work.folder,
            work.config,
            work.survey,
            work.mesh,
            work.fit,
            work.prediction,
            exploration=work.exploration,
            checks=work.checks,
            validation=work.validation,
            seconds=work.record.seconds,
            notes=[warning for warning in work.record.warnings if warning not in told],
        )
    work.record.done("report")


EVERY: dict[str, Callable[[Work], None]] = {
    "mesh": _mesh,
    "fit": _fit,
    "predict": _predict,
    "map": _map,
    "report": _report,
}


# ---- what each step leaves to the next ----


def _recall_mesh(work: Work) -> None:
    work.mesh = Mesh.from_gpkg(work.folder / "mesh.gpkg")
    work.grid = pipeline.make_grid(work.config, work.survey, work.mesh)


def _recall_fit(work: Work) -> None:
    work.fit = load_fit(work.folder)


def _recall_prediction(work: Work) -> None:
    work.prediction = read_prediction(work.folder, work.fit.model.response_label, work.grid)


def _recall_validation(work: Work) -> None:
    if (work.folder / IN_RUN.scores).exists():  # it may have failed
        work.validation = read_validation(work.folder, IN_RUN)


RECALL: dict[str, Callable[[Work], None]] = {
    "mesh": _recall_mesh,
    "fit": _recall_fit,
    "predict": _recall_prediction,
    "validate": _recall_validation,
}
