"""Run files of covariate rasters, areas and weights that no run can be made of, and some that one can."""

import os
import warnings

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from hostile_inputs import GOOD

SIDE = 40
PLACE = Affine(30, 0, -100, 0, -30, 1100)  # 1200 m around sites between 0 and 1000
METRES = "+proj=tmerc +lat_0=45 +lon_0=15 +type=crs"
WHERE = {"transform": PLACE, "crs": METRES}
FAR = Affine(30, 0, 9e5, 0, -30, 1100)
TURNED = Affine(30, 3, 0, 3, -30, 1100)
FORMULA = "caught ~ z + spde(mesh)"
SLOPE = np.add.outer(np.arange(SIDE), 2.0 * np.arange(SIDE))
TWO = np.stack([SLOPE, SLOPE])
AREA = shapely.box(100, 100, 600, 700)


def raster(name, values=SLOPE, place=PLACE, crs=METRES, **options):
    """Write a raster; several bands stand along the first axis."""
    bands = np.atleast_3d(values.T).T.astype("float32")
    shape = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        kind = {"driver": "GTiff", "dtype": "float32", "transform": place, "crs": crs}
        with rasterio.open(name, "w", **kind, **shape, **options) as to:
            to.write(bands)


def covariate(spec="z.tif", formula=FORMULA, change=None, files=None, **written):
    """A run file with the covariate z, and a raster for it."""

    def write():
        raster("z.tif", **written) if files is None else files()

    def make():
        sections = {**GOOD, "survey": {**GOOD["survey"], "crs": METRES}, "covariates": {"z": spec}, "write": write}
        sections["model"] = {**GOOD["model"], "formula": formula}
        return sections if change is None else {**sections, "change": change}

    return make


def areas(shapes=(AREA,), names=None, weights=None, crs=METRES, more=None, written=None, **regions):
    """A run file with areas, and their layer; `written` are options of a raster of weights."""

    def write():
        frame = gpd.GeoDataFrame({"n": list(names or range(len(shapes)))}, geometry=list(shapes), crs=crs)
        frame.to_file("a.gpkg", layer="a")
        if written is not None:
            raster("w.tif", **written)

    def make():
        weighed = {} if weights is None else {"weights": weights}
        sections = {**GOOD, "survey": {**GOOD["survey"], "crs": METRES}, "write": write, **(more or {})}
        return {**sections, "regions": {"areas": "a.gpkg", **weighed, **regions}}

    return make


def where(condition, value=np.nan):
    """The slope, with another value where a condition on column and row holds."""
    row, column = np.indices((SIDE, SIDE))
    return np.where(condition(column, row), value, SLOPE)


def written_text():
    """A raster that is none."""
    with open("z.tif", "w") as file:
        file.write("ncols 3\n")


def named_bands(*names):
    """A raster of bands with names."""
    raster("z.tif", values=np.stack([SLOPE] * len(names)))
    with rasterio.open("z.tif", "r+") as to:
        to.descriptions = names


def in_one_piece():
    """A raster of a billion cells, compressed in one tile, of which nothing was written."""
    kind = {"dtype": "uint8", "count": 1, "compress": "deflate", "SPARSE_OK": True, "tiled": True}
    kind |= {"blockxsize": 32_000, "blockysize": 32_000}
    place = {"transform": Affine(0.04, 0, -100, 0, -0.04, 1100), "crs": METRES}
    with rasterio.open("z.tif", "w", driver="GTiff", height=32_000, width=32_000, **place, **kind):
        pass


def enormous():
    """A raster whose squares are no numbers."""
    with rasterio.open("z.tif", "w", driver="GTiff", height=SIDE, width=SIDE, dtype="float64", count=1, **WHERE) as to:
        to.write(SLOPE * 1e160, 1)


def beside_a_pipe():
    """A raster whose mask nobody writes."""
    raster("z.tif")
    os.mkfifo("z.tif.msk")


def column_of(value):
    """Another column z of the survey."""
    return lambda table: table.__setitem__("z", value)


RASTERS = {
    "raster missing": (covariate("nowhere.tif"), "no file"),
    "raster of text": (covariate(files=written_text), ""),
    "raster of two bands of one name": (
        covariate(files=lambda: named_bands("z", "z")),
        "two bands called 'z'.*by number",
    ),
    "raster of many bands of long names": (
        covariate(files=lambda: named_bands(*(f"{k}{'n' * 50}" for k in range(20)))),
        "and 15 more",
    ),
    "raster in one piece": (covariate(files=in_one_piece), "in one piece, 1.0 GB.*in tiles"),
    "raster of 1e160": (covariate(files=enormous), "'z' of .* is .*e\\+16., not between"),
    "raster beside a pipe": (covariate(files=beside_a_pipe), "'z.tif.msk' beside 'z.tif' is a pipe"),
    "raster elsewhere": (covariate(place=FAR), "do not meet"),
    "raster rotated": (covariate(place=TURNED), "rotated"),
    "raster without CRS": (covariate(crs=None), "CRS"),
    "raster without place": (covariate(place=Affine.identity(), crs=None), ""),
    "raster in degrees elsewhere": (covariate(place=Affine(0.1, 0, 0, 0, -0.1, 40), crs="EPSG:4326"), "do not meet"),
    "raster constant": (covariate(values=np.full((SIDE, SIDE), 7.0)), "at every site"),
    "raster of nodata": (covariate(values=np.full((SIDE, SIDE), -9.0), nodata=-9), "no value at any"),
    "raster of nan": (covariate(values=np.full((SIDE, SIDE), np.nan)), "no value at any"),
    "raster of infinities": (covariate(values=np.full((SIDE, SIDE), np.inf)), ""),
    "raster missing at a site": (covariate(values=where(lambda c, r: (c > 8) & (c < 20))), 'missing = "nearest"'),
    "raster of two bands": (covariate(values=TWO), "2 bands"),
    "band by a wrong name": (covariate({"raster": "z.tif", "band": "elev"}, values=TWO), "numbers only"),
    "band 0": (covariate({"raster": "z.tif", "band": 0}), "1 band, and no band 0"),
    "band 1e9": (covariate({"raster": "z.tif", "band": 10**9}), "band"),
    "band true": (covariate({"raster": "z.tif", "band": True}), "no band True"),
    "key of a covariate misspelt": (covariate({"raster": "z.tif", "methd": "nearest"}), "did you mean 'method'"),
    "method unknown": (covariate({"raster": "z.tif", "method": "cubic"}), "one of"),
    "policy unknown": (covariate({"raster": "z.tif", "missing": "zero"}), "one of"),
    "standardise by text": (covariate({"raster": "z.tif", "standardise": "yes"}), "standardise"),
    "labels of some classes": (
        covariate({"raster": "z.tif", "labels": {"1": "forest"}}, values=np.where(SLOPE > 50, 1.0, 2.0)),
        "label",
    ),
    "labels that are numbers": (covariate({"raster": "z.tif", "labels": 3}), "labels"),
    "labels and standardise": (covariate({"raster": "z.tif", "labels": {"1": "a"}, "standardise": True}), "has labels"),
    "distance to nothing": (covariate({"distance_to": "rivers.gpkg"}), "no file"),
    "coordinate z": (covariate({"coordinate": "z"}), "one of"),
    "raster and distance": (covariate({"raster": "z.tif", "distance_to": "rivers.gpkg"}), ""),
    "covariate that no formula uses": (covariate(formula="caught ~ 1 + spde(mesh)"), None),
    "column of text beside a raster": (covariate(change=column_of("wet")), "holds text, such as 'wet'"),
    "column that differs from its raster": (covariate(change=column_of(np.linspace(500, 900, 25))), None),
    "areas missing": (areas(areas="nowhere.gpkg"), "no file"),
    "areas elsewhere": (areas([shapely.box(9e4, 0, 9.1e4, 900)]), "off the map|lies on the map"),
    "areas without extent": (areas([shapely.LineString([(0, 0), (500, 500)])]), "not a polygon|without any area"),
    "areas that are points": (areas([shapely.Point(1, 1)]), "not a polygon"),
    "areas that are empty": (areas([shapely.Polygon()]), ""),
    "areas by a column there is not": (areas(name="district"), "no column 'district'"),
    "areas in a layer there is not": (areas(layer="b"), "Layer 'b'"),
    "areas that overlap": (areas([AREA, AREA.buffer(50)]), None),
    "areas that leave the map": (areas([shapely.box(500, 0, 5000, 900)]), None),
    "kind unknown": (areas(kind="sum"), "one of|kind"),
    "share without a threshold": (areas(kind="share"), "threshold"),
    "threshold of a mean": (areas(kind="mean", threshold=3), "share"),
    "draws 0": (areas(kind="share", threshold=3, draws=0), "draws"),
    "weights missing": (areas(weights="w.tif"), "no file 'w.tif'"),
    "weights zero": (areas(weights="w.tif", written={"values": np.zeros((SIDE, SIDE))}), "weighs nothing"),
    "weights negative": (areas(weights="w.tif", written={"values": -SLOPE - 1}), "more than nothing"),
    "weights of nodata": (
        areas(weights="w.tif", written={"values": np.full((SIDE, SIDE), -9.0), "nodata": -9}),
        "weighs nothing",
    ),
    "weights elsewhere": (areas(weights="w.tif", written={"place": FAR}), "weighs nothing"),
    "weights rotated": (areas(weights="w.tif", written={"place": TURNED}), "rotated"),
    "weights without CRS": (areas(weights="w.tif", written={"crs": None}), "CRS"),
    "weights of two bands": (areas(weights="w.tif", written={"values": TWO}), "with band"),
    "weights by a band": (
        areas(weights={"raster": "w.tif", "band": 2}, written={"values": TWO}),
        None,
    ),
    "weights without a raster": (areas(weights={"band": 2}), "are a raster"),
    "weights of a distance": (areas(weights={"distance_to": "a.gpkg"}), "are a raster"),
    "threshold beyond all values": (areas(exceed=[1e9]), None),
}  # words: None where the run file can be used, with warnings or without
