"""What a run has made, part by part: all that its report is drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geospde.mesh.trimesh import Mesh
from geospde.prediction.layers import Layers
from geospde.results.base import Fit
from geospde.survey.survey import Survey


@dataclass(frozen=True, kw_only=True)
class RunParts:
    """What a run has made so far.

    Attributes
    ----------
    title : str
        Of the report.
    label : str, optional
        What is predicted, in words; by default the prediction's own label.
    survey, mesh, fit, prediction : optional
        Parts of the run that are made.
    exploration : Exploration, optional
        The survey before any model; its findings join the checks.
    checks : sequence of findings
        Objects or mappings with ``level`` (``"ok"``, ``"note"``, ``"warning"`` or ``"error"``), ``subject``,
        ``message`` and ``remedy``.
    validation : Validation or geospde.report.page.Section, optional
        Scores of a cross-validation, and their picture.
    certificate : Certificate, optional
        How far the fit is from the exact posterior.
    regions : sequence
        Figures for areas, a layer each: objects with ``title``, ``how``, ``table`` and ``shown``.
    likelihoods : sequence
        What there is of each of several likelihoods: objects of the same kind.
    index : sequence
        Figures for the whole region at each of several values, such as years: an object of the same kind, or none.
    figures : sequence of paths
        PNG files, as `geospde.plots.figures.save_figures` returns them; the report holds them in itself.
    files : iterable of paths
        Files to link to; those beside or under the report's folder are, by relative links.
    settings : mapping
        The run file, by section.
    seconds : mapping of str to float
        How long each step took.
    notes : sequence of str
        Warnings of the run.
    """

    title: str
    label: str | None = None
    survey: Survey | None = None
    mesh: Mesh | None = None
    fit: Fit | None = None
    prediction: Layers | None = None
    exploration: Any = None
    checks: Sequence[Any] = ()
    certificate: Any = None
    validation: Any = None
    regions: Sequence[Any] = ()
    likelihoods: Sequence[Any] = ()
    index: Sequence[Any] = ()
    figures: Sequence[str | Path] = ()
    files: Iterable[str | Path] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
