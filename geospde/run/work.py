"""A run at work: its folder while it is filled, and the objects behind the files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from geospde.errors import GeospdeError, InputError
from geospde.explore.explore import Exploration
from geospde.explore.survey_checks import check_survey
from geospde.mesh.trimesh import Mesh
from geospde.model.build import Model
from geospde.plots.figures import save_figures
from geospde.prediction.grid import Grid
from geospde.prediction.validation import Validation
from geospde.report.parts import RunParts
from geospde.results.base import Fit
from geospde.results.certificate import Certificate
from geospde.results.simulate import PredictiveCheck
from geospde.run.analysis import check_fit, check_replicates, mapped
from geospde.run.config import Config
from geospde.run.inputs import around_the_map, explore_survey, in_short, load_survey
from geospde.run.logs import LOG, begin
from geospde.run.progress import StepLog
from geospde.run.record import MARK, Record
from geospde.run.regions import IndexFigures, LikelihoodFigures, NumberFigures, RegionFigures, folder_of
from geospde.run.step import Step
from geospde.survey.survey import Survey
from geospde.text.findings import Finding
from geospde.text.words import counted

_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError)
"""What libraries raise at files that are not what a step wrote."""


@dataclass
class Work:
    """A run's folder while it is filled, and the objects behind its files.

    Attributes
    ----------
    config : Config
    folder : pathlib.Path
    target : pathlib.Path
        Where the folder is to appear.
    log : StepLog
    record : Record
    survey : Survey
    mesh, grid, fit, certificate, prediction, regions, index, validation
        Made by a step, or read again from what it left; each is None before.
    """

    config: Config
    folder: Path
    target: Path
    log: StepLog
    record: Record
    survey: Survey
    mesh: Mesh | None = None
    grid: Grid = None  # type: ignore[assignment]
    fit: Fit = None  # type: ignore[assignment]
    prediction: Any = None
    predictions: dict[str, Any] = field(default_factory=dict)
    validation: Validation | None = None
    certificate: Certificate | None = None
    regions: tuple[RegionFigures, ...] = ()
    numbers: tuple[NumberFigures, ...] = ()
    index: tuple[IndexFigures, ...] = ()

    @classmethod
    def begun(
        cls,
        command: str,
        config: Config,
        folder: Path,
        target: Path,
        log: StepLog,
        before: Mapping[str, Any] | None = None,
    ) -> Work:
        """Read the survey; `before` is the record of earlier steps."""
        begin(log, f"{command} {config.file or ''}".strip())
        with log.step("survey") as summarise:
            survey = load_survey(config)
            summarise(in_short(survey))
        return cls(config, folder, target, log, Record(config, survey, log, before), survey)

    @property
    def mapped(self) -> Fit:
        """The fit as what is mapped first sees it."""
        return mapped(self.config, self.fit)

    @property
    def others(self) -> list[str]:
        """The names of the second of several likelihoods and those after it."""
        return list(self.fit.model.parts)[1:] if self.config.observations else []

    def survey_of(self, name: str | None = None) -> Survey:
        """Return the survey of one of several likelihoods, by default the first; of one likelihood the survey."""
        if not self.survey.parts:
            return self.survey
        return self.survey.parts[0 if name is None else list(self.fit.model.parts).index(name)]

    def take(self, step: Step[Work]) -> None:
        """Do a step, if the run file asks for it, and note that it is done."""
        if step.is_wanted(self.config):
            step.do(self)
            self.record.done(step)

    def recall(self, step: Step[Work], target: Path) -> None:
        """Read again what an earlier step left in the run's folder `target`.

        Raises
        ------
        InputError
            If it is out of date, or its files are damaged.
        """
        self.record.require(step, target)
        if step.recall is None:
            return
        try:
            step.recall(self)
        except _DAMAGE as error:
            if isinstance(error, GeospdeError):
                raise
            why = " ".join(str(error).split())[:80] or type(error).__name__
            remedy = f"geospde {step.command} makes it again"
            raise InputError(f"the {step.makes} in {target} cannot be read ({why})", remedy=remedy) from None

    @cached_property
    def exploration(self) -> Exploration | None:
        """The survey before any model; None where there is no one response."""
        return explore_survey(self.config, self.survey)

    @cached_property
    def _of_fit(self) -> tuple[Finding, ...]:
        return check_fit(self.survey, self.mesh, self.fit)

    @cached_property
    def replicates(self) -> PredictiveCheck | None:
        """The responses among replicates of the fit."""
        return check_replicates(self.fit)

    @cached_property
    def drawn_priors(self) -> PredictiveCheck | None:
        """The responses among replicates of the priors."""
        return check_replicates(self.fit, prior=True)

    @property
    def checks(self) -> tuple[Finding, ...]:
        """What was looked at in the fit and its mesh, and what its certificate says."""
        certified = () if self.certificate is None else (self.certificate.finding,)
        replicated = [one.finding for one in (self.replicates, self.drawn_priors) if one is not None]
        return (*self._of_fit, *replicated, *certified)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was looked at: survey, fit, mesh."""
        explored = check_survey(self.survey) if self.exploration is None else self.exploration.findings
        return (*explored, *self.checks)

    @property
    def crop(self) -> Any:
        """What the rasters are cropped to, if the run file asks for it."""
        return self.survey.coastline if self.config.prediction.crop else None

    @property
    def areas(self) -> dict[str, tuple[str, Any]]:
        """Title and figures of each layer of areas."""
        return {one.name: (one.title, one.frame) for one in self.regions}

    @property
    def figures(self) -> list[Path]:
        """The figures in the folder."""
        return figures_in(self.folder)

    def quantity(self, model: Model) -> str | None:
        """What maps of a model show where the run file does not say: None where that is the response."""
        if model.family.is_pattern:
            return str(model.family.quantity(model.response_label))
        support = getattr(model, "support", None)
        if support is None or support.kind != "total":
            return None
        return f"{model.response_label} per {'unit of weight' if support.is_weighed else f'{self.survey.units}²'}"

    @property
    def label(self) -> str | None:
        """What maps and report call the value; None where they have the response's name."""
        return self.config.label or self.quantity(self.mapped.model)

    @cached_property
    def around(self) -> Any:
        """What small maps show of the surroundings."""
        return around_the_map(self.config, self.survey)

    def draw(self, folder: Path | None = None, label: str | None = None, **objects: Any) -> None:
        """Draw the figures of survey, mesh, fit and prediction, those that are given."""
        output = self.config.output
        formats = dict.fromkeys(("png", *output.formats))  # the report is made of pictures
        inset = self.around if "prediction" in objects else None
        save_figures(
            (folder or self.folder) / "figures", label=label or self.config.label, sites=output.sites,
            formats=tuple(formats), style=output.style, graticule=output.graticule, inset=inset,
            **objects,
        )  # fmt: skip

    @property
    def likelihoods(self) -> list[LikelihoodFigures]:
        """What there is of each of several likelihoods."""
        if not self.config.observations:
            return []
        shown, fixed = [], self.fit.fixed
        for name, model in self.fit.model.parts.items():
            folder = self.folder / folder_of(name) if name in self.others else self.folder
            own = fixed[fixed.index.str.startswith(f"{name}: ")].rename_axis("effect").reset_index()
            how = f"{model.formula.text}, family {model.family.name}, {counted(model.likelihood.n, 'row')}"
            label = self.quantity(model) or model.response_label
            shown.append(LikelihoodFigures(name, how, own, folder / "figures", label))
        return shown

    def parts(self) -> RunParts:
        """Return what a report is drawn from; warnings that a check says in full are left to the check."""
        messages = {str(finding.as_warning()) for finding in self.checks}
        later = (self.folder / MARK, self.folder / LOG)
        return RunParts(
            title=self.survey.name,
            label=self.label,
            survey=self.survey_of(),
            mesh=self.mesh,
            fit=self.fit,
            prediction=self.prediction,
            exploration=self.exploration,
            checks=self.findings if self.exploration is None else self.checks,
            certificate=self.certificate,
            regions=(*self.regions, *self.numbers),
            index=self.index,
            validation=self.validation,
            likelihoods=self.likelihoods,
            figures=self.figures,
            files=[*filter(Path.is_file, self.folder.rglob("*")), *later],
            settings=self.config.settings(),
            seconds=self.record.seconds,
            notes=[warning for warning in self.record.warnings if warning not in messages],
        )

    def finish(self) -> None:
        """Write the record, and the log behind that of earlier steps."""
        log, mark = self.folder / LOG, self.folder / MARK
        earlier = log.read_bytes() if log.exists() else b""
        for path in (log, mark):  # in a copy they are the original's, too
            path.unlink(missing_ok=True)
        self.record.write(self.folder)
        log.write_bytes(earlier + self.log.text().encode())


def figures_in(folder: Path) -> list[Path]:
    """Return the figures of a run's folder by name, those whose names end in a number last and by it."""

    def place(path: Path) -> tuple[float, str]:
        number = re.search(r"_(-?\d[\d.]*(e[+-]?\d+)?)$", path.stem)
        return float(number[1]) if number else -math.inf, path.stem

    return sorted((folder / "figures").glob("*.png"), key=place)
