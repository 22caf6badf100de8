"""The step of a run that predicts, and writes the prediction in each format."""

from collections.abc import Callable

from geospde.prediction.stored import RASTER, TABLE, read_overview, read_prediction
from geospde.run import analysis
from geospde.run.step import Step
from geospde.run.steps.fit import FIT
from geospde.run.steps.mesh import BY_LABEL, is_wanted
from geospde.run.work import Work


def write_table(work: Work, name: str) -> None:
    """Write the prediction as a table, a row a cell."""
    work.prediction.to_frame().to_csv(work.folder / name, index=False)


def write_raster(work: Work, name: str) -> None:
    """Write the prediction as a GeoTIFF, a band a layer."""
    # a frame without a unit of length is more than the cloud-optimised kind can carry
    work.prediction.to_raster(work.folder / name, crop=work.crop, cog=bool(work.survey.units))


FORMATS: dict[str, Callable[[Work, str], None]] = {
    TABLE: write_table,
    RASTER: write_raster,
}
"""What writes each file of the prediction."""


def make(work: Work) -> None:
    """Predict in every cell, and write what came out."""
    if work.grid.n > analysis.LARGE:
        make_by_windows(work)
        return
    with work.log.step("predict"):
        work.prediction = analysis.predict(work.config, work.fit, work.grid, callback=work.log.progress.update)
    with work.log.step("write"):
        for name, write in FORMATS.items():
            write(work, name)


def make_by_windows(work: Work) -> None:
    """Predict window by window into the GeoTIFF alone; what is drawn later are averages of its cells."""
    with work.log.step("predict"):
        target = work.target.absolute()
        analysis.predict_raster(
            work.config, work.fit, work.grid, work.folder / RASTER, crop=work.crop,
            unfinished=target.with_name(f".{target.name}.windows"), callback=work.log.progress.update,
        )  # fmt: skip
        work.prediction = read_overview(work.folder / RASTER, work.fit.model.response_label, work.grid.crs)


def recall(work: Work) -> None:
    """Read the prediction."""
    is_large = work.grid.n > analysis.LARGE
    grid = work.grid if is_large else analysis.covered(work.fit.model, work.grid)
    work.prediction = read_prediction(work.folder, work.fit.model.response_label, grid)


PREDICT = Step(
    "predict",
    "prediction",
    make,
    needs=(FIT,),
    reads=("prediction", "excursions"),
    files=tuple(FORMATS),
    recall=recall,
    is_wanted=is_wanted,
    without=BY_LABEL,
)
