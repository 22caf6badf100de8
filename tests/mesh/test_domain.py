"""Polygons as users have them, and the hulls around them."""

import geopandas as gpd
import numpy as np
import pytest
import shapely

from geospde.errors import InputError
from geospde.mesh.domain import common_crs, diameter, nonconvex_hull
from geospde.survey.polygons import as_region

SQUARE = shapely.box(0, 0, 4, 4)
LAKE = SQUARE - shapely.box(1, 1, 3, 3)


@pytest.mark.parametrize(
    "layer",
    [
        SQUARE,
        SQUARE.exterior,
        shapely.LineString(SQUARE.exterior.coords),
        shapely.MultiPolygon([SQUARE]),
        np.array([[0, 0], [4, 0], [4, 4], [0, 4]]),  # open
        [[0, 0], [0, 4], [4, 4], [4, 0], [0, 0]],  # closed, clockwise
        gpd.GeoSeries([SQUARE]),
        gpd.GeoDataFrame(geometry=[SQUARE, None, shapely.Polygon()]),
        [shapely.box(0, 0, 3, 4), shapely.box(2, 0, 4, 4)],  # overlapping
    ],
)
def test_every_form_of_a_square_is_the_square(layer):
    assert as_region(layer).equals(SQUARE)


def test_holes_and_islands_are_kept():
    both = as_region(gpd.GeoSeries([LAKE, shapely.box(6, 0, 7, 1)]))
    assert both.area == 12 + 1
    assert both.geom_type == "MultiPolygon"


def test_points_stay_points():
    layer = gpd.GeoSeries(gpd.points_from_xy([0, 1, 2], [0, 1, 0]))
    assert as_region(layer).equals(shapely.MultiPoint([[0, 0], [1, 1], [2, 0]]))


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (np.array([[0, 0], [1, 1], [1, 0], [0, 1]]), r"crosses itself.*\(0\.5, 0\.5\)"),
        (shapely.Polygon(), "empty"),
        (gpd.GeoSeries([]), "empty"),
        ([], "."),
        (shapely.LineString([[0, 0], [1, 0], [1, 1]]), "close"),
        (np.array([[0, 0], [1, 1]]), "three"),
        (np.array([[0, 0], [1, 1], [2, 2]]), "line"),
        (np.array([[0, 0], [1, np.nan], [2, 2]]), "not a finite number, row 1"),
        (np.array([[0, 0, 1], [1, 1, 1], [0, 1, 1]]), "k x 2"),
    ],
)
def test_what_is_no_area_is_refused_with_its_place(layer, words):
    with pytest.raises(InputError, match=words):
        as_region(layer)


def test_hull_of_a_square_has_steiners_area():
    hull = nonconvex_hull(SQUARE, convex=1, concave=2)
    assert hull.area == pytest.approx(16 + 16 * 1 + np.pi, rel=1e-3)
    assert nonconvex_hull(SQUARE, convex=-0.1).area == pytest.approx(
        16 + 16 * 0.1 * np.sqrt(32) + np.pi * 0.32, rel=1e-3
    )


def test_closing_rounds_an_inward_corner_to_the_concave_radius():
    ell = SQUARE - shapely.box(2, 2, 4, 4)
    # Between the corner and a circle of radius r that touches both sides lies (1 - pi/4) r².
    assert nonconvex_hull(ell, convex=0, concave=1).area == pytest.approx(12 + 1 - np.pi / 4, rel=1e-3)


@pytest.mark.parametrize(("concave", "holes"), [(0.9, 1), (1.1, 0)])
def test_a_lake_wider_than_the_closing_stays_and_a_narrower_one_is_bridged(concave, holes):
    assert len(nonconvex_hull(LAKE, convex=0, concave=concave).interiors) == holes


@pytest.mark.parametrize(("convex", "pieces"), [(0.9, 2), (1.1, 1)])
def test_two_islands_are_one_domain_when_the_hull_reaches_across(convex, pieces):
    islands = shapely.MultiPolygon([SQUARE, shapely.box(6, 0, 8, 4)])
    assert shapely.get_num_geometries(nonconvex_hull(islands, convex=convex, concave=0)) == pieces


@pytest.mark.parametrize("tolerance", [0, 0.05, 0.5, 5])
@pytest.mark.parametrize("convex", [0, 0.3, 2])
def test_a_simplified_hull_still_covers_what_it_is_around(convex, tolerance):
    star = shapely.Polygon([(r * np.cos(a), r * np.sin(a)) for a, r in zip(np.arange(14) * np.pi / 7, [3, 1] * 7)])
    hull = nonconvex_hull(star, convex=convex, concave=0.5, tolerance=tolerance)
    assert hull.is_valid
    assert hull.covers(star)


@pytest.mark.parametrize("reach", [0.01, 0.05, 0.3, 3])
def test_a_hull_of_points_is_the_union_of_their_circles(reach):
    points = np.random.default_rng(2).uniform(size=(300, 2))
    circles = shapely.union_all(shapely.buffer(shapely.points(points), reach, quad_segs=16))
    hull = nonconvex_hull(shapely.MultiPoint(points), convex=reach, concave=0)
    assert hull.symmetric_difference(circles).area < 2e-3 * circles.area
    assert hull.area == pytest.approx(circles.area, rel=1e-3)


def test_no_reach_leaves_the_polygon_as_it_is():
    assert nonconvex_hull(LAKE, convex=0).equals(LAKE)
    with pytest.raises(InputError, match="points"):
        nonconvex_hull(shapely.MultiPoint([[0, 0], [1, 1]]), convex=0)


def test_diameter_is_fmeshers():
    assert diameter(SQUARE) == pytest.approx(4 * np.sqrt(2))
    assert diameter(shapely.LineString([[1, 1], [1, 3]])) == 2


def test_layers_must_share_one_projected_crs():
    utm = gpd.GeoSeries([SQUARE], crs="EPSG:32658")
    assert common_crs(None, utm, SQUARE) == utm.crs
    with pytest.raises(InputError, match="different CRSs.*to_crs"):
        common_crs(utm, gpd.GeoSeries([SQUARE], crs="EPSG:32659"))
    with pytest.raises(InputError, match="degrees.*UTM zone 58N.*EPSG:32658"):
        common_crs(gpd.GeoSeries([shapely.Point(166.8, 11.3)], crs="EPSG:4326"))
