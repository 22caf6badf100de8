"""The fit of a run: the one that its folder holds, if that is still of the same inputs and settings, or a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geospde import pipeline
from geospde.config import Config, read_config
from geospde.errors import InputError
from geospde.fitting.saved import load_fit
from geospde.record import MARK, Record, read_record

if TYPE_CHECKING:
    from geospde.fitting.result import Fit
    from geospde.progress import StepLog


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


def fit_of(run: Run, log: StepLog) -> tuple[Fit, Path | None]:
    """Take the fit that a run left, or fit.

    Returns
    -------
    fit : Fit
    folder : pathlib.Path or None
        Where it was read from.

    Raises
    ------
    InputError
        If the folder that was named holds no fit, or the run file or the data need mending.
    NumericalError
        If the model cannot be fitted.
    """
    if run.is_folder:
        assert run.folder is not None
        with log.step("fit") as told:
            fit = load_fit(run.folder)
            told(f"the one in {run.folder}")
        return fit, run.folder
    with log.step("survey") as told:
        survey = pipeline.load_survey(run.config)
        told(repr(survey).strip("<>").removeprefix("Survey "))
    if run.folder is not None and (run.folder / MARK).is_file():
        try:
            record = Record(run.config, survey, log, read_record(run.folder))
            kept = load_fit(run.folder) if record.is_current("fit") else None
        except InputError as error:
            log.note(f"fitting anew: {error}")
            kept = None
        if kept is not None:
            with log.step("fit") as told:
                told(f"the one in {run.folder}, of the same inputs and settings")
            return kept, run.folder
    with log.step("mesh") as told:
        mesh = pipeline.make_mesh(run.config, survey)
        told(repr(mesh))
    with log.step("fit") as told:
        fit = pipeline.fit_model(run.config, survey, mesh, callback=log.progress.update)
        told(repr(fit).strip("<>"))
    return fit, None
