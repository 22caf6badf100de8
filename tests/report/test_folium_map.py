"""`surface.explore()` and `fit.explore()`: pages that need no network but for Leaflet itself, in the right place."""

import sys

import numpy as np
import pandas as pd
import pytest
from pyproj import Transformer

import geospde as gs
from geospde.plots.scale import Scale
from geospde.report.folium_map import _image

folium = pytest.importorskip("folium")


def fitted(crs):
    rng = np.random.default_rng(2)
    xy = rng.uniform(0, 10_000, (60, 2)) + ([500_000, 5_600_000] if crs == "EPSG:32632" else [0, 0])
    table = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "village": [f"v{i}" for i in range(60)]})
    table["cases"] = rng.poisson(np.exp(1 + np.sin(xy[:, 0] / 2000)))
    table.to_csv("sites.csv", index=False)
    survey = gs.read_survey("sites.csv", crs=crs)
    mesh = gs.build_mesh(sites=survey.points, max_edge=(1500, 3000), offset=2000)
    fit = gs.fit("cases ~ 1 + spde(mesh)", survey.points, mesh=mesh, family="poisson", method="eb")
    return survey, fit, fit.predict(gs.Grid.around(survey.domain, cell=500, crs=survey.crs), exceed=[3])


@pytest.fixture(scope="module", params=["EPSG:32632", "local:m"])
def explored(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("explored"))
        return fitted(request.param)


def test_a_surface_lies_where_it_is(explored):
    survey, _, surface = explored
    page = surface.explore(sites=survey)
    html = page.get_root().render()
    assert "v17" in html and "tile.openstreetmap" not in html
    (overlay,) = [c for c in page._children.values() if isinstance(c, folium.raster_layers.ImageOverlay)]
    (south, west), (north, east) = overlay.bounds
    bounds = surface.grid.bounds
    if survey.crs.to_epsg() == 32632:
        bounds = Transformer.from_crs(32632, 4326, always_xy=True).transform_bounds(*bounds)
        cell = 0.008  # degrees of longitude: a cell, which the picture may begin with or end on
        assert (west, south, east, north) == pytest.approx(bounds, abs=cell)
        assert "EPSG3857" in html
    else:
        assert (west, south, east, north) == pytest.approx(bounds)
        assert "CRS.Simple" in html and '"minZoom": -20' in html


def test_pixels_have_the_colours_of_their_cells(explored):
    survey, _, surface = explored
    values = surface.values("mean")
    scale = Scale.over([values])
    image, ((south, west), (north, east)) = _image(surface.grid, values, scale, survey.crs)
    centres = surface.grid.centres[[5, 90, 150]]
    if survey.crs.to_epsg() == 32632:
        to_screen = Transformer.from_crs(32632, 3857, always_xy=True).transform
        (west, east), (south, north) = Transformer.from_crs(4326, 3857, always_xy=True).transform(
            [west, east], [south, north]
        )
        centres = np.column_stack(to_screen(*centres.T))
    col = ((centres[:, 0] - west) / (east - west) * image.shape[1]).astype(int)
    row = ((north - centres[:, 1]) / (north - south) * image.shape[0]).astype(int)
    want = scale.mappable.to_rgba(values[[5, 90, 150]], bytes=True)
    assert np.array_equal(image[row, col], want)
    if survey.crs.to_epsg() == 32632:
        assert (image[..., 3] == 0).any()  # beside the grid, which is turned against the screen


def test_the_sites_of_a_fit_with_their_names(explored):
    survey, fit, surface = explored
    page = fit.explore()
    html = page.get_root().render()
    assert "v17" in html and "q0.975" in html and "tile.openstreetmap" not in html
    assert fit.explore("cases", m=surface.explore()) is not None
    assert "v17" in fit.explore("village").get_root().render()
    points = fit.predict(survey.points.head(8))
    assert "q0.975" not in points.explore().get_root().render()


def test_basemaps_only_where_asked_for_and_possible(explored):
    survey, fit, surface = explored
    if survey.crs.to_epsg() == 32632:
        assert "tile.openstreetmap" in surface.explore(tiles="OpenStreetMap").get_root().render()
        for tiles in ("OpenStreetmaps", 7):
            with pytest.raises(gs.InputError, match=f"there are no tiles {tiles!r}: give a name that folium knows"):
                surface.explore(tiles=tiles)
    else:
        with pytest.raises(gs.InputError, match="local frame has no place on Earth"):
            fit.explore(tiles="OpenStreetMap")


def test_mistakes(explored, monkeypatch):
    _, fit, surface = explored
    with pytest.raises(gs.InputError, match="no column 'vilage': did you mean 'village'"):
        fit.explore("vilage")
    with pytest.raises(gs.InputError, match="no column 'exceed_4'"):
        surface.explore("exceed_4")
    monkeypatch.setitem(sys.modules, "folium", None)
    with pytest.raises(gs.InputError, match=r"needs folium; pip install|needs folium.*geospde\[explore\]"):
        surface.explore()
