"""The model of a run cross-validated: by the command, or as a step of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.export.provenance import write_json
from geospde.prediction.validation import Validation
from geospde.results.result import Fit
from geospde.run.config import Config, ValidationSection
from geospde.run.folders import whole_folder
from geospde.run.logs import LOG, begin, kept_if_failed
from geospde.run.progress import Progress, StepLog, compiling_told
from geospde.run.stored_fit import find_run, fitted
from geospde.text.words import counted, number

_LOSS = "_difference"  # ends the columns of a simpler model's loss, in the table of scores


class Names(NamedTuple):
    """What the files of a validation are called."""

    scores: str
    pointwise: str
    picture: str
    told: str
    """What it is of and says, as JSON."""


ALONE = Names("scores.csv", "pointwise.csv", "calibration.png", "validation.json")
IN_RUN = Names("validation.csv", "validation-pointwise.csv", "validation.png", "validation-summary.json")
MARK = ALONE.told
"""Tells a validation's folder, which may be replaced, from somebody's other work, and from a run's."""


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
        As in `Fit.validate`; by default those of ``[validation]``.
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
        with compiling_told(log):
            made = fitted(run, log)
            with log.step("validate") as told:
                validation = validate(made.fit, wanted, callback=log.progress.update)
                told(validation.describe())
        return Validated(validation, run.name, made.saved, target)

    if not write:
        return validated(None)
    target = Path(out) if out is not None else run.beside("validation")
    with kept_if_failed(log, target), whole_folder(target, overwrite=overwrite, mark=MARK, what="validation") as folder:
        result = validated(target)
        with log.step("write"):
            write_validation(folder, result.validation, ALONE, result.to_dict())
        (folder / LOG).write_text(log.text(), encoding="utf-8")
    return result


def validate(fit: Fit, wanted: ValidationSection, *, callback: Any = None) -> Validation:
    """Cross-validate a fit as ``[validation]`` says."""
    return fit.validate(wanted.folds, k=wanted.k, distance=wanted.distance, seed=wanted.seed, callback=callback)


def write_validation(folder: Path, validation: Validation, names: Names, told: Mapping[str, Any] | None = None) -> None:
    """Write scores, what is of single observations, the picture of calibration, and what they say as JSON."""
    losses = validation.differences.rename(columns=_as_loss)
    validation.scores.join(losses).rename_axis("model").to_csv(folder / names.scores)
    validation.pointwise.to_csv(folder / names.pointwise, index=False)
    validation.plot().savefig(folder / names.picture, dpi=200)
    write_json(folder / names.told, told or described(validation))


def read_validation(folder: Path, names: Names) -> Validation:
    """Read what `write_validation` wrote.

    Raises
    ------
    InputError
        If a file is missing or cannot be read.
    """
    try:
        told = json.loads((folder / names.told).read_text(encoding="utf-8"))
        table = pd.read_csv(folder / names.scores, index_col="model")
        pointwise = pd.read_csv(folder / names.pointwise)
        losses = table[[c for c in table if _LOSS in c]].drop(index="model", errors="ignore")
        return Validation(
            table[[c for c in table if _LOSS not in c]].rename_axis(None),
            pointwise,
            losses.rename(columns=lambda name: name.replace(_LOSS, "")).rename_axis(None),
            told["kind"],
            told["folds"],
            told["distance"],
            told["label"],
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"the validation in {folder} cannot be read: {error}") from None


def described(validation: Validation) -> dict[str, Any]:
    """Return kind, scores and differences of a validation, and what they say in words."""
    return {
        "kind": validation.kind,
        "folds": validation.folds,
        "distance": validation.distance,
        "observations": len(validation.pointwise),
        "label": validation.label,
        "scores": validation.scores.to_dict(orient="index"),
        "differences": validation.differences.to_dict(orient="index"),
        "in_words": in_words(validation),
    }


def in_words(validation: Validation) -> list[str]:
    """Return what a validation says: against each simpler model, and of the intervals.

    Standard errors take the observations as independent of each other.
    """
    sentences = []
    for name, row in validation.differences.iterrows():
        log_score, crps = (_difference(row, column) for column in ("log_score", "crps"))
        loss, se = float(row["log_score"]), float(row["log_score_se"])
        verdict = "predicts better than" if loss > 2 * se else "predicts worse than" if loss < -2 * se else None
        told = f"the model's log score is {log_score} an observation, its CRPS {crps}."
        if verdict is None:
            sentences.append(f"The model and {name} cannot be told apart: {told} Under two standard errors say little.")
        else:
            sentences.append(f"The model {verdict} {name}: {told}")
    held = float(validation.scores.loc["model", "cover_95"])
    of = counted(len(validation.pointwise), "observation")
    return [*sentences, f"Its 95% intervals hold {100 * held:.3g}% of {of}."]


def _difference(row: Any, column: str) -> str:
    """Return by how much the model's score is lower than a simpler model's.

    Examples
    --------
    >>> _difference({"crps": 0.5123, "crps_se": 0.1}, "crps")
    '0.512 lower (5.1 standard errors)'
    """
    loss, se = float(row[column]), float(row[f"{column}_se"])
    side = "lower" if loss >= 0 else "higher"
    errors = f" ({abs(loss) / se:.1f} standard errors)" if se > 0 and np.isfinite(loss) else ""
    return f"{number(float(f'{abs(loss):.3g}'))} {side}{errors}"


def _as_loss(column: str) -> str:
    """Return what the table of scores calls a column of differences: ``crps_difference_se`` for ``crps_se``."""
    return f"{column.removesuffix('_se')}{_LOSS}{'_se' if column.endswith('_se') else ''}"


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
