"""Pictures of a fit: axes are taken and returned, and what is drawn are the numbers."""

from functools import cache
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from oracles import square_mesh
from pyproj import Transformer
from scipy import stats
from scipy.special import gamma
from test_figures import DOMAINS, prediction_on

import geospde as gs
from geospde.explore.variogram import variogram
from geospde.plots.canvas import Look, Style, View, dress, sheet, title
from geospde.plots.drawing import draw_graticule, draw_inset
from geospde.plots.frame import LINE, MARK
from geospde.plots.maps import plot_panels
from geospde.plots.pit import pit_heights, plot_pit
from geospde.results.quantile_residuals import quantile_residuals

MESH = square_mesh(8)
CALLS = {
    "plot_marginal": ("range(spde)",),
    "plot_prior_posterior": ("range(spde)",),
    "plot_random": (),
    "plot_fitted": (),
    "plot_residual_variogram": (),
    "plot_pit": (),
}


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """No window may open, and no figure is left behind."""
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("a picture was shown"))
    yield
    plt.close("all")


@cache
def sites():
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"x": rng.uniform(0, 1, 90), "y": rng.uniform(0, 1, 90), "effort": rng.uniform(5, 20, 90)})
    table["station"] = [f"${i % 9}$" for i in range(90)]  # a name is no formula
    eta = 0.8 + np.sin(5 * table["x"]) + rng.normal(0, 0.4, 9)[np.arange(90) % 9]
    table["count"] = rng.poisson(table["effort"] * np.exp(eta))
    return table


@cache
def field(method="inla", prior=None):
    term = "spde(mesh, prior_range=(0.1, 0.05), prior_sigma=(2, 0.1))" if prior is None else "spde(mesh, prior='spde2')"
    return gs.fit(
        f"count ~ {term} + (1 | station)", sites(), mesh=MESH, coords=("x", "y"), family="poisson", exposure="effort",
        method=method,
    )  # fmt: skip


@cache
def sleep(priors="default"):
    return gs.fit("Reaction ~ Days + (Days | Subject)", gs.load_dataset("sleepstudy"), priors=priors)


def drawn(figure):
    FigureCanvasAgg(figure).draw()
    return figure


def segments(ax):
    """Ends of the intervals of a picture, (n, 2, 2)."""
    return np.concatenate([c.get_segments() for c in ax.collections if hasattr(c, "get_segments")])


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# -- axes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_a_picture_is_drawn_into_the_axes_given(name):
    ax, open_before = Figure().subplots(), plt.get_fignums()
    assert getattr(field(), name)(*CALLS[name], ax=ax) is ax
    assert ax.has_data() and ax.get_xlabel() and plt.get_fignums() == open_before
    drawn(ax.figure)


@pytest.mark.parametrize("name", CALLS)
def test_without_axes_a_new_pyplot_figure_is_made(name):
    ax = getattr(field(), name)(*CALLS[name])
    assert isinstance(ax, Axes) and plt.gcf() is ax.figure


@pytest.mark.slow
def test_nothing_is_clipped_by_the_figure():
    for name, arguments in CALLS.items():
        figure = drawn(getattr(field(), name)(*arguments).figure)
        whole, inside = figure.bbox, figure.get_tightbbox().transformed(figure.dpi_scale_trans)
        assert inside.x0 >= whole.x0 - 1 and inside.x1 <= whole.x1 + 1, name
        assert inside.y0 >= whole.y0 - 1 and inside.y1 <= whole.y1 + 1, name


def test_hyperparameters_have_a_panel_each():
    axes = field().plot_hyper()
    assert [ax.get_xlabel().split(" (")[0] for ax in axes] == [n.split(" (")[0] for n in field().hyper.index]
    some = Figure().subplots(1, 2)
    assert list(field().plot_hyper(["sigma(spde)", "range(spde)"], some)) == list(some)
    np.testing.assert_array_equal(some[1].lines[0].get_xdata(), field().marginal("range(spde)").x)
    (one,) = field().plot_hyper("sigma(spde)", Figure().subplots())
    assert one.get_xlabel() == "sigma(spde)"


def test_panels_that_do_not_fit_are_refused_before_anything_is_drawn():
    axes = Figure().subplots(1, 2)
    with pytest.raises(gs.InputError, match="ax must hold 5 panels, one for each of the hyperparameters, not 2"):
        field().plot_hyper(ax=axes)
    with pytest.raises(gs.InputError, match=r"did you mean 'range\(spde\)'"):
        field().plot_hyper(["sigma(spde)", "rnge(spde)"], axes)
    assert not any(ax.has_data() for ax in axes)
    plain = gs.fit("count ~ x", sites(), family="poisson")
    with pytest.raises(gs.InputError, match="no hyperparameters"):
        plain.plot_hyper()


# -- marginals and priors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["range(spde)", "tau(spde)", "Intercept", "fitted[3]", "spde[5]", "log sigma(spde)"])
def test_the_line_of_a_marginal_is_its_density(name):
    ax, marginal = field().plot_marginal(name), field().marginal(name)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), marginal.x)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), marginal.y)
    band = ax.collections[0].get_paths()[0].vertices[:, 0]
    np.testing.assert_allclose([band.min(), band.max()], marginal.interval(0.95))


def test_a_linear_combination_is_named_by_its_parts():
    ax = sleep().plot_marginal({"Intercept": 1, "Days": -2.5})
    assert ax.get_xlabel() == "1 Intercept \N{MINUS SIGN} 2.5 Days"
    for nothing in ({}, {"Days": 0.0}):
        with pytest.raises(gs.InputError, match="weight is not zero"):
            sleep().plot_marginal(nothing)


def test_the_prior_beside_a_marginal_is_the_pc_prior():
    ax = field().plot_marginal("range(spde)")
    x, y = ax.lines[1].get_data()
    rate = -0.1 * np.log(0.05)  # Fuglstad et al. (2019), theorem 2.6 with d = 2
    # slopes between the scales are by differences of an uneven grid
    np.testing.assert_allclose(y, rate * x**-2.0 * np.exp(-rate / x), rtol=2e-3)
    assert len(x) > 50 and x[0] == ax.get_xlim()[0] and x[-1] == ax.get_xlim()[1]
    assert "prior, PC: P(range < 0.1) = 0.05" in [text.replace("\n", " ") for text in texts(ax)]
    assert len(field().plot_marginal("range(spde)", prior=False).lines) == 1


def test_priors_integrate_to_one_on_the_users_scale_and_say_what_was_asked():
    for name in field().hyper.index:
        prior = field().prior(name)
        assert np.trapezoid(prior.y, prior.x) == pytest.approx(1, abs=1e-3), name  # by trapezoids
    assert field().prior("range(spde)").cdf(0.1) == pytest.approx(0.05, abs=1e-4)
    assert 1 - field().prior("sigma(spde)").cdf(2.0) == pytest.approx(0.1, abs=1e-4)


@pytest.mark.parametrize("alpha", [2, 1.5])
def test_the_prior_of_a_function_of_two_hyperparameters(alpha):
    fit = gs.fit(
        f"count ~ spde(mesh, alpha={alpha}, prior_range=(0.1, 0.05), prior_sigma=(2, 0.1))", sites(), mesh=MESH,
        coords=("x", "y"), family="poisson", exposure="effort", method="eb",
    )  # fmt: skip
    rng, p, nu = np.random.default_rng(1), np.array([0.1, 0.5, 0.9]), alpha - 1
    reach = -0.1 * np.log(0.05) / rng.exponential(size=200_000)
    sigma = rng.exponential(size=200_000) * 2 / -np.log(0.1)
    kappa = np.sqrt(8 * nu) / reach  # Lindgren, Rue & Lindström (2011), equations 2 to 4
    tau = np.sqrt(gamma(nu) / (gamma(alpha) * 4 * np.pi)) / (kappa**nu * sigma)
    # quantiles of 200,000 draws vary by about 1 %
    np.testing.assert_allclose(fit.prior("kappa(spde)").quantile(p), np.quantile(kappa, p), rtol=0.03)
    np.testing.assert_allclose(fit.prior("tau(spde)").quantile(p), np.quantile(tau, p), rtol=0.03)
    density = fit.prior("tau(spde)")
    assert np.trapezoid(density.inner_density, density.inner) == pytest.approx(1, abs=1e-3)  # by trapezoids


@pytest.mark.slow
def test_the_joint_gaussian_prior_has_gaussian_marginals():
    fit = field(prior="spde2")
    for name in ("tau(spde)", "kappa(spde)"):  # precision 0.1 each, about the centre that the summary tells
        centre, words = np.log(fit.prior(name).quantile(0.5)), f"log {name[: name.index('(')]} about {{:.3f}}"
        assert words.format(centre) in next(h.prior for h in fit.model.hyperparameters if h.name == "range(spde)")
        wide = np.log(fit.prior(name).interval(0.95))
        assert np.ptp(wide) == pytest.approx(2 * 1.959964 * np.sqrt(10), rel=1e-4)
    # log range is a constant less log kappa
    assert np.ptp(np.log(fit.prior("range(spde)").interval(0.95))) == pytest.approx(np.ptp(wide), rel=1e-6)
    assert len(fit.plot_marginal("range(spde)").lines) == 2


@pytest.mark.slow
def test_all_correlations_of_a_group_have_one_prior():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"a": rng.normal(size=120), "b": rng.normal(size=120), "g": np.arange(120) % 12})
    table["y"] = rng.normal(size=120) + rng.normal(size=12)[table["g"]] * (1 + table["a"])
    fit = gs.fit("y ~ a + b + (a + b | g)", table, method="eb")
    expected = stats.beta(1.5, 1.5, loc=-1, scale=2)  # of a 3 x 3 matrix under LKJ(1): Joe (2006), section 2
    p = np.array([0.05, 0.3, 0.5, 0.9])
    for name in ("cor(Intercept, a | g)", "cor(Intercept, b | g)", "cor(a, b | g)"):
        np.testing.assert_allclose(fit.prior(name).quantile(p), expected.ppf(p), atol=1e-3)
        x, y = fit.plot_marginal(name).lines[1].get_data()
        np.testing.assert_allclose(y, expected.pdf(x), atol=5e-3)
    held = gs.fit("y ~ a + b + (a + b | g)", table, method="eb", priors={"cor(Intercept, a | g)": {"fixed": 0.0}})
    with pytest.raises(gs.InputError, match="is held"):
        held.prior("cor(Intercept, a | g)")
    with pytest.raises(gs.InputError, match="joint with others"):
        held.prior("cor(a, b | g)")
    assert "cor(Intercept, a | g)" not in [ax.get_xlabel() for ax in held.plot_hyper()]


def test_priors_of_fixed_effects():
    table = sites()
    fit = gs.fit(
        "count ~ x + y", table, family="poisson", method="eb",
        priors={"x": {"gaussian": [1, 2]}, "y": {"student_t": [3, 0.5, 4]}},
    )  # fmt: skip
    p = np.array([0.01, 0.4, 0.975])
    np.testing.assert_allclose(fit.prior("x").quantile(p), stats.norm(1, 2).ppf(p), rtol=1e-4)
    np.testing.assert_allclose(fit.prior("y").quantile(p), stats.t(3, 0.5, 4).ppf(p), rtol=1e-4)
    x, y = fit.plot_marginal("x").lines[1].get_data()
    np.testing.assert_allclose(y, stats.norm(1, 2).pdf(x), rtol=1e-4)
    told = " ".join(texts(fit.plot_marginal("Intercept"))).replace("\n", " ")
    assert "prior: improper, flat: it has no density" in told


@pytest.mark.slow
def test_where_there_is_no_prior_density_the_sentence_says_why():
    fit = gs.fit("count ~ (1 | station)", sites(), family="poisson", priors={"sd(Intercept | station)": "flat"})
    with pytest.raises(gs.InputError, match="improper, flat on the log scale"):
        fit.plot_prior_posterior("sd(Intercept | station)")
    ax = fit.plot_marginal("sd(Intercept | station)")
    assert len([line for line in ax.lines if len(line.get_xdata())]) == 1
    assert any("improper" in text for text in texts(ax))
    with pytest.raises(gs.InputError, match="is of its value at the covariates' means"):
        sleep("brms").prior("Intercept")
    with pytest.raises(gs.InputError, match="has no prior of its own"):
        sleep().prior("Days | Subject[308]")
    with pytest.raises(gs.InputError, match="did you mean 'sigma'"):
        sleep().prior("sigmma")


def test_prior_and_posterior_share_an_axis_where_areas_are_probabilities():
    ax = field().plot_prior_posterior("range(spde)")
    assert ax.get_xscale() == "log" and ax.get_ylabel() == "density of the logarithm"
    for line in ax.lines:
        x, y = line.get_data()
        assert np.trapezoid(y, np.log(x)) == pytest.approx(1, abs=2e-3)
    low, high = ax.get_xlim()
    for marginal in (field().prior("range(spde)"), field().marginal("range(spde)")):
        assert low < marginal.interval(0.95)[0] and marginal.interval(0.95)[1] < high
    ax = sleep().plot_prior_posterior("cor(Intercept, Days | Subject)")
    x, y = ax.lines[0].get_data()
    assert ax.get_xscale() == "linear"
    np.testing.assert_allclose(y, 0.5, atol=2e-3)  # LKJ(1) of two effects is uniform


# -- group effects, fitted means ------------------------------------------------------------------------------


@pytest.mark.parametrize("term", ["Days | Subject", "Subject", None])
def test_group_effects_are_sorted_with_their_intervals(term):
    fit = sleep()
    ax = fit.plot_random(term)
    effect = "Days | Subject" if term == "Days | Subject" else "Intercept | Subject"
    table = fit.random[[name.startswith(effect) for name in fit.random.index]].sort_values("mean")
    points = ax.collections[-1].get_offsets()
    np.testing.assert_array_equal(points[:, 0], table["mean"])
    np.testing.assert_array_equal(points[:, 1], np.arange(18))
    ends = {row[0, 1]: row[:, 0] for row in segments(ax)}
    np.testing.assert_array_equal([ends[k] for k in range(18)], table[["q0.025", "q0.975"]])
    assert [f"{effect}[{t.get_text()}]" for t in ax.get_yticklabels()] == list(table.index)
    apart = (table["q0.025"] > 0) | (table["q0.975"] < 0)
    assert 0 < apart.sum() < 18
    colours = [to_hex(c) for c in ax.collections[-1].get_facecolors()]
    assert colours == [LINE if is_apart else MARK for is_apart in apart]
    assert ax.get_title(loc="left") == f"{effect}: {apart.sum()} of 18 levels away from zero (95 %)"


def test_many_levels_have_no_names_and_odd_names_are_no_formulas():
    table = sites().assign(row=np.arange(90))
    fit = gs.fit("count ~ (1 | row) + (1 | station)", table, family="poisson", exposure="effort", method="eb")
    ax = fit.plot_random("row")
    assert len(ax.collections[-1].get_offsets()) == 90 and not ax.get_yticklabels()
    labels = fit.plot_random("station").get_yticklabels()
    assert sorted(t.get_text() for t in labels) == [rf"\${i}\$" for i in range(9)]
    drawn(plt.gcf())


def test_a_group_that_is_not_there_is_named():
    with pytest.raises(gs.InputError, match="'Subjct': did you mean 'Subject'"):
        sleep().plot_random("Subjct")
    alone = gs.fit("count ~ spde(mesh)", sites(), mesh=MESH, coords=("x", "y"), family="poisson", method="eb")
    with pytest.raises(gs.InputError, match=r"no group effects.*spde is seen in predict"):
        alone.plot_random()


def test_fitted_means_stand_over_observed_rates():
    ax, fit = field().plot_fitted(), field()
    points = ax.collections[-1].get_offsets()
    np.testing.assert_allclose(points[:, 0], sites()["count"] / sites()["effort"])
    np.testing.assert_array_equal(points[:, 1], fit.fitted["mean"])
    np.testing.assert_array_equal(segments(ax)[:, :, 1], fit.fitted[["q0.025", "q0.975"]])
    assert ax.get_xlim() == ax.get_ylim() and ax.get_ylabel() == "fitted count / effort"


def test_fitted_shares_and_medians_are_on_the_scale_of_the_response():
    herds = gs.load_dataset("cbpp")
    shares = gs.fit("p(incidence, size) ~ period", herds, family="binomial", method="eb").plot_fitted()
    np.testing.assert_allclose(shares.collections[-1].get_offsets()[:, 0], herds["incidence"] / herds["size"])
    table = sites().assign(size=np.exp(sites()["x"]))
    ax = gs.fit("size ~ y", table, family="lognormal", method="eb").plot_fitted()
    np.testing.assert_allclose(ax.collections[-1].get_offsets()[:, 0], table["size"])
    assert ax.get_xlabel() == "observed size"


# -- residuals ------------------------------------------------------------------------------------------------


def test_quantile_residuals_of_gaussian_responses_are_standardised():
    fit = sleep()
    theta = fit.posterior.heaviest.theta
    sigma = next(h.value(theta) for h in fit.model.hyperparameters if h.name == "sigma")
    left = gs.load_dataset("sleepstudy")["Reaction"] - fit.posterior.heaviest.eta
    np.testing.assert_allclose(quantile_residuals(fit), left / sigma, rtol=1e-8)


def test_quantile_residuals_of_counts_lie_between_the_ends_of_their_steps():
    fit, table = field(), sites()
    mean = table["effort"] * np.exp(fit.posterior.heaviest.eta)
    seen = stats.norm.cdf([quantile_residuals(fit, seed) for seed in range(200)])
    low, high = stats.poisson.cdf(table["count"] - 1, mean), stats.poisson.cdf(table["count"], mean)
    assert (seen >= low - 1e-9).all() and (seen <= high + 1e-9).all()
    # uniform between them: the mean of 200 draws is within five standard errors of the middle
    assert (np.abs(seen.mean(axis=0) - (low + high) / 2) < 5 * (high - low) / np.sqrt(12 * 200)).all()


def test_weights_do_not_change_the_steps_of_counts():
    heavy = gs.fit("count ~ x", sites(), family="poisson", weights=np.full(90, 3.0), method="eb")
    light = gs.fit("count ~ x", sites(), family="poisson", method="eb")
    np.testing.assert_allclose(quantile_residuals(heavy), quantile_residuals(light), atol=1e-3)


def test_the_residual_variogram_is_that_of_the_residuals_in_its_envelope():
    ax, fit = field().plot_residual_variogram(permutations=99, seed=4), field()
    expected = variogram(
        sites()[["x", "y"]].to_numpy(), quantile_residuals(fit, 4), permutations=99, seed=4, label="residuals"
    ).table
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_array_equal(lines["classical"].get_data(), expected[["distance", "semivariance"]].T)
    band = ax.collections[0].get_paths()[0].vertices
    for side in ("lower", "upper"):
        corners = np.column_stack([expected["distance"], expected[side]])
        assert all(np.isclose(band, corner).all(axis=1).any() for corner in corners)
    assert ax.get_title(loc="left") == "Variogram of quantile residuals"


def test_structure_that_a_model_leaves_out_shows():
    options = {"coords": ("x", "y"), "family": "poisson", "exposure": "effort", "method": "eb"}
    without = gs.fit("count ~ 1", sites(), **options).plot_residual_variogram()
    table = {line.get_label(): line.get_ydata() for line in without.lines}
    band = without.collections[0].get_paths()[0].vertices
    nearest = np.flatnonzero(np.isclose(band[:, 0], without.lines[1].get_xdata()[0]))
    assert table["classical"][0] < band[nearest, 1].min()


def test_a_variogram_needs_coordinates_and_a_known_kind():
    with pytest.raises(gs.InputError, match="needs coordinates"):
        sleep().plot_residual_variogram()
    with pytest.raises(gs.InputError, match="'quantile' or 'pearson'"):
        field().plot_residual_variogram(kind="deviance")


# -- PIT ------------------------------------------------------------------------------------------------------


def heights(ax):
    return np.array([bar.get_height() for bar in ax.patches if bar.get_width() <= 0.5])


def test_pit_of_continuous_responses_is_a_histogram():
    ax = sleep().plot_pit(bins=8)
    expected = np.histogram(sleep().pointwise["pit"], 8, (0, 1), density=True)[0]
    np.testing.assert_allclose(heights(ax), expected)


def test_pit_of_counts_is_the_mean_over_randomised_ones():
    ax, table = field().plot_pit(), field().pointwise
    rng = np.random.default_rng(2)
    pits = table["pit"].to_numpy() - rng.uniform(size=(4000, 90)) * table["cpo"].to_numpy()
    expected = np.histogram(pits, 10, (0, 1), density=True)[0]
    # a bar of 4,000 x 90 draws varies by less than 0.01
    np.testing.assert_allclose(heights(ax), expected, atol=0.03)
    assert heights(ax).mean() == pytest.approx(1)


def test_pit_heights_at_the_edges():
    np.testing.assert_allclose(pit_heights([0, 0.5, 1], [0, 0.5, 1], 2), [2 / 3, 4 / 3])
    np.testing.assert_allclose(pit_heights([-1e-9, 0.25], [1 + 1e-9, 0.75], 4), [0.5, 1.5, 1.5, 0.5])


def test_observations_whose_prediction_fails_are_left_out():
    table = pd.DataFrame({"pit": [0.1, 0.1, 0.9], "cpo": [0.05, 0.05, 0.05], "failure": [0.0, 0.0, 1.0]})
    likelihood = SimpleNamespace(refuse_without_cdf=lambda: None)
    model = SimpleNamespace(jumps=np.array([False, False, False]), likelihood=likelihood)
    fit = SimpleNamespace(method="inla", pointwise=table, model=model)
    np.testing.assert_allclose(heights(plot_pit(fit, bins=2)), [2, 0])
    with pytest.raises(gs.InputError, match="no leave-one-out prediction holds"):
        plot_pit(SimpleNamespace(method="inla", pointwise=table.iloc[2:], model=model))
    with pytest.raises(gs.InputError, match="a whole number of bins, 2 to 1,000"):
        field().plot_pit(bins=1)


# -- maps -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_panels_of_a_prediction_share_the_colours_of_mean_and_limits():
    domain, *rest = DOMAINS["unit square"]
    prediction = prediction_on(domain, *rest)
    axes = plot_panels(prediction, coastline=domain)
    titles = [ax.get_title(loc="left") for ax in axes]
    assert titles == [
        "Posterior mean", "Lower limit (2.5 % quantile)", "Upper limit (97.5 % quantile)",
        "Posterior standard deviation", "Probability that y is above 8",
    ]  # fmt: skip
    limits = [ax.images[0].get_clim() for ax in axes]
    assert limits[0] == limits[1] == limits[2] != limits[3] and limits[4] == (0, 1)
    for ax, column in zip(axes, ["mean", "q0.025", "q0.975", "sd", "exceed_8"]):
        np.testing.assert_array_equal(
            np.ma.filled(ax.images[0].get_array(), np.nan), prediction.grid.to_array(prediction.to_frame()[column])
        )
    drawn(axes[0].figure)


def test_panels_of_a_real_prediction():
    surface = field().predict(gs.Grid.around(gpd.GeoSeries.from_wkt(["POLYGON ((.1 .1, .9 .1, .5 .9, .1 .1))"])[0],
                                             cell=0.05), groups=False)  # fmt: skip
    axes = surface.plot_panels(["sd", "mean"], Figure().subplots(1, 2))
    assert len(axes) == 2 and all(ax.images for ax in axes)
    with pytest.raises(gs.InputError, match="'meen': did you mean 'mean'"):
        surface.plot_panels(["meen"])
    nowhere = sleep().predict(gs.load_dataset("sleepstudy").head())
    with pytest.raises(gs.InputError, match="no places to draw"):
        nowhere.plot_panels()


# -- likelihood fits ------------------------------------------------------------------------------------------


@cache
def restricted():
    return gs.fit("Reaction ~ Days + (Days | Subject)", gs.load_dataset("sleepstudy"), method="reml")


def test_marginals_of_a_likelihood_fit_are_normal_by_their_standard_errors():
    fit = restricted()
    x, y = fit.plot_marginal("Days").lines[0].get_data()
    estimate, se = fit.fixed.loc["Days", ["estimate", "se"]]
    np.testing.assert_allclose(y, stats.norm(estimate, se).pdf(x), rtol=1e-6, atol=1e-9)
    for ax, (name, row) in zip(fit.plot_hyper(), fit.hyper.iterrows(), strict=True):
        assert ax.get_xlabel() == name and texts(ax)[0] == "normal, by its standard error"
        band = ax.collections[0].get_paths()[0].vertices[:, 0]
        np.testing.assert_allclose([band.min(), band.max()], row[["lower", "upper"]].to_list(), rtol=1e-9)
    x, y = fit.plot_marginal("sigma").lines[0].get_data()
    row = fit.hyper.loc["sigma"]
    spread = np.log(row["upper"] / row["lower"]) / 2 / stats.norm.ppf(0.975)
    inside = slice(1, -1)  # at its ends the slope of the transform is one-sided
    np.testing.assert_allclose(y[inside], stats.lognorm(spread, scale=row["estimate"]).pdf(x)[inside], rtol=1e-4)


def test_effects_and_fitted_means_of_a_likelihood_fit():
    fit = restricted()
    ax = fit.plot_random("Days | Subject")
    table = fit.random[fit.random.index.str.startswith("Days")].sort_values("estimate")
    np.testing.assert_array_equal(ax.collections[-1].get_offsets()[:, 0], table["estimate"])
    ends = {row[0, 1]: row[:, 0] for row in segments(ax)}
    np.testing.assert_array_equal([ends[k] for k in range(18)], table[["lower", "upper"]])
    points = fit.plot_fitted().collections[-1].get_offsets()
    np.testing.assert_allclose(points[:, 1], fit.fitted["estimate"])


def test_what_a_likelihood_fit_cannot_draw_it_says_in_a_sentence():
    with pytest.raises(gs.InputError, match="by method 'reml' has no leave-one-out predictions to draw"):
        restricted().plot_pit()
    with pytest.raises(gs.InputError, match="by method 'reml' has no priors to draw"):
        restricted().plot_prior_posterior("sigma")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:singular fit")
def test_an_estimate_at_its_end_is_drawn_as_a_line():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=60), "g": np.repeat(np.arange(12), 5)})
    table["y"] = table["x"] + rng.normal(size=60)
    fit = gs.fit("y ~ x + (x | g)", table, method="reml")
    lost = fit.hyper.index[fit.hyper["se"].isna()]
    assert len(lost)  # the seed makes a correlation of one
    for ax in fit.plot_hyper(list(lost)):
        np.testing.assert_array_equal(segments(ax)[0, :, 0], 2 * [fit.hyper.loc[ax.get_xlabel(), "estimate"]])
        assert texts(ax)[0].endswith("no standard error")


def test_pearson_residuals_are_differences_in_standard_deviations():
    fit = gs.fit(
        "count ~ x + (1 | station)", sites(), coords=("x", "y"), family="poisson", exposure="effort", method="ml"
    )
    mean = fit.fitted["estimate"].to_numpy() * sites()["effort"]
    expected = variogram(sites()[["x", "y"]].to_numpy(), (sites()["count"] - mean) / np.sqrt(mean), seed=1)
    ax = fit.plot_residual_variogram(kind="pearson")
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["classical"].get_ydata(), expected.table["semivariance"])
    assert ax.get_title(loc="left") == "Variogram of Pearson residuals"


@pytest.mark.slow
def test_a_fit_that_was_saved_draws_the_same(tmp_path):
    field().save(tmp_path / "fit")
    again = gs.load_fit(tmp_path / "fit")
    for name, arguments in CALLS.items():
        here, there = (getattr(fit, name)(*arguments) for fit in (field(), again))
        assert here.get_title(loc="left") == there.get_title(loc="left")
        for one, other in zip(here.lines, there.lines, strict=True):
            np.testing.assert_allclose(one.get_xydata(), other.get_xydata(), rtol=1e-9, atol=1e-12)


def test_degrees_at_the_frame_are_round_and_where_they_belong():
    ax, view = plt.figure().add_subplot(), View.of([(400_000, 700_000, 480_000, 800_000)], "EPSG:32631")
    dress(ax, view)
    draw_graticule(ax, view, "EPSG:32631")
    labels = [tick.get_text() for tick in ax.get_xticklabels()]
    assert labels and all(label.endswith("E") and label.startswith(("2°", "3°")) for label in labels)
    lon, _ = Transformer.from_crs(32631, 4326, always_xy=True).transform(
        ax.get_xticks(), np.full(len(labels), view.south)
    )
    # ticks stand between 200 points of the edge: a thousandth of its length
    minutes = np.asarray(lon) * 60
    np.testing.assert_allclose(minutes, np.round(minutes), atol=0.01)
    with pytest.raises(gs.InputError, match="place on Earth"):
        draw_graticule(ax, view, "local:m")
    plt.close(ax.figure)


@pytest.mark.parametrize("words", ["sd", "of Plasmodium falciparum parasitaemia in children from 2 to 10 years of age"])
def test_a_long_title_is_in_two_lines_above_a_narrow_map(words):
    """At one line its letters had three points."""
    drawn = sheet(View.of([(0, 0, 12, 110)], "local:km"))
    title(drawn.axes[0], f"Probability that the prevalence {words} is above 0.2", drawn.room)
    written, figure = drawn.axes[0]._left_title, drawn.figure
    assert written.get_fontsize() >= 6
    box = written.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert box.x1 < figure.bbox.x1 and box.y1 < figure.bbox.y1
    assert box.y0 >= drawn.axes[0].bbox.y1


def test_a_small_map_holds_the_window_and_styles_have_names():
    ax, view = plt.figure().add_subplot(), View.of([(0, 0, 10, 10)], "local:km")
    dress(ax, view)
    room = draw_inset(ax, view, shapely.box(-40, -40, 40, 40), shapely.box(5, 5, 10, 10))
    assert shapely.box(view.west, view.south, view.east, view.north).contains(room)
    assert not room.intersects(shapely.box(5, 5, 10, 10))
    (small,) = ax.child_axes
    assert small.get_xlim()[0] < -40 and small.get_xlim()[1] > 40
    assert Style().dpi == 200 and Look("paper").made().dpi == 300
    assert Look("screen").made().page < Look("paper").made().page
    with pytest.raises(gs.InputError, match="style"):
        Look("papr").made()
    plt.close(ax.figure)
