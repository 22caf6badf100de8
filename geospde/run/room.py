"""Whether a run has room: in memory and on the disk, before anything is computed."""

from __future__ import annotations

import re
import shutil
from math import log2
from pathlib import Path

import numpy as np

from geospde.errors import InputError
from geospde.linalg.cholesky import fit_bytes
from geospde.mesh.build import MAX_VERTICES
from geospde.mesh.refine import expected_vertices
from geospde.prediction.grid import Grid
from geospde.prediction.windows import CELLS
from geospde.run.analysis import LARGE, raster_wishes
from geospde.run.config import Config
from geospde.survey.survey import Survey
from geospde.text.memory import refuse_beyond_memory
from geospde.text.words import bytes_of, counted

NEIGHBOURS, SECOND = 3.0, 8.0
"""Numbers of a factor over n log2 n, at least, where neighbours meet (alpha = 1) and where their neighbours do.

Measured with METIS: 3.1 and 9.0 of 31,000 vertices, 3.2 and 9.6 of 123,000.
"""


def refuse_fine_mesh(config: Config, survey: Survey) -> None:
    """Raise an InputError, before the mesh is built, if a fit on its inner zone alone would not fit into memory."""
    one = config.model
    formulas = [one.formula, one.formula2, *(each.formula for each in config.observations), *config.terms.values()]
    fields = [formula for formula in formulas if formula and "spde(" in formula]
    if not fields or config.mesh.max_edge is None:
        return
    n = expected_vertices([survey.domain], (float(np.ravel(config.mesh.max_edge)[0]),))
    if not 2 < n <= (config.mesh.max_vertices or MAX_VERTICES):  # more are refused as such
        return
    near = any(re.search(r"\b(alpha|nu)\b", formula) for formula in fields)
    size = (NEIGHBOURS if near else SECOND) * n * log2(n)
    refuse_beyond_memory(
        fit_bytes(size), f"a fit on a mesh of some {n:.2g} vertices or more", "take a longer max_edge in [mesh]"
    )


def refuse_too_large(config: Config, grid: Grid, folder: Path) -> None:
    """Raise an InputError if the prediction would not fit into memory or onto the disk."""
    wanted = config.prediction
    columns = 2 + len(wanted.quantiles) + len(wanted.exceed) + len(wanted.layers)
    columns += 2 * len(config.excursions.exceed) + 3 * bool(config.excursions.classes)
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
