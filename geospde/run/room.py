"""Whether a run has room: in memory and on the disk, before anything is computed."""

from __future__ import annotations

import shutil
from pathlib import Path

from geospde.errors import InputError
from geospde.prediction.grid import Grid
from geospde.prediction.windows import CELLS
from geospde.run.analysis import LARGE, raster_wishes
from geospde.run.config import Config
from geospde.text.memory import refuse_beyond_memory
from geospde.text.words import bytes_of, counted


def refuse_too_large(config: Config, grid: Grid, folder: Path) -> None:
    """Raise an InputError if the prediction would not fit into memory or onto the disk."""
    wanted = config.prediction
    columns = 2 + len(wanted.quantiles) + len(wanted.exceed) + len(wanted.layers)
    columns += 2 * len(config.excursions.exceed)
    rows, cols = grid.shape
    size = f"a raster of {rows:,} x {cols:,} cells with {counted(columns, 'band')}"
    is_large = grid.n > LARGE
    if is_large:
        raster_wishes(config)
    # measured: 417 bytes a cell with 5 bands, and by windows what these take, and two bytes a cell
    need = 64 * (columns + 2) * min(grid.n, 2 * CELLS) + 2 * rows * cols * is_large
    refuse_beyond_memory(need, size, "take a larger cell (or a smaller shape) in [prediction]")
    # some 20 bytes a number in grid.csv, 10 while the GeoTIFF is put in order, and 5 MB for figures, report and fit
    free = shutil.disk_usage(folder).free
    need = 20 * (columns + 2) * grid.n + 10 * columns * rows * cols + 5_000_000
    if is_large:
        need = 4 * columns * (grid.n + rows * cols * 8 // 3) + 5_000_000
    if need > free:
        raise InputError(
            f"the run with {size} needs about {bytes_of(need)} on the disk and {bytes_of(free)} are free: "
            "take a larger cell (or a smaller shape) in [prediction], or another disk with --out"
        )
