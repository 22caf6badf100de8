"""A cross-validation as run files ask for it and as folders hold it: made, written, read and put into words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.export.provenance import write_json
from geospde.plots.frame import figure_png
from geospde.prediction.validation import Validation
from geospde.prediction.validation import validate as cross_validate
from geospde.results.base import Fit
from geospde.run.sections.results import ValidationSection
from geospde.survey.survey import Survey
from geospde.text.progress import Callback
from geospde.text.words import counted, number

_LOSS = "_difference"  # ends the columns of a simpler model's loss, in the table of scores


class Names(NamedTuple):
    """What the files of a validation are called."""

    scores: str
    pointwise: str
    picture: str
    summary: str
    """What it is of and says, as JSON."""


ALONE = Names("scores.csv", "pointwise.csv", "calibration.png", "validation.json")
IN_RUN = Names("validation.csv", "validation-pointwise.csv", "validation.png", "validation-summary.json")


def validate(
    fit: Fit, wanted: ValidationSection, *, survey: Survey | None = None, callback: Callback | None = None
) -> Validation:
    """Cross-validate a fit as ``[validation]`` says; with its survey observations get their places in the file."""
    found = cross_validate(
        fit, wanted.folds, k=wanted.k, distance=wanted.distance, seed=wanted.seed, observations=wanted.observations,
        callback=callback,
    )  # fmt: skip
    if survey is None:
        return found
    own = dict(zip(fit.model.parts, survey.parts)).get(wanted.observations or "", survey)
    places = [str(own.place(int(row), None)) for row in found.pointwise["row"]]
    pointwise = found.pointwise.copy()
    pointwise.insert(1, "place", places)
    return replace(found, pointwise=pointwise)


def write_validation(
    folder: Path, validation: Validation, names: Names, summary: Mapping[str, Any] | None = None
) -> None:
    """Write scores, what is of single observations, the picture of calibration, and what they say as JSON."""
    losses = validation.differences.rename(columns=_as_loss)
    validation.scores.join(losses).rename_axis("model").to_csv(folder / names.scores)
    validation.pointwise.to_csv(folder / names.pointwise, index=False)
    (folder / names.picture).write_bytes(figure_png(validation.plot(), 200))
    write_json(folder / names.summary, summary or described(validation))


def read_validation(folder: Path, names: Names) -> Validation:
    """Read what `write_validation` wrote.

    Raises
    ------
    InputError
        If a file is missing or cannot be read.
    """
    try:
        summary = json.loads((folder / names.summary).read_text(encoding="utf-8"))
        table = pd.read_csv(folder / names.scores, index_col="model")
        pointwise = pd.read_csv(folder / names.pointwise)
        losses = table[[c for c in table if _LOSS in c]].drop(index="model", errors="ignore")
        return Validation(
            table[[c for c in table if _LOSS not in c]].rename_axis(None),
            pointwise,
            losses.rename(columns=lambda name: name.replace(_LOSS, "")).rename_axis(None),
            summary["kind"],
            summary["folds"],
            summary["distance"],
            summary["label"],
            summary.get("reason", ""),
            summary.get("unit", ""),
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
        "reason": validation.reason,
        "unit": validation.unit,
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
        words = f"the model's log score is {log_score} an observation, its CRPS {crps}."
        if verdict is None:
            sentences.append(
                f"The model and {name} cannot be told apart: {words} Under two standard errors say little."
            )
        else:
            sentences.append(f"The model {verdict} {name}: {words}")
    covered = float(validation.scores.loc["model", "cover_95"])
    of = counted(len(validation.pointwise), "observation")
    return [*sentences, f"Its 95 % intervals hold {100 * covered:.3g} % of {of}."]


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
