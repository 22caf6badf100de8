"""The step of a run that sums its map up over areas, where the run file has a section for it."""

from pathlib import Path

from geospde.plots.figures import in_degrees
from geospde.run import analysis
from geospde.run.config import Config
from geospde.run.regions import FIGURE, LAYERS, TABLE, WORDS, predict_all, read_regions, weights_of, write_regions
from geospde.run.step import Step
from geospde.run.steps.fit import FIT
from geospde.run.work import Work
from geospde.text.words import counted


def make(work: Work) -> None:
    """Predict for areas, and write their figures."""
    with work.log.step("regions") as summarise:
        grid = analysis.covered(work.mapped.model, work.grid) if work.config.has_places else None
        found = predict_all(work.config, work.mapped, work.survey, grid, callback=work.log.progress.update)
        work.regions = write_regions(
            work.folder, found, work.config.label, degrees=in_degrees(work.survey), formats=work.config.output.formats
        )
        summarise(counted(sum(len(one.frame) for one in work.regions), "area"))


def recall(work: Work) -> None:
    """Read the figures."""
    work.regions = read_regions(work.folder)


def is_wanted(config: Config) -> bool:
    """Tell whether the run file has the section."""
    return config.wants_regions


def inputs(config: Config) -> list[Path]:
    """Return the files of areas and of their weights."""
    if not config.wants_regions:
        return []
    weights = weights_of(config)
    paths = [*map(config.path, config.regions.areas), *([] if weights is None else [weights["raster"]])]
    return [path for path in paths if path.is_file()]


REGIONS = Step(
    "regions",
    "areas",
    make,
    needs=(FIT,),
    reads=("prediction", "regions"),
    files=(TABLE, LAYERS, WORDS, FIGURE.format(name="*")),
    recall=recall,
    inputs=inputs,
    is_wanted=is_wanted,
)
