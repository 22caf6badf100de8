"""A mesh in a GeoPackage: two layers that any GIS draws, and that read back to the same mesh."""

from __future__ import annotations

import json
import warnings
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geospde.errors import InputError
from geospde.text.files import whole_file
from geospde.text.offline import offline

if TYPE_CHECKING:
    from geospde.mesh.trimesh import Mesh

VALUE = "value "
_FORMAT = "geospde-mesh-1"


def write_gpkg(mesh: Mesh, path: str | PathLike[str]) -> None:
    """Write a mesh to a GeoPackage, replacing the file.

    Layer ``triangles`` has the polygons, their vertex numbers ``v0``, ``v1``, ``v2``, ``inner``, and ``barrier``
    where barriers are marked; layer ``vertices`` has the points. Rows are in the order of the mesh. The CRS is also
    kept as WKT in the layers' metadata, because GeoPackage alters some.

    Examples
    --------
    >>> import tempfile, pathlib, geospde as gs
    >>> mesh = gs.Mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]], crs="EPSG:32632")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mesh.to_gpkg(pathlib.Path(folder) / "mesh.gpkg")
    ...     gs.Mesh.from_gpkg(pathlib.Path(folder) / "mesh.gpkg")
    Mesh(3 vertices, 1 triangle, edges 1 to 1.41, WGS 84 / UTM zone 32N)
    """
    import geopandas
    import shapely

    path = Path(path)
    if path.suffix.lower() != ".gpkg":
        raise InputError(f"a mesh is written to a GeoPackage; name the file *.gpkg, not {path.name}")
    metadata = {"geospde": json.dumps({"format": _FORMAT, "crs": mesh.crs.to_wkt() if mesh.crs else None})}
    polygons = shapely.polygons(mesh.vertices[mesh.triangles[:, [0, 1, 2, 0]]])
    columns = {f"v{k}": mesh.triangles[:, k] for k in range(3)} | {"inner": mesh.inner}
    if mesh.barrier is not None:
        columns["barrier"] = mesh.barrier
    triangles = geopandas.GeoDataFrame(columns, geometry=polygons, crs=mesh.crs)
    number = np.arange(mesh.n_vertices)
    columns = {"number": number, **_values(mesh)}
    vertices = geopandas.GeoDataFrame(columns, geometry=shapely.points(mesh.vertices), crs=mesh.crs)
    with warnings.catch_warnings(), whole_file(path) as partial:
        warnings.filterwarnings("ignore", "'crs' was not provided")  # a mesh need not have one
        for name, frame in [("triangles", triangles), ("vertices", vertices)]:
            frame.to_file(partial, layer=name, driver="GPKG", engine="pyogrio", layer_metadata=metadata)


def read_gpkg(path: str | PathLike[str]) -> tuple[Any, ...]:
    """Read vertices, triangles, crs, inner, barrier and values from what `write_gpkg` wrote.

    Raises
    ------
    InputError
        If the file is not there, or is no mesh of geospde.
    """
    import pyogrio

    try:
        with offline():
            info = pyogrio.read_info(path, layer="vertices")
            vertices = pyogrio.read_dataframe(path, layer="vertices")
            triangles = pyogrio.read_dataframe(path, layer="triangles", read_geometry=False)
        stored = json.loads((info["layer_metadata"] or {})["geospde"])
        order = np.argsort(vertices["number"].to_numpy())
        points = vertices.geometry.get_coordinates().to_numpy()[order]
        named = [c for c in vertices.columns if c.startswith(VALUE)]
        values = {c.removeprefix(VALUE): vertices[c].to_numpy(float)[order] for c in named} or None
        corners = triangles[["v0", "v1", "v2"]].to_numpy()
        inner = triangles["inner"].to_numpy(bool)
        barrier = triangles["barrier"].to_numpy(bool) if "barrier" in triangles else None
        crs = stored["crs"]
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:  # pyogrio's are RuntimeErrors
        raise InputError(f"{path} is not a GeoPackage with a geospde mesh: {error}") from error
    return points, corners, crs, inner, barrier, values


def _values(mesh: Mesh) -> dict[str, np.ndarray]:
    """Columns of the values at vertices."""
    return {f"{VALUE}{name}": np.asarray(values) for name, values in (mesh.values or {}).items()}
