"""Grids: the chapter's cells, exact masks, order, and what is refused."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import rasterio.transform
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import geospde as gs
from geospde.errors import InputError
from geospde.prediction.grid import Grid

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def coastline():
    return shapely.Polygon(np.loadtxt(ROOT / "data/rongelap/coastline.csv", delimiter=",", skiprows=1))


@pytest.fixture(scope="module")
def chapter(coastline):
    return Grid.around(coastline, shape=(75, 150), buffer=50)


def blob(seed, islands=2, holes=True):
    """Ragged islands with holes."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(islands):
        angle = np.sort(rng.uniform(0, 2 * np.pi, 40))
        radius = rng.uniform(4, 10, 40)
        ring = np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None] + rng.uniform(-15, 15, 2)
        island = shapely.Polygon(ring).buffer(0)
        parts.append(island.difference(island.centroid.buffer(2.0)) if holes else island)
    return shapely.union_all(parts)


def test_the_chapters_grid_cell_by_cell(chapter):
    expected = np.loadtxt(ROOT / "tests/reference/rongelap/grid.csv", delimiter=",", skiprows=1)
    assert chapter.shape == (75, 150) and chapter.n == 1612
    np.testing.assert_allclose(chapter.centres, expected, rtol=0, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 40))
def test_mask_agrees_with_every_cell_tested_alone(seed, rows, cols):
    region = blob(seed)
    grid = Grid.around(region, shape=(rows, cols))
    everywhere = Grid.from_bounds(region.bounds, shape=(rows, cols))
    meets = shapely.intersects(region, everywhere.cell_polygons())
    np.testing.assert_array_equal(grid.mask.ravel(), meets)


def test_a_cell_that_only_touches_is_predicted():
    grid = Grid.from_bounds((0, 0, 3, 3), shape=(3, 3), within=shapely.box(1, 1, 2, 2))
    assert grid.n == 9


def test_cell_size_snaps_outward_to_whole_multiples():
    grid = Grid.around(shapely.box(13, -27, 88, 49), cell=20)
    assert grid.bounds == (0, -40, 100, 60) and grid.shape == (5, 5)
    assert Grid.from_bounds((0.1, 0.2, 0.7, 0.5), cell=0.1).shape == (3, 6)


def test_order_is_from_the_south_and_images_are_north_up():
    grid = Grid.from_bounds((0, 0, 3, 2), shape=(2, 3))
    np.testing.assert_array_equal(
        grid.centres, [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [0.5, 1.5], [1.5, 1.5], [2.5, 1.5]]
    )
    np.testing.assert_array_equal(grid.to_array(range(6)), [[3, 4, 5], [0, 1, 2]])
    np.testing.assert_array_equal(grid.indices[3], [1, 0])


def test_transform_maps_image_positions_to_centres(chapter):
    number = chapter.to_array(np.arange(chapter.n))
    for row, col in [(0, 140), (40, 100), (74, 17)]:
        if np.isfinite(number[row, col]):
            centre = rasterio.transform.xy(chapter.transform, row, col)
            np.testing.assert_allclose(chapter.centres[int(number[row, col])], centre)
    assert np.isfinite(number).sum() == chapter.n


@pytest.mark.parametrize("height", [1, 7, 75, 256])
def test_strips_hold_every_cell_once(chapter, height):
    image = np.full(chapter.shape, np.nan)
    values = np.arange(chapter.n, dtype=float)
    for strip in chapter.strips(height):
        mask = chapter.mask[strip.rows]
        piece = np.full(mask.shape, np.nan)
        piece[mask] = values[strip.cells]
        image[strip.top : strip.top + len(piece)] = piece[::-1]
    np.testing.assert_array_equal(image, chapter.to_array(values))


def test_domain_may_be_geopandas_or_hold_a_coastline(coastline):
    class Holder:
        crs = "local:m"

    Holder.coastline = coastline
    layer = gpd.GeoDataFrame(geometry=[coastline], crs=32658)
    expected = Grid.around(coastline, cell=50)
    assert Grid.around(layer, cell=50).crs == layer.crs
    assert Grid.around(layer.geometry, cell=50).n == expected.n
    assert Grid.around(Holder(), cell=50).crs.name == "local (m)"
    np.testing.assert_array_equal(Grid.around(Holder(), cell=50).mask, expected.mask)


def test_a_crs_as_text_is_the_same_as_the_object_and_nonsense_is_refused(coastline):
    grid = Grid.around(coastline, cell=50, crs="EPSG:32658")
    assert grid.crs == Grid.around(coastline, cell=50, crs=32658).crs and grid.crs.name == "WGS 84 / UTM zone 58N"
    with pytest.raises(InputError, match="nowhere"):
        Grid.around(coastline, cell=50, crs="nowhere")
    mesh = gs.Mesh([[0, 0], [100, 0], [0, 100]], [[0, 1, 2]])
    table = gpd.GeoDataFrame({"y": [1.0, 2.0, 4.0]}, geometry=gpd.points_from_xy([0, 50, 0], [0, 0, 100]), crs=32658)
    fit = gs.fit("y ~ 1 + spde(mesh)", table, mesh=mesh, method="eb")
    inside = Grid.from_bounds((10, 10, 30, 30), cell=10)
    with pytest.raises(InputError, match="the model is in 'WGS 84 / UTM zone 58N' but .* in 'local \\(m\\)'"):
        fit.predict(Grid(inside.x0, inside.y0, 10, 10, inside.mask, "local:m"))  # ended in an AttributeError


def test_islands_and_holes_are_kept():
    region = shapely.box(0, 0, 10, 10) - shapely.box(3, 3, 7, 7) | shapely.box(20, 0, 25, 5)
    grid = Grid.around(region, cell=1)
    image = grid.to_array(np.ones(grid.n))[::-1]
    assert np.isnan(image[5, 5]) and np.isnan(image[5, 15]) and image[2, 22] == 1


def test_a_transect_with_a_buffer_is_a_region():
    assert Grid.around(shapely.LineString([(0, 0), (100, 0)]), buffer=5, cell=1).n > 1000


def test_a_region_and_a_whole_rectangle_by_default():
    grid = Grid.around(shapely.box(0, 0, 300, 100))
    assert grid.shape == (50, 150) and grid.dx == grid.dy == 2


def test_grids_do_not_change(chapter):
    with pytest.raises(ValueError):
        chapter.mask[0, 0] = True
    with pytest.raises(AttributeError):
        chapter.dx = 1.0


def test_equal_grids_compare_equal(coastline, chapter):
    assert Grid.around(coastline, shape=(75, 150), buffer=50) == chapter
    assert Grid.around(coastline, shape=(75, 150), buffer=40) != chapter


def test_like_a_raster_with_nodata(tmp_path):
    image = np.ones((1, 4, 6), dtype="float32")
    image[0, 0, 0] = np.nan  # north-west
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 1_200_000)
    path = tmp_path / "depth.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=6, height=4, count=1, dtype="float32", nodata=np.nan, crs=32658,
        transform=transform,
    ) as sink:  # fmt: skip
        sink.write(image)
    grid = Grid.like(path)
    assert grid.n == 23 and grid.shape == (4, 6) and not grid.mask[3, 0]
    assert grid.transform == transform and grid.crs.to_epsg() == 32658
    assert Grid.like(path, within=shapely.box(500_001, 1_199_961, 500_009, 1_199_969)).n == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": (0, 10)}, "two positive whole numbers"),
        ({"shape": (3.5, 10)}, "two positive whole numbers"),
        ({"shape": 10}, "two positive whole numbers"),
        ({"cell": -1}, "positive number"),
        ({"cell": float("nan")}, "positive number"),
        ({"cell": 2000}, "larger than the whole region"),
        ({"cell": 0.001}, "use cells of 0.101 or larger"),
        ({"shape": (10**6, 10**6)}, "too large"),
        ({"cell": 10, "shape": (3, 3)}, "one of the two"),
        ({"cell": 10, "buffer": float("inf")}, "finite"),
        ({"cell": 10, "buffer": -600}, "no area"),
    ],
)
def test_options_that_make_no_grid_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        Grid.around(shapely.box(0, 0, 1000, 1000), **options)


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (shapely.Polygon(), "empty"),
        (shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), r"the region crosses itself near \(0.5, 0.5\)"),
        ("Rongelap", "not str"),
        (shapely.Point(0, 0), "no area"),
    ],
)
def test_regions_that_are_no_polygon_are_refused(domain, words):
    with pytest.raises(InputError, match=words):
        Grid.around(domain, cell=0.1)


def test_values_of_another_length_are_refused(chapter):
    with pytest.raises(InputError, match="1612 predicted cells"):
        chapter.to_array(np.zeros(3))


def test_a_region_in_another_crs_is_refused(coastline):
    with pytest.raises(InputError, match="one CRS"):
        Grid.from_bounds((166.8, 11.1, 167.0, 11.2), cell=0.01, within=coastline)


def test_a_missing_or_rotated_raster_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        Grid.like(tmp_path / "none.tif")
    path = tmp_path / "rotated.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=2,
        height=2,
        count=1,
        dtype="uint8",
        transform=rasterio.Affine(1, 1, 0, 1, -1, 0),
    ) as sink:
        sink.write(np.ones((1, 2, 2), dtype="uint8"))
    with pytest.raises(InputError, match="rotated"):
        Grid.like(path)


def test_a_grid_remembers_the_land_without_the_buffer(coastline, chapter):
    assert chapter.domain.equals(coastline) and chapter.domain.area < chapter.n * chapter.dx * chapter.dy
    assert Grid.around(shapely.Point(0, 0), buffer=5, cell=1).domain is None
    assert Grid.from_bounds((0, 0, 10, 10), cell=1).domain is None


def test_a_survey_without_a_coastline_stands_for_the_hull_of_its_sites():
    survey = gs.read_survey(pd.DataFrame({"x": [0, 100, 0], "y": [0, 0, 100]}), crs="local:m")
    assert Grid.around(survey, cell=10).domain.area == 5000
