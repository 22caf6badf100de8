"""The step of a run that follows its map through time: the mean and total of the region at each value mapped."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from geospde.errors import InputError
from geospde.export.provenance import write_json
from geospde.plots.figures import write_picture
from geospde.plots.regions import plot_index
from geospde.prediction.steps import several_steps
from geospde.run import analysis
from geospde.run.config import Config
from geospde.run.regions import IndexFigures
from geospde.run.step import Step
from geospde.run.steps.fit import FIT
from geospde.run.work import Work
from geospde.text.words import counted

TABLE, WORDS, FIGURE = "index.csv", "index.json", "figures/index.png"
TOTAL = "; a total is the mean times the weight, the area of the cells"


def make(work: Work) -> None:
    """Sum the region up at each value, and write table and picture."""
    steps = several_steps(work.config.prediction.at)
    if steps is None or work.grid.n > analysis.LARGE:
        return
    with work.log.step("index") as summarise:
        others = {name: value for name, value in work.config.prediction.at.items() if name != steps.along}
        index = work.fit.index(
            analysis.covered(work.fit.model, work.grid), steps.along, steps.values, kind="mean", at=others,
            quantiles=work.config.prediction.quantiles, groups=False, seed=0, callback=work.log.progress.update,
        )  # fmt: skip
        frame = index.to_frame()
        frame["total"] = frame["mean"] * frame["weight"]
        label = work.config.label or index.label
        figure = Figure(figsize=(5.4, 3.2), layout="constrained")
        plot_index(index, figure.add_subplot(), label)
        write_picture(figure, work.folder / FIGURE, work.config.output.formats)
        frame.to_csv(work.folder / TABLE, index=False)
        title = f"Mean of {label} over the map, by {index.along}"
        write_json(work.folder / WORDS, {"title": title, "how": f"{index.how}{TOTAL}"})
        recall(work)
        summarise(counted(len(frame), "value"))


def recall(work: Work) -> None:
    """Read table and picture."""
    if (work.folder / WORDS).exists():
        work.index = (_stored(work.folder),)


def _stored(folder: Path) -> IndexFigures:
    try:
        said = json.loads((folder / WORDS).read_text(encoding="utf-8"))
        frame = pd.read_csv(folder / TABLE)
        return IndexFigures(said["title"], said["how"], frame, (folder / FIGURE).read_bytes())
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the index in {folder} cannot be read ({error}): predict it again") from None


def is_wanted(config: Config) -> bool:
    """Tell whether several steps are mapped."""
    return config.has_places and not config.observations and several_steps(config.prediction.at) is not None


INDEX = Step(
    "index",
    "index",
    make,
    needs=(FIT,),
    reads=("prediction",),
    files=(TABLE, WORDS, FIGURE),
    recall=recall,
    is_wanted=is_wanted,
    of="predict",
)
