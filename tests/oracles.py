"""Slow, plain answers that the tests compare with, and the reference case as objects."""

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import scipy.sparse as sp

import geospde as gs
from geospde.families.registry import Poisson
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.matern import MaternSpde

REFERENCE = Path(__file__).parent / "reference" / "rongelap"


def reference_mesh():
    """The 691-vertex mesh that fmesher made, on which the reference figures were computed."""
    return gs.Mesh(pd.read_csv(REFERENCE / "mesh_vertices.csv"), pd.read_csv(REFERENCE / "mesh_triangles.csv"))


def exact(tag):
    """Exact posterior by importance sampling: scalars, fitted and predicted intensities."""
    scalars = json.loads((REFERENCE / f"{tag}_exact.json").read_text())
    return (
        scalars,
        pd.read_csv(REFERENCE / f"{tag}_exact_fitted.csv"),
        pd.read_csv(REFERENCE / f"{tag}_exact_pred.csv"),
    )


@cache
def reference_fit(alpha, method="inla"):
    """Our fit of the reference model."""
    survey = gs.load_dataset("rongelap")
    return gs.fit(
        f"counts ~ 1 + spde(mesh, alpha={alpha}, constr=True, prior='spde2')",
        pd.DataFrame(survey.points.drop(columns="geometry")),
        coords=("cX", "cY"),
        mesh=reference_mesh(),
        family="poisson",
        exposure="time",
        method=method,
    )


def square_mesh(cells, low=0.0, high=1.0):
    """A regular mesh of a square, each cell cut in two."""
    side = np.linspace(low, high, cells + 1)
    x, y = np.meshgrid(side, side)
    number = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b, c, d = (v.ravel() for v in (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]))
    return gs.Mesh(np.column_stack([x.ravel(), y.ravel()]), np.vstack([np.c_[a, b, c], np.c_[a, c, d]]))


def small_model(constr, intercept_precision, alpha=2.0, seed=3, sites=25, mean=4.0):
    """A little SPDE Poisson model that dense algebra can solve."""
    rng = np.random.default_rng(seed)
    mesh = square_mesh(5)
    term = MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles), alpha=alpha, constr=constr)
    points = rng.uniform(0.05, 0.95, (sites, 2))
    exposure = rng.uniform(0.5, 2.0, sites)
    y = rng.poisson(exposure * mean * np.exp(np.sin(6 * points[:, 0])))
    design = sp.hstack([mesh.basis(points), np.ones((sites, 1))]).tocsr()
    return SimpleNamespace(
        precisions=[term],
        design=design,
        offset=0.1 * rng.standard_normal(sites),
        likelihood=Poisson().bind(y, exposure=exposure),
        fixed_mean=np.array([0.3]),
        fixed_precision=np.array([intercept_precision]),
    )


def dense_laplace(model, theta):
    """Laplace approximation by dense algebra; a constraint is met by a basis of its null space, not by kriging.

    Returns
    -------
    log_posterior, x, covariance
    """
    term = model.precisions[0]
    n, n_fixed = term.n, model.fixed_mean.size
    a = model.design.toarray()
    q = np.zeros((n + n_fixed, n + n_fixed))
    q[:n, :n] = term.matrix(theta).toarray()
    q[n:, n:] = np.diag(model.fixed_precision)
    mu = np.r_[np.zeros(n), model.fixed_mean]
    basis = np.eye(n + n_fixed)
    if term.constraints is not None:
        u = np.r_[term.constraints[:, 0], np.zeros(n_fixed)]
        basis = np.linalg.svd(u[None, :])[2][1:].T  # orthonormal, u'basis = 0
    x = np.zeros(n + n_fixed)
    for _ in range(200):
        d1, d2, _ = model.likelihood.derivatives(a @ x + model.offset)
        h = q + a.T @ (-d2[:, None] * a)
        step = basis @ np.linalg.solve(basis.T @ h @ basis, basis.T @ (a.T @ d1 - q @ (x - mu)))
        x = x + step * min(1.0, 1.0 / np.abs(step).max())
    d2 = model.likelihood.derivatives(a @ x + model.offset)[1]
    inner = basis.T @ (q + a.T @ (-d2[:, None] * a)) @ basis
    field = np.eye(n) if term.constraints is None else np.linalg.svd(term.constraints.T)[2][1:].T
    proper = model.fixed_precision[model.fixed_precision > 0]
    prior = 0.5 * np.linalg.slogdet(field.T @ q[:n, :n] @ field)[1] - 0.5 * field.shape[1] * np.log(2 * np.pi)
    prior += 0.5 * np.log(proper / (2 * np.pi)).sum() - 0.5 * (x - mu) @ q @ (x - mu)
    gaussian = 0.5 * np.linalg.slogdet(inner)[1] - 0.5 * inner.shape[0] * np.log(2 * np.pi)
    value = model.likelihood.log_density(a @ x + model.offset).sum() + prior - gaussian
    value += term.prior.log_density(np.asarray(theta))
    return value, x, basis @ np.linalg.inv(inner) @ basis.T
