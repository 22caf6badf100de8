"""Covariates that need no raster: the distance to a layer, and coordinates."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from geospde.errors import InputError
from geospde.survey.covariates.base import Covariate, Vector
from geospde.text.systems import crs_names


@dataclass(frozen=True)
class Distance(Covariate):
    """Distance to the nearest feature of a vector layer, 0 inside a polygon, in the units of the survey's CRS.

    Attributes
    ----------
    features : GeoSeries
    path : Path or None
    """

    features: Any = field(kw_only=True)
    path: Path | None = field(default=None, kw_only=True)

    @property
    def source(self) -> str:
        """The file's name."""
        return "the layer" if self.path is None else self.path.name

    @property
    def files(self) -> tuple[Path, ...]:
        """The layer's file."""
        return () if self.path is None or not self.path.is_file() else (self.path,)

    def at_points(self, points: Vector, crs: Any) -> Vector:
        """Distances, (m,)."""
        import shapely

        features = self.features
        if features.crs is not None and crs is not None and features.crs != crs:
            if crs.is_engineering or features.crs.is_engineering:
                own, other = crs_names(features.crs, crs)
                raise InputError(
                    f"{self.source} of covariate {self.name!r} is in {own} and the survey in {other}, "
                    "with no transformation between them"
                )
            features = features.to_crs(crs)
        elif features.crs is None and crs is not None and not crs.is_engineering:
            raise InputError(f"{self.source} of covariate {self.name!r} has no CRS")
        tree = shapely.STRtree(features.array)
        (which, _), far = tree.query_nearest(shapely.points(points), all_matches=False, return_distance=True)
        distances = np.full(len(points), np.nan)
        distances[which] = far
        return distances

    def method(self, cells: Any, crs: Any) -> str:
        """How its values are taken, for a reader."""
        return f"distance to the nearest feature {super().method(cells, crs)}"


@dataclass(frozen=True)
class Coordinate(Covariate):
    """The first or the second coordinate of a place."""

    axis: int = field(kw_only=True)

    @property
    def source(self) -> str:
        """What it is."""
        return f"coordinate {'xy'[self.axis]}"

    def at_points(self, points: Vector, crs: Any) -> Vector:
        """Coordinates, (m,)."""
        return np.asarray(points[:, self.axis], dtype=float)


@dataclass(frozen=True)
class Lost(Covariate):
    """A covariate of a saved fit whose raster is not there any more: the fit is whole, a new map needs it."""

    why: str = field(kw_only=True)

    @property
    def source(self) -> str:
        """What is left of it."""
        return "a raster that is not there"

    def at_points(self, points: Vector, crs: Any) -> Vector:
        """Raise an InputError."""
        raise InputError(
            f"the map needs the covariate {self.name!r}: {self.why}",
            remedy="predict at a table that has it as a column",
        )
