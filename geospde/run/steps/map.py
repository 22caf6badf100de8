"""The step of a run that draws its maps, and layers for QGIS."""

from geospde.export.qgis import write_project
from geospde.prediction.computed.registry import LAYERS
from geospde.prediction.layer import EXTRAPOLATION
from geospde.run.folders import unlink_from_original
from geospde.run.regions import OTHERS, folder_of
from geospde.run.step import Step
from geospde.run.steps import mesh
from geospde.run.steps.predict import PREDICT
from geospde.run.steps.regions import REGIONS
from geospde.run.work import Work
from geospde.text.words import counted

COMPUTED = tuple(computed.layer.name for computed in LAYERS)
FIGURES = (
    "maps", "mean", "lower", "upper", "sd", "exceed_*", "excursion_*", "decided_*", "limit_*", EXTRAPOLATION, *COMPUTED,
    "observed", "fitted", "predictive_check", "prior_predictive_check",
)  # fmt: skip


def make(work: Work) -> None:
    """Draw the maps, and write a project for QGIS."""
    objects = {"survey": work.survey_of(), "fit": work.fit, "prediction": work.prediction}
    with work.log.step("figures") as summarise:
        if work.mesh is not None:
            unlink_from_original(work.folder / mesh.FILE)  # it takes in styles
        write_project(work.folder, **objects, label=work.label, crop=work.crop, areas=work.areas)
        work.draw(label=work.label, check=work.replicates, prior_check=work.drawn_priors, **objects)
        for name, prediction in work.predictions.items():
            one = work.fit.of_likelihood(name)
            work.draw(
                work.folder / folder_of(name), work.quantity(one.model), survey=work.survey_of(name), fit=one,
                prediction=prediction,
            )  # fmt: skip
        summarise(counted(len(work.figures), "figure"))


MAP = Step(
    "map",
    "maps",
    make,
    needs=(PREDICT, REGIONS),
    reads=("output",),
    files=(
        "prediction.qml",
        "layers.gpkg",
        "project.qgz",
        *(f"figures/{name}.*" for name in FIGURES),
        f"{OTHERS}/*/figures/*",
    ),
)
