"""GeoTIFF layers of a prediction."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_raster(
    path: str | Path,
    grid: Any,
    columns: Mapping[str, Any],
    *,
    crs: Any = None,
    crop: Any = None,
    tags: Mapping[str, str] | None = None,
) -> Path:
    """Write one named float32 band for each column; see the full version."""
    raise NotImplementedError
