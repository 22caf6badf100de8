"""A family of one's own, given as a class or an object, in all that a fit can do."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_family import Weibull, WeibullLikelihood
from scipy import stats
from small_run import RUN_FILE, VALIDATION, quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main

N = 90
RNG = np.random.default_rng(8)
TABLE = pd.DataFrame({"x": RNG.normal(size=N), "g": np.repeat(np.arange(15), 6), "e": RNG.uniform(size=N)})
ETA = 0.5 + 0.6 * TABLE["x"].to_numpy() + 0.4 * RNG.normal(size=15)[TABLE["g"]]
TABLE["n"] = RNG.uniform(size=N)
TABLE["y"] = np.exp(ETA) * RNG.weibull(2.0, N)
FORMULA = "y ~ x + (1 | g)"


class Bare(gs.families.Likelihood):
    """Exponential waiting times, the density alone."""

    def _log_density(self, eta):
        return -eta - self.y * np.exp(-eta)

    def _derivatives(self, eta):
        ratio = self.y * np.exp(-eta)
        return ratio - 1, -ratio, ratio


class Waiting(gs.families.Family):
    """A family of which no more is written than must be."""

    name = "waiting"
    links = (gs.links.LOG,)
    likelihood = Bare
    needs = "numbers above 0"

    def outside(self, y):
        return ~((y > 0) & np.isfinite(y))


@pytest.fixture(scope="module")
def fit():
    return gs.fit(FORMULA, TABLE, family=Weibull, coords=("e", "n"))


def test_the_estimates_are_the_truths(fit):
    assert fit.family == "weibull" and list(fit.hyper.index) == ["sd(Intercept | g)", "shape"]
    assert fit.hyper.loc["shape", "q0.025"] < 2.0 < fit.hyper.loc["shape", "q0.975"]
    assert fit.fixed.loc["x", "q0.025"] < 0.6 < fit.fixed.loc["x", "q0.975"]


def test_a_likelihood_fit_without_random_effects_is_that_of_scipy():
    shape, _, scale = stats.weibull_min.fit(TABLE["y"], floc=0)
    ml = gs.fit("y ~ 1", TABLE, family=Weibull(), method="ml")
    assert ml.hyper.loc["shape", "estimate"] == pytest.approx(shape, rel=1e-4)
    assert np.exp(ml.fixed.loc["Intercept", "estimate"]) == pytest.approx(scale, rel=1e-4)
    law = stats.weibull_min(ml.hyper.loc["shape", "estimate"], scale=np.exp(ml.fixed.loc["Intercept", "estimate"]))
    np.testing.assert_allclose(ml.residuals(), TABLE["y"] - law.mean(), rtol=1e-8)
    np.testing.assert_allclose(ml.residuals("pearson"), (TABLE["y"] - law.mean()) / law.std(), rtol=1e-8)


@pytest.mark.parametrize("method", ["eb", "ml", "reml"])
def test_it_fits_by_every_method_and_is_saved_by_its_import_path(method, tmp_path):
    fit = gs.fit(FORMULA, TABLE, family=Weibull(), method=method)
    fit.summary()
    fit.save(tmp_path / "mine")
    assert '"family": "own_family:Weibull"' in (tmp_path / "mine.json").read_text()
    again = gs.load_fit(tmp_path / "mine")
    assert type(again.model.family) is Weibull
    pd.testing.assert_frame_equal(again.hyper, fit.hyper)
    pd.testing.assert_frame_equal(again.fitted, fit.fitted)


def test_it_is_checked_cross_validated_predicted_and_drawn(fit):
    from geospde.results.quantile_residuals import quantile_residuals

    assert "calibration" in str(fit.check()) or "PIT" in str(fit.check())
    assert fit.pointwise["pit"].between(0, 1).all()
    scores = fit.validate("random", k=3, draws=200).scores
    assert list(scores.index) == ["model", "intercept only"]
    assert scores.loc["model", "log_score"] < scores.loc["intercept only", "log_score"]
    exceed = fit.predict(TABLE.head(3), exceed=[2.0]).to_frame()
    assert exceed["exceed_2"].between(0, 1).all()
    assert np.abs(quantile_residuals(fit)).max() < 4
    for plot in ("plot_pit", "plot_fitted", "plot_residual_variogram"):
        getattr(fit, plot)()


def test_a_name_a_class_an_object_and_an_import_path_are_one_family(fit):
    paths = [gs.fit(FORMULA, TABLE, family=f, method="eb") for f in (Weibull, Weibull(), "own_family:Weibull")]
    named = [gs.fit(FORMULA, TABLE, family=f, method="eb") for f in ("gamma", gs.families.Gamma, gs.families.Gamma())]
    for one, *others in (paths, named):
        for other in others:
            pd.testing.assert_frame_equal(one.hyper, other.hyper)


def test_priors_may_stand_on_the_object(tmp_path):
    prior = gs.priors.GammaPositive(4e4, 2e4)
    held = gs.fit(FORMULA, TABLE, family=Weibull(priors={"shape": prior}), method="eb")
    assert held.hyper.loc["shape", "mean"] == pytest.approx(2.0, abs=0.05)
    said = gs.fit(FORMULA, TABLE, family=Weibull, priors={"shape": {"loggamma": [4e4, 2e4]}}, method="eb")
    pd.testing.assert_frame_equal(held.hyper, said.hyper)
    held.save(tmp_path / "held")
    pd.testing.assert_frame_equal(gs.load_fit(tmp_path / "held").hyper, held.hyper)
    with pytest.raises(gs.InputError, match="family 'weibull' has no hyperparameter 'size': it has shape"):
        Weibull(priors={"size": prior})


@pytest.mark.slow
@pytest.mark.parametrize("given", ["own_family:Weibull", Weibull()], ids=["path", "object"])
def test_a_whole_run_draws_its_report(given, unrendered_here, tmp_path):
    write_survey(tmp_path)
    table = pd.read_csv(tmp_path / "sites.csv")
    table["speed"] = np.exp(np.sin(table["x"] / 200)) * np.random.default_rng(3).weibull(3.0, len(table))
    table.to_csv(tmp_path / "sites.csv", index=False)
    with quietly_in(tmp_path):
        config = tomllib.loads(RUN_FILE + VALIDATION)
        config["model"] = {"formula": "speed ~ 1 + spde(mesh)", "family": given}
        config["validation"]["k"] = 2
        done = gs.run(config)
        assert gs.load_fit("out").family == "weibull"
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "with a weibull likelihood and a log link" in page
    assert done.validation is not None and len(done.validation.pointwise) == 40


def test_a_survey_is_explored_and_a_run_file_proposed_for_it(tmp_path):
    table = TABLE.assign(x=1000 * TABLE["e"], y=1000 * TABLE["n"], speed=TABLE["y"])[["x", "y", "speed"]]
    table.to_csv(tmp_path / "sites.csv", index=False)
    survey = gs.read_survey(tmp_path / "sites.csv", crs="local:m")
    found = [gs.explore(survey, "speed", family=given).to_dict() for given in (Weibull, "own_family:Weibull")]
    assert str(found[0]) == str(found[1]) and "log(speed)" in str(found[0])
    with quietly_in(tmp_path):
        assert main(["init", "sites.csv", "--family", "own_family:Weibull", "--crs", "local:m", "--yes"]) == 0
        proposed = next(tmp_path.glob("*.toml")).read_text("utf-8")
    assert 'family = "own_family:Weibull"' in proposed


def test_the_report_tells_of_it(fit, tmp_path):
    from geospde.report.methods import Methods

    assert "with a weibull likelihood and a log link" in Methods(None, fit, None, "y", {}).sentences[0]


MISTAKES = [
    (3, "a family is a name, such as 'gaussian', or a geospde.families.Family, not 3"),
    ("own_family:Nothing", "module 'own_family' has no class 'Nothing'"),
    ("no_such_module:Weibull", "cannot be imported: ModuleNotFoundError, No module named 'no_such_module'"),
    ("own_family:WeibullLikelihood", "has no class 'WeibullLikelihood' of a geospde.families.Family"),
]


@pytest.mark.parametrize(("given", "words"), MISTAKES)
def test_what_is_no_family_is_refused(given, words):
    with pytest.raises(gs.InputError, match=words):
        gs.fit("y ~ x", TABLE, family=given)


def test_links_and_values_that_do_not_fit_are_refused():
    with pytest.raises(gs.InputError, match=r"stands on it, as Binomial\('probit'\)"):
        gs.fit("y ~ x", TABLE, family=gs.families.Binomial(), link="probit")
    with pytest.raises(gs.InputError, match="family 'weibull' has the link 'log', not 'identity'"):
        gs.fit("y ~ x", TABLE, family=Weibull, link="identity")
    with pytest.raises(gs.InputError, match="family 'weibull' needs numbers above 0: row 0 holds"):
        gs.fit("y ~ x", TABLE.assign(y=-TABLE["y"]), family=Weibull)

    class Nameless(gs.families.Family):
        links = (gs.links.LOG,)
        likelihood = WeibullLikelihood

    with pytest.raises(gs.InputError, match="the family Nameless has no name: give its class one, what users call it"):
        gs.fit("y ~ x", TABLE, family=Nameless)


def test_a_class_that_cannot_be_found_again_is_not_saved(tmp_path):
    class Local(Weibull):
        pass

    local = gs.fit("y ~ x", TABLE, family=Local, method="eb")
    with pytest.raises(gs.InputError, match="Local cannot be found again .* at the top of a module"):
        local.save(tmp_path / "local")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_fit_of_a_script_is_loaded_elsewhere_with_its_class(tmp_path):
    """The class of a script is ``__main__:Weibull``, which another process does not have."""
    script = tmp_path / "script.py"
    here = Path(__file__).parent
    script.write_text(
        (here / "own_family.py").read_text() + "\nimport pandas as pd\nrng = np.random.default_rng(1)\n"
        "fit = gs.fit('y ~ 1', pd.DataFrame({'y': rng.weibull(2, 40)}), family=Weibull(), method='eb')\n"
        "fit.save('mine')\nprint(bool((gs.load_fit('mine').hyper == fit.hyper).all(axis=None)))\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
    with pytest.raises(gs.InputError, match="the script that runs now has no class 'Weibull'.*give load_fit the class"):
        gs.load_fit(tmp_path / "mine")
    assert gs.load_fit(tmp_path / "mine", family=Weibull).family == "weibull"


def test_what_a_class_does_not_write_is_told_where_it_is_needed():
    fit = gs.fit(FORMULA, TABLE, family=Waiting(), coords=("e", "n"))
    fit.summary()
    assert np.isfinite(fit.criteria["waic"]) and fit.pointwise["pit"].isna().all()
    assert "write its method cdf(eta)" in str(fit.check())
    with pytest.raises(gs.InputError, match=r"Bare has no method cdf\(eta\): write it on the class, to return P\(Y"):
        fit.plot_pit()
    with pytest.raises(gs.InputError, match=r"Bare has no method moments\(eta\)"):
        fit.plot_residual_variogram(kind="pearson")
    with pytest.raises(gs.InputError, match=r"Bare has no method draw\(eta, rng\)"):
        fit.validate("loo")
    ml = gs.fit("y ~ x", TABLE, family=Waiting, method="ml")
    ml.summary()
    assert ml.pointwise["residual"].isna().all() and np.isfinite(ml.pointwise["log_likelihood"]).all()
    with pytest.raises(gs.InputError, match=r"Bare has no method moments\(eta\)"):
        ml.residuals()
