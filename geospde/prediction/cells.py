"""The cells of a regular grid that a region meets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError


def as_polygon(domain: Any) -> Any:
    """Return the one shapely geometry of a geometry, a geopandas object, or an object with a `coastline`.

    Raises
    ------
    InputError
        If there is none, or it is empty or crosses itself.
    """
    import shapely

    geometry = getattr(domain, "coastline", domain)
    if hasattr(geometry, "union_all"):  # GeoSeries and GeoDataFrame
        geometry = geometry.union_all()
    if not isinstance(geometry, shapely.Geometry):
        raise InputError(f"a region must be polygons (shapely or geopandas), not {type(domain).__name__}")
    if geometry.is_empty:
        raise InputError("the region is empty")
    if not geometry.is_valid:
        raise InputError(
            f"the region is not a valid polygon ({shapely.is_valid_reason(geometry)}): "
            f"mend it with shapely.make_valid"
        )
    return geometry


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
        blocks = _quarters(blocks[meets & ~single & ~inside])
    return mask


def _quarters(blocks: NDArray[np.intp]) -> NDArray[np.intp]:
    """Split blocks of cells in four, or in two those one cell wide."""
    south, north, west, east = blocks.T
    row, col = (south + north) // 2, (west + east) // 2
    halves = [(a, b, c, d) for a, b in ((south, row), (row, north)) for c, d in ((west, col), (col, east))]
    quarters = np.concatenate([np.column_stack(h) for h in halves])
    return quarters[(quarters[:, 0] < quarters[:, 1]) & (quarters[:, 2] < quarters[:, 3])]
