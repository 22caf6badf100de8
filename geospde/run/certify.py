"""The fit of a run certified by itself, from the one that the run left or a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geospde.errors import InputError
from geospde.results.bayesian import BayesianFit
from geospde.results.certificate import Certificate
from geospde.run.config import Config
from geospde.run.logs import begin
from geospde.run.progress import Progress, StepLog, announce_compiling
from geospde.run.stored_fit import find_run, fitted


@dataclass(frozen=True)
class Certified:
    """What `certify_run` made.

    Attributes
    ----------
    certificate : Certificate
    name : str
        The run's.
    saved_fit : pathlib.Path or None
        The run's folder, if the fit is the one in it.
    """

    certificate: Certificate
    name: str
    saved_fit: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain types, for JSON."""
        saved = None if self.saved_fit is None else str(self.saved_fit)
        return {"run": self.name, "saved_fit": saved, **self.certificate.to_dict()}


def certify_run(
    source: str | Path | Mapping[str, Any] | Config,
    *,
    draws: int = 2000,
    seed: int = 1,
    progress: Progress | None = None,
) -> Certified:
    """Certify the fit of a run file, or of a run's folder; nothing is written.

    Parameters
    ----------
    source : path, mapping or Config
        The run file, its content, or the folder of a run.
    draws, seed : int
        As in `BayesianFit.certify`.
    progress : Progress, optional
        Told of every step.

    Raises
    ------
    InputError
        If the run file, the data or the number of draws need mending, or the fit is not a Bayesian one.
    NumericalError
        If the model cannot be fitted.
    """
    log = StepLog(progress or Progress())
    run = find_run(source)
    begin(log, f"certify {run.source}".strip())
    with announce_compiling(log):
        made = fitted(run, log)
        if not isinstance(made.fit, BayesianFit):
            raise InputError(f"a fit by method {made.fit.method!r} has no posterior to certify", remedy="fit by 'inla'")
        with log.step("certify") as summarise:
            certificate = made.fit.certify(draws, seed, log.progress.update)
            summarise(certificate.verdict)
    return Certified(certificate, run.name, made.saved)
