"""Contours of fields whose contours are known."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from layered import layered

from geospde.errors import InputError
from geospde.export.contours import contour_lines, round_levels
from geospde.prediction.grid import Grid
from geospde.survey.crs import parse_crs

LAND = shapely.box(0, 0, 4000, 3000) - shapely.Point(1500, 1500).buffer(400)


def predicted(function, domain=LAND, crs="local:m", **options):
    grid = Grid.around(domain, crs=parse_crs(crs), **(options or {"cell": 50}))
    x, y = grid.centres.T
    frame = pd.DataFrame({"x": x, "y": y, "mean": function(x, y)})
    return layered(frame, "depth", grid)


def test_contours_of_a_cone_are_circles():
    lines = contour_lines(predicted(np.hypot, shapely.Point(0, 0).buffer(3000)), levels=[500, 1000, 2000])
    assert list(lines["level"]) == [500, 1000, 2000]
    for level, line in zip(lines["level"], lines.geometry):
        assert line.is_closed
        # on a triangle's side of length h the chord of a circle of radius r is off by h² / 8r at most
        radii = np.hypot(*shapely.get_coordinates(line).T)
        assert np.abs(radii - level).max() < 50**2 / (8 * level) * 2
        assert line.length == pytest.approx(2 * np.pi * level, rel=2e-3)  # chords are shorter, by (h / r)² / 24


def test_contours_of_a_plane_are_straight_and_where_they_belong():
    lines = contour_lines(predicted(lambda x, y: 3 * x - y), levels=[2000])
    x, y = shapely.get_coordinates(lines.union_all()).T
    np.testing.assert_allclose(3 * x - y, 2000, atol=1e-6)  # coordinates of thousands, in double precision


def test_no_contour_leaves_the_predicted_cells():
    surface = predicted(lambda x, y: np.sin(x / 300) + np.cos(y / 200))
    lines = contour_lines(surface)
    assert len(lines) > 20
    cells = shapely.union_all(surface.grid.cell_polygons())
    assert cells.buffer(1e-6).covers(lines.union_all())
    assert not lines.intersects(shapely.Point(1500, 1500).buffer(300)).any(), "the hole stays empty"


def test_contours_are_cut_at_the_land_they_are_wanted_within():
    surface, land = predicted(lambda x, y: y), shapely.box(500, 500, 1000, 2500)
    whole, cut = contour_lines(surface, levels=[600, 2100]), contour_lines(surface, levels=[600, 2100], within=land)
    assert land.buffer(1e-6).covers(cut.union_all())
    assert cut.length.sum() == pytest.approx(2 * 500) and whole.length.sum() > 4 * 500
    assert (cut.geom_type == "LineString").all()
    corner = contour_lines(surface, levels=[600], within=shapely.Polygon([(0, 0), (600, 600), (0, 500)]))
    assert corner.empty, "a line that touches the land in a point is none"


def test_contours_go_through_a_geopackage(tmp_path):
    lines = contour_lines(predicted(lambda x, y: x + y, crs="EPSG:32658"))
    lines.to_file(tmp_path / "contours.gpkg", layer="contours")
    back = gpd.read_file(tmp_path / "contours.gpkg")
    assert back.crs == "EPSG:32658" and list(back["level"]) == list(lines["level"])
    assert back.geometry.geom_equals_exact(lines.geometry, 1e-9).all()


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [(2.13, 11.7, 1), (0.0, 1.0, 0.1), (-31.0, 88.0, 20), (1e-5, 4.1e-4, 5e-5), (3e6, 3.9e6, 1e5)],
)
def test_levels_are_round_and_inside(low, high, step):
    levels = round_levels(np.linspace(low, high, 50))
    assert 4 <= len(levels) <= 10 and low < levels[0] and levels[-1] < high
    np.testing.assert_allclose(np.diff(levels), step, rtol=1e-9)
    np.testing.assert_allclose(levels / step, np.round(levels / step), rtol=1e-9, atol=1e-9)


def test_a_few_extremes_do_not_take_the_levels_from_the_rest():
    values = np.append(np.linspace(0, 10, 999), 1e6)
    levels = round_levels(values)
    assert len(levels) >= 5 and levels.max() <= 10


@pytest.mark.parametrize("options", [{"shape": (1, 4)}, {"shape": (3, 1)}])
def test_what_has_no_contours_gives_none(options):
    assert contour_lines(predicted(lambda x, y: x + y, shapely.box(0, 0, 4, 3), **options)).empty
    flat = contour_lines(predicted(lambda x, y: 0 * x + 7))
    assert flat.empty and list(flat.columns) == ["level", "geometry"] and flat.crs is not None


def test_a_mistake_is_one_sentence():
    surface = predicted(np.hypot)
    with pytest.raises(InputError, match="no column 'maen': did you mean 'mean'"):
        contour_lines(surface, "maen")
    with pytest.raises(InputError, match="finite numbers, not"):
        contour_lines(surface, levels=[1, np.nan])
    with pytest.raises(InputError, match="on a Grid"):
        contour_lines(layered(surface.to_frame(), "depth"))
