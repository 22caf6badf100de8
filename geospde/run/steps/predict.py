"""The step of a run that predicts, and writes the prediction in each format."""

from collections.abc import Callable

from geospde.errors import InputError
from geospde.prediction.stored import RASTER, TABLE, read_overview, read_prediction
from geospde.run import analysis
from geospde.run.regions import OTHERS, folder_of
from geospde.run.step import Step
from geospde.run.steps.fit import FIT
from geospde.run.steps.mesh import BY_LABEL, is_wanted
from geospde.run.work import Work


def write_table(work: Work, name: str) -> None:
    """Write the prediction as a table, one row per cell."""
    work.prediction.to_frame().to_csv(work.folder / name, index=False)


def write_raster(work: Work, name: str) -> None:
    """Write the prediction as a GeoTIFF, one band per layer."""
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
    update = work.log.progress.update
    with work.log.step("predict"):
        work.prediction = analysis.predict(work.config, work.mapped, work.grid, callback=update)
        for name in work.others:
            one = work.fit.of_likelihood(name)
            work.predictions[name] = analysis.predict(work.config, one, work.grid, callback=update)
    with work.log.step("write"):
        for name, write in FORMATS.items():
            write(work, name)
        for name, prediction in work.predictions.items():
            folder = work.folder / folder_of(name)
            folder.mkdir(parents=True, exist_ok=True)
            prediction.to_frame().to_csv(folder / TABLE, index=False)
            prediction.to_raster(folder / RASTER, crop=work.crop, cog=bool(work.survey.units))


def make_by_windows(work: Work) -> None:
    """Predict window by window into the GeoTIFF alone; what is drawn later are averages of its cells."""
    if work.others:
        raise InputError(f"maps of several likelihoods are of {analysis.LARGE:,} cells at most: take larger ones")
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
    model = work.mapped.model
    grid = work.grid if is_large else analysis.covered(model, work.grid)
    work.prediction = read_prediction(work.folder, model.response_label, grid)
    for name in work.others:
        model = work.fit.of_likelihood(name).model
        grid = analysis.covered(model, work.grid)
        work.predictions[name] = read_prediction(work.folder / folder_of(name), model.response_label, grid)


PREDICT = Step(
    "predict",
    "prediction",
    make,
    needs=(FIT,),
    reads=("prediction", "excursions"),
    files=(*FORMATS, *(f"{OTHERS}/*/{name}" for name in FORMATS)),
    recall=recall,
    is_wanted=is_wanted,
    without=BY_LABEL,
)
