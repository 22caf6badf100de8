"""Runs side by side: their fits compared, and where their maps differ."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geospde.errors import InputError
from geospde.export.provenance import write_json
from geospde.plots.comparison import difference_map, plot_comparison
from geospde.plots.frame import figure_png
from geospde.prediction.difference import COLUMNS, Difference, difference
from geospde.results.compare import Comparison, compare
from geospde.run.folders import whole_folder
from geospde.run.logs import LOG, begin, keep_log
from geospde.run.progress import Progress, StepLog, announce_compiling
from geospde.run.stored_fit import Fitted, Run, find_run, fitted

MARK = "comparison.json"
"""Tells a comparison's folder, which may be replaced, from somebody's other work."""
FILES = (*(f"{name}.csv" for name in ("criteria", "hyper", "fixed", "tests")), "comparison.png", "*-less-*", LOG)
"""What the folder holds, beside its mark."""


@dataclass(frozen=True)
class Compared:
    """What `compare_runs` made.

    Attributes
    ----------
    comparison : Comparison
    runs : dict of str to Fitted
        In the order that they were named in.
    maps : dict of str to Difference
        Of each run but the first that is mapped on the same grid, what it is above the first.
    notes : tuple of str
        What limits the comparison, and why a map is missing.
    folder : pathlib.Path or None
        Where the files are, if any were written.
    """

    comparison: Comparison
    runs: dict[str, Fitted]
    maps: dict[str, Difference]
    notes: tuple[str, ...]
    folder: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything but pictures as plain types, for JSON."""
        saved = {name: None if made.saved is None else str(made.saved) for name, made in self.runs.items()}
        maps = {name: made.frame[list(COLUMNS)].describe().to_dict() for name, made in self.maps.items()}
        folder = None if self.folder is None else str(self.folder)
        content = {"saved_fits": saved, **self.comparison.to_dict(), "map_differences": maps}
        return {**content, "notes": list(self.notes), "folder": folder}


def compare_runs(
    sources: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Compared:
    """Compare the models of run files or runs' folders, and their maps where the result is written.

    The fit and the prediction that a run left in its folder are taken if they are of the same inputs and settings; else
    they are made.

    Parameters
    ----------
    sources : sequence of paths
        Run files and folders of runs.
    out : path, optional
        A folder to write, whole or not at all: tables, the picture of the criteria, and of each run but the first,
        where it is on the grid of the first, maps and a GeoTIFF of the differences.
    overwrite : bool
        Replace the folder of an earlier comparison.
    progress : Progress, optional
        Told of every step.

    Returns
    -------
    Compared

    Raises
    ------
    InputError
        If a source or the output folder needs mending, or the runs cannot be compared.
    NumericalError
        If a model cannot be fitted.
    """
    log = StepLog(progress or Progress())
    begin(log, f"compare {' '.join(map(str, sources))}")
    named = _named(sources)

    def compared() -> tuple[Comparison, dict[str, Fitted]]:
        runs = {name: fitted(run, log) for name, run in named.items()}
        with log.step("compare"):
            return compare({name: made.fit for name, made in runs.items()}), runs

    if out is None:
        with announce_compiling(log):
            comparison, runs = compared()
        return Compared(comparison, runs, {}, comparison.notes, None)
    target, reads = Path(out), [path for run in named.values() for path in run.config.files_read()]
    with (
        keep_log(log, target),
        whole_folder(target, overwrite=overwrite, mark=MARK, what="comparison", reads=reads, writes=FILES) as folder,
        announce_compiling(log),
    ):
        comparison, runs = compared()
        maps, missing = _differences(runs, log)
        result = Compared(comparison, runs, maps, (*comparison.notes, *missing), target)
        with log.step("write"):
            write_comparison(folder, result)
        (folder / LOG).write_text(log.text(), encoding="utf-8")
    return result


def write_comparison(folder: Path, compared: Compared) -> None:
    """Write tables, the picture of the criteria, and the differences as maps and rasters."""
    from matplotlib.figure import Figure

    comparison = compared.comparison
    comparison.table.rename_axis("model").to_csv(folder / "criteria.csv")
    for name in ("hyper", "fixed"):
        table = getattr(comparison, name)
        columns = [f"{fit}: {statistic}" for fit, statistic in table.columns]
        table.set_axis(columns, axis=1).rename_axis("parameter").to_csv(folder / f"{name}.csv")
    if len(comparison.tests):
        comparison.tests.rename_axis("model").to_csv(folder / "tests.csv")
    figure = Figure(figsize=(120 / 25.4, (22 + 9 * len(comparison.table)) / 25.4), layout="constrained")
    plot_comparison(comparison, figure.subplots())
    (folder / "comparison.png").write_bytes(figure_png(figure, 200))
    first, base = next(iter(compared.runs.items()))
    config = base.run.config
    for name, made in compared.maps.items():
        stem = f"{_slug(name)}-less-{_slug(first)}"
        made.to_raster(folder / f"{stem}.tif", crop=base.coastline() if config.prediction.crop else None)
        for column in COLUMNS:
            options: dict[str, Any] = {"coastline": base.coastline(), "label": config.label}
            drawn = difference_map(made, column, (name, first), **options)
            (folder / f"{stem}-{column}.png").write_bytes(figure_png(drawn, 200))
    write_json(folder / MARK, compared.to_dict())


def _differences(runs: Mapping[str, Fitted], log: StepLog) -> tuple[dict[str, Difference], list[str]]:
    """Return what each run's prediction is above the first run's, and why some have no such map."""
    maps, notes = {}, []
    (first, base), *others = runs.items()
    try:
        below = base.prediction(log)
    except InputError as error:
        return {}, [f"There is no difference map: {error}."]
    for name, made in others:
        try:
            maps[name] = difference(made.prediction(log), below)
        except InputError as error:
            notes.append(f"There is no map of {name} less {first}: {error}.")
    return maps, notes


def _named(sources: Sequence[str | Path]) -> dict[str, Run]:
    """Return the runs by short names that differ."""
    paths = [os.path.realpath(Path(source).expanduser()) for source in sources]
    for k, path in enumerate(paths):
        if path in paths[:k]:
            raise InputError(f"{sources[k]} is named twice: compare it with another run")
    runs = [find_run(source) for source in sources]
    if len(runs) < 2:
        raise InputError("there is nothing to compare: name two run files or runs' folders, or more")
    names = [run.name for run in runs]
    return {run.name if names.count(run.name) == 1 else str(source): run for run, source in zip(runs, sources)}


def _slug(name: str) -> str:
    """Return a name as files are called.

    Examples
    --------
    >>> _slug("outputs/fine mesh")
    'outputs-fine-mesh'
    """
    return re.sub(r"[^\w.]+", "-", name).strip("-.") or "run"
