"""The fit of a run: the one that its folder holds, if that is still of the same inputs and settings, or a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyogrio

from geospde.errors import InputError
from geospde.export.windowed import RasterEstimate, estimate_raster
from geospde.prediction.grid import Grid
from geospde.prediction.stored import is_there, read_prediction
from geospde.results.base import Fit
from geospde.results.saved import load_fit
from geospde.run import analysis
from geospde.run.config import Config, read_config
from geospde.run.inputs import in_short, load_survey
from geospde.run.progress import StepLog
from geospde.run.record import MARK, Record, read_record
from geospde.run.steps.fit import FIT
from geospde.run.steps.predict import PREDICT
from geospde.survey.survey import Survey
from geospde.text.offline import offline


@dataclass(frozen=True)
class Run:
    """A run file, or the folder of a run.

    Attributes
    ----------
    name : str
        Of the file or the folder.
    config : Config
        What the file says, or what the folder was made from.
    folder : pathlib.Path or None
        Where its files are, or would be; None where the run file does not say.
    is_folder : bool
        Whether the folder was named: then its fit is the one that is meant.
    """

    name: str
    config: Config
    folder: Path | None
    is_folder: bool

    @property
    def source(self) -> Path | str:
        """The file or folder that was named."""
        return (self.folder if self.is_folder else self.config.file) or ""

    def with_folder(self, folder: Path | None) -> Run:
        """Return it with another folder, where one is given."""
        return self if folder is None else replace(self, folder=folder)

    def beside(self, word: str) -> Path:
        """Return a folder beside the run's, with a word after its name."""
        if self.folder is not None and self.is_folder:
            return self.folder.with_name(f"{self.name}-{word}")
        return self.config.folder(word)


def find_run(source: str | Path | Mapping[str, Any] | Config) -> Run:
    """Read a run file, or what a run's folder was made from.

    Raises
    ------
    InputError
        If there is neither, or what is there cannot be read.
    """
    if isinstance(source, str | Path) and Path(source).expanduser().is_dir():
        folder = Path(source).expanduser()
        config = read_config(read_record(folder)["configuration"])
        return Run(folder.resolve().name, config, folder, True)
    config = source if isinstance(source, Config) else read_config(source)
    name, output = config.file.stem if config.file else "run", config.output.dir
    return Run(name, config, Path(output) if output else None, False)


@dataclass(frozen=True)
class Fitted:
    """A run's fit, and what it was made from.

    Attributes
    ----------
    run : Run
    fit : Fit
    saved : pathlib.Path or None
        The folder that the fit was read from.
    survey : Survey or None
        If it was read: of a run file, not of a folder.
    """

    run: Run
    fit: Fit
    saved: Path | None = None
    survey: Survey | None = None

    def prediction(self, log: StepLog) -> Any:
        """Return the prediction that the run left, if it is of this fit, or make it.

        Raises
        ------
        InputError
            If the folder that was named holds none, or the grid of the run file needs mending.
        """
        if not self.run.config.has_places:
            raise InputError("the survey is of areas by their labels, whose figures are in the regions.csv of each run")
        config, fit = self.run.config, analysis.mapped(self.run.config, self.fit)
        label = fit.model.response_label
        if self.survey is None:
            assert self.saved is not None
            return read_prediction(self.saved, label, crs=fit.model.crs)
        grid = self._grid(self.survey)
        if self.saved is not None:
            record = Record(config, self.survey, log, read_record(self.saved))
            if record.is_current(PREDICT) and is_there(self.saved):
                return read_prediction(self.saved, label, analysis.covered(fit.model, grid))
        with log.step("predict"):
            return analysis.predict(config, fit, grid, callback=log.progress.update)

    def estimate(self, log: StepLog) -> RasterEstimate:
        """Say how long the prediction of the run file's cells would take, and how much room."""
        if not self.run.config.has_places:
            raise InputError("an estimate is of a map of cells, and the survey is of areas by their labels")
        survey = load_survey(self.run.config) if self.survey is None else self.survey
        grid = self._grid(survey)
        with log.step("estimate"):
            return estimate_raster(self.fit, grid, **analysis.raster_wishes(self.run.config))

    def _grid(self, survey: Survey) -> Grid:
        """Return the cells that the run file asks for."""
        config = self.run.config
        mesh = next(iter(self.fit.model.meshes.values()), None) or analysis.make_mesh(config, survey)
        return analysis.make_grid(config, survey, mesh)

    def coastline(self) -> Any:
        """Return the coastline, if the survey has one, or its run's folder still does."""
        if self.survey is not None:
            return self.survey.coastline
        assert self.saved is not None
        return _coastline_in(self.saved / "layers.gpkg")


def fitted(run: Run, log: StepLog) -> Fitted:
    """Take the fit that a run left, if it is of the same inputs and settings, or fit.

    Raises
    ------
    InputError
        If the folder that was named holds no fit, or the run file or the data need mending.
    NumericalError
        If the model cannot be fitted.
    """
    if run.is_folder:
        assert run.folder is not None
        with log.step("fit") as summarise:
            fit = load_fit(run.folder)
            summarise(f"the one in {run.folder}")
        return Fitted(run, fit, run.folder)
    with log.step("survey") as summarise:
        survey = load_survey(run.config)
        summarise(in_short(survey))
    if run.folder is not None and (run.folder / MARK).is_file():
        try:
            record = Record(run.config, survey, log, read_record(run.folder))
            kept = load_fit(run.folder) if record.is_current(FIT) else None
        except InputError as error:
            log.note(f"fitting anew: {error}")
            kept = None
        if kept is not None:
            with log.step("fit") as summarise:
                summarise(f"the one in {run.folder}, of the same inputs and settings")
            return Fitted(run, kept, run.folder, survey)
    mesh = None
    if run.config.has_places:
        with log.step("mesh") as summarise:
            mesh = analysis.make_mesh(run.config, survey)
            summarise(repr(mesh))
    with log.step("fit") as summarise:
        model = analysis.make_model(run.config, survey, mesh)
        fit = analysis.fit_model(run.config, model, callback=log.progress.update)
        summarise(repr(fit).strip("<>"))
    return Fitted(run, fit, None, survey)


def _coastline_in(path: Path) -> Any:
    """Return the land of a run's layers, or None."""
    if not path.exists():
        return None
    with offline():
        if "coastline" not in pyogrio.list_layers(path)[:, 0]:
            return None
        return pyogrio.read_dataframe(path, layer="coastline").union_all()
