"""The cells of a regular grid that a region meets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def cells_that_meet(region: Any, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Find the cells of a grid that meet a region, touching included (as ``sf::st_intersects``).

    Blocks of cells that lie wholly inside or outside are settled at once, the others split in four: exact,
    and the work grows with the cells along the region's edge, not with all cells.

    Parameters
    ----------
    region : shapely geometry
        The region.
    x, y : (cols + 1,) and (rows + 1,) arrays
        Cell edges, ascending.

    Returns
    -------
    (rows, cols) array of bool
    """
    import shapely

    mask = np.zeros((len(y) - 1, len(x) - 1), dtype=bool)
    shapely.prepare(region)
    blocks = np.array([[0, mask.shape[0], 0, mask.shape[1]]])  # row from, row to, column from, column to
    while len(blocks):
        south, north, west, east = blocks.T
        rectangles = shapely.box(x[west], y[south], x[east], y[north])
        meets = shapely.intersects(region, rectangles)
        single = (north - south == 1) & (east - west == 1)
        inside = meets & ~single
        inside[inside] = shapely.contains(region, rectangles[inside])
        mask[south[meets & single], west[meets & single]] = True
        for a, b, c, d in blocks[inside]:
            mask[a:b, c:d] = True
        blocks = quarters(blocks[meets & ~single & ~inside])
    return mask


def quarters(blocks: NDArray[np.intp]) -> NDArray[np.intp]:
    """Split blocks of cells in four, or in two those one cell wide."""
    south, north, west, east = blocks.T
    row, col = (south + north) // 2, (west + east) // 2
    halves = [(a, b, c, d) for a, b in ((south, row), (row, north)) for c, d in ((west, col), (col, east))]
    quarters = np.concatenate([np.column_stack(h) for h in halves])
    return quarters[(quarters[:, 0] < quarters[:, 1]) & (quarters[:, 2] < quarters[:, 3])]
