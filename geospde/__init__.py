"""Model-based geostatistics with maps at the end.

The public names are imported when they are first used, so that ``import geospde`` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Survey": "survey",
    "read_survey": "survey",
    "load_dataset": "datasets",
    "explore": "exploration.explore",
    "Exploration": "exploration.explore",
    "Finding": "exploration.findings",
    "variogram": "exploration.variogram",
    "Variogram": "exploration.variogram",
    "Mesh": "mesh.trimesh",
    "build_mesh": "mesh.build",
    "fit": "fitting.fit",
    "Fit": "fitting.result",
    "load_fit": "fitting.saved",
    "compare": "fitting.compare",
    "Comparison": "fitting.compare",
    "Grid": "prediction.grid",
    "Prediction": "prediction.surface",
    "run": "pipeline",
    "GeospdeError": "errors",
    "InputError": "errors",
    "NumericalError": "errors",
    "GeospdeWarning": "errors",
}

__all__ = [
    "Comparison", "Exploration", "Finding", "Fit", "GeospdeError", "GeospdeWarning", "Grid", "InputError", "Mesh",
    "NumericalError", "Prediction", "Survey", "Variogram", "build_mesh", "compare", "explore", "fit", "load_dataset",
    "load_fit", "read_survey", "run", "variogram",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'geospde' has no attribute {name!r}")
    value = getattr(import_module(f"geospde.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])


if TYPE_CHECKING:
    from geospde.datasets import load_dataset
    from geospde.errors import GeospdeError, GeospdeWarning, InputError, NumericalError
    from geospde.exploration.explore import Exploration, explore
    from geospde.exploration.findings import Finding
    from geospde.exploration.variogram import Variogram, variogram
    from geospde.fitting.compare import Comparison, compare
    from geospde.fitting.fit import fit
    from geospde.fitting.result import Fit
    from geospde.fitting.saved import load_fit
    from geospde.mesh.build import build_mesh
    from geospde.mesh.trimesh import Mesh
    from geospde.pipeline import run
    from geospde.prediction.grid import Grid
    from geospde.prediction.surface import Prediction
    from geospde.survey import Survey, read_survey
