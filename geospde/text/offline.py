"""Files read by GDAL without the network, whatever they say.

A virtual raster, an XML of a web service, or a GeoJSON whose coordinate system is a link names an address, which GDAL
asks at once. A proxy of no known scheme answers each such request with an error before anything is sent.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

from geospde.errors import InputError
from geospde.text.databases import refuse_endless, refuse_other_rows, refuse_unequal
from geospde.text.files import MOST_COLUMNS, refuse_special_with

_PROXY = "nothing://none"
NOWHERE = {"GDAL_HTTP_PROXY": _PROXY, "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none"}
_OF_SHAPES = {
    "do not form a closed linestring": "a ring does not close: its last vertex must be its first",
    "Invalid number of points in LinearRing": "a ring has fewer than four vertices, the last of which is the first",
    "point array must contain": "a line or ring has one vertex",
}
"""What GEOS says of a shape, and what is said instead."""


@contextmanager
def offline() -> Iterator[None]:
    """Keep pyogrio, and so geopandas, off the network meanwhile.

    Examples
    --------
    >>> import pyogrio
    >>> with offline():
    ...     pyogrio.get_gdal_config_option("GDAL_HTTP_PROXY")
    'nothing://none'
    """
    import pyogrio

    before = {name: pyogrio.get_gdal_config_option(name) for name in NOWHERE}
    pyogrio.set_gdal_config_options(NOWHERE)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


def read_vectors(path: str | PathLike[str], layer: str | None = None) -> Any:
    """A layer of a vector file, as `geopandas.read_file` gives it; raises InputError for a database that misleads."""
    import geopandas as gpd
    import pyogrio

    refuse_special_with(path)
    refuse_endless(path)
    refuse_unequal(path)
    with offline():
        info = pyogrio.read_info(path, layer=layer)
        if len(info["fields"]) > MOST_COLUMNS:
            what = f"{str(path)[-60:]!r} has {len(info['fields']):,} columns, more than {MOST_COLUMNS:,}"
            raise InputError(what, remedy="leave out those that no model needs")
        frame = gpd.read_file(path, layer=layer)
    refuse_other_rows(path, info["layer_name"], frame)
    return frame


def reason(error: Exception) -> str:
    """A reader's error in a line: what stands behind it, or that a file names an address."""
    said, behind = str(error).strip(), str(error.__cause__ or "").strip()
    if _PROXY in said + behind:
        return "it names an address on the network, and none is asked"
    line = (behind if "previous exception" in said and behind else said).partition("\n")[0]
    return next((words for of, words in _OF_SHAPES.items() if of in line), line)


@contextmanager
def open_raster(path: str | PathLike[str]) -> Iterator[Any]:
    """A rasterio dataset, closed again; one that says not where it lies is no warning."""
    import warnings

    import rasterio

    with rasterio.Env(**NOWHERE), warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as raster:
            yield raster
