"""The QGIS project and styles of a run, as QGIS's XML; colours against matplotlib, numbers against the raster."""

import shutil
import sqlite3
import zipfile
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
from layered import layered
from matplotlib import colormaps
from matplotlib.colors import to_rgb

import geospde as gs
from geospde.errors import InputError
from geospde.export.qgis import write_project
from geospde.export.raster import write_raster
from geospde.export.styles import Ramp, Symbols, coloured, line, marker, outline
from geospde.plots.scale import Scale
from geospde.prediction.grid import Grid
from geospde.prediction.layer import decided_layer, mean_layer
from geospde.prediction.layers import Layers
from geospde.survey.crs import parse_crs

CASES = {
    "island": ("local:m", shapely.Point(0, 0).buffer(1000) - shapely.Point(300, 0).buffer(200), True, None),
    "sites only": ("EPSG:32658", shapely.box(478_000, 1_249_000, 481_000, 1_250_000), False, None),
    "cropped": ("EPSG:2263", shapely.box(0, 0, 40_000, 9000), True, shapely.box(0, 0, 20_000, 9000)),
    "degrees": ("EPSG:4326", shapely.box(166.0, 11.0, 166.4, 11.2), True, None),
}


def made(folder, crs, domain, coast, crop):
    """Write a run's raster and mesh, and the project; return survey, prediction and folder."""
    rng = np.random.default_rng(4)
    crs = parse_crs(crs)
    west, south, east, north = domain.bounds
    x, y = rng.uniform((west, south), (east, north), (30, 2)).T
    columns = {"counts": rng.poisson(900, 30), "time": np.full(30, 300.0), 'dep"th <m>': y}
    points = gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(x, y), crs=crs)
    name = 'Bay of <"Æ" & \x01 Co>'
    survey = SimpleNamespace(points=points, coastline=domain if coast else None, crs=crs, name=name)
    grid = Grid.around(domain, shape=(40, 60), crs=crs)
    u, v = ((grid.centres - (west, south)) / (east - west, north - south)).T
    mean = 2.2 + 6 * u + np.sin(5 * v)
    columns = {"x": grid.centres[:, 0], "y": grid.centres[:, 1], "mean": mean, "sd": mean**2, "q0.025": mean / 3}
    frame = pd.DataFrame(columns | {"q0.975": 4 * mean, "exceed_8": u, "exceed_10.5": 0.9 * u})
    prediction = layered(frame, "counts / time", grid)
    write_raster(folder / "prediction.tif", grid, frame, crop=crop)
    gs.Mesh([(west, south), (east, south), (east, north)], [[0, 1, 2]], crs=crs).to_gpkg(folder / "mesh.gpkg")
    path = write_project(folder, survey=survey, prediction=prediction, crop=crop)
    assert path == folder / "project.qgz"
    return SimpleNamespace(survey=survey, prediction=prediction, folder=folder, crop=crop)


@pytest.fixture(scope="module", params=CASES)
def run(request, tmp_path_factory):
    return made(tmp_path_factory.mktemp("run"), *CASES[request.param])


def project_of(run):
    with zipfile.ZipFile(run.folder / "project.qgz") as archive:
        assert archive.namelist() == ["project.qgs"]
        return ElementTree.fromstring(archive.read("project.qgs"))


def test_every_layer_of_the_project_is_in_the_folder_by_a_relative_path(run):
    project = project_of(run)
    assert project.find("properties/Paths/Absolute").text == "false"
    text = ElementTree.tostring(project, encoding="unicode")
    assert str(run.folder) not in text and "/tmp" not in text
    sources = {layer.find("id").text: layer.find("datasource").text for layer in project.iter("maplayer")}
    for source in sources.values():
        file, _, layer = source.partition("|layername=")
        assert file.startswith("./") and (run.folder / file).is_file()
        assert not layer or layer in dict(pyogrio.list_layers(run.folder / file))
    vectors = {"survey_sites", "survey_contours", "mesh_vertices", "mesh_triangles"}
    vectors |= {"survey_coastline"} if run.survey.coastline is not None else set()
    bands = {"mean", "sd", "q0_025", "q0_975", "exceed_8", "exceed_10_5"}
    assert set(sources) == vectors | {f"prediction_{band}" for band in bands}


def test_the_legend_shows_the_mean_the_coast_and_the_sites_and_offers_the_rest(run):
    project = project_of(run)
    tree = list(project.find("layer-tree-group").iter("layer-tree-layer"))
    ids = [layer.get("id") for layer in tree]
    assert sorted(ids) == sorted(layer.find("id").text for layer in project.iter("maplayer"))
    assert ids == [layer.get("id") for layer in project.find("layerorder")]
    # QGIS gives another id to a layer whose own has ten characters or fewer, or others than these
    assert all(len(i) > 10 and i.isascii() and i.replace("_", "").isalnum() for i in ids)
    on = {layer.get("id") for layer in tree if layer.get("checked") == "Qt::Checked"}
    assert on == {"survey_sites", "survey_coastline", "prediction_mean"} & set(ids)
    names = {layer.get("id"): layer.get("name") for layer in tree}
    assert names["prediction_q0_975"] == "Upper limit (97.5 % quantile)"
    assert names["prediction_exceed_10_5"] == "Probability that counts / time is above 10.5"
    assert project.find("title").text == 'Bay of <"Æ" &  Co>: counts / time', "control characters are no XML"


def test_each_raster_layer_draws_its_band_from_least_to_largest(run):
    project = project_of(run)
    with rasterio.open(run.folder / "prediction.tif") as raster:
        bands = dict(zip(raster.descriptions, raster.read(masked=True)))
        order = list(raster.descriptions)
    drawn = {layer.find("id").text: layer for layer in project.iter("maplayer") if layer.get("type") == "raster"}
    for name, band in bands.items():
        renderer = drawn[f"prediction_{name.replace('.', '_')}"].find("pipe/rasterrenderer")
        assert renderer.get("type") == "singlebandpseudocolor" and int(renderer.get("band")) == order.index(name) + 1
        shader = renderer.find("rastershader/colorrampshader")
        low, high = (float(shader.get(f"{end}imumValue")) for end in ("min", "max"))
        items = [float(item.get("value")) for item in shader.findall("item")]
        assert (low, high) == (items[0], items[-1]) and (np.diff(items) > 0).all() and len(items) >= 5
        expected = (0, 1) if name.startswith("exceed") else (band.min(), band.max())
        if name.startswith("q"):  # the limits share one scale
            expected = min(bands["q0.025"].min(), bands["q0.975"].min()), bands["q0.975"].max()
        np.testing.assert_allclose((low, high), expected, rtol=1e-6)  # the band is in single precision
        assert (float(renderer.get("classificationMin")), float(renderer.get("classificationMax"))) == (low, high)


def test_the_style_beside_the_raster_is_that_of_its_mean(run):
    alone = ElementTree.fromstring((run.folder / "prediction.qml").read_text())
    layer = next(m for m in project_of(run).iter("maplayer") if m.find("id").text == "prediction_mean")
    pipes = [ElementTree.canonicalize(ElementTree.tostring(it.find("pipe")), strip_text=True) for it in (alone, layer)]
    assert pipes[0] == pipes[1]
    assert alone.tag == "qgis" and alone.find("pipe/rasterrenderer").get("band") == "1"


def test_vector_layers_have_the_style_that_their_file_holds(run):
    for layer in project_of(run).iter("maplayer"):
        if layer.get("type") == "vector":
            file, _, name = layer.find("datasource").text.partition("|layername=")
            with sqlite3.connect(run.folder / file) as database:
                query = "SELECT styleQML FROM layer_styles WHERE f_table_name = ?"
                (qml,) = database.execute(query, (name,)).fetchone()
            database.close()
            ours, theirs = layer.find("renderer-v2"), ElementTree.fromstring(qml).find("renderer-v2")
            assert ElementTree.canonicalize(ElementTree.tostring(ours), strip_text=True) == ElementTree.canonicalize(
                ElementTree.tostring(theirs), strip_text=True
            )
            kind = pyogrio.read_info(run.folder / file, layer=name)["geometry_type"]
            assert layer.get("geometry") in kind.replace("LineString", "Line")
    contours = next(m for m in project_of(run).iter("maplayer") if m.find("id").text == "survey_contours")
    assert contours.get("labelsEnabled") == "1"
    assert contours.find("labeling/settings/text-style").get("fieldName") == "level"


def test_project_and_layers_are_in_the_crs_of_the_survey(run):
    project = project_of(run)
    systems = list(project.iter("spatialrefsys"))
    assert len(systems) == 3 + len(list(project.iter("maplayer")))  # project, canvas and view besides
    for system in systems:
        assert pyproj.CRS.from_wkt(system.find("wkt").text) == run.survey.crs
        code = system.find("authid").text
        assert pyproj.CRS(code) == run.survey.crs if code else run.survey.crs.is_engineering
    window = [float(edge.text) for edge in project.find("mapcanvas/extent")]
    assert shapely.box(*window).contains(shapely.box(*run.prediction.grid.bounds))


def test_sites_have_the_colours_of_the_mean_at_what_was_observed(run):
    layer = next(m for m in project_of(run).iter("maplayer") if m.find("id").text == "survey_sites")
    renderer = layer.find("renderer-v2")
    assert renderer.get("attr") == "observed"
    ranges = [(float(r.get("lower")), float(r.get("upper"))) for r in renderer.findall("ranges/range")]
    assert all(a[1] == b[0] for a, b in zip(ranges, ranges[1:]))
    observed = gpd.read_file(run.folder / "layers.gpkg", layer="sites")["observed"]
    np.testing.assert_allclose(observed, run.survey.points["counts"] / 300)
    assert ranges[0][0] <= observed.min() and observed.max() <= ranges[-1][1]
    assert len(renderer.findall("symbols/symbol")) == len(ranges)


def test_contours_lie_in_what_was_predicted(run):
    lines = gpd.read_file(run.folder / "layers.gpkg", layer="contours")
    region = shapely.box(*run.prediction.grid.bounds) if run.crop is None else run.crop
    assert region.buffer(1e-9).covers(lines.union_all())
    mean = run.prediction.to_frame()["mean"]
    assert lines["level"].between(mean.min(), mean.max()).all() and lines["level"].nunique() > 3


@pytest.mark.parametrize("ramp", ["viridis", "plasma", "cividis"])
def test_colours_between_stops_are_those_of_the_ramp(ramp):
    stops = Ramp.of(1, np.linspace(1.3, 9.7, 200), ramp).stops
    assert [s.label for s in stops] == ["1.3", "2", "3", "4", "5", "6", "7", "8", "9", "9.7"]
    at, values, colours = np.linspace(1.3, 9.7, 500), [s.value for s in stops], [to_rgb(s.colour) for s in stops]
    drawn = np.column_stack([np.interp(at, values, channel) for channel in zip(*colours)])
    # a chord over h of a curve is off by h² / 8 of its second derivative, and the ramp has 256 steps of its own
    curvature = np.abs(np.diff(np.array(colormaps[ramp].colors)[::10], n=2, axis=0)).max() * 25.5**2
    assert np.abs(drawn - colormaps[ramp]((at - 1.3) / 8.4)[:, :3]).max() < curvature / 8.4**2 / 8 + 0.01


def test_a_few_extremes_do_not_take_the_colours_from_the_rest():
    stops = Ramp.of(1, np.append(np.linspace(2, 10, 999), 1e6)).stops
    assert stops[-1].value < 11 and stops[-1].label.endswith("and more, up to 1,000,000")


@pytest.mark.parametrize("values", [[], [np.nan], [5.0, 5.0], [0.0], [-3.0, -3.0], [1e-300, 2e-300], [1e15, 1.1e15]])
def test_colours_of_next_to_nothing_are_still_a_style(values):
    ramp = Ramp.of(3, values)
    assert (np.diff([s.value for s in ramp.stops]) > 0).all()
    assert ElementTree.fromstring(ramp.qml()).find("pipe/rasterrenderer").get("band") == "3"


def test_classes_of_sites_meet_the_stops_and_reach_beyond_them():
    stops = Ramp.of(1, [2.0, 10.0]).stops
    classes = coloured("observed", [-5.0, np.nan, 33.0], stops, 2).classes
    assert classes[0].lower == -5 and classes[-1].upper == 33
    assert [c.upper for c in classes[:-1]] == [s.value for s in stops[1:-1]]
    assert ElementTree.fromstring(coloured('a"<b', [], stops, 2).qml()).find("renderer-v2").get("attr") == 'a"<b'


@pytest.mark.parametrize("symbol", [marker("#ff8000", 2), line("#ff8000", 0.3), outline("#ff8000", 0.3)])
def test_a_symbol_is_the_kind_of_its_layer(symbol):
    drawn = ElementTree.fromstring(Symbols(symbol).qml()).find("renderer-v2/symbols/symbol")
    assert drawn.get("type") == symbol.kind and drawn.find("layer").get("class") == symbol.layer
    assert "255,128,0,255" in [o.get("value") for o in drawn.iter("Option")]


def test_a_project_without_a_mesh_or_rates_has_sites_of_one_colour(tmp_path):
    case = made(tmp_path, *CASES["island"])
    shutil.move(tmp_path / "mesh.gpkg", tmp_path / "elsewhere.gpkg")
    case.prediction = replace(case.prediction, label="p(sick, tested)")
    write_project(tmp_path, survey=case.survey, prediction=case.prediction)
    layers = {m.find("id").text: m for m in project_of(case).iter("maplayer")}
    assert not any(name.startswith("mesh") for name in layers)
    assert layers["survey_sites"].find("renderer-v2").get("type") == "singleSymbol"


def test_what_cannot_be_a_project_is_refused(tmp_path):
    case = made(tmp_path, *CASES["island"])
    at_points = layered(pd.DataFrame({"mean": [1.0]}), "y")
    with pytest.raises(InputError, match="on a Grid"):
        write_project(tmp_path, survey=case.survey, prediction=at_points)
    with pytest.raises(InputError, match="cannot write the style"):
        write_project(tmp_path / "nowhere", survey=case.survey, prediction=case.prediction)


@pytest.mark.slow
def test_a_decided_map_has_the_classes_of_its_picture(tmp_path):
    """It was drawn on a ramp from -1 to 1, with eleven numbers for a legend."""
    case = made(tmp_path, *CASES["island"])
    grid, layer = case.prediction.grid, decided_layer(8, 0.9)
    frame = pd.DataFrame({"mean": 1.0, layer.name: np.resize([-1.0, 0.0, 1.0], grid.n)})
    decided = Layers("lead", frame, (mean_layer(), layer), grid, None, grid.crs, "")
    boxes = gpd.GeoDataFrame({"mean": [1.0, 2.0]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)])
    areas = {name: ("Mean of lead", boxes) for name in ("districts", "regions")}
    write_project(tmp_path, survey=case.survey, prediction=decided, areas=areas)
    layers = {m.find("id").text: m for m in project_of(case).iter("maplayer")}
    entries = layers["prediction_decided_8"].findall("pipe/rasterrenderer[@type='paletted']/colorPalette/paletteEntry")
    assert [(e.get("value"), e.get("label")) for e in entries] == list(zip(("-1", "0", "1"), layer.classes))
    colours = Scale.of(layer, [[0.0]]).class_colours
    np.testing.assert_allclose([to_rgb(e.get("color")) for e in entries], [to_rgb(c) for c in colours], atol=1 / 255)
    names = [m.find("layername").text for name, m in layers.items() if name.startswith("regions")]
    assert names == ["districts: Mean of lead", "regions: Mean of lead"]
