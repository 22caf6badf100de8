"""From a run file to survey, mesh, fit, prediction and maps: each step takes what the one before made."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geospde.config import Config, read_config
from geospde.crs import unit_of
from geospde.errors import GeospdeWarning, InputError, NumericalError
from geospde.folders import whole_folder
from geospde.progress import Progress, StepLog, compiling_told
from geospde.provenance import machine, sha256, versions, write_json
from geospde.survey import Survey, read_survey
from geospde.words import bytes_of, counted, length, listed

if TYPE_CHECKING:
    from geospde.exploration.findings import Finding
    from geospde.fitting.result import Fit
    from geospde.mesh.trimesh import Mesh
    from geospde.prediction.grid import Grid
    from geospde.prediction.surface import Prediction


@dataclass(frozen=True)
class RunResult:
    """What a run made.

    Attributes
    ----------
    folder : pathlib.Path
        Where its files are.
    survey, mesh, fit, prediction
        The objects behind them.
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
    seconds: dict[str, float]
    warnings: tuple[str, ...]

    @property
    def files(self) -> list[Path]:
        """Every file of the run."""
        return sorted(p for p in self.folder.rglob("*") if p.is_file())

    @property
    def figures(self) -> list[Path]:
        """The maps as pictures."""
        return sorted((self.folder / "figures").glob("*.png"))


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
    config = source if isinstance(source, Config) else read_config(source)
    target = Path(out) if out is not None else _target(config)
    log = StepLog(progress or Progress())
    with whole_folder(target, overwrite=overwrite) as folder, compiling_told(log.progress):
        with log.step("survey") as told:
            survey = load_survey(config)
            told(repr(survey).strip("<>").removeprefix("Survey "))
        with log.step("mesh") as told:
            mesh = make_mesh(config, survey)
            grid = make_grid(config, survey, mesh)
            refuse_too_large(config, grid, folder)
            told(f"{counted(mesh.n_vertices, 'vertex', 'vertices')}, {counted(grid.n, 'cell')} to predict")
        with log.step("fit") as told:
            compile_model(config, survey, mesh, grid)
            fit = fit_model(config, survey, mesh, callback=log.progress.update)
            warn_of_coarse(mesh, fit)
            told(f"log marginal likelihood {fit.log_marginal_likelihood:.2f}" if _bayesian(config) else "")
        with log.step("predict"):
            prediction = predict(config, fit, grid, callback=log.progress.update)
        with log.step("write"):
            write_tables(folder, mesh, fit, prediction)
            write_layers(folder, config, survey, fit, prediction)
        with log.step("figures") as told:
            figures = draw(folder, config, survey, mesh, fit, prediction)
            told(counted(len(figures), "figure"))
        with log.step("report"):
            report(folder, config, survey, mesh, fit, prediction, figures, log)
        write_json(folder / "run.json", _record(config, survey, log))
    return RunResult(target, survey, mesh, fit, prediction, log.seconds, tuple(log.warnings))


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
    from geospde.checks import check_run

    config = source if isinstance(source, Config) else read_config(source)
    return check_run(config, StepLog(progress or Progress()))


# ---- the steps ----


def load_survey(config: Config) -> Survey:
    """Read ``[survey]``; the columns that the model counts with must hold numbers that it can use."""
    from geospde.model.families import family_by_name

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
    from geospde.mesh.build import build_mesh

    domain = survey.coastline if survey.coastline is not None else survey.points
    return build_mesh(domain, sites=survey.points, crs=survey.crs, **config.mesh.given())


def make_grid(config: Config, survey: Survey, mesh: Mesh) -> Grid:
    """Lay the cells of ``[prediction]``; all their centres must lie in the mesh."""
    from geospde.prediction.grid import Grid

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
    from geospde.fitting.fit import fit

    keys = _model_arguments(config, survey, mesh) | config.inference.given()
    return fit(**keys, callback=callback)


def compile_model(config: Config, survey: Survey, mesh: Mesh, grid: Grid) -> str:
    """Check formula, family and priors against the data, that a grid can be predicted, and say what the model is."""
    import pandas as pd

    from geospde.model.build import build_model

    model = build_model(**_model_arguments(config, survey, mesh))
    only = "the cells of a grid have coordinates only"
    if model.has_offset:
        raise InputError(f"the model has an offset, and {only}: use exposure, or geospde.fit and predict at a table")
    try:
        model.rows(pd.DataFrame(index=[0]), grid.centres[:1], leave_out=model.groups)
    except InputError as error:
        needs = str(error).partition(":")[0]
        raise InputError(
            f"{needs}, and {only}: leave it out of a run's formula, or use geospde.fit and predict at a table"
        ) from None
    if model.groups:
        left_out = listed(dict.fromkeys(part.grouping.name for part in model.groups))
        warnings.warn(
            f"the maps show the population, without the effects of {left_out}: the cells of a grid belong to no group",
            GeospdeWarning,
            stacklevel=2,
        )
    names = ", ".join([*model.effects.names, *(h.name for h in model.hyperparameters)])
    return f"{counted(model.design.shape[1], 'latent variable')}; {names}"


def warn_of_coarse(mesh: Mesh, fit: Fit) -> None:
    """Warn where triangles are not small against the range: between their corners the field is a plane."""
    longest = max(mesh.quality().inner_edges, default=0.0)
    for name in fit.hyper.index:
        if str(name).startswith("range("):
            row = fit.hyper.loc[name]
            reach = float(row["q0.5"] if "q0.5" in row else row.iloc[0])
            if longest > reach / 2:
                warnings.warn(
                    f"the mesh has edges of up to {length(longest, unit_of(mesh.crs))} where {name} is "
                    f"{length(reach, unit_of(mesh.crs))}: between sites the standard deviations come out too small; "
                    "lower max_edge in [mesh], towards a fifth of the range, until the maps no longer change",
                    GeospdeWarning,
                    stacklevel=2,
                )


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


def write_tables(folder: Path, mesh: Mesh, fit: Fit, prediction: Prediction) -> None:
    """Write the mesh, the tables of the fit and of the prediction, and the fit itself."""
    mesh.to_gpkg(folder / "mesh.gpkg")
    for name in ("fixed", "hyper", "fitted"):
        getattr(fit, name).to_csv(folder / f"{name}.csv")
    criteria = {"log_marginal_likelihood": fit.log_marginal_likelihood, **fit.criteria}
    write_json(folder / "criteria.json", criteria)
    prediction.to_frame().to_csv(folder / "grid.csv", index=False)
    fit.save(folder / "fit")


def write_layers(folder: Path, config: Config, survey: Survey, fit: Fit, prediction: Prediction) -> None:
    """Write the raster, the vector layers and a QGIS project of them; the mesh's file is there already."""
    from geospde.maps.qgis import write_project

    crop = survey.coastline if config.prediction.crop else None
    # a frame without a unit of length is more than the cloud-optimised kind can carry
    prediction.to_raster(folder / "prediction.tif", crop=crop, cog=bool(survey.units))
    write_project(folder, survey=survey, prediction=prediction, fit=fit, label=config.output.label, crop=crop)


def draw(
    folder: Path, config: Config, survey: Survey, mesh: Mesh, fit: Fit, prediction: Prediction
) -> list[Path]:
    """Draw the figures."""
    from geospde.maps.figures import save_figures

    return save_figures(
        folder / "figures", survey=survey, mesh=mesh, fit=fit, prediction=prediction, label=config.output.label
    )


def report(
    folder: Path,
    config: Config,
    survey: Survey,
    mesh: Mesh,
    fit: Fit,
    prediction: Prediction,
    figures: list[Path],
    log: StepLog,
) -> Path:
    """Write the report, the survey explored and survey and mesh checked in it."""
    from geospde.checks import explore_survey
    from geospde.exploration.mesh_checks import ExpectedRange, check_mesh
    from geospde.maps.report import write_report

    exploration = explore_survey(config, survey)
    return write_report(
        folder / "report.html",
        title=survey.name,
        survey=survey,
        mesh=mesh,
        fit=fit,
        prediction=prediction,
        figures=figures,
        settings=config.settings(),
        seconds=log.seconds,
        notes=log.warnings,
        label=config.output.label,
        exploration=exploration,
        checks=check_mesh(mesh, survey, ExpectedRange.of(survey, exploration.variogram)),
        files=[*filter(Path.is_file, folder.rglob("*")), folder / "run.json"],
    )


# ---- what the steps share ----


def _target(config: Config) -> Path:
    if config.output.dir is None:
        raise InputError("the run file does not say where the output goes: set dir in [output], or --out")
    return Path(config.output.dir)


def _bayesian(config: Config) -> bool:
    return config.inference.method in ("inla", "eb")


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
        raise InputError(f"{survey.place(int(rows[0]), column)}: {rule}, not {values[rows[0]]:g}{more}")


def response_columns(formula: str) -> list[str]:
    """Return the columns on the left of a formula; names before a bracket are functions.

    Examples
    --------
    >>> response_columns("p(cases, tested) ~ 1 + spde(mesh)")
    ['cases', 'tested']
    """
    left = formula.partition("~")[0] if "~" in formula else ""
    return re.findall(r"[^\W\d]\w*\b(?!\s*\()", left)


def refuse_too_large(config: Config, grid: Grid, folder: Path) -> None:
    """Raise an InputError if the prediction would not fit into memory or onto the disk."""
    wanted = config.prediction
    columns = 2 + len(wanted.quantiles) + len(wanted.exceed)
    rows, cols = grid.shape
    size = f"a raster of {rows:,} x {cols:,} cells with {counted(columns, 'band')}"
    memory, need = _memory(), 8 * 8 * (columns + 2) * grid.n  # measured: 417 bytes a cell with 5 bands
    if memory is not None and need > memory:
        raise InputError(
            f"{size} needs about {bytes_of(need)} of memory and the machine has {bytes_of(memory)}: "
            "take a larger cell (or a smaller shape) in [prediction]"
        )
    # some 20 bytes a number in grid.csv, 10 while the GeoTIFF is put in order, and 5 MB for figures, report and fit
    free = shutil.disk_usage(folder).free
    need = 20 * (columns + 2) * grid.n + 10 * columns * rows * cols + 5_000_000
    if need > free:
        raise InputError(
            f"the run with {size} needs about {bytes_of(need)} on the disk and {bytes_of(free)} are free: "
            "take a larger cell (or a smaller shape) in [prediction], or another disk with --out"
        )


def _memory() -> int | None:
    """Return the machine's memory in bytes, where the system says."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _record(config: Config, survey: Survey, log: StepLog) -> dict[str, Any]:
    """Return what ``run.json`` says of a run."""
    files = [*filter(None, [config.file]), *survey.sources]
    return {
        "run_file": str(config.file) if config.file else None,
        "started": log.started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": log.seconds,
        "configuration": config.settings(),
        "inputs": [{"path": str(p), "bytes": p.stat().st_size, "sha256": sha256(p)} for p in files],
        "warnings": log.warnings,
        "versions": versions(),
        "machine": machine(),
    }
