"""Everyday models: seconds, evaluations and factorisations of a fit, and how far it is from the exact posterior.

One field on 1,883 vertices and 200, 500 or 2,000 sites; data, mesh and R-INLA's seconds in `tests/reference/everyday`.
"""

import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import geospde as gs
from geospde.linalg.threads import one_blas_thread

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "reference" / "everyday"
SITES = (200, 500, 2000)
# name: formula, family, R-INLA's name for it
MODELS = {
    "gaussian": ("z ~ 1 + spde(mesh)", "gaussian", "gaussian"),
    "poisson": ("c ~ 1 + spde(mesh)", "poisson", "poisson"),
    "bernoulli": ("b ~ 1 + spde(mesh)", "bernoulli", "binomial"),
    "nbinomial": ("nb ~ 1 + spde(mesh)", "nbinomial", "nbinomial"),
    "gamma": ("g ~ 1 + spde(mesh)", "gamma", "gamma"),
    "poisson, groups": ("c ~ 1 + w + (1 | grp) + spde(mesh)", "poisson", "poisson+"),
}
QUANTILES = ["q0.025", "q0.5", "q0.975"]


def load():
    """Return the table, the mesh, and R-INLA's seconds by sites and family."""
    table = pd.read_csv(FOLDER / "data.csv.gz").astype({"grp": str})
    mesh = gs.Mesh(*(pd.read_csv(FOLDER / f"{name}.csv.gz").to_numpy() for name in ("vertices", "triangles")))
    return table, mesh, pd.read_csv(FOLDER / "inla.csv").groupby(["n", "family"])["seconds"].first()


def one_factorisation(fit):
    """Seconds that one factorisation of H takes at the heaviest point, the median of five."""
    laplace, point, taken = fit.laplace, fit.posterior.heaviest, []
    with one_blas_thread():
        entries = laplace.prior_at(point.theta) + laplace.data_part(-point.derivatives[1])
        for _ in range(5):
            began = time.process_time()
            laplace.solver.factor(entries)
            taken.append(time.process_time() - began)
    return sorted(taken)[2]


def errors(fit, draws):
    """Largest error of a hyperparameter's quantiles, in posterior sds, and of its sd, with what bounds them."""
    exact = fit.certify(draws=draws)
    quantiles = (fit.hyper[QUANTILES] - exact.hyper[QUANTILES]).div(exact.hyper["sd"], axis=0).abs()
    return {
        "quantile_error": float(quantiles.to_numpy().max()),
        "mean_error": float(((fit.hyper["mean"] - exact.hyper["mean"]) / exact.hyper["sd"]).abs().max()),
        "sd_error": float((fit.hyper["sd"] / exact.hyper["sd"] - 1).abs().max()),
        "evidence_error": -exact.evidence_shift,
        "ess": exact.ess,
        "pareto_k": exact.pareto_k,
    }


def everyday(models=None, sites=None, draws=0, repeats=2):
    """Yield a dict of figures for each model and number of sites; seconds are the best of some fits after a first."""
    warnings.simplefilter("ignore")
    table, mesh, r_inla = load()
    gs.fit("z ~ 1 + spde(mesh)", table[:100], mesh=mesh, coords=("x", "y"), integration="eb")  # loads compiled code
    for n in sites or SITES:
        for name in models or MODELS:
            formula, family, inla = MODELS[name]
            wall, cpu = [], []
            for _ in range(repeats):
                began, used = time.perf_counter(), time.process_time()
                fit = gs.fit(formula, table[:n], mesh=mesh, coords=("x", "y"), family=family)
                wall.append(time.perf_counter() - began)
                cpu.append(time.process_time() - used)
            one = one_factorisation(fit)
            yield {
                "sites": n,
                "model": name,
                "seconds": min(wall),
                "cpu_seconds": min(cpu),
                "r_inla_seconds": float(r_inla[n, inla]),
                "evaluations": fit.laplace.evaluations,
                "factorisations": fit.laplace.factorisations,
                "factor_s": one,
                "in_factorisations": min(cpu) / one,
                "theta_points": len(fit.posterior.points),
                "log_marginal_likelihood": fit.log_marginal_likelihood,
                **(errors(fit, draws) if draws else {}),
            }


def line(row):
    """One row of the printed table."""
    text = (
        f"{row['sites']:>5}  {row['model']:<15} {row['seconds']:>6.2f} {row['cpu_seconds']:>6.2f} "
        f"{row['r_inla_seconds']:>7.2f} {row['evaluations']:>6} {row['factorisations']:>8} {row['theta_points']:>7} "
        f"{1e3 * row['factor_s']:>10.2f} {row['in_factorisations']:>11.0f}"
    )
    if "ess" in row:
        text += (
            f"  {row['quantile_error']:>8.3f} {row['mean_error']:>6.3f} {row['sd_error']:>6.3f} "
            f"{row['evidence_error']:>8.3f} {row['ess']:>7.0f} {row['pareto_k']:>5.2f}"
        )
    return text


HEAD = "sites  model           wall s  cpu s  R-INLA  evals  factors  points  ms/factor  cpu/factor"
MORE = "  quantile   mean     sd evidence     ess     k"


def averages(rows):
    """Geometric means, in words."""
    mean = {
        k: float(np.exp(np.mean(np.log([r[k] for r in rows])))) for k in ("seconds", "evaluations", "in_factorisations")
    }
    ratio = float(np.exp(np.mean([np.log(r["r_inla_seconds"] / r["seconds"]) for r in rows])))
    return (
        f"geometric means: {mean['seconds']:.2f} s, {mean['evaluations']:.0f} evaluations, "
        f"{mean['in_factorisations']:.0f} times one factorisation; "
        f"R-INLA's seconds, of another machine, over ours: {ratio:.1f}"
    )
