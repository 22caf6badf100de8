"""Layers carry their meaning: a new one has its own colours and words wherever layers are shown."""

import inspect
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from layered import layered
from matplotlib import colormaps
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import geospde as gs
from geospde.errors import InputError
from geospde.export.qgis import write_project
from geospde.plots.figures import save_figures
from geospde.plots.maps import plot_panels
from geospde.prediction.computed.registry import LAYERS
from geospde.prediction.difference import difference
from geospde.prediction.grid import Grid
from geospde.prediction.layer import Layer, mean_layer, outer_limits, posterior_layers, probability_layer
from geospde.prediction.layers import Layers
from geospde.prediction.stored import read_prediction
from geospde.report.findings import findings
from geospde.report.webmap import web_map

ROOT = Path(__file__).parents[2]
BAY = shapely.box(0, 0, 2000, 1000)
CAPTION = "Coefficient of variation of counts / time"


@pytest.fixture
def surface():
    grid = Grid.around(BAY, cell=100, crs="EPSG:32632")
    x, y = grid.centres.T
    mean = 4 + x / 500
    columns = {"mean": mean, "sd": 0.1 * mean + y / 5000, "q0.025": 0.5 * mean, "q0.975": 2 * mean}
    return layered(pd.DataFrame({"x": x, "y": y, **columns, "exceed_8": x / 2000}), grid=grid)


@pytest.fixture
def survey():
    sites = gpd.points_from_xy([200, 900], [300, 600], crs=32632)
    points = gpd.GeoDataFrame({"counts": [3, 7], "time": [1.0, 1.0]}, geometry=sites)
    return SimpleNamespace(points=points, coastline=BAY, crs=points.crs, name="bay")


def test_layers_are_told_in_whole_sentences():
    """A threshold at the end of a sentence is multiplied, too, and what is predicted has its article inside one."""
    rare = probability_layer(0.005).with_label("deaths per 1,000 population", 1000.0)
    assert rare.title == "Probability that deaths per 1,000 population is above 5"
    assert rare.caption == "Posterior probability that deaths per 1,000 population is above 5."
    seen = probability_layer(0.4).with_label("chance of present")
    assert seen.title == "Probability that the chance of present is above 0.4"
    assert mean_layer().description("chance of present") == "posterior mean of the chance of present"
    assert mean_layer().with_label("chance of present").axis == "chance of present"


# ---- one more layer ------------------------------------------------------------------------------------------


def test_a_new_layer_is_what_it_was_computed_to_be_and_leaves_the_others_alone(surface):
    more = surface.with_layer("cv")
    np.testing.assert_array_equal(more.values("cv"), surface.values("sd") / surface.values("mean"))
    pd.testing.assert_frame_equal(more.to_frame().drop(columns="cv"), surface.to_frame())
    assert "cv" not in surface.to_frame() and more.layers[:-1] == surface.layers and type(more) is type(surface)


def test_layers_are_taken_by_name(surface):
    np.testing.assert_array_equal(surface["mean"], surface.values("mean"))
    assert "sd" in surface and "variance" not in surface and list(surface) == [layer.name for layer in surface.layers]
    with pytest.raises(gs.InputError, match="has no column 'maen': did you mean 'mean'"):
        surface["maen"]


def test_a_new_layer_is_drawn_in_its_colours_with_its_words(surface):
    more = surface.with_layer("cv")
    ax = more.plot("cv", Figure().subplots(), label="counts per second")
    assert ax.get_title(loc="left") == "Coefficient of variation"
    assert ax.images[0].get_cmap() == colormaps["magma"] and ax.images[0].get_clim()[0] == 0
    assert ax.child_axes[0].get_ylabel() == "standard deviation over mean"
    titles = [ax.get_title(loc="left") for ax in plot_panels(more, ax=Figure().subplots(2, 3))]
    assert titles[-1] == "Coefficient of variation" and len(titles) == 6


@pytest.mark.slow
def test_a_new_layer_has_a_figure_a_band_a_variable_a_style_and_a_place_on_the_page(surface, survey, tmp_path):
    from geospde.report.report import _further, _pictures

    more = surface.with_layer("cv")
    paths = save_figures(tmp_path / "figures", survey=survey, prediction=more, dpi=40)
    assert "cv" in [path.stem for path in paths]
    pictures = _pictures(paths, more, "counts / time", "site")
    assert [p.caption for p in _further(pictures, more)][-1] == f"{CAPTION}: its standard deviation over its mean."
    variable = more.to_xarray(units="s-1")["cv"]
    assert variable.attrs["units"] == "1" and variable.attrs["long_name"] == CAPTION[0].lower() + CAPTION[1:]
    more.to_raster(tmp_path / "prediction.tif")
    with rasterio.open(tmp_path / "prediction.tif") as raster:
        assert raster.descriptions[-1] == "cv" and raster.tags(6)["TITLE"] == "Coefficient of variation"
    write_project(tmp_path, survey=survey, prediction=more)
    with zipfile.ZipFile(tmp_path / "project.qgz") as archive:
        assert 'name="Coefficient of variation"' in archive.read("project.qgs").decode()
    page = web_map(survey=survey, prediction=more).data
    band = page["bands"][-1]
    scale = page["scales"][band["scale"]]
    assert (band["title"], scale["kind"], scale["low"]) == ("Coefficient of variation", "cv", 0.0)
    assert scale["ramp"][:6] == bytes(colormaps["magma"](0, bytes=True)[:3]).hex()


@pytest.mark.parametrize("cog", [False, True])
def test_a_stored_prediction_has_its_layers_again(surface, tmp_path, cog):
    made = Layer("wide", title="Width of {label}", unit="m", limits=(0, None), centre=None, colours="magma", level=0.25)
    more = surface.with_layer("cv").with_layer(made, surface.values("q0.975") - surface.values("q0.025"))
    more.to_raster(tmp_path / "prediction.tif", cog=cog)
    more.to_frame().to_csv(tmp_path / "grid.csv", index=False)
    back = read_prediction(tmp_path, more.label, crs=more.crs)
    assert back.layers == more.layers and back.grid == more.grid
    for layer in more.layers:
        np.testing.assert_allclose(back.values(layer.name), more.values(layer.name), rtol=1e-15)
    more.with_layer(Layer("late"), more.values("sd")).to_frame().to_csv(tmp_path / "grid.csv", index=False)
    with pytest.raises(InputError, match="does not say what the column 'late' of grid.csv is: predict again"):
        read_prediction(tmp_path, more.label, crs=more.crs)


@pytest.mark.parametrize("computed", LAYERS, ids=lambda computed: computed.layer.name)
def test_every_computed_layer_says_what_it_is(computed, surface):
    layer = computed.layer
    assert layer.title != layer.name and layer.colours in colormaps and layer.caption.endswith(".")
    assert np.isfinite(surface.with_layer(layer.name).values(layer.name)).all()


def test_a_ratio_to_a_mean_that_is_not_positive_is_none(surface):
    frame = surface.to_frame().assign(mean=np.linspace(-1, 1, len(surface.frame)))
    cv = layered(frame, grid=surface.grid).with_layer("cv").values("cv")
    assert np.isnan(cv[frame["mean"] <= 0]).all() and (cv[frame["mean"] > 0] > 0).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("cvs",), "no layer 'cvs' can be computed: did you mean 'cv'"),
        (("cv", [1.0]), r"values need a layer that says what they mean: with_layer\(gs.Layer\('cv'\), ...\)"),
        ((Layer("sd"), [1.0]), "there is a layer 'sd' already"),
        ((Layer("cv"), [1.0, 2.0]), r"needs a number for each of the 200 places, not an array of shape \(2,\)"),
        ((Layer("cv"), None), "needs a number for each of the 200 places, not nothing"),
        ((Layer("cv"), ["a"] * 200), "must be numbers"),
        ((Layer("cv"), lambda surface: surface.values("maen")), "no column 'maen': did you mean 'mean'"),
        ((3, [1.0]), "a layer is a gs.Layer or the name of a computed one, not int"),
    ],
)
def test_what_is_no_layer_is_told(surface, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        surface.with_layer(*arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "a/b"}, "'a/b' will not do"),
        ({"name": "x"}, "not x or y: 'x' will not do"),
        ({"name": ""}, "'' will not do"),
        ({"name": 3}, "3 will not do"),
        ({"name": "a", "kind": "quantil"}, "did you mean 'quantile'"),
        ({"name": "a", "limits": (1, 0)}, r"limits of layer 'a' are \(low, high\)"),
        ({"name": "a", "limits": 3}, "limits of layer 'a'"),
        ({"name": "a", "limits": (0, np.inf)}, "limits of layer 'a'"),
    ],
)
def test_a_layer_that_cannot_be_is_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        Layer(**arguments)


def test_thresholds_that_one_name_cannot_tell_apart_are_refused():
    with pytest.raises(InputError, match=r"8.0 and 8.000000000000002 are too near: .* called 'exceed_8'"):
        posterior_layers((), (8, 8.000000000000002))
    assert [layer.name for layer in posterior_layers((0.5, 0.5), (8, 8.0))] == ["mean", "sd", "q0.5", "exceed_8"]
    names = [layer.name for layer in posterior_layers((), (1e6, 8.0000001))]
    assert names == ["mean", "sd", "exceed_1000000", "exceed_8.0000001"]


def test_limits_are_the_outermost_quantiles_whatever_their_order():
    lower, upper = outer_limits(posterior_layers((0.9, 0.025, 0.5, 0.1, 0.975)))
    assert (lower.level, upper.level) == (0.025, 0.975)
    assert outer_limits(posterior_layers((0.5, 0.9))) is None


def test_a_difference_is_white_at_zero(surface):
    frame = surface.to_frame()
    above = layered(frame.assign(mean=frame["mean"] + frame["x"] / 100 - 2), grid=surface.grid)
    ax = difference(above, surface).plot("mean", Figure().subplots())
    low, high = ax.images[0].get_clim()
    assert low == -high == -17.5 and ax.images[0].get_cmap() == colormaps["RdBu_r"]


def test_a_fit_without_priors_has_estimates_and_no_posterior():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"x1": rng.normal(size=40), "g": np.repeat(list("abcde"), 8)})
    table["y"] = 5 + table["x1"] + np.repeat(range(5), 8) + rng.normal(size=40)
    fit = gs.fit("y ~ x1 + (1 | g)", table, method="reml")
    made = fit.predict(table.head(3), exceed=[4])
    words = [layer.with_label("y") for layer in made.layers]
    assert [layer.title for layer in words[:3]] == ["Estimated mean", "Standard error", "Lower limit (2.5 %)"]
    said = " ".join([*(layer.title + layer.caption for layer in words), *findings(made), str(made.to_xarray().attrs)])
    assert "osterior" not in said and re.search(r"y averages [\d.−-]+ \(estimated mean\)", said)
    assert "osterior" in " ".join(findings(gs.fit("y ~ x1", table).predict(table.head(3))))


# ---- plot() takes what matplotlib's own functions take --------------------------------------------------------


def test_a_map_takes_colours_ends_and_title(surface):
    ax = surface.plot("mean", Figure().subplots(), cmap="magma", vmin=5, vmax=7, title="Only here")
    assert ax.images[0].get_cmap() == colormaps["magma"] and ax.images[0].get_clim() == (5, 7)
    assert ax.get_title(loc="left") == "Only here"
    # arrows say how far the colours do not reach: means run from 4.1 to 7.9
    assert ax.child_axes[0].get_ylabel() == "counts / time\n(arrows: down to 4.1, up to 7.9)"
    ax = surface.plot(ax=Figure().subplots(), vmin=4, cmap=colormaps["cividis"])
    assert ax.images[0].get_clim() == (4, surface.values("mean").max())


def test_a_map_takes_a_norm_and_leaves_it_as_it_is(surface):
    norm = LogNorm()
    ax = surface.plot("mean", Figure().subplots(), norm=norm)
    drawn = ax.images[0].norm
    mean = surface.values("mean")
    assert isinstance(drawn, LogNorm) and (drawn.vmin, drawn.vmax) == (mean.min(), mean.max())
    assert norm.vmin is None


def test_a_map_of_its_own_figure_takes_the_same(surface):
    from matplotlib import pyplot as plt

    plt.switch_backend("agg")
    ax = surface.plot("sd", cmap="magma", vmax=2, title="")
    assert ax.images[0].get_clim()[1] == 2 and ax.get_title(loc="left") == ""
    plt.close("all")


def test_a_long_label_of_a_short_bar_stands_in_two_lines_large_enough_to_be_read(surface):
    axes = surface.plot_panels(ax=Figure(figsize=(7, 6)).subplots(3, 2).ravel()[:5], label="becquerel per square metre")
    labels = [ax.child_axes[0].yaxis.label for ax in axes]
    assert labels[3].get_text() == "standard deviation of\nbecquerel per square metre"
    assert min(label.get_fontsize() for label in labels) >= 5.5


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"cmap": "virdis"}, "matplotlib has no colour map 'virdis': did you mean 'viridis'"),
        ({"cmap": 3}, "matplotlib has no colour map 3"),
        ({"vmin": 3, "vmax": 2}, "vmin must be below vmax, not 3 and 2"),
        ({"vmin": "low"}, "vmin must be a finite number, not 'low'"),
        ({"vmax": np.nan}, "vmax must be a finite number, not nan"),
        ({"norm": LogNorm(), "vmin": 1}, "either norm or vmin and vmax"),
        ({"norm": "log"}, "norm must be a matplotlib Normalize"),
        ({"column": "maen"}, "the prediction has no column 'maen': did you mean 'mean'"),
    ],
)
def test_what_no_map_can_be_drawn_with_is_told(surface, keywords, sentence):
    with pytest.raises(InputError, match=sentence):
        surface.plot(ax=Figure().subplots(), **keywords)


def test_a_table_without_places_is_told_to_have_no_map():
    with pytest.raises(InputError, match="no places to draw: predict on a Grid or at points"):
        layered(pd.DataFrame({"mean": [1.0]})).plot()


# ---- the house -----------------------------------------------------------------------------------------------


def public_methods():
    from geospde.explore.variogram import Variogram
    from geospde.prediction.difference import Difference
    from geospde.prediction.stored import StoredPrediction
    from geospde.prediction.validation import Validation

    kinds = (gs.Prediction, Layers, StoredPrediction, Difference, gs.Grid, Validation, gs.Exploration, Variogram)
    return [
        pytest.param(function, id=f"{kind.__name__}.{name}")
        for kind in kinds
        for name, function in inspect.getmembers(kind, callable)
        if not name.startswith("_") and not inspect.isclass(function)
    ]


@pytest.mark.parametrize("function", public_methods())
def test_the_signature_of_a_method_names_all_that_it_takes(function):
    kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}


def test_functions_of_plots_name_all_that_they_take():
    text = "".join(path.read_text("utf-8") for path in (ROOT / "geospde" / "plots").glob("*.py"))
    assert not re.findall(r"def \w+\([^)]*\*\*\w+: ", text)


def test_nothing_reads_meaning_out_of_a_columns_name():
    """A layer is asked what it is; no name is taken apart, neither a quantile's nor a threshold's nor a coverage's."""
    taken_apart = re.compile(
        r"""(startswith|removeprefix|partition|split|match|fullmatch|search|sub)\(\s*r?f?["'](\^?q\b|q\d|q0|exceed|cover_)"""
        r"""|float\(\w+(\.\w+)?\[1:\]\)|\.startswith\("q"\)"""
    )
    for room in ("prediction", "plots", "export", "report", "explore", "run", "cli", "text"):
        for path in (ROOT / "geospde" / room).rglob("*.py"):
            found = taken_apart.search(path.read_text("utf-8"))
            assert not found, f"{path.relative_to(ROOT)}: {found[0]}"
