"""One survey in every format that is read: the same sites, columns, coast and CRS."""

import sys
import warnings
import zipfile

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import geospde as gs
from geospde.export.styles import Symbols, marker, store_styles
from geospde.survey.crs import parse_crs

LAND = shapely.MultiPolygon(
    [shapely.Point(480_000, 1_250_000).buffer(900) - shapely.Point(480_200, 1_250_000).buffer(150)]
    + [shapely.box(482_000, 1_249_000, 482_700, 1_249_500)]
)
POINTS = ["csv", "tsv", "parquet", "geoparquet", "gpkg", "geojson", "shp", "zip"]
COASTS = ["csv", "parquet", "geoparquet", "gpkg", "geojson", "shp", "lines.gpkg", "lines.geojson", "lines.shp"]


def sites():
    rng = np.random.default_rng(3)
    places = [shapely.Point(x, y) for x, y in rng.uniform((478_000, 1_249_000), (483_000, 1_251_000), (400, 2))]
    places = [p for p in places if LAND.contains(p)][:40]
    columns = {"counts": rng.poisson(50, 40), "time": rng.uniform(1, 3, 40), "kind": ["rocky", "Sandstrände é"] * 20}
    return gpd.GeoDataFrame(columns, geometry=places)


def write_points(frame, folder, kind):
    path = folder / f"points.{kind}"
    plain = pd.DataFrame(frame.drop(columns="geometry")).assign(x=frame.geometry.x, y=frame.geometry.y)
    if kind in ("csv", "tsv"):
        plain.to_csv(path, index=False, sep="," if kind == "csv" else "\t")
    elif kind == "parquet":
        plain.to_parquet(path)
    elif kind == "geoparquet":
        frame.to_parquet(path)
    elif kind == "zip":
        frame.to_file(folder / "points.shp", encoding="utf-8")
        with zipfile.ZipFile(path, "w") as archive:
            for part in folder.glob("points.*"):
                if part != path:
                    archive.write(part, part.name)
                    part.unlink()
    elif kind == "shp":
        frame.to_file(path, encoding="utf-8")
    else:
        frame.to_file(path)
    return path


def write_coast(crs, folder, kind):
    path = folder / f"coast.{kind.rpartition('.')[2]}"
    rings = [shapely.LineString(ring) for part in LAND.geoms for ring in (part.exterior, *part.interiors)]
    frame = gpd.GeoDataFrame(geometry=rings if "lines" in kind else [*LAND.geoms], crs=crs)
    if kind in ("csv", "parquet"):
        vertices, number = shapely.get_coordinates(rings, return_index=True)
        table = pd.DataFrame({"ring": number, "x": vertices[:, 0], "y": vertices[:, 1]})
        table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    elif kind == "geoparquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)
    return path


@pytest.mark.parametrize("crs", ["EPSG:32658", "local:m", "local:km"])
@pytest.mark.parametrize("kind", POINTS)
def test_points_are_the_same_in_every_format(tmp_path, kind, crs):
    frame = sites().set_crs(parse_crs(crs))
    survey = gs.read_survey(write_points(frame, tmp_path, kind), crs=crs, numeric=["counts", "time"])
    # a text file has the shortest digits that give the number back, GeoJSON 7 decimals
    np.testing.assert_allclose(survey.coordinates, shapely.get_coordinates(frame.geometry.array), atol=1e-7, rtol=0)
    assert survey.crs == parse_crs(crs)
    assert list(survey.points["counts"]) == list(frame["counts"]) and list(survey.points["kind"]) == list(frame["kind"])
    np.testing.assert_allclose(survey.points["time"], frame["time"], rtol=1e-13)  # a shapefile's 15 digits
    assert set(survey.points.columns) - {"x", "y"} == {"counts", "time", "kind", "geometry"}


@pytest.mark.parametrize("crs", ["EPSG:32658", "local:m"])
@pytest.mark.parametrize("kind", COASTS)
def test_the_coast_is_the_same_in_every_format(tmp_path, kind, crs):
    frame = sites().set_crs(parse_crs(crs))
    survey = gs.read_survey(frame, coastline=write_coast(parse_crs(crs), tmp_path, kind), crs=crs)
    assert survey.coastline.symmetric_difference(LAND).area < 1e-6 * LAND.area
    assert len(survey.coastline.geoms) == 2 and len(shapely.get_rings(shapely.get_parts(survey.coastline))) == 3


@pytest.mark.parametrize("kind", ["parquet", "geoparquet", "gpkg", "geojson", "shp", "zip"])
def test_degrees_in_a_file_are_brought_to_the_crs(tmp_path, kind):
    frame = sites().set_crs(32658)
    degrees = frame.to_crs(4326)
    path = write_points(degrees, tmp_path, kind)
    survey = gs.read_survey(path, crs="EPSG:32658", source_crs="EPSG:4326" if kind == "parquet" else None)
    # GeoJSON and shapefiles keep 1e-9 of a degree or better: 0.1 mm
    np.testing.assert_allclose(survey.coordinates, shapely.get_coordinates(frame.geometry.array), atol=0.02)


def test_of_several_layers_the_one_that_can_be_meant_is_read(tmp_path):
    frame, path = sites().set_crs(32658), tmp_path / "all.gpkg"
    frame.to_file(path, layer="sites")
    gpd.GeoDataFrame(geometry=[LAND], crs=32658).to_file(path, layer="land")
    gpd.GeoDataFrame(geometry=[shapely.LineString([(0, 0), (1, 1)])], crs=32658).to_file(path, layer="roads")
    survey = gs.read_survey(path, coastline=path)
    assert len(survey.points) == 40 and survey.coastline.area == pytest.approx(LAND.area)
    frame.to_file(tmp_path / "styled.gpkg", layer="sites")
    store_styles(tmp_path / "styled.gpkg", {"sites": Symbols(marker("#ffffff", 1))})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a table of styles is no layer that could be meant
        assert len(gs.read_survey(tmp_path / "styled.gpkg").points) == 40
    frame.to_file(path, layer="sites 2024")
    with pytest.raises(gs.InputError, match="has the layers 'sites' and 'sites 2024': name one of them with layer"):
        gs.read_survey(path)
    with pytest.raises(gs.InputError, match="no layer 'site': did you mean 'sites'"):
        gs.read_survey(path, layer="site")
    assert len(gs.read_survey(path, layer="sites 2024").points) == 40


def test_a_multipoint_of_one_point_is_a_point_and_of_more_is_not(tmp_path):
    frame = sites().set_crs(32658)
    several = frame.geometry.map(lambda p: shapely.MultiPoint([p]))
    frame.set_geometry(several).to_file(tmp_path / "points.gpkg")
    survey = gs.read_survey(tmp_path / "points.gpkg")
    np.testing.assert_array_equal(survey.coordinates, shapely.get_coordinates(frame.geometry.array))
    several.iloc[2] = shapely.MultiPoint([(0, 0), (1, 1)])
    with pytest.raises(gs.InputError, match="row 3 is a MultiPoint of 2 points"):
        gs.read_survey(frame.set_geometry(several))


def test_heights_of_points_are_left_out(tmp_path):
    frame = sites().set_crs(32658)
    frame.set_geometry(shapely.force_3d(frame.geometry.array, 7.0)).to_file(tmp_path / "points.gpkg")
    survey = gs.read_survey(tmp_path / "points.gpkg")
    np.testing.assert_array_equal(survey.coordinates, shapely.get_coordinates(frame.geometry.array))
    assert not survey.points.has_z.any()


def test_a_shapefile_with_parts_missing_is_told(tmp_path):
    write_points(sites().set_crs(32658), tmp_path, "shp")
    for ending in ("dbf", "prj"):
        (tmp_path / f"points.{ending}").unlink()
    with pytest.raises(gs.InputError, match="no column 'counts'"):
        gs.read_survey(tmp_path / "points.shp", crs="EPSG:32658", numeric=["counts"])
    with pytest.raises(gs.InputError, match="points.shp does not state its coordinate reference system"):
        gs.read_survey(tmp_path / "points.shp")
    (tmp_path / "points.shx").unlink()
    with pytest.raises(gs.InputError) as caught:
        gs.read_survey(tmp_path / "points.shp", crs="EPSG:32658")
    assert "points.shx" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["parquet", "gpkg", "geojson", "shp", "zip", "fgb", "xlsx"])
def test_a_file_that_is_not_what_it_says_is_told(tmp_path, kind):
    for content in (b"", b"\x00\x01 neither this nor that\n" * 20):
        (tmp_path / f"points.{kind}").write_bytes(content)
        with pytest.raises(gs.InputError) as caught:
            gs.read_survey(tmp_path / f"points.{kind}", crs="local:m")
        assert f"points.{kind} is not a" in str(caught.value) and "\n" not in str(caught.value)


def test_a_truncated_file_is_told(tmp_path):
    frame = sites().set_crs(32658)
    for kind in ("parquet", "gpkg", "geojson"):
        path = write_points(frame, tmp_path, kind)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(gs.InputError, match=rf"points\.{kind}"):
            gs.read_survey(path, crs="EPSG:32658")


def test_an_empty_layer_and_one_without_geometry_are_told(tmp_path):
    frame = sites().set_crs(32658)
    frame.iloc[:0].to_file(tmp_path / "none.gpkg", geometry_type="Point")
    with pytest.raises(gs.InputError, match="none.gpkg has no rows"):
        gs.read_survey(tmp_path / "none.gpkg")
    (tmp_path / "none.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(gs.InputError, match="none.geojson has no rows"):
        gs.read_survey(tmp_path / "none.geojson", crs="local:m")
    (tmp_path / "null.geojson").write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"a": 1}, "geometry": null}]}'
    )
    with pytest.raises(gs.InputError, match="null.geojson"):
        gs.read_survey(tmp_path / "null.geojson", crs="local:m")


def test_parquet_without_pyarrow_is_told_with_what_installs_it(tmp_path, monkeypatch):
    path = write_points(sites(), tmp_path, "parquet")
    for module in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"] + ["pyarrow"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(gs.InputError, match=r"needs pyarrow: pip install 'geospde\[io\]'"):
        gs.read_survey(path, crs="local:m")


def test_a_run_reads_any_of_them(tmp_path):
    from geospde.run.config import read_config
    from geospde.run.inputs import load_survey

    frame = sites().set_crs(32658)
    for kind in ("gpkg", "parquet", "shp"):
        write_points(frame, tmp_path, kind)
    write_coast("EPSG:32658", tmp_path, "gpkg")
    for name in ("points.gpkg", "points.parquet", "points.shp"):
        (tmp_path / "run.toml").write_text(
            f'[survey]\npoints = "{name}"\ncoastline = "coast.gpkg"\ncrs = "EPSG:32658"\n'
            '[model]\nformula = "counts ~ 1 + spde(mesh)"\nfamily = "poisson"\n'
        )
        survey = load_survey(read_config(tmp_path / "run.toml"))
        assert len(survey.points) == 40 and [p.name for p in survey.sources] == [name, "coast.gpkg"]
