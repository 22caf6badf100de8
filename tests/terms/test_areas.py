"""Areas: graphs from all that tells neighbours, islands, R-INLA's posterior, dense algebra, mistakes."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import multivariate_normal
from shapely.geometry import box

import geospde as gs
from geospde.errors import InputError
from geospde.families.pc import PCMixing
from geospde.model.build import build_model
from geospde.survey.graphs import read_graph
from geospde.terms.areas.besag import structure_of

REFERENCE = Path(__file__).parents[1] / "reference" / "areas"
# a square of four areas, a pair, an island
NEIGHBOURS = {"a": ["b", "c"], "b": ["a", "d"], "c": ["a", "d"], "d": ["b", "c"], "e": ["f"], "f": ["e"], "g": []}


def survey(each=5, seed=3):
    rng = np.random.default_rng(seed)
    t = pd.DataFrame({"g": np.repeat(list(NEIGHBOURS), each), "z": rng.normal(size=7 * each)})
    return t.assign(n=rng.poisson(np.exp(1 + 0.4 * t.g.isin(list("abe")))), v=rng.normal(size=len(t)))


def test_all_that_tells_neighbours_is_the_same_graph(tmp_path):
    labels, n = list("abcdefg"), 7
    edges = [(0, 1), (0, 2), (1, 3), (2, 3), (4, 5)]
    matrix = sp.coo_matrix((np.ones(5), tuple(np.array(edges).T)), shape=(n, n))
    squares = [box(0, 0, 1, 1), box(1, 0, 2, 1), box(0, 1, 1, 2), box(1, 1, 2, 2), box(5, 0, 6, 1), box(6, 0.5, 7, 1),
               box(9, 9, 10, 10)]  # fmt: skip
    polygons = gpd.GeoDataFrame({"g": labels}, geometry=squares, crs=32630)
    polygons.to_file(tmp_path / "areas.gpkg")
    (tmp_path / "areas.graph").write_text("7\n" + "1 2 2 3\n2 2 1 4\n3 2 1 4\n4 2 2 3\n5 1 6\n6 1 5\n7 0\n")
    graph = read_graph(NEIGHBOURS, "g", "w")
    assert graph.labels == tuple(labels) and graph.edges.tolist() == [list(e) for e in edges]
    assert read_graph(matrix, "g", "w").edges.tolist() == read_graph(matrix.toarray(), "g", "w").edges.tolist()
    assert read_graph(tmp_path / "areas.graph", "g", "w").edges.tolist() == graph.edges.tolist()
    corners = [*edges[:2], (0, 3), (1, 2), *edges[2:]]
    for touching in (polygons, polygons.set_index("g"), tmp_path / "areas.gpkg"):
        own = read_graph(touching, "g", "w")
        assert own.labels == graph.labels and own.edges.tolist() == [list(e) for e in sorted(corners)]
    pysal = pytest.importorskip("libpysal.graph").Graph
    assert read_graph(pysal.from_dicts(NEIGHBOURS), "g", "w").edges.tolist() == graph.edges.tolist()
    assert np.bincount(graph.components).tolist() == [4, 2, 1]


def test_islands_and_parts_are_scaled_by_themselves():
    parts = structure_of(read_graph(NEIGHBOURS, "g", "w"), True)
    dense = parts.structure.toarray()
    for own in (slice(0, 4), slice(4, 6)):
        variances = np.diag(np.linalg.pinv(dense[own, own]))
        assert np.exp(np.log(variances).mean()) == pytest.approx(1.0, rel=1e-10)
    assert dense[6, 6] == 1.0 and parts.rank_deficiency == 2
    unscaled = structure_of(read_graph(NEIGHBOURS, "g", "w"), False)
    assert unscaled.rank_deficiency == 3 and unscaled.free.ravel().tolist() == [0, 0, 0, 0, 0, 0, 1]


def test_bym2_is_the_sum_of_its_parts():
    """The covariance of the effects is sd² ((1 - phi) I + phi R⁻), and of a dense model's likelihood."""
    precision = build_model("v ~ bym2(g, graph=w)", survey(), graphs={"w": NEIGHBOURS}).precisions[0]
    theta = np.array([0.3, 0.7])
    q, c = precision.matrix(theta).toarray(), precision.constraints
    basis = np.linalg.svd(c.T)[2][c.shape[1] :].T
    covariance = basis @ np.linalg.inv(basis.T @ q @ basis) @ basis.T
    inverse = np.linalg.pinv(precision.structure.toarray())
    expected = np.exp(0.6) * (expit(-0.7) * np.eye(7) + expit(0.7) * inverse)
    assert covariance[:7, :7] == pytest.approx(expected, abs=1e-10)


def test_the_prior_of_phi_is_r_inlas_which_ends_at_a_logit_of_12():
    variances = np.r_[0.0, np.linspace(0.2, 4.0, 30)]
    density = PCMixing(0.5, 0.6).of(variances)

    def distance(t):
        below = expit(-t) + expit(t) * variances
        return np.sqrt(np.sum(expit(t) * (variances - 1) - np.log(below)))

    rate = -np.log(0.4) / distance(0.0)
    mass = 1 - np.exp(-rate * distance(12.0))
    below, above, beyond = (
        quad(lambda t: np.exp(density.log_density(np.array([t]))), *ends, limit=200)[0]
        for ends in ((-30, 0), (0, 12), (12, 24))
    )
    assert below / (below + above) == pytest.approx(0.6 / mass, abs=1e-6)
    assert below + above + beyond == pytest.approx(1.0, abs=1e-3)  # of the density's slope at the end
    assert beyond < 0.01
    for s in (-12.0, -5.0, 0.3, 4.0, 11.9, 13.0):
        slope = (density.log_density(np.array([s + 1e-5])) - density.log_density(np.array([s - 1e-5]))) / 2e-5
        assert density.gradient(np.array([s]))[0] == pytest.approx(slope, rel=1e-5, abs=1e-7)


@pytest.mark.slow
def test_bym2_of_scottish_lips_has_the_posterior_of_a_grid():
    """Lip cancer in Scotland; the share of what neighbours have in common is skewed, and flat up to one."""
    data = pd.read_csv(REFERENCE / "scotland.csv")
    fit = gs.fit(
        "Counts ~ scale(X) + bym2(Region, graph=w)", data, family="poisson", exposure="E",
        graphs={"w": REFERENCE / "scotland.graph"}, priors={"sd(bym2(Region))": {"pc": [1, 0.01]}},
    )  # fmt: skip
    sds, logits = np.linspace(-1.9, 0.3, 9), np.linspace(-4.0, 14.0, 25)
    found = [[fit.laplace.at(np.array([s, t]), gradient=False).log_posterior for t in logits] for s in sds]
    weights = np.exp(np.array(found) - np.max(found))
    weights /= weights.sum()
    for row, values in (("sd(bym2(Region))", np.exp(sds)[:, None]), ("phi(bym2(Region))", expit(logits))):
        mean = (weights * values).sum()
        sd = np.sqrt((weights * values**2).sum() - mean**2)
        assert fit.hyper.loc[row, "mean"] == pytest.approx(mean, abs=0.1 * sd)
        assert fit.hyper.loc[row, "sd"] == pytest.approx(sd, rel=0.1)


@pytest.mark.parametrize("term", ["car", "sar"])
def test_proper_autoregressions_have_the_optima_of_r_and_of_dense_algebra(term):
    data = pd.read_csv(REFERENCE / "scotland.csv")
    table = data.assign(z=np.log((data["Counts"] + 0.5) / (data["E"] + 0.5)))
    graph = read_graph(REFERENCE / "scotland.graph", "Region", "w")
    fit = gs.fit(
        f"z ~ X + {term}(Region, graph=w)", table, graphs={"w": graph}, priors={"sigma": {"fixed": 1e-4}}, method="ml"
    )
    sd, rho, noise = fit.hyper["estimate"]
    if term == "sar":  # spautolm(z ~ X, family = "SAR"), rows of weights of sum one, of spatialreg 1.2-6
        assert fit.log_likelihood == pytest.approx(-53.0960990838, abs=1e-6)  # a noise of 1e-4 is worth 2e-8
        assert [rho, sd] == pytest.approx([0.707232509, 0.578179394], abs=1e-6)
        assert fit.fixed["estimate"].to_numpy() == pytest.approx([-0.209228522, 0.0237590715], abs=1e-7)
        return
    w = graph.adjacency.toarray()
    covariance = sd**2 * np.linalg.inv(np.diag(w.sum(axis=0)) - rho * w) + noise**2 * np.eye(len(w))
    x = np.column_stack([np.ones(len(w)), table["X"]])
    beta = np.linalg.solve(x.T @ np.linalg.solve(covariance, x), x.T @ np.linalg.solve(covariance, table["z"]))
    np.testing.assert_allclose(fit.fixed["estimate"], beta, rtol=1e-6)
    assert fit.log_likelihood == pytest.approx(
        multivariate_normal(cov=covariance).logpdf(table["z"] - x @ beta), abs=1e-7
    )


# R-INLA 26.06.08: cancer in 544 German districts, pc.prec(1, 0.01), flat intercept; mean (sd)
@pytest.mark.parametrize("scale, mean, sd", [(True, 25.8559, 5.3830), (False, 14.6006, 3.0420)])
def test_besag_has_r_inlas_posterior(scale, mean, sd):
    data = pd.read_csv(REFERENCE / "germany.csv")
    edges = pd.read_csv(REFERENCE / "germany_edges.csv").to_numpy()
    w = sp.coo_matrix((np.ones(len(edges)), tuple(edges.T)), shape=(544, 544))
    fit = gs.fit(
        f"Y ~ 1 + besag(region, graph=w, scale={scale})", data, family="poisson", exposure="E", graphs={"w": w},
        priors={"sd(besag(region))": {"pc.prec": [1, 0.01]}},
    )  # fmt: skip
    assert (fit.sample(4000, seed=1)["sd(besag(region))"] ** -2).mean() == pytest.approx(mean, abs=0.1 * sd)
    assert fit.fixed.loc["Intercept", "mean"] == pytest.approx(-0.04587, abs=0.1 * 0.0149)


def lattice():
    """Counts and measurements of 24 areas, whose coefficients of x differ, and the neighbours."""
    k = np.arange(120)
    area, noise = k % 24, k * 37 % 101 / 50 - 1
    t = pd.DataFrame({"g": area + 1, "x": 1 + k * 29 % 41 / 20})
    slope = 0.8 + np.sin(area % 6) + 0.5 * np.cos(area // 6)
    t["v"], t["n"] = 2 + slope * t.x + 0.7 * noise, np.round(np.exp(0.4 + 0.5 * slope * t.x + 0.2 * noise))
    beside = [(i - 6, i + 6, i - (i % 6 > 0), i + (i % 6 < 5)) for i in range(24)]
    return t, {i + 1: [j + 1 for j in near if 0 <= j < 24 and j != i] for i, near in enumerate(beside)}


# gam(v ~ s(g, bs = "mrf", xt = list(nb = nb), by = x), method = "REML") of mgcv 1.8-41, where a constant is a
# coefficient of x: gam.vcomp, the intercept, fitted values of rows 1, 51 and 120
@pytest.mark.parametrize(
    "response, family, sds, intercept, fitted",
    [
        ("v", "gaussian", [0.7287449622, 0.4325216394], 1.414018297, [2.910350135, 5.853736757, 0.971137685]),
        ("n", "poisson", [0.3713398995], 0.347267443, [2.779681905, 10.128982103, 1.163872753]),
    ],
)
def test_coefficients_that_differ_by_area_are_mgcvs(response, family, sds, intercept, fitted):
    table, graph = lattice()
    formula = f"{response} ~ x + besag(g, graph=w, by=x, scale=False)"
    fit = gs.fit(formula, table, family=family, graphs={"w": graph}, method="reml")
    assert fit.hyper["estimate"].to_numpy() == pytest.approx(sds, rel=1e-6)
    assert fit.fixed.loc["Intercept", "estimate"] == pytest.approx(intercept, rel=1e-6)
    assert fit.fitted["estimate"].to_numpy()[[0, 50, 119]] == pytest.approx(fitted, rel=1e-6)


@pytest.mark.parametrize("term", ["besag", "bym2", "car", "sar"])
def test_coefficients_by_area_are_those_of_dense_algebra_in_any_unit(term):
    table, graph = lattice()
    # what neighbours do not share: a phi of 1 is at the end of its axis
    table["v"] += table.x * np.random.default_rng(2).normal(0, 1.5, 24)[table.g - 1]
    formula, keys = f"v ~ x + {term}(g, graph=w, by=x)", {"graphs": {"w": graph}, "method": "ml"}
    fit, large = gs.fit(formula, table, **keys), gs.fit(formula, table.assign(x=1000 * table.x), **keys)
    prior, theta = fit.model.precisions[0], fit.point.theta[:-1]
    q, c = prior.matrix(theta).toarray(), prior.constraints
    basis = np.eye(prior.n) if c is None else np.linalg.svd(c.T)[2][c.shape[1] :].T
    rows = np.zeros((120, prior.n))
    rows[np.arange(120), table.g - 1] = table.x
    root = rows @ basis
    covariance = root @ np.linalg.solve(basis.T @ q @ basis, root.T) + fit.hyper["estimate"].iloc[-1] ** 2 * np.eye(120)
    mean = np.column_stack([np.ones(120), table.x]) @ fit.fixed["estimate"]
    assert fit.log_likelihood == pytest.approx(multivariate_normal(mean, covariance).logpdf(table.v), abs=1e-6)
    assert large.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-6)
    coefficients = [one.random["estimate"].to_numpy()[:24] for one in (fit, large)]
    assert 1000 * coefficients[1] == pytest.approx(coefficients[0], abs=1e-4)  # of theta, which ends within 1e-5 or so
    priors = [model.precisions[0].prior.log_density(model.terms[0].start(2.0)) for model in (fit.model, large.model)]
    assert priors[0] == pytest.approx(priors[1], abs=1e-9)


def test_a_share_of_one_ends_a_search_whose_slopes_are_rounding_error():
    """With a phi of 1 - 1e-8 slopes of 1.4 came beside slopes of 1e-6, and the search said it had not converged."""
    table, graph = lattice()
    table["v"] += table.x * np.random.default_rng(5).normal(0, 1.5, 24)[table.g - 1]
    fits = [
        gs.fit("v ~ x + bym2(g, graph=w, by=x)", table.assign(x=k * table.x), graphs={"w": graph}, method="ml")
        for k in (1, 1000)
    ]
    assert [fit.log_likelihood for fit in fits] == pytest.approx([-133.907171] * 2, abs=1e-5)  # dense, of a logit of 20
    assert 1000 * fits[1].hyper["estimate"].iloc[0] == pytest.approx(fits[0].hyper["estimate"].iloc[0], rel=1e-5)


@pytest.mark.slow
def test_bym2_of_german_districts_has_the_posterior_of_a_grid():
    """Oral cavity cancer in 544 districts; R-INLA's precision with besag alone, above, is 25.9."""
    data = pd.read_csv(REFERENCE / "germany.csv")
    edges = pd.read_csv(REFERENCE / "germany_edges.csv").to_numpy()
    w = sp.coo_matrix((np.ones(len(edges)), tuple(edges.T)), shape=(544, 544))
    fit = gs.fit("Y ~ 1 + bym2(region, graph=w)", data, family="poisson", exposure="E", graphs={"w": w})
    sds, logits = np.linspace(-2.1, -1.25, 7), np.linspace(-1.0, 13.0, 11)
    found = [[fit.laplace.at(np.array([s, t]), gradient=False).log_posterior for t in logits] for s in sds]
    weights = np.exp(np.array(found) - np.max(found))
    weights /= weights.sum()
    for row, values in (("sd(bym2(region))", np.exp(sds)[:, None]), ("phi(bym2(region))", expit(logits))):
        mean = (weights * values).sum()
        sd = np.sqrt((weights * values**2).sum() - mean**2)
        assert fit.hyper.loc[row, "mean"] == pytest.approx(mean, abs=0.1 * sd)
        assert fit.hyper.loc[row, "sd"] == pytest.approx(sd, rel=0.1)


@pytest.mark.parametrize(
    "terms, message",
    [
        ("bym2(g, graph=w) + (1 | g)", r"bym2\(g\) and .*Intercept \| g.* are alike: the data tell only the sum"),
        ("iid(g) + bym2(g, graph=w)", "are alike"),
        ("bym2(g, graph=w, by=z) + (0 + z | g)", r"bym2\(g, z\) and z \| g are alike"),
        ("besag(g, graph=w) + bym2(g, graph=w)", r"besag\(g\) and bym2\(g\) are alike"),
    ],
)
def test_terms_that_say_the_same_of_areas_are_refused(terms, message):
    with pytest.raises(InputError, match=message):
        build_model(f"n ~ 1 + {terms}", survey(), family="poisson", graphs={"w": NEIGHBOURS})
    both = build_model("n ~ 1 + besag(g, graph=w) + (1 | g)", survey(), family="poisson", graphs={"w": NEIGHBOURS})
    coefficients = "bym2(g, graph=w) + bym2(g, graph=w, by=z)"
    assert len(build_model(f"n ~ 1 + {coefficients}", survey(), family="poisson", graphs={"w": NEIGHBOURS}).terms) == 2
    assert len(both.terms) == 2  # Besag, York & Mollié's


def test_a_graph_is_saved_and_areas_without_data_are_predicted(tmp_path):
    data = survey()
    keys = {"family": "poisson", "graphs": {"w": NEIGHBOURS}, "method": "eb"}
    fit = gs.fit("n ~ 1 + bym2(g, graph=w)", data[data.g != "c"], **keys)
    assert fit.hyper.index.tolist() == ["sd(bym2(g))", "phi(bym2(g))"]
    whole = fit.predict(pd.DataFrame({"g": list("abcg")})).to_frame()
    fit.save(tmp_path / "fit")
    again = gs.load_fit(tmp_path / "fit").predict(pd.DataFrame({"g": list("abcg")})).to_frame()
    pd.testing.assert_frame_equal(whole, again, rtol=1e-6)
    assert whole["sd"].iloc[2] > whole["sd"].iloc[0]


@pytest.mark.parametrize(
    "term, graphs, message",
    [
        ("besag(g)", {"w": NEIGHBOURS}, r"takes the name of a graph, as in besag\(g, graph=w\)"),
        ("besag(g, graph=w)", None, "needs the graph 'w': give graphs="),
        ("besag(g, graph=u)", {"w": NEIGHBOURS}, "no graph 'u'; there are w"),
        ("besag(g, graph=w)", {"w": {"a": ["b"], "b": []}}, "'c' of 'g', row 10, is no area of the graph"),
        ("besag(g, graph=w)", {"w": {"a": ["zz"], "b": []}}, "'zz' is a neighbour in the graph 'w', but no area"),
        ("besag(g, graph=w)", {"w": 3}, "is a GeoDataFrame of polygons, .* not a int"),
        ("besag(g, graph=w)", {"w": "no.graph"}, "the file of the graph 'w' is missing"),
        ("besag(g, graph=w)", {"w": sp.csr_matrix((3, 2))}, "is not square"),
        ("bym2(g, z, graph=w)", {"w": NEIGHBOURS}, "one column of areas"),
        (
            "bym2(g, graph=w, by=g)",
            {"w": NEIGHBOURS},
            "multiplies its values by numbers, and 'g' holds labels: .* 0 and 1",
        ),
        ("sar(g, graph=w, by=2)", {"w": NEIGHBOURS}, "by is the name of a column"),
        ("car(g, graph=w, scale=True)", {"w": NEIGHBOURS}, "no option 'scale'"),
    ],
)
def test_a_mistake_is_told(term, graphs, message):
    with pytest.raises(InputError, match=message):
        build_model(f"v ~ {term}", survey(), graphs=graphs)


def test_a_graph_that_no_term_uses_is_told():
    keys = {"method": "eb", "graphs": {"w": NEIGHBOURS, "other": NEIGHBOURS}}
    with pytest.warns(gs.GeospdeWarning, match="no term uses the graph 'other': name it in one, as in .*graph=other"):
        gs.fit("v ~ z + besag(g, graph=w)", survey(), **keys)
    both = [gs.Observations("v ~ z", survey()), gs.Observations("z ~ f", survey())]
    with pytest.warns(gs.GeospdeWarning, match="no term uses the graph 'other'"):
        gs.fit(both, terms={"f": "besag(g, graph=w)"}, **keys)
    with pytest.raises(InputError, match="graphs are given by name, as in graphs="):
        gs.fit("v ~ z", survey(), method="ml", graphs=NEIGHBOURS["a"])
