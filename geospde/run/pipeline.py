"""A run: the steps, one after the other or each by itself, from what those before it left in the folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geospde.errors import InputError
from geospde.linalg.executor import cluster
from geospde.linalg.threads import one_blas_thread
from geospde.mesh.trimesh import Mesh
from geospde.prediction.validation import Validation
from geospde.results.base import Fit
from geospde.results.certificate import Certificate
from geospde.run.analysis import criteria_of
from geospde.run.config import Config, read_config
from geospde.run.folders import amended_folder, whole_folder
from geospde.run.logs import LOG, keep_log
from geospde.run.progress import Progress, StepLog, announce_compiling
from geospde.run.record import MARK, read_record
from geospde.run.regions import RegionFigures
from geospde.run.step import Step
from geospde.run.steps.certify import CERTIFY
from geospde.run.steps.fit import FIT
from geospde.run.steps.index import INDEX
from geospde.run.steps.map import MAP
from geospde.run.steps.mesh import MESH
from geospde.run.steps.numbers import NUMBERS
from geospde.run.steps.predict import PREDICT
from geospde.run.steps.regions import REGIONS
from geospde.run.steps.report import REPORT
from geospde.run.steps.validate import VALIDATE
from geospde.run.validation_files import described
from geospde.run.work import Work, figures_in
from geospde.survey.survey import Survey
from geospde.text.findings import Finding
from geospde.text.keywords import answers_keywords
from geospde.text.words import did_you_mean

STEPS: tuple[Step[Work], ...] = (MESH, FIT, CERTIFY, VALIDATE, PREDICT, INDEX, NUMBERS, REGIONS, MAP, REPORT)
"""The pipeline: each step after those that it needs."""


@dataclass(frozen=True)
class RunResult:
    """What a run made.

    Attributes
    ----------
    folder : pathlib.Path
        Where its files are.
    survey, mesh, fit, prediction
        The objects behind them; of areas by their labels there is no mesh and no prediction of cells.
    regions : tuple of RegionFigures
        Figures for areas.
    checks : tuple of Finding
        What was looked at in survey, mesh and fit, what is well too.
    validation : Validation or None
        If the run file asks for one.
    certificate : Certificate or None
        If the run file asks for one.
    seconds : dict of str to float
        Wall time of each step.
    warnings : tuple of str
        What the user should look at.
    """

    folder: Path
    survey: Survey
    mesh: Mesh | None
    fit: Fit
    prediction: Any
    checks: tuple[Finding, ...]
    validation: Validation | None
    certificate: Certificate | None
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    regions: tuple[RegionFigures, ...] = ()

    @classmethod
    def of(cls, work: Work, folder: Path) -> RunResult:
        """Return what the work of all steps made, now in `folder`."""
        return cls(
            folder, work.survey, work.mesh, work.fit, work.prediction, work.findings, work.validation,
            work.certificate, work.log.seconds, tuple(work.log.warnings), work.regions,
        )  # fmt: skip

    @property
    def files(self) -> list[Path]:
        """Every file of the run."""
        return sorted(p for p in self.folder.rglob("*") if p.is_file())

    @property
    def figures(self) -> list[Path]:
        """The maps as pictures."""
        return figures_in(self.folder)

    def to_dict(self) -> dict[str, Any]:
        """Return estimates, criteria, checks and where the files are as plain types, for JSON."""
        return {
            "folder": str(self.folder),
            "name": self.survey.name,
            "files": [path.relative_to(self.folder).as_posix() for path in self.files],
            "fixed": self.fit.fixed.to_dict(orient="index"),
            "hyper": self.fit.hyper.to_dict(orient="index"),
            "criteria": criteria_of(self.fit),
            "checks": [finding.to_dict() for finding in self.checks],
            "certificate": None if self.certificate is None else self.certificate.to_dict(),
            "validation": None if self.validation is None else described(self.validation),
            "warnings": list(self.warnings),
            "seconds": self.seconds,
        }


@answers_keywords
def run(
    source: str | Path | Mapping[str, Any] | Config,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    client: Any = None,
) -> RunResult:
    """Run a whole analysis: from a run file to a folder of tables, rasters, figures and a report.

    Parameters
    ----------
    source : path, mapping or Config
        The run file, or its content.
    out : path, optional
        The folder to write, in place of the run file's ``[output] dir``. It appears whole or not at all.
    overwrite : bool
        Replace an earlier run's folder.
    progress : Progress, optional
        Told of every step.
    client : distributed.Client or str, optional
        A Dask cluster to share the work out on, see `geospde.cluster`.

    Returns
    -------
    RunResult

    Raises
    ------
    InputError
        If the run file, the data or the output folder need mending.
    NumericalError
        If the model cannot be fitted.
    """
    config = source if isinstance(source, Config) else read_config(source)
    target = Path(out) if out is not None else config.folder()
    log = StepLog(progress or Progress())
    with (
        cluster(client),
        one_blas_thread(),
        keep_log(log, target),
        whole_folder(target, overwrite=overwrite, reads=config.files_read(), writes=written_files()) as folder,
        announce_compiling(log),
    ):
        work = Work.begun("run", config, folder, target, log)
        for step in STEPS:
            work.take(step)
        work.finish()
    log.tell()
    return RunResult.of(work, target)


def written_files() -> list[str]:
    """Return patterns of all files that a run may leave, its pictures in any format."""
    patterns = [pattern for step in STEPS for pattern in step.files]
    pictures = [one.replace(".png", ".*") for one in patterns if one.startswith("figures/")]
    return [LOG, *patterns, *pictures]


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
    steps = [step for step in STEPS if step.command == name]
    if not steps:
        raise InputError(f"a run has no step {name!r}", remedy=did_you_mean(name, commands(), "steps"))
    config = source if isinstance(source, Config) else read_config(source)
    if not any(step.is_wanted(config) for step in steps):
        why = steps[0].without or f"it has no [{steps[0].name}]"
        raise InputError(f"the run file does not ask for {steps[0].makes}: {why}")
    target = Path(out) if out is not None else config.folder()
    log = StepLog(progress or Progress())
    replaced = [pattern for step in steps for pattern in step.files]
    with (
        one_blas_thread(),
        keep_log(log, target),
        amended_folder(target, replaced) as folder,
        announce_compiling(log),
    ):
        before = read_record(target) if (target / MARK).exists() else None
        work = Work.begun(name, config, folder, target, log, before)
        for step in steps[0].before(config):
            work.recall(step, target)
        for step in steps:
            work.take(step)
        work.finish()
    log.tell()
    return work


def commands(config: Config | None = None) -> list[str]:
    """Return the steps that have a command of their own, in their order; of a run file those that it asks for."""
    wanted = (step for step in STEPS if config is None or step.is_wanted(config))
    return list(dict.fromkeys(step.command for step in wanted))


def step_after(work: Work) -> Step[Work] | None:
    """Return the first step that is still to be done, or to be done again."""
    wanted = (step for step in STEPS if step.is_wanted(work.config))
    return next((step for step in wanted if not work.record.is_current(step)), None)
