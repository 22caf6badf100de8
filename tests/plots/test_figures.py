"""Figures: nothing clipped, land painted and sea not, one colour scale, a scale bar of the length it says."""

from types import SimpleNamespace
from warnings import catch_warnings, simplefilter

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from layered import layered
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

import geospde as gs
from geospde.errors import InputError
from geospde.mesh.trimesh import Mesh
from geospde.plots.canvas import SEA, Look, View, colour_bar, sheet
from geospde.plots.drawing import LAND, draw_cells, draw_land, draw_scale_bar
from geospde.plots.figures import observed, save_figures, sites_map
from geospde.plots.maps import layers_map, plot_layer, scale_of
from geospde.plots.scale import Scale
from geospde.prediction.grid import Grid
from geospde.prediction.layer import decided_layer, excursion_layer, mean_layer, probability_layer, quantile_layer
from geospde.report.findings import findings
from geospde.survey.crs import parse_crs

ATOLL = (shapely.Point(478_000, 1_251_000).buffer(1500) - shapely.Point(478_200, 1_251_000).buffer(600)) | (
    shapely.Point(482_000, 1_249_000).buffer(900)
)
DOMAINS = {
    "atoll": (ATOLL, "EPSG:32658", 60, "counts / time"),
    "tall": (shapely.box(0, 0, 300, 4000), "local:m", 20, "becquerel per square metre of caesium / hour"),
    "ribbon": (shapely.box(0, 0, 9000, 200), "local:km", 20, "counts / time"),
    "far north": (shapely.Point(166.8, 72).buffer(0.2), "EPSG:4326", 0.01, "density"),
    "unit square": (shapely.box(0, 0, 1, 1), "local:unit", 0.02, "y"),
}


def prediction_on(domain, crs, cell, label, size=1.0, points=False):
    """Make a prediction with the columns of a real one."""
    grid = Grid.around(domain, cell=cell, buffer=2 * cell, crs=parse_crs(crs))
    x, y = ((grid.centres - grid.centres.min(axis=0)) / np.ptp(grid.centres, axis=0).max()).T
    mean = size * np.exp(np.sin(6 * x) + np.cos(5 * y))
    columns = {"x": grid.centres[:, 0], "y": grid.centres[:, 1], "mean": mean, "sd": 0.4 * mean}
    columns |= {"q0.025": 0.4 * mean, "q0.5": mean, "q0.975": 2 * mean, "exceed_8": np.sin(mean / size) ** 2}
    frame = pd.DataFrame(columns)
    return layered(frame, label, None if points else grid, grid.centres, grid.crs)


def survey_on(domain, crs, k=40):
    rng = np.random.default_rng(1)
    low, high = np.reshape(domain.bounds, (2, 2))
    x, y = rng.uniform(low, high, (k, 2)).T
    frame = {"counts": rng.poisson(900, k), "time": np.full(k, 300.0)}
    points = gpd.GeoDataFrame(frame, geometry=gpd.points_from_xy(x, y))
    return SimpleNamespace(points=points, coastline=domain, crs=parse_crs(crs), name="survey")


@pytest.fixture(scope="module", params=DOMAINS)
def case(request):
    domain, crs, cell, label = DOMAINS[request.param]
    return survey_on(domain, crs), prediction_on(domain, crs, cell, label)


@pytest.fixture(scope="module")
def atoll():
    domain, crs, cell, label = DOMAINS["atoll"]
    return survey_on(domain, crs), prediction_on(domain, crs, cell, label)


def drawn(figure):
    """Draw; return the renderer's picture, (height, width, 4) from 0 to 255."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def colour_at(figure, ax, x, y):
    """Colour of the pixel at a place of the map."""
    picture = drawn(figure)
    col, row = ax.transData.transform((x, y))
    return picture[len(picture) - 1 - int(row), int(col)]


def rgb(colour):
    return np.round(255 * np.array(to_rgba(colour)))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1.0, 3e-7])
def test_nothing_leaves_the_figure(case, size):
    survey, prediction = case
    prediction = prediction_on(survey.coastline, prediction.crs, prediction.grid.dx, prediction.label, size)
    for columns in (["mean", "q0.025", "q0.975"], ["sd"], ["exceed_8"]):
        figure = layers_map(prediction, columns, coastline=survey.coastline)
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert width <= 180 / 25.4 + 1e-9 and height <= 230 / 25.4 + 1e-9
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_a_metre_is_as_long_up_as_across(case):
    survey, prediction = case
    figure = layers_map(prediction, ["mean"], coastline=survey.coastline)
    drawn(figure)
    ax = figure.axes[0]
    view = View.of([survey.coastline.bounds], prediction.crs)
    box = ax.get_window_extent()
    np.testing.assert_allclose(box.height / box.width, view.tallness, rtol=1e-6)
    assert 1 / 4 < view.tallness < 4


def test_degrees_are_shortened_towards_the_pole():
    view = View.of([(166, 59.5, 167, 60.5)], 4326)
    np.testing.assert_allclose(view.stretch, 2.0, rtol=1e-6)
    length, label = view.scale_bar()
    assert label.endswith("km")
    np.testing.assert_allclose(length * 111.32 * 0.5, float(label.split()[0]), rtol=1e-6)


@pytest.mark.slow
def test_land_is_painted_and_sea_and_lagoon_are_not(atoll):
    survey, prediction = atoll
    scale = scale_of(prediction, ["mean"], coastline=ATOLL)
    rim = (478_000, 1_251_000 + 1500 + 60)  # a predicted cell in the sea
    for place, painted in [((477_000, 1_251_000), True), ((478_200, 1_251_000), False), (rim, False)]:
        figure = layers_map(prediction, ["mean"], coastline=ATOLL, scale=scale)
        colour = colour_at(figure, figure.axes[0], *place)
        assert np.abs(colour - rgb(SEA)).max() > 20 if painted else np.abs(colour - rgb(SEA)).max() <= 1
    figure = layers_map(prediction, ["mean"], coastline=ATOLL, scale=scale, crop=False)
    assert np.abs(colour_at(figure, figure.axes[0], *rim) - rgb(SEA)).max() > 20


def test_a_cell_has_the_colour_of_its_value_where_it_lies(atoll):
    _, prediction = atoll
    frame = prediction.to_frame()
    scale = scale_of(prediction, ["mean"], coastline=ATOLL)
    inside = np.flatnonzero(shapely.intersects_xy(ATOLL.buffer(-100), prediction.points))
    figure = layers_map(prediction, ["mean"], coastline=ATOLL, scale=scale)
    for i in inside[:: len(inside) // 5]:
        expected = 255 * np.array(scale.mappable.to_rgba(frame["mean"][i]))
        assert np.abs(colour_at(figure, figure.axes[0], *prediction.points[i]) - expected).max() <= 2


@pytest.mark.parametrize("shape", [(700, 299), (701, 300), (50, 601)])
def test_a_picture_of_many_cells_stays_in_place(monkeypatch, shape):
    monkeypatch.setattr("geospde.plots.drawing._FINEST", 60)
    rows, cols = shape
    ax = Figure().subplots()
    east = np.broadcast_to(np.arange(cols) + 0.5, shape)
    painted = draw_cells(ax, east, (0, 0, cols, rows))
    assert max(painted.get_array().shape) <= 60
    for x, y in [(3, 2), (cols / 2, rows / 2), (cols - 1, rows - 1)]:
        west, right, south, north = painted.get_extent()
        image = painted.get_array()
        i = int((north - y) / (north - south) * image.shape[0])
        j = int((x - west) / (right - west) * image.shape[1])
        assert north == rows and abs(image[i, j] - x) <= np.ceil(max(shape) / 60) / 2 + 1


def test_mean_and_limits_share_one_scale(atoll):
    _, prediction = atoll
    figure = layers_map(prediction, ["mean", "q0.025", "q0.975"], coastline=ATOLL)
    limits = {image.get_clim() for ax in figure.axes for image in ax.images}
    assert len([ax for ax in figure.axes if ax.images]) == 3 and len(limits) == 1
    low, high = limits.pop()
    values = prediction.to_frame()[["mean", "q0.025", "q0.975"]].to_numpy()
    assert high >= values[:, 1].max()
    assert values.min() < low < np.quantile(values, 0.05)  # of logarithms, from the lowest hundredth of those on land


def test_a_few_huge_values_end_in_an_arrow_that_says_how_far_they_go():
    values = np.r_[np.linspace(2, 10, 999), 500.0]
    scale = Scale.over([values])
    assert scale.high < 11 and scale.largest == 500 and scale.low == 0
    assert Scale.over([values[:-1]]).high == 10


def test_the_arrow_tells_of_painted_cells_only():
    prediction = prediction_on(*DOMAINS["atoll"])
    in_the_sea = shapely.distance(ATOLL, shapely.points(prediction.points)).argmax()
    prediction.frame.loc[in_the_sea, "mean"] = 5000.0
    for crop in (True, False):
        figure = layers_map(prediction, ["mean"], coastline=ATOLL, crop=crop)
        assert ("up to 5,000" in figure.axes[-1].get_ylabel()) is not crop


def test_scales_of_constant_and_missing_values():
    few = Scale.over([np.append(np.zeros(995), [0.01, 0.02, 0.02, 0.02, 0.03])])
    assert few.low == 0 and 0.02 < few.high <= 0.03  # a map that is zero but for five cells
    constant = Scale.over([np.full(5, 3.0)])
    assert constant.low < 3 < constant.high
    assert Scale.over([np.full(5, np.nan)]) == Scale(0.0, 1.0, 1.0)
    signed = Scale.over([np.linspace(-2, 2, 100)])
    assert (signed.low, signed.high) == (-2, 2)


def test_probabilities_run_from_zero_to_one(atoll):
    _, prediction = atoll
    figure = layers_map(prediction, ["exceed_8"], coastline=ATOLL)
    assert figure.axes[0].images[0].get_clim() == (0, 1)
    assert figure.axes[0].get_title(loc="left") == "Probability that counts / time is above 8"


def test_the_scale_bar_is_as_long_as_it_says_and_off_the_land():
    view = View.of([(0, 0, 6000, 4000)], "local:m")
    figure, (ax,), _, _ = sheet(view)
    land = shapely.box(3000, 0, 6000, 2000)
    draw_land(ax, land)
    draw_scale_bar(ax, view, land)
    bar = ax.patches[1]
    assert ax.texts[0].get_text() == "1 km" and bar.get_width() == 1000
    assert not land.intersects(shapely.box(bar.get_x(), bar.get_y(), bar.get_x() + 1000, bar.get_y() + 50))
    np.testing.assert_array_equal(colour_at(figure, ax, 5800, 1000)[:3], rgb(LAND)[:3])


@pytest.mark.parametrize(
    ("extent", "crs", "label"),
    [(10.0, "local:m", "2 m"), (6400, "local:m", "1 km"), (2.0, "local:km", "200 m"), (700, "local:ft", "100 ft")],
)
def test_scale_bars_are_round(extent, crs, label):
    assert View.of([(0, 0, extent, extent)], crs, margin=0).scale_bar()[1] == label


def test_no_unit_no_scale_bar():
    assert View.of([(0, 0, 1, 1)], "local:unit").scale_bar() is None
    assert View.of([(0, 0, 1, 1)]).scale_bar() is None


@pytest.mark.slow
def test_the_whole_set_of_files(atoll, tmp_path):
    survey, prediction = atoll
    box = [[476_000, 1_247_500], [484_000, 1_247_500], [484_000, 1_253_000], [476_000, 1_253_000]]
    mesh = Mesh(box, [[0, 1, 2], [0, 2, 3]], parse_crs(32658))
    rates = observed(survey.points, prediction.label)
    fit = SimpleNamespace(
        model=SimpleNamespace(recipe=None),
        fitted=pd.DataFrame({"mean": rates, "q0.025": 0.9 * rates, "q0.975": 1.1 * rates}),
    )
    options = {"survey": survey, "mesh": mesh, "fit": fit, "prediction": prediction}
    paths = save_figures(tmp_path / "figures", **options, dpi=60)
    names = ["maps", "mean", "lower", "upper", "sd", "exceed_8", "observed", "fitted", "mesh"]
    assert [path.name for path in paths] == [f"{name}.png" for name in names]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert save_figures(tmp_path / "mesh", mesh=mesh, dpi=60)[0].name == "mesh.png"


def test_a_small_map_of_no_land_is_left_out():
    """Without a coastline it showed the map itself, and hid a part of it."""
    prediction = prediction_on(*DOMAINS["unit square"])
    with_inset = layers_map(prediction, ["mean"], look=Look(inset=True))
    assert len(with_inset.axes[0].child_axes) == len(layers_map(prediction, ["mean"]).axes[0].child_axes)
    whole = layers_map(prediction, ["mean"], look=Look(inset=shapely.box(-1, -1, 2, 2)))
    assert len(whole.axes[0].child_axes) == len(with_inset.axes[0].child_axes) + 1
    same = layers_map(prediction, ["mean"], coastline=shapely.box(0, 0, 1, 1), look=Look(inset=True))
    assert len(same.axes[0].child_axes) == len(with_inset.axes[0].child_axes)


def test_a_prediction_at_points_is_drawn_as_points():
    prediction = prediction_on(*DOMAINS["atoll"], points=True)
    figure = layers_map(prediction, ["mean", "sd"])
    assert [len(ax.collections[0].get_offsets()) for ax in figure.axes[:2]] == 2 * [len(prediction.points)]


def test_plot_draws_into_given_axes_with_a_bar_of_their_height(atoll):
    _, prediction = atoll
    figure = Figure(figsize=(4, 6))
    ax = plot_layer(prediction, "sd", coastline=ATOLL, ax=figure.subplots())
    drawn(figure)
    bar = ax.child_axes[0].get_window_extent()
    np.testing.assert_allclose(bar.height, ax.get_window_extent().height, rtol=1e-6)


def test_plot_makes_a_pyplot_figure_by_default(atoll):
    from matplotlib import pyplot as plt

    with catch_warnings():
        simplefilter("ignore")
        plt.switch_backend("agg")
    ax = plot_layer(atoll[1])
    assert plt.gcf() is ax.get_figure() and ax.get_title(loc="left") == "Posterior mean"
    plt.close("all")


def test_an_unknown_column_is_named(atoll):
    with pytest.raises(InputError, match="'meen'.*did you mean 'mean'"):
        layers_map(atoll[1], ["meen"])


def test_a_folder_that_cannot_be_made_is_refused(atoll, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the figures"):
        save_figures(tmp_path / "file" / "figures", prediction=atoll[1])


def test_observed_rates(atoll):
    survey, _ = atoll
    np.testing.assert_allclose(observed(survey.points, "counts / time"), survey.points["counts"] / 300)
    np.testing.assert_array_equal(observed(survey.points, "counts"), survey.points["counts"])
    assert observed(survey.points, "log(counts)") is None


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (quantile_layer(0.05), "Lower limit (5 % quantile)"),
        (quantile_layer(0.5), "Median"),
        (probability_layer(0.5), "Probability that y is above 0.5"),
    ],
)
def test_headings(layer, words):
    assert layer.with_label("y").title == words


@pytest.mark.parametrize(
    "layer", [probability_layer(0.3), excursion_layer(0.3), decided_layer(0.3, 0.95), mean_layer()]
)
def test_no_probability_is_of_a_probability(layer):
    told = layer.with_label("probability of infection")
    for words in (told.title, told.short, told.axis, told.caption):
        assert "robability of probability" not in words
    assert "infection" in told.title or told.axis == "probability of infection"


def test_a_label_in_words_stands_on_title_and_colour_bar(atoll):
    _, prediction = atoll
    figure = layers_map(prediction, ["exceed_8"], label="counts per second")
    assert figure.axes[0].get_title(loc="left") == "Probability that counts per second is above 8"
    ax = plot_layer(prediction, label="counts per second", ax=Figure().subplots())
    assert ax.child_axes[0].get_ylabel().startswith("counts per second")


@pytest.mark.slow
def test_plot_paints_the_grid_s_land_when_no_coastline_is_given(atoll):
    _, prediction = atoll
    rim = (478_000, 1_251_000 + 1500 + 60)  # a predicted cell in the sea
    for crop, painted in [(True, False), (False, True)]:
        figure = Figure(figsize=(6, 4))
        ax = plot_layer(prediction, crop=crop, ax=figure.subplots())
        drawn(figure)
        assert (np.abs(colour_at(figure, ax, *rim) - rgb(SEA)).max() > 20) == painted


@pytest.mark.slow
def test_files_are_of_the_size_and_resolution_asked_for(atoll, tmp_path):
    survey, prediction = atoll
    paths = save_figures(tmp_path, survey=survey, prediction=prediction, dpi=100)
    with Image.open(paths[0]) as picture:
        assert picture.mode == "RGB" and max(abs(d - 100) for d in picture.info["dpi"]) < 0.1
        assert picture.width <= 180 / 25.4 * 100 + 1


@pytest.mark.slow
@pytest.mark.parametrize("response", [[3, 7], [0, 0]])
def test_two_sites_and_constant_values_are_drawn(tmp_path, response):
    land = shapely.box(0, 0, 100, 100)
    sites = gpd.GeoDataFrame({"counts": response, "time": [1.0, 1.0]}, geometry=gpd.points_from_xy([10, 90], [50, 50]))
    for coastline in (land, None):
        survey = SimpleNamespace(points=sites, coastline=coastline, crs=parse_crs("local:m"), name="two")
        grid = Grid.around(land, cell=10)
        mean = np.full(grid.n, float(np.mean(response)))
        frame = pd.DataFrame({"mean": mean, "sd": 0 * mean, "q0.025": mean, "q0.975": mean, "exceed_8": 0 * mean})
        prediction = layered(frame, "counts / time", grid)
        fit = SimpleNamespace(model=SimpleNamespace(recipe=None), fitted=frame.iloc[:2])
        paths = save_figures(tmp_path, survey=survey, fit=fit, prediction=prediction, dpi=50)
        assert len(paths) == 8 and findings(prediction, survey=survey)


def test_of_ordered_classes_it_is_observed_whether_they_are_above_the_first():
    table = pd.DataFrame({"score": [1, 3, 2, 1, 3, 2] * 4, "x": np.arange(24.0)})
    fit = gs.fit("score ~ x", table, family="ordinal", method="ml")
    survey = SimpleNamespace(points=table)
    np.testing.assert_array_equal(observed(survey.points, "score", fit), table["score"] > 1)
    np.testing.assert_array_equal(observed(survey.points, "score"), table["score"])


@pytest.mark.parametrize(
    ("land", "grounds"), [(shapely.box(0, 0, 1000, 1000), 1), (shapely.box(0, 300, 1000, 1000), 0)]
)
def test_a_scale_bar_over_land_has_a_ground_of_its_own(land, grounds):
    """On full land it lay across the border, and its white half was lost."""
    ax = Figure().subplots()
    draw_scale_bar(ax, View(0.0, 0.0, 1000.0, 1000.0, "m"), land)
    assert sum(patch.get_alpha() == 0.8 for patch in ax.patches) == grounds


@pytest.mark.parametrize(("values", "labels"), [
    (np.r_[np.linspace(1e-12, 1e-9, 300), np.geomspace(0.003, 40, 700)], ["0", "0.012", "0.175", "2.65", "40"]),
    (-np.geomspace(1e-3, 3e7, 500), ["−30,000,000", "−240,000", "−1,900", "−200", "0"]),
    (1000 + np.linspace(0, 1, 300) ** 3, ["1,000", "1,000.064", "1,000.512", "1,001"]),
])  # fmt: skip
def test_colours_by_quantiles_are_labelled_with_round_numbers(values, labels):
    scale = Scale.over([values], spacing="quantiles")
    place = Figure().add_axes((0.5, 0.1, 0.05, 0.8))
    colour_bar(place, scale, "lead")
    shown = [label.get_text() for label in place.get_yticklabels()]
    assert set(labels) <= set(shown) and len(shown) == len(set(shown))
    assert scale.low <= values.min() and scale.high >= values.max()


def test_what_was_observed_of_areas_fills_their_polygons():
    shapes = gpd.GeoSeries([shapely.box(2 * i, 0, 2 * i + 2, 3) for i in range(3)])
    points = gpd.GeoDataFrame({"cases": [1.0, 5.0, 9.0]}, geometry=shapes.centroid)
    survey = SimpleNamespace(points=points, coastline=None, crs=parse_crs("local:km"), areas=shapes, word="area")
    ax = sites_map(survey, points["cases"].to_numpy(), "cases").axes[0]
    (painted,) = [c for c in ax.collections if isinstance(c, PathCollection)]
    boxes = [path.get_extents().bounds for path in painted.get_paths()]
    assert boxes == [tuple(shape.bounds[:2]) + (2.0, 3.0) for shape in shapes]
    assert painted.get_array().tolist() == [1.0, 5.0, 9.0]
    assert ax.get_title(loc="left").endswith("in 3 areas")
