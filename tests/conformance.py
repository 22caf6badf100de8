"""What every latent term has to stand, whatever it is: its contract (`geospde.terms.base`), against dense algebra.

A test lists a term by a `Case` and calls `check`, or the checks one by one.
"""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oracles import square_mesh

import geospde as gs
from geospde.errors import InputError
from geospde.inference.laplace import Laplace
from geospde.model.build import build_model
from geospde.results.saving.priors import priors_words, with_priors

LOG_2PI = np.log(2 * np.pi)
PLAIN = square_mesh(4)
MIDDLE = np.abs(PLAIN.vertices[PLAIN.triangles].mean(axis=1) - [0.5, 0.3]).max(axis=1) < 0.25
MESH = gs.Mesh(PLAIN.vertices, PLAIN.triangles, barrier=MIDDLE)  # a square of land in the middle
MESH = MESH.with_values(elev=PLAIN.vertices @ [0.5, -1.0])


def table():
    """Places, a covariate, groups, a response of all of them, and counts."""
    return _table().copy()


@cache
def _table(m=48):
    rng = np.random.default_rng(11)
    t = pd.DataFrame({"x": rng.uniform(0.05, 0.95, m), "y": rng.uniform(0.05, 0.95, m), "z": rng.normal(size=m)})
    t["w"] = np.round(rng.uniform(0, 3, m), 1)
    t["g"] = np.tile(list("abcdef"), m // 6)
    t["g6"] = np.tile([1, 2, 4], m // 3)
    t["f"] = np.tile(["one", "two"], m // 2)
    eta = np.sin(5 * t.x) + 0.5 * np.cos(4 * t.y) + 0.4 * np.sin(2 * t.w) + 0.3 * t.g.map(ord).sub(99)
    t["v"] = eta + 0.4 * t.z * t.g.map(ord).sub(99.5) + rng.normal(0, 0.3, m)
    t["n"] = rng.poisson(np.exp(0.5 + 0.5 * eta))
    return t


@dataclass(frozen=True)
class Case:
    """A term in a model, beside a flat intercept.

    Attributes
    ----------
    term : str
        As written in a formula.
    fixed : str
        What else is in the formula.
    methods : tuple of str
        That can fit it; "ccd" is "inla" by a central composite design, which is quick with three hyperparameters.
    data : callable
        Makes the table.
    response, counts : str
        Columns of it.
    """

    term: str
    fixed: str = "1"
    methods: tuple[str, ...] = ("inla", "eb", "reml", "ml")
    data: Callable[[], pd.DataFrame] = table
    response: str = "v"
    counts: str = "n"

    def __str__(self):
        return self.term

    def keys(self, response=None, **more):
        """Arguments of `build_model` and of `gs.fit`."""
        place = {"mesh": MESH, "coords": ("x", "y")} if "mesh" in self.term else {}
        if "graph" in self.term:
            place["graphs"] = {"w": dict(zip("abcdef", ["b", "ac", "bd", "c", "f", "e"]))}
        formula = f"{response or self.response} ~ {self.fixed} + {self.term}"
        return {"formula": formula, "data": self.data(), **place, **more}

    @cached_property
    def model(self):
        """Of the Gaussian response."""
        return build_model(**self.keys())

    @property
    def latent(self):
        """The term itself."""
        return self.model.terms[0]

    def thetas(self):
        """Two places in the term's own theta, about where a search begins."""
        start = self.latent.start(1.0)
        rng = np.random.default_rng(3)
        return [start, start + rng.uniform(-0.4, 0.4, start.size)]


def check(case, tmp_path):
    """All of it."""
    check_words(case)
    check_precision(case)
    check_rows(case)
    check_priors(case)
    check_inside_a_model(case)
    for method in case.methods:
        check_fit(case, method, tmp_path)


def orthonormal(constraints, n):
    """Basis of the vectors that meet the constraints, (n, n - k)."""
    return np.eye(n) if constraints is None else np.linalg.svd(constraints.T)[2][constraints.shape[1] :].T


def check_words(case):
    """Names, labels and hyperparameters are complete and told apart; unknown options are refused."""
    term, model = case.latent, case.model
    assert term.label == term.precision.label and term.n == term.precision.n
    assert len(term.names()) == len(set(term.names())) == term.n
    own = term.hyperparameters()
    assert len({h.name for h in own}) == len(own) >= len(term.precision.parameters)
    assert all(np.isfinite(h.value(term.start(1.0))) and h.direction.size == term.start(1.0).size for h in own)
    assert [h.name for h in model.hyperparameters[: len(own)]] == [h.name for h in own]
    places = np.concatenate([v.places for v in term.variables()])
    assert sorted(places) == list(range(term.n))
    assert all(len(v.labels) == len(v.places) for v in term.variables())
    assert set(term.function_of) <= set(case.data().columns)
    if "(" in case.term.strip("("):
        with pytest.raises(InputError, match="nonsense"):
            build_model(**{**case.keys(), "formula": case.keys()["formula"].removesuffix(")") + ", nonsense=3)"})


def check_precision(case):
    """Pattern, values, gradients, constraints and normaliser are those of one dense matrix."""
    p, pattern = case.latent.precision, case.latent.precision.pattern
    rows, columns = pattern.indices, np.repeat(np.arange(p.n), np.diff(pattern.indptr))
    assert (rows >= columns).all() and pattern.has_sorted_indices and set(range(p.n)) == set(rows[rows == columns])
    misses, sent = [], pickle.loads(pickle.dumps(p))  # as to the workers of a cluster
    for theta in case.thetas():
        values, slopes = p.values(theta), p.gradients(theta)
        value, gradient = p.log_normaliser(theta)
        assert values.shape == (pattern.nnz,) and slopes.shape == (theta.size, pattern.nnz)
        assert np.isfinite(values).all() and np.array_equal(values, sent.values(theta))
        for k, step in enumerate(1e-5 * np.eye(theta.size)):
            ends, size = (p.values(theta + step) - p.values(theta - step)) / 2e-5, np.abs(values).max()
            assert slopes[k] == pytest.approx(ends, rel=1e-5, abs=1e-7 * size)
            ends = (p.log_normaliser(theta + step)[0] - p.log_normaliser(theta - step)[0]) / 2e-5
            assert gradient[k] == pytest.approx(ends, rel=1e-5, abs=1e-5)
        assert p.log_normaliser(theta, gradient=False)[0] == pytest.approx(value, abs=1e-12 * max(1, abs(value)))
        q = p.matrix(theta).toarray()
        if p.constraints is not None and p.rank_deficiency:  # they take directions in which Q is flat
            flat = np.linalg.eigh(q)[1][:, : p.rank_deficiency]
            assert np.linalg.matrix_rank(p.constraints.T @ flat) == p.constraints.shape[1]
        basis = orthonormal(p.constraints, p.n)
        eigenvalues = np.linalg.eigvalsh(basis.T @ q @ basis)
        assert (eigenvalues[: eigenvalues.size - p.rank] < 1e-10 * eigenvalues[-1]).all()
        misses.append(value - 0.5 * np.log(eigenvalues[eigenvalues.size - p.rank :]).sum())
    # an unpenalised direction that no constraint takes has a unit, the term's own, but the same for every theta
    assert misses[0] == pytest.approx(misses[1], abs=1e-6)
    if p.unpenalised is None:
        assert misses[0] == pytest.approx(0.0, abs=1e-6)


def check_rows(case):
    """Rows of a prediction at the data are those of the data."""
    model = case.model
    data = case.data()
    points = data[["x", "y"]].to_numpy() if model.coords else None
    rows = model.rows(data, points)
    if hasattr(rows, "at"):
        theta = np.concatenate([case.thetas()[0], [0.0]])
        rows, more = rows.at(theta)
        assert more == pytest.approx(np.zeros(len(data)), abs=1e-6)
    assert abs(rows - model.design).max() < 1e-6


def check_priors(case):
    """A saved fit's priors are put in the place of those that a model is made with, in its tables, too."""
    made = build_model(**case.keys())
    own, described = priors_words(made), [h.prior for h in made.hyperparameters]
    other = _wider(own)
    now = with_priors(made, json.loads(json.dumps(other)))
    assert priors_words(now) == other
    assert all(h.prior != prior or not prior for h, prior in zip(now.hyperparameters, described))
    back = with_priors(now, own)
    assert priors_words(back) == own and [h.prior for h in back.hyperparameters] == described


def _wider(words):
    """The words of other priors: every size in them is larger."""
    if isinstance(words, list):
        return [_wider(each) for each in words]
    if not isinstance(words, dict):
        return words
    sizes = ("sd0", "range0", "precision", "rate", "scale", "phi0", "rho0", "a", "eta")
    return {k: 1.3 * v if k in sizes and isinstance(v, float) else _wider(v) for k, v in words.items()}


def check_inside_a_model(case):
    """Evidence, mode, covariance and draws of a Poisson model are those of dense algebra."""
    model = build_model(**case.keys(case.counts, family="poisson"))
    laplace, theta = Laplace(model, tolerance=1e-20), np.concatenate([term.start(1.0) for term in model.terms])
    found = laplace.at(theta)
    n, q, parts = laplace.n, np.zeros((laplace.n, laplace.n)), []
    for p, block, where in zip(model.precisions, laplace.blocks, laplace.theta_blocks):
        q[block, block] = p.matrix(theta[where]).toarray()
        parts.append(p.log_normaliser(theta[where])[0] - 0.5 * p.rank * LOG_2PI + p.prior.log_density(theta[where]))
    basis, a = orthonormal(laplace.constraints, n), model.design.toarray()
    rate = np.exp(a @ found.x)
    h = basis.T @ (q + a.T @ (rate[:, None] * a)) @ basis
    slope = basis.T @ (a.T @ (model.likelihood.y - rate) - q @ found.x)
    assert np.abs(np.linalg.solve(h, slope)).max() < 1e-6  # no further to go
    covariance = basis @ np.linalg.inv(h) @ basis.T
    expected = model.likelihood.log_density(a @ found.x).sum() - 0.5 * found.x @ q @ found.x
    expected += sum(parts)
    expected += 0.5 * h.shape[0] * LOG_2PI - 0.5 * np.linalg.slogdet(h)[1]
    assert found.log_posterior == pytest.approx(expected, abs=1e-8 * max(1.0, np.linalg.cond(h) * 1e-7))
    scale = np.abs(covariance).max()
    assert laplace.solve(found, np.eye(n)) == pytest.approx(covariance, rel=1e-5, abs=1e-7 * scale)
    assert found.eta_variance == pytest.approx(np.einsum("ij,jk,ik->i", a, covariance, a), rel=1e-5)
    for k, step in enumerate(1e-5 * np.eye(theta.size)):
        ends = (laplace.at(theta + step).log_posterior - laplace.at(theta - step).log_posterior) / 2e-5
        assert found.gradient[k] == pytest.approx(ends, rel=1e-4, abs=1e-4)
    draws = laplace.draw(found, np.random.default_rng(0).standard_normal((n, 20_000)))
    # a variance of 20,000 draws has a standard error of 1 % of it; of hundreds, one is beyond four of them
    assert np.var(a @ draws, axis=1) == pytest.approx(found.eta_variance, rel=0.05)


def check_fit(case, method, tmp_path: Path):
    """A fit has tables, predictions, effects and draws, and is the same when it was saved and loaded."""
    fit = gs.fit(**case.keys(**({"integration": "ccd"} if method == "ccd" else {"method": method})))
    term, data = fit.model.terms[0], case.data()
    assert list(fit.random.index[: term.n]) == term.names()
    assert {h.name for h in term.hyperparameters()} <= set(fit.hyper.index)
    middle = "mean" if "mean" in fit.fixed else "estimate"
    assert np.isfinite(fit.random[middle]).all() and np.isfinite(fit.fixed[middle]).all()
    if term.precision.constraints is not None:
        sums = term.precision.constraints.T @ fit.random[middle].to_numpy()[: term.n]
        assert np.abs(sums).max() < 1e-8 * np.abs(term.precision.constraints).sum()
    at = fit.predict(data.head(7)).to_frame()
    predicted, fitted = (f["mean" if "mean" in f else "estimate"].to_numpy()[:7] for f in (at, fit.fitted))
    assert predicted == pytest.approx(fitted, rel=1e-6, abs=1e-6)
    for column in term.function_of:
        frame = fit.effects(column).to_frame()
        assert np.isfinite(frame.drop(columns=column).select_dtypes("number").to_numpy()).all()
    draws = fit.sample(30, seed=2)
    assert np.isfinite(draws.to_numpy()).all() and set(term.names()) <= set(draws.columns)
    fit.save(tmp_path / "fit")
    again = gs.load_fit(tmp_path / "fit")
    pd.testing.assert_frame_equal(again.hyper, fit.hyper, rtol=1e-8)
    pd.testing.assert_frame_equal(again.random, fit.random, rtol=1e-6, atol=1e-9)
    pd.testing.assert_frame_equal(again.predict(data.head(7)).to_frame(), at, rtol=1e-6)
    fit.summary()
