"""Simulation-based calibration: drawn from its own prior, a parameter lies at a uniform rank of its posterior.

Parameters come from the priors, responses from the parameters, and of every parameter the posterior's distribution
function is taken at the truth: uniform for an exact posterior, whatever the model (Talts, Betancourt, Simpson, Vehtari
& Gelman 2018, arXiv:1804.06788). The chi-square statistic of twenty even bins tells.

Run as a script (scripts/sbc) it writes tests/reference/sbc.csv.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

TABLE = Path(__file__).parent / "reference" / "sbc.csv"
BINS = 20
SITES, GROUPS, EACH = 80, 15, 6
COEFFICIENTS = {"Intercept": (0.5, 0.5), "x": (0.0, 0.5)}  # mean and sd of a Gaussian prior
RANGE, SIGMA, SD = (0.3, 0.05), (1.5, 0.05), (1.5, 0.05)  # P(range < 0.3) = 0.05, P(sigma > 1.5) = 0.05
SIZE = (4.0, 1.0)  # of a gamma prior

# name of the case: family, random term, its hyperparameters, those of the family
CASES: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    "poisson": ("poisson", "spde(mesh)", ("range(spde)", "sigma(spde)"), ()),
    "binomial": ("binomial", "spde(mesh)", ("range(spde)", "sigma(spde)"), ()),
    "gaussian with a nugget": ("gaussian", "spde(mesh)", ("range(spde)", "sigma(spde)"), ("sigma",)),
    "negative binomial": ("nbinomial", "spde(mesh)", ("range(spde)", "sigma(spde)"), ("size",)),
    "mixed": ("gaussian", "(1 | g)", ("sd(Intercept | g)",), ("sigma",)),
    "mixed, counts": ("poisson", "(1 | g)", ("sd(Intercept | g)",), ()),
}


def prior_of(name: str) -> dict[str, list[float]]:
    """The prior of a parameter, as `geospde.fit` takes it."""
    if name in COEFFICIENTS:
        return {"gaussian": list(COEFFICIENTS[name])}
    if name == "size":
        return {"loggamma": list(SIZE)}
    return {"pc": list(RANGE if name.startswith("range") else SIGMA)}


def drawn(name: str, rng: np.random.Generator) -> float:
    """A draw from that prior."""
    if name in COEFFICIENTS:
        return float(rng.normal(*COEFFICIENTS[name]))
    if name == "size":
        return float(rng.gamma(SIZE[0], 1 / SIZE[1]))
    if name.startswith("range"):  # P(range < r) = p^(r0 / r) in the plane
        return float(RANGE[0] * np.log(RANGE[1]) / np.log(rng.uniform()))
    return float(rng.exponential(SIGMA[0] / -np.log(SIGMA[1])))


def responses(family: str, eta: np.ndarray, own: dict[str, float], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Columns of a table whose response has the predictor eta; simulated by numpy alone."""
    if family == "gaussian":
        return {"y": rng.normal(eta, own["sigma"])}
    if family == "binomial":
        trials = rng.integers(2, 12, eta.size)
        return {"y": rng.binomial(trials, 1 / (1 + np.exp(-eta))), "trials": trials}
    rate = np.exp(np.minimum(eta, 30.0))  # counts of up to 1e13
    if "size" in own:
        rate = rate * rng.gamma(own["size"], 1 / own["size"], eta.size)
    return {"y": rng.poisson(rate)}


def replicate(case: str, seed: int) -> dict[str, float]:
    """Simulate and fit one data set: the posterior's distribution function at each truth."""
    import geospde as gs

    family, term, of_term, of_family = CASES[case]
    rng = np.random.default_rng([seed, *case.encode()])
    truth = {name: drawn(name, rng) for name in (*COEFFICIENTS, *of_term, *of_family)}
    options: dict = {}
    if term == "(1 | g)":
        group = np.repeat(np.arange(GROUPS), EACH)
        table = pd.DataFrame({"g": group})
        effect = truth["sd(Intercept | g)"] * rng.standard_normal(GROUPS)[group]
    else:
        mesh = _mesh()
        table = pd.DataFrame(rng.uniform(0, 3, (SITES, 2)), columns=["e", "n"])
        root = np.linalg.cholesky(_precision(mesh, truth["range(spde)"], truth["sigma(spde)"]))
        field = np.linalg.solve(root.T, rng.standard_normal(len(root)))
        effect, options = mesh.basis(table.to_numpy()) @ field, {"mesh": mesh, "coords": ("e", "n")}
    table["x"] = rng.standard_normal(len(table))
    eta = truth["Intercept"] + truth["x"] * table["x"].to_numpy() + effect
    table = table.assign(**responses(family, eta, {name: truth[name] for name in of_family}, rng))
    left = "p(y, trials)" if "trials" in table else "y"
    priors = {name: prior_of(name) for name in truth}
    fit = gs.fit(f"{left} ~ x + {term}", table, family=family, priors=priors, **options)
    return {name: float(fit.marginal(name).cdf(value)) for name, value in truth.items()}


@cache
def _mesh():
    """A regular mesh of a square with a margin."""
    from oracles import square_mesh

    return square_mesh(16, -0.9, 3.9)


def _precision(mesh, range_, sigma):
    from geospde.terms.precisions.fem import fem_matrices
    from geospde.terms.precisions.matern import MaternSpde

    term = MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles), alpha=2.0)
    return term.matrix(np.log([range_, sigma])).toarray()


def results(cases: list[str], first: int, replicates: int) -> Iterator[tuple[str, int, dict[str, float] | str]]:
    """Of all replicates, as they come, all cases of a seed together; inside `geospde.cluster`, by its workers."""
    from geospde.linalg.executor import executor

    yield from executor().map(_found, product(range(first, first + replicates), cases))


def _found(one: tuple[int, str]) -> tuple[str, int, dict[str, float] | str]:
    seed, case = one
    try:
        return case, seed, replicate(case, seed)
    except Exception as error:
        return case, seed, f"{type(error).__name__}: {error}"


def tabulated(found: list[tuple[str, int, dict[str, float] | str]]) -> pd.DataFrame:
    """A row a case and parameter: replicates, failures, chi-square and its p, mean rank, share in the outer tenths."""
    from scipy.stats import chisquare

    rows = []
    for case in CASES:
        good = [result for of, _, result in found if of == case and not isinstance(result, str)]
        failures = sum(of == case and isinstance(result, str) for of, _, result in found)
        for name in good[0] if good else ():
            ranks = np.array([result[name] for result in good])
            counts = np.histogram(ranks, BINS, (0.0, 1.0))[0]
            statistic, p = chisquare(counts)
            outer = np.mean((ranks < 0.05) | (ranks > 0.95))
            rows.append((case, name, len(good), failures, statistic, p, ranks.mean(), outer))
    columns = ["case", "parameter", "replicates", "failures", "chi_square", "p", "mean_rank", "outer_tenth"]
    return pd.DataFrame(rows, columns=columns).round(4)


def main() -> int:
    """Run the calibration and keep its table."""
    from geospde import cluster

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument(
        "--dask", metavar="SCHEDULER", help="share replicates out on a cluster, whose workers have PYTHONPATH=tests"
    )
    options = parser.parse_args()
    began, found, told = perf_counter(), [], perf_counter()
    with cluster(options.dask):
        for one in results(options.cases or list(CASES), options.first, options.replicates):
            found.append(one)
            if isinstance(one[2], str):
                print(*one, file=sys.stderr)
            if perf_counter() - told > 120:  # what there is, should it be stopped
                told = perf_counter()
                tabulated(found).to_csv(options.out, index=False)
    table = tabulated(found)
    table.to_csv(options.out, index=False)
    print(table.to_string(index=False))
    print(f"{perf_counter() - began:.0f} s")
    return int((table["p"] < 0.01).any())


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[variable] = "1"
    from calibration import main as by_name  # workers of a cluster know its functions by the module's name

    sys.exit(by_name())
