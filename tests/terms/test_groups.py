"""Group terms: lme4's grammar, their columns against hand-built ones, their names and priors."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.errors import InputError
from geospde.families.priors import LKJ
from geospde.formula.formula import parse_formula
from geospde.model.build import build_model
from geospde.run import analysis
from geospde.run.check import check
from geospde.terms.groups import refuse_saturated
from geospde.terms.registry import special_names


def table(m=60):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"y": rng.normal(size=m), "x": rng.normal(size=m), "z": rng.normal(2, 1, m)})
    frame["fac"] = pd.Categorical(np.tile(["lo", "mid", "hi"], m // 3), categories=["lo", "mid", "hi"], ordered=True)
    frame["g"] = rng.integers(8, 13, m)
    frame["h"] = np.tile(["p", "q"], m // 2)
    return frame


def by_hand(labels, values):
    """Z column by column: for each level in order, each effect's values where the level is."""
    labels = np.asarray(labels)
    return np.column_stack([np.where(labels == level, v, 0.0) for level in sorted(set(labels)) for v in values])


def random_part(formula, data):
    model = build_model(formula, data)
    return model.design[:, : len(model.latent_names)].toarray(), model


@pytest.mark.parametrize(
    "term, effects",
    [
        ("(1 | g)", ["1"]),
        ("iid(g)", ["1"]),
        ("(x | g)", ["1", "x"]),
        ("(1 + x | g)", ["1", "x"]),
        ("(0 + x | g)", ["x"]),
        ("(x - 1 | g)", ["x"]),
        ("(x + z | g)", ["1", "x", "z"]),
        ("(fac | g)", ["1", "mid", "hi"]),
        ("(0 + fac | g)", ["lo", "mid", "hi"]),
        ("(x:z | g)", ["1", "xz"]),
        ("(x * z | g)", ["1", "x", "z", "xz"]),
    ],
)
def test_columns_are_lme4s(term, effects):
    data = table()
    known = {"1": np.ones(60), "x": data.x, "z": data.z, "xz": data.x * data.z}
    known |= {level: (data.fac == level).astype(float) for level in ("lo", "mid", "hi")}
    z, model = random_part(f"y ~ {term}", data)
    assert np.array_equal(z, by_hand(data.g, [known[e] for e in effects]))
    q = len(effects)
    assert len(model.terms[0].precision.parameters) == q + q * (q - 1) // 2


def test_nested_and_crossed_groups_have_a_level_each_that_occurs():
    data = table().drop(index=[0, 1]).query("not (g == 9 and h == 'q')").reset_index(drop=True)
    z, model = random_part("y ~ (1 | g/h)", data)
    pairs = [f"{g:02d}:{h}" for g, h in zip(data.g, data.h)]
    assert np.array_equal(z, np.hstack([by_hand(data.g, [1.0]), by_hand(pairs, [1.0])]))
    assert model.latent_names[:2] == ["Intercept | g[8]", "Intercept | g[9]"]
    assert "Intercept | g:h[9:p]" in model.latent_names and "Intercept | g:h[9:q]" not in model.latent_names
    assert [h.name for h in model.hyperparameters] == ["sd(Intercept | g)", "sd(Intercept | g:h)", "sigma"]
    alone, _ = random_part("y ~ (1 | g:h)", data)
    assert np.array_equal(alone, by_hand(pairs, [1.0]))
    crossed, _ = random_part("y ~ (1 | g) + (1 | h)", data)
    assert np.array_equal(crossed, np.hstack([by_hand(data.g, [1.0]), by_hand(data.h, [1.0])]))


@pytest.mark.parametrize(
    "term, lefts",
    [
        ("(x || g)", ["1", "0 + x"]),
        ("(0 + x || g)", ["0 + x"]),
        ("(1 + x + z || g)", ["1", "0 + x", "0 + z"]),
        ("(x * z || g)", ["1", "0 + x", "0 + z", "0 + x:z"]),
        ("(poly(x, 2) || g)", ["1", "0 + poly(x, 2)"]),
    ],
)
def test_two_bars_stand_for_terms_without_correlations(term, lefts):
    assert [t.arguments for t in parse_formula(f"y ~ {term}", ()).terms] == [(left, ("g",)) for left in lefts]


def test_levels_follow_categories_numbers_or_the_alphabet():
    data = table()
    assert random_part("y ~ (1 | fac)", data)[1].terms[0].grouping.labels == ["lo", "mid", "hi"]
    assert random_part("y ~ (1 | g)", data)[1].terms[0].grouping.labels == ["8", "9", "10", "11", "12"]
    assert random_part("y ~ (1 | h)", data)[1].terms[0].grouping.labels == ["p", "q"]
    data["fac"] = data["fac"].cat.add_categories("never")
    assert len(random_part("y ~ (1 | fac)", data)[1].latent_names) == 3


def test_names_are_those_of_a_mixed_model():
    _, model = random_part("Reaction ~ Days + (Days | Subject)", gs.load_dataset("sleepstudy"))
    assert model.latent_names[:3] == ["Intercept | Subject[308]", "Days | Subject[308]", "Intercept | Subject[309]"]
    names = ["sd(Intercept | Subject)", "sd(Days | Subject)", "cor(Intercept, Days | Subject)", "sigma"]
    assert [h.name for h in model.hyperparameters] == names


def test_every_correlation_is_that_of_the_covariance():
    _, model = random_part("y ~ (x + z + fac | g)", table())
    theta = np.random.default_rng(0).normal(0, 0.7, len(model.hyperparameters))
    term = model.terms[0].precision
    correlations = term.correlations(theta[:-1])
    for k, (j, i) in enumerate(term.pairs, start=5):
        assert model.hyperparameters[k].value(theta) == pytest.approx(correlations[i, j], abs=1e-14)
    assert model.hyperparameters[7].name == "cor(x, z | g)"


def test_default_priors_follow_the_scale_of_a_column():
    data = table()
    data["y"] *= 10
    data["far"] = 1000 * data.x
    priors = [h.prior for h in random_part("y ~ (far | g)", data)[1].hyperparameters]
    unit = 3 * data.y.std(ddof=0)
    size = np.sqrt((data.far**2).mean())
    assert priors[:2] == [f"PC: P(sd > {s:.4g}) = 0.05" for s in (unit, unit / size)]
    assert priors[2] == "LKJ(1)"


def test_priors_are_given_by_name():
    names = {"sd(x | g)": {"pc": [2, 0.1]}, "cor(x, z | g)": {"lkj": 2.5}}
    model = build_model("y ~ (x + z | g)", table(), priors=names)
    parts = model.terms[0].precision.prior.parts
    assert parts[1].describe() == "PC: P(sd > 2) = 0.1"
    # one LKJ is of the whole matrix; its partial correlations differ in how many effects they are given
    assert parts[3:] == (LKJ(2.5, 3, 0), LKJ(2.5, 3, 0), LKJ(2.5, 3, 1))
    held = build_model("y ~ (x | g)", table(), priors={"cor(Intercept, x | g)": {"fixed": 0.5}})
    assert np.tanh(held.fixed_theta[2]) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(
    "formula, priors, message",
    [
        ("y ~ (x | g)", {"cor(Intercept, x | g)": {"pc": [1, 0.1]}}, "no prior 'pc' for a correlation"),
        ("y ~ (x | g)", {"cor(Intercept, x | g)": {"lkj": [1, 2]}}, "does not take the 2 numbers"),
        ("y ~ (x | g)", {"cor(Intercept, x | g)": {"fixed": 2}}, "cannot be 2"),
        ("y ~ (x + z | g)", {"cor(x, z | g)": {"fixed": 0}}, "cannot be held by itself"),
        ("y ~ (x + z | g)", {"cor(x, z | g)": {"lkj": 1}, "cor(Intercept, x | g)": {"lkj": 2}}, "one LKJ"),
        ("y ~ (x | g)", {"sd(z | g)": {"pc": [1, 0.1]}}, r"did you mean 'sd\(x \| g\)'"),
        ("y ~ (1 | g) + (x | g)", {}, "in two terms"),
        ("y ~ (0 | g)", {}, "no effect"),
        ("y ~ (1 | gg)", {}, "did you mean 'g'"),
        ("y ~ (xx | g)", {}, "did you mean 'x'"),
    ],
)
def test_what_does_not_fit_is_told(formula, priors, message):
    with pytest.raises(InputError, match=message):
        build_model(formula, table(), priors=priors)


@pytest.mark.parametrize(
    "term, message",
    [
        ("x | g", "brackets of its own"),
        ("(x | g):z", "brackets of its own"),
        ("f(x | g)", "brackets of its own"),
        ("((x | g))", "brackets of its own"),
        ("(x | g | h)", "reads"),
        ("(x ||| g)", "reads"),
        ("(x |)", "reads"),
        ("(| g)", "reads"),
        ("(1 | g + h)", "is a column"),
        ("(1 | g/)", "is a column"),
        ("(1 | os.system('x'))", "is a column"),
        ("(x/z || g)", "written out"),
        ("- (x | g)", "only fixed effects"),
    ],
)
def test_a_group_term_that_cannot_be_read_is_told(term, message):
    with pytest.raises(InputError, match=message):
        parse_formula(f"y ~ z + {term}" if term[0] != "-" else f"y ~ z {term}", special_names())


@pytest.mark.parametrize("term, refused", [("(1 | g)", False), ("(x | g)", True), ("(1 | row)", True)])
def test_effects_that_leave_nothing_to_the_residuals_are_refused(term, refused):
    # lme4 asks for fewer effects in a term than there are rows
    groups = build_model(f"y ~ {term}", table(12).assign(g=np.arange(12) // 2, row=np.arange(12))).groups
    if refused:
        with pytest.raises(InputError, match="too many for 12 observations"):
            refuse_saturated(groups, 12)
    else:
        refuse_saturated(groups, 12)


def test_a_group_has_two_levels_or_more():
    with pytest.raises(InputError, match="'g' has one level only"):
        build_model("y ~ (1 | g)", table().assign(g=3))


@pytest.fixture(scope="module")
def sleep():
    return gs.fit("Reaction ~ Days + (Days | Subject)", gs.load_dataset("sleepstudy"))


NEW = pd.DataFrame({"Days": [0.0, 4.0, 9.0], "Subject": [308, 999, 999]})


def test_levels_not_seen_are_refused_with_their_row(sleep):
    both = "groups=False for the population, or allow_new_levels=True"
    with pytest.raises(InputError, match=f"not seen the level '999' of group 'Subject', row 1: give predict {both}"):
        sleep.predict(NEW)
    with pytest.raises(InputError, match=f"'Subject' has no value in row 2: fill it, or give predict {both}"):
        sleep.predict(NEW.assign(Subject=[308, 309, None]))
    with pytest.raises(InputError, match=f"needs the group column 'Subject': give predict a table that has it, {both}"):
        sleep.predict(NEW[["Days"]])
    with pytest.raises(InputError, match="needs the column 'Days'"):
        sleep.predict(NEW[["Subject"]], allow_new_levels=True)


def test_the_population_leaves_groups_out(sleep):
    population = sleep.predict(NEW[["Days"]], groups=False).to_frame()
    for row, days in enumerate(NEW.Days):
        line = sleep.marginal({"Intercept": 1, "Days": days})
        # quantiles and moments of the same mixture, by interpolation there
        assert population["mean"][row] == pytest.approx(line.mean, rel=1e-4)
        assert population["sd"][row] == pytest.approx(line.sd, rel=1e-3)


def test_known_levels_are_predicted_as_they_were_fitted(sleep):
    data = gs.load_dataset("sleepstudy")
    again = sleep.predict(data.iloc[[0, 33, 179]].astype({"Subject": "int64"})).to_frame()
    assert np.allclose(again["mean"], sleep.fitted["mean"].iloc[[0, 33, 179]], rtol=1e-10)
    beside_new = sleep.predict(NEW, allow_new_levels=True).to_frame()
    alone = sleep.predict(NEW[:1]).to_frame()
    assert np.allclose(beside_new.loc[0], alone.loc[0], rtol=1e-8)


def test_a_new_level_adds_the_groups_variance(sleep):
    drawn = sleep.predict(NEW, allow_new_levels=True).to_frame()
    population = sleep.predict(NEW[["Days"]], groups=False).to_frame()
    assert np.allclose(drawn["mean"][1:], population["mean"][1:], rtol=1e-9)
    # x' Sigma x, its mean over the points of the integration
    sds = sleep.theta_points
    a, b = sds["sd(Intercept | Subject)"], sds["sd(Days | Subject)"]
    ab = a * b * sds["cor(Intercept, Days | Subject)"]
    for row in (1, 2):
        days = NEW.Days[row]
        added = (sds["weight"] * (a**2 + 2 * days * ab + days**2 * b**2)).sum()
        assert drawn["sd"][row] ** 2 == pytest.approx(population["sd"][row] ** 2 + added, rel=1e-9)
    # a row without a level, and a table without the column, are the same
    for table in (NEW.assign(Subject=None), NEW[["Days"]]):
        assert np.allclose(sleep.predict(table, allow_new_levels=True).to_frame()[1:], drawn[1:], rtol=1e-9)


def test_rows_of_one_new_level_share_its_effects(sleep):
    table = pd.DataFrame({"Days": [0.0, 4.0, 9.0, 2.0, 2.0], "Subject": [308, 999, 999, None, 5]})
    rows = sleep.model.rows(table, None, allow_new_levels=True)
    theta = sleep.posterior.mode.theta
    sd0, sd1, correlation = (h.value(theta) for h in sleep.model.hyperparameters[:3])
    sigma = np.array([[sd0**2, sd0 * sd1 * correlation], [sd0 * sd1 * correlation, sd1**2]])
    x = np.column_stack([np.ones(5), table.Days])
    same = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]])
    root = rows.root(theta)
    assert np.allclose(root @ root.T, (x @ sigma @ x.T) * same, rtol=1e-10)
    assert np.allclose(rows.at(theta)[1], np.diag(root @ root.T), rtol=1e-10)


def test_new_combinations_of_known_levels_are_new_levels():
    data = table().query("not (g == 9 and h == 'q')").reset_index(drop=True)
    fit = gs.fit("y ~ (1 | g/h)", data, method="eb")
    new = pd.DataFrame({"g": [9], "h": ["q"]})
    with pytest.raises(InputError, match="not seen the level '9:q' of group 'g:h', row 0"):
        fit.predict(new)
    names = {"Intercept": 1, "Intercept | g[9]": 1}
    drawn = fit.predict(new, allow_new_levels=True).to_frame()
    assert drawn["mean"][0] == pytest.approx(fit.marginal(names).mean, rel=1e-4)
    sd = fit.theta_points["sd(Intercept | g:h)"][0]
    assert drawn["sd"][0] ** 2 == pytest.approx(fit.marginal(names).sd ** 2 + sd**2, rel=1e-3)


def test_a_smooth_of_a_group_takes_new_levels_as_the_group_does():
    data = table()
    smooth, group = (gs.fit(f"y ~ {term}", data, method="eb") for term in ("s(h, bs='re')", "(1 | h)"))
    new = pd.DataFrame({"h": ["p", "zz"]})
    for options in ({"groups": False}, {"allow_new_levels": True}):
        frames = [fit.predict(new, **options).to_frame() for fit in (smooth, group)]
        assert np.allclose(frames[0], frames[1], rtol=1e-6)
    with pytest.raises(InputError, match="not seen the level 'zz'"):
        smooth.predict(new)


def test_the_maps_of_a_run_are_of_the_population():
    from shapely.geometry import box

    fit = gs.fit("y ~ (1 | g) + (1 | h)", table(), method="eb")
    grid = gs.Grid.around(box(0, 0, 2, 1), shape=(1, 2))
    with pytest.raises(InputError, match="needs the group column 'g'"):
        fit.predict(grid)
    asked = SimpleNamespace(quantiles=(0.5,), exceed=(), layers=(), at={})
    config = SimpleNamespace(prediction=asked, excursions=SimpleNamespace(exceed=(), classes=None))
    cells = analysis.predict(config, fit, grid).to_frame()
    assert np.allclose(cells["mean"], fit.fixed.loc["Intercept", "mean"], rtol=1e-6)


@pytest.mark.filterwarnings("ignore::geospde.errors.GeospdeWarning")
def test_a_run_with_groups_says_that_it_maps_the_population(island, edit):
    points = pd.read_csv(island / "points.csv")
    points.assign(team=np.arange(len(points)) % 3).to_csv(island / "points.csv", index=False)
    file = edit(island / "survey.toml", "counts ~ 1 +", "counts ~ 1 + (1 | team) +")
    messages = [finding.message for finding in check(file) if finding.level == "warning"]
    assert any("the population, without the effects of 'team'" in message for message in messages)
