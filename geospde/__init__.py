"""Model-based geostatistics with maps at the end.

The public names are imported when they are first used, so that ``import geospde`` stays light.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Survey": "survey.survey",
    "read_survey": "survey.survey",
    "load_dataset": "survey.datasets",
    "explore": "explore.explore",
    "Exploration": "explore.explore",
    "Finding": "text.findings",
    "variogram": "explore.variogram",
    "Variogram": "explore.variogram",
    "Mesh": "mesh.trimesh",
    "build_mesh": "mesh.build",
    "fit": "results.fit",
    "Observations": "model.joint",
    "Fit": "results.base",
    "BayesianFit": "results.bayesian",
    "MaximumLikelihoodFit": "results.maximum_likelihood",
    "PenalisedFit": "results.penalised",
    "load_fit": "results.saved",
    "simulate": "results.simulate",
    "compare": "results.compare",
    "Comparison": "results.compare",
    "Grid": "prediction.grid",
    "Prediction": "prediction.surface",
    "expected_numbers": "prediction.pattern",
    "Layer": "prediction.layer",
    "design": "prediction.design",
    "Design": "prediction.design",
    "RegionPrediction": "prediction.regions.regions",
    "run": "run.pipeline",
    "cluster": "linalg.executor",
    "GeospdeError": "errors",
    "InputError": "errors",
    "NumericalError": "errors",
    "GeospdeWarning": "errors",
}
_ROOMS = {  # modules that are public
    "families": "families", "links": "families.links", "priors": "families.priors", "terms": "terms",
}  # fmt: skip

__all__ = [
    "BayesianFit", "Comparison", "Design", "Exploration", "Finding", "Fit", "GeospdeError", "GeospdeWarning",
    "Grid", "InputError", "Layer", "MaximumLikelihoodFit", "Mesh", "NumericalError", "Observations", "PenalisedFit",
    "Prediction", "RegionPrediction", "Survey", "Variogram", "build_mesh", "cluster", "compare", "design",
    "expected_numbers", "explore", "families", "fit", "links", "load_dataset", "load_fit", "priors", "read_survey",
    "run", "simulate", "terms", "variogram",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"geospde.{_ROOMS[name]}")
    if name not in _HOME:
        raise AttributeError(f"module 'geospde' has no attribute {name!r}")
    value = getattr(import_module(f"geospde.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_ROOMS])


class _Package(ModuleType):
    """Keeps a public function, such as `run`, where a folder of the same name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


if TYPE_CHECKING:
    from geospde import families, terms
    from geospde.errors import GeospdeError, GeospdeWarning, InputError, NumericalError
    from geospde.explore.explore import Exploration, explore
    from geospde.explore.variogram import Variogram, variogram
    from geospde.families import links, priors
    from geospde.linalg.executor import cluster
    from geospde.mesh.build import build_mesh
    from geospde.mesh.trimesh import Mesh
    from geospde.model.observations import Observations
    from geospde.prediction.design import Design, design
    from geospde.prediction.grid import Grid
    from geospde.prediction.layer import Layer
    from geospde.prediction.pattern import expected_numbers
    from geospde.prediction.regions.regions import RegionPrediction
    from geospde.prediction.surface import Prediction
    from geospde.results.base import Fit
    from geospde.results.bayesian import BayesianFit
    from geospde.results.compare import Comparison, compare
    from geospde.results.fit import fit
    from geospde.results.maximum_likelihood import MaximumLikelihoodFit
    from geospde.results.penalised import PenalisedFit
    from geospde.results.saved import load_fit
    from geospde.results.simulate import simulate
    from geospde.run.pipeline import run
    from geospde.survey.datasets import load_dataset
    from geospde.survey.survey import Survey, read_survey
    from geospde.text.findings import Finding
