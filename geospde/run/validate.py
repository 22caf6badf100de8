"""The model of a run cross-validated by itself, from the fit that the run left or a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geospde.prediction.validation import Validation
from geospde.run.config import Config
from geospde.run.folders import whole_folder
from geospde.run.logs import LOG, begin, keep_log
from geospde.run.progress import Progress, StepLog, announce_compiling
from geospde.run.sections.results import ValidationSection
from geospde.run.stored_fit import find_run, fitted
from geospde.run.validation_files import ALONE, described, validate, write_validation

MARK = ALONE.summary
"""Tells a validation's folder, which may be replaced, from somebody's other work, and from a run's."""
FILES = (*ALONE, LOG)
"""What the folder holds, beside its mark."""


@dataclass(frozen=True)
class Validated:
    """What `validate_run` made.

    Attributes
    ----------
    validation : Validation
    name : str
        The run's.
    saved_fit : pathlib.Path or None
        The run's folder, if the fit is the one in it.
    folder : pathlib.Path or None
        Where the files are, if any were written.
    """

    validation: Validation
    name: str
    saved_fit: Path | None
    folder: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Return all but what is of single observations as plain types, for JSON."""
        saved, folder = (None if path is None else str(path) for path in (self.saved_fit, self.folder))
        return {"run": self.name, "saved_fit": saved, "folder": folder, **described(self.validation)}


def validate_run(
    source: str | Path | Mapping[str, Any] | Config,
    *,
    folds: str | None = None,
    k: int | None = None,
    distance: float | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    write: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Validated:
    """Cross-validate the model of a run file, or of a run's folder.

    The fit that a run left in its folder is taken if it is of the same inputs and settings; else it is made.

    Parameters
    ----------
    source : path, mapping or Config
        The run file, its content, or the folder of a run.
    folds, k, distance, seed : optional
        As in `BayesianFit.validate`; by default those of ``[validation]``.
    out : path, optional
        The folder to write; by default beside the run's own, with ``-validation`` after its name. It appears whole or
        not at all.
    write : bool
        Whether to write a folder at all.
    overwrite : bool
        Replace the folder of an earlier validation.
    progress : Progress, optional
        Told of every step.

    Returns
    -------
    Validated

    Raises
    ------
    InputError
        If the run file, the data, a choice or the output folder need mending.
    NumericalError
        If the model cannot be fitted, or not without some fold.
    """
    log = StepLog(progress or Progress())
    run = find_run(source)
    begin(log, f"validate {run.source}".strip())
    wanted = _chosen(run.config, {"folds": folds, "k": k, "distance": distance, "seed": seed})

    def validated(target: Path | None) -> Validated:
        with announce_compiling(log):
            made = fitted(run, log)
            with log.step("validate") as summarise:
                validation = validate(made.fit, wanted, survey=made.survey, callback=log.progress.update)
                summarise(validation.describe())
        return Validated(validation, run.name, made.saved, target)

    if not write:
        return validated(None)
    target = Path(out) if out is not None else run.beside("validation")
    reads = run.config.files_read()
    with (
        keep_log(log, target),
        whole_folder(target, overwrite=overwrite, mark=MARK, what="validation", reads=reads, writes=FILES) as folder,
    ):
        result = validated(target)
        with log.step("write"):
            write_validation(folder, result.validation, ALONE, result.to_dict())
        (folder / LOG).write_text(log.text(), encoding="utf-8")
    return result


def _chosen(config: Config, given: Mapping[str, Any]) -> ValidationSection:
    """Return what is asked for: what the call names, else what the run file does.

    Other folds than the run file's start afresh: k and distance mean other things to each kind.
    """
    named = {name: value for name, value in given.items() if value is not None}
    if not named:
        return config.validation
    before = config.validation
    kept = before.given() if named.get("folds", before.folds) == before.folds else {"seed": before.seed}
    return config.replacing("validation", {**kept, **named}).validation
