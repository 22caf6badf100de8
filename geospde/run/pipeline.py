"""From a run file to survey, mesh, fit, prediction and maps: each step takes what the one before made."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geospde.errors import GeospdeWarning, InputError, NumericalError
from geospde.explore.explore import Exploration
from geospde.explore.mesh_checks import check_mesh
from geospde.export.provenance import write_json
from geospde.families.registry import family_by_name
from geospde.formula.parser import parse_sides
from geospde.formula.syntax import symbols
from geospde.mesh.build import build_mesh
from geospde.mesh.trimesh import Mesh
from geospde.model.build import build_model
from geospde.plots.figures import save_figures
from geospde.prediction.grid import Grid
from geospde.prediction.surface import Prediction
from geospde.prediction.validation import Validation
from geospde.report.parts import RunParts
from geospde.report.report import write_report
from geospde.results.fit import check_model, check_options, fit
from geospde.results.result import Fit
from geospde.run.config import Config, read_config
from geospde.run.folders import whole_folder
from geospde.run.logs import kept_if_failed
from geospde.run.progress import Progress, StepLog, compiling_told
from geospde.run.room import refuse_too_large as refuse_too_large
from geospde.survey.survey import Survey, read_survey
from geospde.text.findings import Finding, findings_frame
from geospde.text.words import counted, listed

BAYESIAN = ("inla", "eb")
"""Methods of `geospde.fit` that give a posterior."""


@dataclass(frozen=True)
class RunResult:
    """What a run made.

    Attributes
    ----------
    folder : pathlib.Path
        Where its files are.
    survey, mesh, fit, prediction
        The objects behind them.
    checks : tuple of Finding
        What was looked at in survey, mesh and fit, what is well too.
    validation : Validation or None
        If the run file asks for one.
    seconds : dict of str to float
        Wall time of each step.
    warnings : tuple of str
        What the user should look at.
    """

    folder: Path
    survey: Survey
    mesh: Mesh
    fit: Fit
    prediction: Prediction
    checks: tuple[Finding, ...]
    validation: Validation | None
    seconds: dict[str, float]
    warnings: tuple[str, ...]

    @property
    def files(self) -> list[Path]:
        """Every file of the run."""
        return sorted(p for p in self.folder.rglob("*") if p.is_file())

    def to_dict(self) -> dict[str, Any]:
        """Return estimates, criteria, checks and where the files are as plain types, for JSON."""
        from geospde.run.validate import described

        return {
            "folder": str(self.folder),
            "name": self.survey.name,
            "files": [path.relative_to(self.folder).as_posix() for path in self.files],
            "fixed": self.fit.fixed.to_dict(orient="index"),
            "hyper": self.fit.hyper.to_dict(orient="index"),
            "criteria": criteria_of(self.fit),
            "checks": [finding.to_dict() for finding in self.checks],
            "validation": None if self.validation is None else described(self.validation),
            "warnings": list(self.warnings),
            "seconds": self.seconds,
        }

    @property
    def figures(self) -> list[Path]:
        """The maps as pictures."""
        return figures_in(self.folder)


def run(
    source: str | Path | Mapping[str, Any] | Config,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
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
    from geospde.run.steps import EVERY, Work

    config = source if isinstance(source, Config) else read_config(source)
    target = Path(out) if out is not None else config.folder()
    log = StepLog(progress or Progress())
    with (
        kept_if_failed(log, target),
        whole_folder(target, overwrite=overwrite) as folder,
        compiling_told(log),
    ):
        work = Work.begun("run", config, folder, log)
        for step in EVERY.values():
            step(work)
        work.finish()
    log.tell()
    return RunResult(
        target, work.survey, work.mesh, work.fit, work.prediction, work.findings, work.validation,
        log.seconds, tuple(log.warnings),
    )  # fmt: skip


def check(source: str | Path | Mapping[str, Any] | Config, *, progress: Progress | None = None) -> tuple[Finding, ...]:
    """Read and check everything that `run` would, fit nothing and write nothing.

    Parameters
    ----------
    source, progress
        As in `run`.

    Returns
    -------
    tuple of Finding
        On survey, mesh, prediction and model, those where all is well too.

    Raises
    ------
    InputError
        If `run` would.
    """
    from geospde.run.check import check_run

    config = source if isinstance(source, Config) else read_config(source)
    return check_run(config, StepLog(progress or Progress()))


# ---- the steps ----


def load_survey(config: Config) -> Survey:
    """Read ``[survey]``; the columns that the model counts with must hold numbers that it can use."""
    keys = config.survey.given()
    for name in ("points", "coastline"):
        if name in keys:
            keys[name] = config.path(keys[name])
    model = config.model
    named = [*response_columns(model.formula), model.exposure, model.offset, model.weights]
    survey = read_survey(**keys, numeric=tuple(dict.fromkeys(n for n in named if n)))
    family = family_by_name(model.family, model.link)
    response = response_columns(model.formula)
    for column in response:
        _refuse(survey, column, family.outside, f"family {family.name!r} needs {family.needs}")
    if family.takes_trials and len(response) == 2:
        trials = survey.points[response[1]].to_numpy(dtype=float)
        _refuse(survey, response[0], lambda v: v > trials, "there cannot be more successes than trials")
    if model.exposure:
        _refuse(survey, model.exposure, lambda v: v <= 0, "an exposure must be above 0")
    return survey


def make_mesh(config: Config, survey: Survey) -> Mesh:
    """Build ``[mesh]`` around the coastline or, without one, around the sites."""
    domain = survey.coastline if survey.coastline is not None else survey.points
    return build_mesh(domain, sites=survey.points, crs=survey.crs, **config.mesh.given())


def make_grid(config: Config, survey: Survey, mesh: Mesh) -> Grid:
    """Lay the cells of ``[prediction]``; all their centres must lie in the mesh."""
    keys = config.prediction.given("shape", "cell", "buffer")
    grid = Grid.around(survey.domain, crs=survey.crs, **keys)
    outside = int((mesh.locate(grid.centres) < 0).sum())
    if outside:
        raise InputError(
            f"{outside:,} of {counted(grid.n, 'cell')} to predict have their centre outside of the mesh: take "
            "smaller cells or less buffer in [prediction], or widen the mesh (convex, offset in [mesh])"
        )
    return grid


def fit_model(config: Config, survey: Survey, mesh: Mesh, *, callback: Any = None) -> Fit:
    """Fit ``[model]`` under ``[priors]`` as ``[inference]`` says."""
    keys = _model_arguments(config, survey, mesh) | config.inference.given()
    return fit(**keys, callback=callback)


def compile_model(config: Config, survey: Survey, mesh: Mesh, grid: Grid) -> str:
    """Check formula, family and priors against the data, that a grid can be predicted, and say what the model is."""
    import pandas as pd

    keys = _model_arguments(config, survey, mesh)
    check_options(**config.inference.given(), priors=keys.get("priors", "default"))
    model = build_model(**keys)
    check_model(model, config.inference.method, config.inference.quadrature)
    if config.validates and config.inference.method not in BAYESIAN:
        raise InputError(f"[validation] needs method 'inla' or 'eb' in [inference], not {config.inference.method!r}")
    only = "the cells of a grid have coordinates only"
    if model.has_offset:
        raise InputError(f"the model has an offset, and {only}: use exposure, or geospde.fit and predict at a table")
    try:
        model.rows(pd.DataFrame(index=[0]), grid.centres[:1], leave_out=model.groups)
    except InputError as error:
        remedy = "leave it out of a run's formula, or use geospde.fit and predict at a table"
        raise InputError(f"{error.what}, and {only}", remedy=remedy) from None
    if model.groups:
        left_out = listed(dict.fromkeys(term.grouping.name for term in model.terms if term.grouping is not None))
        warnings.warn(
            f"the maps show the population, without the effects of {left_out}: the cells of a grid belong to no group",
            GeospdeWarning,
            stacklevel=2,
        )
    names = ", ".join([*model.effects.names, *(h.name for h in model.hyperparameters)])
    return f"{counted(model.design.shape[1], 'latent variable')}; {names}"


def check_fit(survey: Survey, mesh: Mesh, fit: Fit) -> tuple[Finding, ...]:
    """Look at a fit, and at what of its mesh the fit's own check does not: that knows the range, a guess no more."""
    found = fit.check()
    judged = ("mesh edges", "mesh extension") if any(finding.subject == "mesh" for finding in found) else ()
    return (*found, *(finding for finding in check_mesh(mesh, survey) if finding.subject not in judged))


def predict(config: Config, fit: Fit, grid: Grid, *, callback: Any = None) -> Prediction:
    """Predict the intensity in every cell, with the quantiles and exceedances of ``[prediction]``."""
    wanted = config.prediction
    prediction = fit.predict(grid, quantiles=wanted.quantiles, exceed=wanted.exceed, groups=False, callback=callback)
    frame = prediction.to_frame()
    finite = np.isfinite(frame.to_numpy(dtype=float))
    if not finite.all():
        columns = listed(frame.columns[~finite.all(axis=0)])
        raise NumericalError(
            f"the prediction is not finite in {(~finite.all(axis=1)).sum():,} of {counted(len(frame), 'cell')} "
            f"({columns}): the data say too little for these priors; give tighter ones in [priors], such as "
            '"sigma(spde)" = { pc = [1, 0.01] }'
        )
    return prediction


def write_fit(folder: Path, fit: Fit) -> None:
    """Write the tables of the fit, and the fit itself."""
    for name in ("fixed", "hyper", "fitted"):
        getattr(fit, name).to_csv(folder / f"{name}.csv")
    write_json(folder / "criteria.json", criteria_of(fit))
    fit.save(folder / "fit")


def write_checks(folder: Path, findings: Iterable[Finding]) -> None:
    """Write what was looked at as a table."""
    findings_frame(findings).to_csv(folder / "checks.csv", index=False)


def write_prediction(folder: Path, config: Config, survey: Survey, prediction: Prediction) -> None:
    """Write the prediction as a table and as a raster."""
    prediction.to_frame().to_csv(folder / "grid.csv", index=False)
    # a frame without a unit of length is more than the cloud-optimised kind can carry
    prediction.to_raster(folder / "prediction.tif", crop=crop_of(config, survey), cog=bool(survey.units))


def draw(folder: Path, config: Config, **objects: Any) -> list[Path]:
    """Draw the figures of survey, mesh, fit and prediction, those that are given."""
    return save_figures(folder / "figures", label=config.output.label, **objects)


def report(
    folder: Path,
    config: Config,
    survey: Survey,
    mesh: Mesh,
    fit: Fit,
    prediction: Any,
    *,
    exploration: Exploration,
    checks: Sequence[Finding],
    validation: Validation | None,
    seconds: Mapping[str, float],
    notes: Sequence[str],
) -> Path:
    """Write the report."""
    later = (folder / "run.json", folder / "run.log")
    run = RunParts(
        title=survey.name,
        survey=survey,
        mesh=mesh,
        fit=fit,
        prediction=prediction,
        figures=figures_in(folder),
        settings=config.settings(),
        seconds=seconds,
        notes=notes,
        label=config.output.label,
        exploration=exploration,
        checks=checks,
        validation=validation,
        files=[*filter(Path.is_file, folder.rglob("*")), *later],
    )
    return write_report(folder / "report.html", run)


# ---- what the steps share ----


def is_bayesian(fit: Fit) -> bool:
    """Tell whether a fit has a posterior, and with it evidence and criteria an observation."""
    return fit.method in BAYESIAN


def criteria_of(fit: Fit) -> dict[str, float]:
    """Return the criteria of a fit, its evidence first where it has priors."""
    evidence = {"log_marginal_likelihood": fit.log_marginal_likelihood} if is_bayesian(fit) else {}
    return {**evidence, **fit.criteria}


def crop_of(config: Config, survey: Survey) -> Any:
    """Return what the rasters are cropped to, if the run file asks for it."""
    return survey.coastline if config.prediction.crop else None


def figures_in(folder: Path) -> list[Path]:
    """Return the figures of a run's folder, exceedances last and by their thresholds."""

    def place(path: Path) -> tuple[float, str]:
        try:
            return float(path.stem.removeprefix("exceed_")), path.stem
        except ValueError:  # another figure
            return -np.inf, path.stem

    return sorted((folder / "figures").glob("*.png"), key=place)


def _model_arguments(config: Config, survey: Survey, mesh: Mesh) -> dict[str, Any]:
    """Return the arguments of `geospde.fit` that make the model."""
    priors = {"priors": config.priors} if config.priors else {}
    return {"data": survey.points, "mesh": mesh, **config.model.given(), **priors}


def _refuse(survey: Survey, column: str, wrong: Callable[[np.ndarray], np.ndarray], rule: str) -> None:
    """Raise an InputError at the first row where a column breaks a rule."""
    values = survey.points[column].to_numpy(dtype=float)
    rows = np.flatnonzero(wrong(values))
    if len(rows):
        more = f"; {counted(len(rows) - 1, 'further row')} like it" if len(rows) > 1 else ""
        raise InputError(f"{rule}, not {values[rows[0]]:g}{more}", where=survey.place(int(rows[0]), column))


def response_columns(formula: str) -> list[str]:
    """Return the columns on the left of a formula.

    Examples
    --------
    >>> response_columns("p(cases, tested) ~ 1 + spde(mesh)")
    ['cases', 'tested']
    """
    left, _ = parse_sides(formula)
    return list(symbols(left))
