"""Fits on disk: small, exact or nearly so, whatever version wrote them, and refused in a sentence when damaged."""

import json
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hostile_densities import DENSITY, EVEN, FORGED, SITES
from hostile_fits import DAMAGED, ESTIMATES, ONE_POINT, PLAIN, of_arrays, of_words, put
from hostile_zips import HARMLESS, ZIPS
from shapely import box
from thinning import every_other
from threadpoolctl import threadpool_limits

import geospde as gs
from geospde.cli.commands import main
from geospde.inference.emulator import Emulator
from geospde.results.saving.compact import LOSSLESS, compact, expand
from geospde.results.saving.consistency import check_points
from geospde.results.storage import VARIANCE_OFF, _compact_covariances, _compact_modes

OLD = Path(__file__).parents[1] / "reference" / "saved"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small fit with a field, saved."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.uniform(0, 1000, (30, 2)), columns=["x", "y"])
    data["caught"] = rng.poisson(np.exp(1 + np.sin(data["x"] / 200)))
    mesh = gs.build_mesh(box(0, 0, 1000, 1000), max_edge=(300, 600))
    fit = gs.fit("caught ~ 1 + spde(mesh)", data, mesh=mesh, coords=("x", "y"), family="poisson", integration="auto")
    base = tmp_path_factory.mktemp("saved") / "fit"
    fit.save(base)
    return base


@pytest.mark.parametrize("name", every_other([*DAMAGED, *ZIPS]))
def test_a_damaged_fit_gets_one_sentence(name, whole, tmp_path):
    spoil, words = (DAMAGED | ZIPS)[name]
    for suffix in (".npz", ".json"):
        shutil.copy(whole.with_suffix(suffix), tmp_path / f"fit{suffix}")
    spoil(tmp_path / "fit")
    before = set(sys.modules)
    with pytest.raises(gs.InputError, match=words or "saved fit|fit") as caught:
        gs.load_fit(tmp_path)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 450, said
    assert "antigravity" not in set(sys.modules) - before


@pytest.fixture(scope="module")
def again(whole):
    """The posterior that is read from it."""
    return gs.load_fit(whole).posterior


@pytest.mark.parametrize("name", HARMLESS)
def test_an_odd_archive_of_the_same_arrays_is_the_same_fit(name, whole, again, tmp_path):
    for suffix in (".npz", ".json"):
        shutil.copy(whole.with_suffix(suffix), tmp_path / f"fit{suffix}")
    HARMLESS[name](tmp_path / "fit")
    ours = gs.load_fit(tmp_path).posterior
    np.testing.assert_array_equal(ours.weights, again.weights)
    np.testing.assert_array_equal([p.x for p in ours.points], [p.x for p in again.points])


@pytest.fixture(scope="module")
def estimated(tmp_path_factory):
    """A small fit by maximum likelihood, saved."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"z": rng.normal(size=40), "g": list("abcde") * 8})
    data["caught"] = rng.poisson(np.exp(1 + 0.3 * data["z"] + data["g"].map(dict(zip("abcde", rng.normal(size=5))))))
    base = tmp_path_factory.mktemp("estimated") / "fit"
    gs.fit("caught ~ z + (1 | g)", data, family="poisson", method="ml").save(base)
    return base


@pytest.mark.parametrize("name", ESTIMATES)
def test_estimates_that_do_not_hold_together_get_one_sentence(name, estimated, tmp_path):
    spoil, words = ESTIMATES[name]
    for suffix in (".npz", ".json"):
        shutil.copy(estimated.with_suffix(suffix), tmp_path / f"fit{suffix}")
    assert gs.load_fit(tmp_path).log_likelihood == gs.load_fit(estimated).log_likelihood
    spoil(tmp_path / "fit")
    with pytest.raises(gs.InputError, match=words):
        gs.load_fit(tmp_path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A Gaussian regression by maximum likelihood, saved."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"z": rng.normal(size=30)})
    base = tmp_path_factory.mktemp("plain") / "fit"
    gs.fit("caught ~ z", data.assign(caught=1 + data["z"] + rng.normal(size=30)), method="ml").save(base)
    return base


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Two likelihoods by empirical Bayes, saved."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(list("abcdefgh"), 8), "z": rng.normal(size=64)})
    level = data["g"].map(dict(zip("abcdefgh", rng.normal(size=8))))
    data = data.assign(caught=rng.poisson(np.exp(1 + level)), lead=level + rng.normal(size=64))
    parts = [
        gs.Observations("caught ~ 1 + field", data, family="poisson", name="counts"),
        gs.Observations("lead ~ z + copy(field)", data, family="gaussian", name="lead"),
    ]
    base = tmp_path_factory.mktemp("several") / "fit"
    gs.fit(parts, terms={"field": "(1 | g)"}, method="eb").save(base)
    return base


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """Counts with a group, whose hyperparameter's density is an emulator's, saved."""
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"z": rng.normal(size=24), "g": list("abcdef") * 4})
    level = data["g"].map(dict(zip("abcdef", rng.normal(size=6))))
    data["caught"] = rng.poisson(np.exp(0.3 * data["z"] + level))
    base = tmp_path_factory.mktemp("dense") / "fit"
    fit = gs.fit("caught ~ z + (1 | g)", data, family="poisson", integration="adaptive")
    assert fit.posterior.hyper.residual.rule == Emulator.rule
    fit.save(base)
    return base


@pytest.fixture(scope="module")
def even(tmp_path_factory):
    """Counts with a group, the density of whose two hyperparameters is an even grid's, saved."""
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"g": list("abcdef") * 4})
    data["caught"] = rng.poisson(np.exp(data["g"].map(dict(zip("abcdef", rng.normal(size=6))))))
    base = tmp_path_factory.mktemp("even") / "fit"
    gs.fit("caught ~ 1 + (1 | g)", data, family="nbinomial", integration="grid").save(base)
    return base


@pytest.fixture(scope="module")
def placed(tmp_path_factory):
    """A field by restricted maximum likelihood, saved."""
    rng = np.random.default_rng(7)
    data = pd.DataFrame(rng.uniform(0, 1000, (60, 2)), columns=["x", "y"])
    data["lead"] = np.sin(data["x"] / 200) + 0.2 * rng.normal(size=60)
    mesh = gs.build_mesh(box(0, 0, 1000, 1000), max_edge=(300, 600))
    base = tmp_path_factory.mktemp("placed") / "fit"
    gs.fit("lead ~ 1 + spde(mesh)", data, mesh=mesh, coords=("x", "y"), method="reml").save(base)
    return base


KINDS = {"plain": PLAIN, "several": ONE_POINT, "dense": DENSITY, "even": EVEN, "placed": SITES}


@pytest.mark.parametrize(("name", "of"), [(name, of) for of, kinds in KINDS.items() for name in kinds])
def test_fits_of_other_kinds_that_do_not_hold_together_get_one_sentence(name, of, request, tmp_path):
    whole = request.getfixturevalue(of)
    spoil, words = KINDS[of][name]
    for suffix in (".npz", ".json"):
        shutil.copy(whole.with_suffix(suffix), tmp_path / f"fit{suffix}")
    gs.load_fit(tmp_path)
    spoil(tmp_path / "fit")
    with pytest.raises(gs.InputError, match=words) as caught:
        gs.load_fit(tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 450


@pytest.fixture(scope="module")
def forgeable(tmp_path_factory):
    """Fits by an even grid, a composite design and restricted maximum likelihood with an sd of zero, saved."""
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"z": rng.normal(size=30), "g": list("abcdef") * 5})
    data["caught"] = rng.poisson(np.exp(0.3 * data["z"] + data["g"].map(dict(zip("abcdef", rng.normal(size=6))))))
    data["lead"] = rng.normal(size=30)
    folder = tmp_path_factory.mktemp("forgeable")
    gs.fit("caught ~ z + (1 | g)", data, family="poisson", integration="grid").save(folder / "grid")
    gs.fit("caught ~ z + (1 | g)", data, family="nbinomial", integration="ccd").save(folder / "ccd")
    gs.fit("lead ~ z + (1 | g)", data, method="reml").save(folder / "reml")
    return folder


@pytest.mark.parametrize(("of", "name"), [(of, name) for of, kinds in FORGED.items() for name in kinds])
def test_a_forged_number_gives_no_other_answer(of, name, forgeable, tmp_path):
    spoil, words = FORGED[of][name]
    for suffix in (".npz", ".json"):
        shutil.copy((forgeable / of).with_suffix(suffix), tmp_path / f"fit{suffix}")
    gs.load_fit(tmp_path)
    spoil(tmp_path / "fit")
    with pytest.raises(gs.InputError, match=words) as caught:
        gs.load_fit(tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 450


def test_means_of_a_gaussian_are_its_mode(tmp_path):
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": list("abcde") * 8, "caught": rng.normal(size=40)})
    gs.fit("caught ~ 1 + (1 | g)", data, method="eb").save(tmp_path / "fit")
    gs.load_fit(tmp_path)
    of_arrays(put("means", lambda a: a + 0.01))(tmp_path / "fit")
    with pytest.raises(gs.InputError, match="not the mode, which a Gaussian has for both"):
        gs.load_fit(tmp_path)


@pytest.mark.parametrize("term", ["part", "(1 | part)", "(1 | day)", "share", "(1 | share)", "time"])
def test_labels_of_any_kind_and_decimals_are_read_as_they_were(term, tmp_path):
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"part": pd.cut(rng.normal(size=40), 4), "caught": rng.normal(size=40)})
    data["day"] = pd.to_datetime(["2001-01-01", "2001-01-02", "2001-03-01", "2001-04-01"] * 10)
    data["time"] = pd.Categorical(data["day"])
    data["share"] = [Decimal(10), Decimal("2.5")] * 20
    fit = gs.fit(f"caught ~ 1 + {term}", data, method="reml")
    fit.save(tmp_path / "fit")
    again = gs.load_fit(tmp_path / "fit").predict(data).to_frame()
    pd.testing.assert_frame_equal(again, fit.predict(data).to_frame(), rtol=1e-9)  # saved modes are rounded


def test_the_command_line_says_the_same_and_ends_with_two(whole, tmp_path, capsys):
    for suffix in (".npz", ".json"):
        shutil.copy(whole.with_suffix(suffix), tmp_path / f"fit{suffix}")
    (tmp_path / "fit.npz").write_bytes(b"")
    assert main(["compare", str(whole.parent), str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("geospde: ") and said.count("\n") == 1, said


def test_a_fit_that_version_0_1_0_wrote_predicts_as_it_did():
    fit, then = gs.load_fit(OLD / "rongelap"), pd.read_csv(OLD / "rongelap.csv")
    now = fit.predict(gs.load_dataset("rongelap").points.iloc[:20], exceed=[8.0]).to_frame()
    pd.testing.assert_frame_equal(now, then, rtol=1e-8, atol=1e-12)


def test_fits_of_older_versions_have_the_default_priors_of_then():
    """Of 0.1.0 a residual's precision was Gamma(1, rate 5e-5) in any unit, and a Tweedie's phi Gamma(100, rate 100)."""
    sleep, tweedie = gs.load_fit(OLD / "sleep-eb"), gs.load_fit(OLD / "tweedie")
    for fit, name, prior in ((sleep, "sigma", "Gamma(1, rate 5e-05)"), (tweedie, "phi", "Gamma(100, rate 100)")):
        assert next(h.prior for h in fit.model.hyperparameters if h.name == name).endswith(prior)
        again = fit.laplace.at(fit.posterior.mode.theta, fit.posterior.mode.x).log_posterior
        assert again == pytest.approx(fit.posterior.mode.log_posterior, abs=0.05)  # less corrections; by today's 8


@pytest.mark.slow
def test_other_default_priors_of_a_later_version_change_nothing_in_a_saved_fit(dense, tmp_path, monkeypatch):
    before = gs.load_fit(dense)
    monkeypatch.setattr("geospde.terms.groups.PCSd", lambda sd, p: gs.priors.PCSd(0.2 * sd, 0.5))
    after = gs.load_fit(dense)
    assert after.model.hyperparameters[0].prior == before.model.hyperparameters[0].prior
    pd.testing.assert_frame_equal(after.certify(200).hyper, before.certify(200).hyper)
    for suffix in (".npz", ".json"):
        shutil.copy(dense.with_suffix(suffix), tmp_path / f"fit{suffix}")
    of_words(lambda words: words.update(format=2, priors_in_force=None))(tmp_path / "fit")
    with pytest.raises(gs.InputError, match="is of an older version, .* other default priors .* fit the model again"):
        gs.load_fit(tmp_path)


def test_a_large_saved_fit_is_read_without_the_order_of_its_precision(whole, monkeypatch):
    """Of 100,000 vertices that order took a quarter of the time; draws and third cumulants alone need it."""
    monkeypatch.setattr("geospde.results.saving.consistency.CHEAP", 0)
    fit = gs.load_fit(whole)
    draws = fit.sample(3, seed=1)
    monkeypatch.setattr("geospde.linalg.cholesky.analyse", lambda *_: pytest.fail("analysed"))
    again = gs.load_fit(whole)
    pd.testing.assert_frame_equal(again.hyper, fit.hyper)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(again.sample(3, seed=1), draws)


def test_tables_have_the_same_digits_with_any_number_of_threads():
    tables = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            fit = gs.load_fit(OLD / "rongelap")
            tables.append(fit.hyper.to_csv() + fit.fixed.to_csv() + repr(fit.approximation.hyper.moments()))
    assert tables[0] == tables[1]


def test_a_fit_is_the_same_files_whenever_it_is_saved(whole, tmp_path):
    gs.load_fit(whole).save(tmp_path / "fit")
    assert (tmp_path / "fit.npz").read_bytes() == whole.with_suffix(".npz").read_bytes()
    assert json.loads((tmp_path / "fit.json").read_text()) == json.loads(whole.with_suffix(".json").read_text())


def test_large_arrays_that_vary_smoothly_take_little_room(monkeypatch):
    # 60 points of two hyperparameters, 5,000 smooth functions of them, over ten orders of size
    rng = np.random.default_rng(2)
    theta, slopes = rng.normal(size=(60, 2)), rng.normal(size=(2, 5_000))
    values = np.exp(0.3 * theta @ slopes) * 10.0 ** rng.uniform(-5, 5, 5_000)
    assert values.nbytes > LOSSLESS
    parts = compact("field", values)
    again = expand("field", parts)
    assert (np.abs(again - values).max(axis=0) <= 1e-8 * np.abs(values).max(axis=0)).all()
    assert sum(part.nbytes for part in parts.values()) < values.nbytes / 3
    monkeypatch.setattr("geospde.results.saving.compact.CHUNK", 777)  # columns at a time
    np.testing.assert_allclose(expand("field", parts), again, rtol=0, atol=1e-15 * np.abs(values).max())


def test_zeros_and_equal_rows_take_no_room():
    values = np.zeros((10, 25_001))
    assert (expand("x", compact("x", values)) == 0).all()
    parts = compact("x", values + 1.0)
    np.testing.assert_allclose(expand("x", parts), 1.0, rtol=1e-8)


@pytest.mark.slow
def test_rounding_moves_no_standard_deviation_by_more_than_some_millionths(whole, tmp_path, monkeypatch):
    """Field and intercept nearly cancel at long ranges: rounded to a 1e-8th alone, sds were 1.6e-4 off."""
    exact = gs.load_fit(whole)
    monkeypatch.setattr("geospde.results.saving.compact.LOSSLESS", 0)
    exact.save(tmp_path / "fit")
    there = pd.DataFrame(np.random.default_rng(2).uniform(0, 1000, (20, 2)), columns=["x", "y"])
    sds = [fit.predict(there).to_frame()["sd"].to_numpy() for fit in (exact, gs.load_fit(tmp_path / "fit"))]
    assert not np.array_equal(*sds)
    np.testing.assert_allclose(*sds, rtol=3e-6)  # a millionth at the data, and a little more elsewhere


@pytest.mark.parametrize("own", [(7.2, -0.3), (5.5, -2.0), (8.2, 0.5)])
@pytest.mark.parametrize("larger", [1e3, 1e6, 1e12])
def test_small_variances_beside_those_of_another_theta_are_kept(whole, monkeypatch, larger, own):
    """A theta at which a field is nearly intrinsic has variances of millions: rounding left none positive elsewhere."""
    fit = gs.load_fit(whole)
    monkeypatch.setattr("geospde.results.saving.compact.LOSSLESS", 0)
    points = [fit.laplace.at(np.array(theta), gradient=False) for theta in (own, (9.2, 0.3))]
    other, own = (point.covariance for point in points)
    two = SimpleNamespace(covariances=np.array([larger * other, own]), weights=np.array([0.5, 0.5]), points=points)
    parts = _compact_covariances(two, fit.laplace)
    again, diagonal = expand("covariances", parts)[1], fit.laplace.pattern.indptr[:-1]
    np.testing.assert_allclose(again[diagonal], own[diagonal], atol=VARIANCE_OFF * own[diagonal].max(), rtol=0)


def test_a_field_of_next_to_no_sd_at_one_theta_is_read_again_beside_another(whole, monkeypatch):
    """Its variances lay beneath the steps of the other's, and the fit of a delta model was refused as damaged."""
    fit = gs.load_fit(whole)
    table = fit.model.table.assign(z=np.linspace(-1.0, 1.0, len(fit.model.table)))
    model = gs.fit(
        "caught ~ 1 + spde(mesh) + spde(mesh, by=z)", table, mesh=fit.model.meshes["mesh"], coords=("x", "y"),
        family="poisson", integration="eb", strategy="gaussian",
    )  # fmt: skip
    monkeypatch.setattr("geospde.results.saving.compact.LOSSLESS", 0)
    laplace, own = model.laplace, model.posterior.mode.theta
    points = [laplace.at(theta, gradient=False) for theta in (own, own - [0.0, 8.0, 0.0, 0.0])]
    weights = np.array([0.5, 0.5])
    two = SimpleNamespace(covariances=np.array([p.covariance for p in points]), weights=weights, points=points)
    again = expand("covariances", _compact_covariances(two, laplace))
    means = np.array([p.x for p in points])
    two.means = means
    parts = _compact_modes(two, laplace)
    assert "modes_axes" in parts
    modes = expand("modes", parts)
    np.testing.assert_allclose(modes + expand("shifts", parts), means, atol=1e-6 * np.abs(means).max(), rtol=0)
    points = [laplace.restored(p.theta, p.log_posterior, x, x, each) for p, x, each in zip(points, modes, again)]
    check_points(laplace, points, weights, posterior=True)


def test_a_trend_that_nothing_penalises_is_an_estimate_and_no_mode(tmp_path):
    """By ML a smooth's trend is where the Laplace likelihood is largest, off the latent mode: it was refused."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": rng.normal(size=100), "g": rng.integers(0, 10, 100).astype(str)})
    data["y"] = rng.binomial(1, 1 / (1 + np.exp(-data.x - rng.normal(0, 1.5, 10)[data.g.astype(int)])))
    fit = gs.fit("y ~ s(x, k=5) + (1 | g)", data, family="bernoulli", method="ml")
    fit.save(tmp_path / "fit")
    again = gs.load_fit(tmp_path / "fit").predict(data.head(3)).to_frame()
    pd.testing.assert_frame_equal(again, fit.predict(data.head(3)).to_frame())
