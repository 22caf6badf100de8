#!/usr/bin/env python3
"""Measure the inference engine: seconds a step, counts, memory, and the fit in factorisations of its own H.

    python scripts/benchmark.py engine [--json FILE] [--only NAME ...]
    python scripts/benchmark.py chapter [--json FILE]
    python scripts/benchmark.py everyday [--json FILE] [--only NAME ...] [--sites N ...] [--draws N]
    python scripts/benchmark.py peers [--json FILE] [--sites N ...] [--family NAME ...] [--only TOOL ...] [--limit S]
    python scripts/benchmark.py scale [--json FILE] [--vertices N ...] [--family NAME ...] [--method NAME ...]

Cases: the Rongelap reference mesh (691 vertices) and simulated Poisson counts at 2,000 sites in the unit square
(range 0.3, sigma 1) on meshes of about 10,000, 50,000 and 100,000 vertices. Each case runs in a process of its own,
so that its peak memory is its own, and fits twice: the first fit of a process loads compiled code. Machines differ
and are shared: compare ratios within one run, such as the last column, not seconds between runs.

`scale` fits 100,000 observations, Poisson counts and Gaussian values with a nugget, on meshes of 5,000 to 200,000
vertices, by empirical Bayes and integrated, and prints with which powers of that number time and memory grow:
nested dissection in the plane takes n^1.5 operations and n log n numbers (George 1973, SIAM J. Numer. Anal. 10,
345-363). Here ratios of sizes count; a machine that is shared has wrong seconds but right seconds of its processors.

`peers` fits simulated sites with other tools, too, see `peers.py`.

`chapter` times mixed models, smooths and Gaussian processes: whole `gs.fit` calls, the best and median of some after
a first. `everyday` times eighteen models of one field (see `everyday.py`) and, with `--draws`, sets their posteriors
beside exact ones by importance sampling (`fit.certify`): errors of hyperparameters in posterior sds.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import peers

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parent / "tests" / "reference" / "rongelap"
CASES = {"rongelap": 0, "10k": 10_000, "50k": 50_000, "100k": 100_000}
# R-INLA 26.06 on 2 cores of such a machine, whole inla() call, best of its thread settings, seconds
R_INLA = {"rongelap": 0.97, "10k": 18.0, "50k": 168.0}


def rongelap():
    """The reference model."""
    import pandas as pd

    import geospde as gs

    mesh = gs.Mesh(pd.read_csv(REFERENCE / "mesh_vertices.csv"), pd.read_csv(REFERENCE / "mesh_triangles.csv"))
    points = pd.DataFrame(gs.load_dataset("rongelap").points.drop(columns="geometry"))
    formula = "counts ~ 1 + spde(mesh, alpha=1.5, constr=True, prior='spde2')"
    return formula, points, {"mesh": mesh, "coords": ("cX", "cY"), "family": "poisson", "exposure": "time"}


def simulated(vertices, observations=2000, family="poisson"):
    """Counts of mean one from a field of range 0.3 and sigma 1, PC priors (0.2, 0.5) and (1, 0.05).

    Or Gaussian values, of noise of sd 0.5.
    """
    import numpy as np
    import pandas as pd
    from shapely import box

    import geospde as gs
    from geospde.linalg.cholesky import Cholesky
    from geospde.terms.precisions.fem import fem_matrices
    from geospde.terms.precisions.matern import MaternSpde

    rng = np.random.default_rng(1)
    # an extension of one range around the square; hexagons of side `edge` would take area / (0.866 edge²) vertices
    domain = box(-0.3, -0.3, 1.3, 1.3)
    mesh = gs.build_mesh(domain, max_edge=1.25 * (domain.area / (0.866 * vertices)) ** 0.5, convex=0)
    sites = rng.uniform(0, 1, (observations, 2))
    term = MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles))
    factor = Cholesky(term.pattern).factor(term.values(np.log([0.3, 1.0])))
    field = mesh.basis(sites) @ factor.half_solve(rng.standard_normal(mesh.n_vertices))
    values = rng.poisson(np.exp(field)) if family == "poisson" else field + 0.5 * rng.standard_normal(observations)
    table = pd.DataFrame({"x": sites[:, 0], "y": sites[:, 1], "count": values})
    formula = "count ~ 1 + spde(mesh, prior_range=(0.2, 0.5), prior_sigma=(1, 0.05))"
    return formula, table, {"mesh": mesh, "coords": ("x", "y"), "family": family}


def measure(name):
    """One case, as a dict of figures."""
    import geospde as gs
    from geospde.inference import posterior
    from geospde.linalg.threads import one_blas_thread

    began = time.perf_counter()
    formula, table, options = rongelap() if name == "rongelap" else simulated(CASES[name])
    made = time.perf_counter()
    first = gs.fit(formula, table, **options)
    loaded = time.perf_counter()

    spent = {"mode": 0.0, "curvature": 0.0, "integration": 0.0}

    def timed(step, function):
        def wrapped(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[step] += time.perf_counter() - start

        return wrapped

    posterior.find_mode = timed("mode", posterior.find_mode)
    posterior.curvature = timed("curvature", posterior.curvature)
    posterior.integrate = timed("integration", posterior.integrate)
    start = time.perf_counter()
    fit = gs.fit(formula, table, **options)
    whole = time.perf_counter() - start

    # one factorisation of H at the heaviest point, and what reads it, on one core
    laplace, point = fit.laplace, fit.posterior.heaviest
    with one_blas_thread():
        entries = laplace.prior_at(point.theta) + laplace.data_part(-point.derivatives[1])
        seconds = {"factor": [], "selected": [], "solve": []}
        for _ in range(5):
            a = time.perf_counter()
            factor = laplace.solver.factor(entries)
            b = time.perf_counter()
            factor.selected_inverse()
            c = time.perf_counter()
            factor.solve(point.x)
            d = time.perf_counter()
            for key, value in zip(seconds, (b - a, c - b, d - c)):
                seconds[key].append(value)
    one = {key: sorted(values)[2] for key, values in seconds.items()}
    return {
        "case": name,
        "vertices": laplace.n - 1,
        "prepare_s": made - began,
        "first_fit_s": loaded - made,
        "fit_s": whole,
        **{f"{step}_s": value for step, value in spent.items()},
        "other_s": whole - sum(spent.values()),
        "evaluations": laplace.evaluations,
        "factorisations": laplace.factorisations,
        "theta_points": len(fit.posterior.points),
        "strategy": fit.posterior.strategy,
        "factor_s": one["factor"],
        "selected_inverse_s": one["selected"],
        "solve_s": one["solve"],
        "selected_in_factorisations": one["selected"] / one["factor"],
        "fit_in_factorisations": whole / one["factor"],
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "log_marginal_likelihood": first.log_marginal_likelihood,
        "r_inla_s": R_INLA.get(name),
    }


def engine(arguments):
    """Every case in a process of its own; prints a table and writes JSON."""
    results = []
    print(
        "case     vertices  fit s   mode   curv  integ  evals  factors  ms/factor  selected/factor  fit/factor"
        "    GB  R-INLA/fit"
    )
    for name in arguments.only or CASES:
        run = subprocess.run([sys.executable, __file__, "case", name], capture_output=True, text=True, check=False)
        if run.returncode:
            print(f"{name}: failed\n{run.stderr}", file=sys.stderr)
            return 1
        r = json.loads(run.stdout.splitlines()[-1])
        results.append(r)
        ratio = "" if r["r_inla_s"] is None else f"{r['r_inla_s'] / r['fit_s']:.1f}"
        print(
            f"{r['case']:<8} {r['vertices']:>8}  {r['fit_s']:>5.2f}  {r['mode_s']:>5.2f}  {r['curvature_s']:>5.2f}  "
            f"{r['integration_s']:>5.2f}  {r['evaluations']:>5}  {r['factorisations']:>7}  "
            f"{1e3 * r['factor_s']:>9.2f}  "
            f"{r['selected_in_factorisations']:>15.2f}  {r['fit_in_factorisations']:>10.0f}  "
            f"{r['peak_memory_gb']:>4.2f}  {ratio:>10}",
            flush=True,
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0


SCALE = (5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
OBSERVATIONS = 100_000


def grown(vertices, family, method):
    """One fit of many observations, as a dict of figures."""
    import geospde as gs
    from geospde.linalg.threads import one_blas_thread

    small = simulated(500, 300, family)
    gs.fit(*small[:2], method=method, **small[2])  # loads compiled code
    formula, table, options = simulated(vertices, OBSERVATIONS, family)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter(), time.process_time()
    fit = gs.fit(formula, table, method=method, **options)
    whole = time.perf_counter() - began[0], time.process_time() - began[1]
    laplace, point = fit.laplace, fit.posterior.heaviest
    with one_blas_thread():
        entries = laplace.prior_at(point.theta) + laplace.data_part(-point.derivatives[1])
        taken = []
        for _ in range(3):
            start = time.process_time()
            laplace.solver.factor(entries).selected_inverse()
            taken.append(time.process_time() - start)
    return {
        "family": family,
        "method": method,
        "vertices": laplace.n - 1,
        "fit_s": whole[0],
        "processors_s": whole[1],
        "factorisations": laplace.factorisations,
        "factor_and_inverse_s": sorted(taken)[1],
        "factor_numbers": int(laplace.solver.layout.size),
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "memory_before_gb": before / 1e6,
    }


def exponent(rows, of):
    """Power of the number of vertices with which a figure grows: the slope of a line through logarithms."""
    import numpy as np

    n, y = (np.log([row[key] for row in rows]) for key in ("vertices", of))
    return float(np.polyfit(n, y, 1)[0]) if len(rows) > 1 else float("nan")


def scale(arguments):
    """Fits of each family and method on growing meshes, each in a process of its own, and how they grow."""
    import math

    results = []
    head = "family    method  vertices   fit s  processors s  factorisations  factor+inverse s  numbers in L, M    GB"
    print(head)
    for family in arguments.family:
        for method in arguments.method:
            rows = []
            for vertices in arguments.vertices:
                command = [sys.executable, __file__, "grown", str(vertices), family, method]
                run = subprocess.run(command, capture_output=True, text=True, check=False)
                if run.returncode:
                    print(f"{family} {method} {vertices}: failed\n{run.stderr}", file=sys.stderr)
                    continue
                r = json.loads(run.stdout.splitlines()[-1])
                rows.append(r)
                print(
                    f"{family:<9} {method:<6} {r['vertices']:>9}  {r['fit_s']:>6.1f}  {r['processors_s']:>12.1f}  "
                    f"{r['factorisations']:>14}  {r['factor_and_inverse_s']:>16.3f}  {r['factor_numbers'] / 1e6:>15.2f}"
                    f"  {r['peak_memory_gb']:>4.2f}",
                    flush=True,
                )
            results += rows
            if len(rows) > 1:
                n = math.sqrt(rows[0]["vertices"] * rows[-1]["vertices"])
                keys = ("factor_and_inverse_s", "processors_s", "factor_numbers", "peak_memory_gb")
                one, whole, numbers, memory = (exponent(rows, key) for key in keys)
                print(
                    f"  grow as n to the: factor and inverse {one:.2f} (theory 1.50), processors {whole:.2f}, numbers "
                    f"in L {numbers:.2f} (theory {1 + 1 / math.log(n):.2f}), memory {memory:.2f}"
                )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0


CHAPTER = {
    "sleepstudy, REML": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {"method": "reml"}),
    "sleepstudy, ML": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {"method": "ml"}),
    "cbpp, Laplace": ("p(incidence, size) ~ period + (1 | herd)", "cbpp", {"family": "binomial", "method": "ml"}),
    "cbpp, 11 points": (
        "p(incidence, size) ~ period + (1 | herd)", "cbpp", {"family": "binomial", "method": "ml", "quadrature": 11},
    ),
    "sleepstudy, Bayesian": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {"priors": "brms"}),
    "cbpp, Bayesian": ("p(incidence, size) ~ period + (1 | herd)", "cbpp", {"family": "binomial", "priors": "brms"}),
    "smooth k = 50, UBRE": ("counts ~ s(cX, cY, bs='gp', k=50)", "rongelap", {"method": "ubre"}),
    "smooth k = 50, REML": ("counts ~ s(cX, cY, bs='gp', k=50)", "rongelap", {"method": "reml"}),
    "topo, exact": ("z ~ gp(x, y)", "topo", {"priors": "brms"}),
    "topo, 2,500 functions": ("z ~ gp(x, y, k=50, c=1.25)", "topo", {"priors": "brms"}),
    "gamsim4, a curve a level": ("y ~ gp(x2, by=fac)", "gamsim4", {"priors": "brms"}),
}  # fmt: skip


def chapter(arguments):
    """Seconds of whole fits, and how many of them a fit of cbpp by Laplace would fill."""
    import geospde as gs

    found = {}
    for name, (formula, data, options) in CHAPTER.items():
        table = gs.load_dataset(data)
        if data == "rongelap":
            table, options = table.points, {"family": "poisson", "exposure": "time", **options}
        taken = []
        for _ in range(8):
            began = time.perf_counter()
            gs.fit(formula, table, **options)
            taken.append(time.perf_counter() - began)
        found[name] = {"first": taken[0], "best": min(taken[1:]), "median": sorted(taken[1:])[3]}
    unit = found["cbpp, Laplace"]["best"]
    print(f"{'fit':26} {'first':>8} {'best':>8} {'median':>8} {'ratio':>6}")
    for name, row in found.items():
        print(f"{name:26} {row['first']:8.3f} {row['best']:8.3f} {row['median']:8.3f} {row['best'] / unit:6.1f}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


def everyday(arguments):
    """Everyday models, a line each."""
    from everyday import HEAD, MORE, averages, line
    from everyday import everyday as measured

    print(HEAD + (MORE if arguments.draws else ""))
    rows = []
    for row in measured(arguments.only, arguments.sites, arguments.draws):
        rows.append(row)
        print(line(row), flush=True)
    print(averages(rows))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    whole = commands.add_parser("engine", help="all cases")
    whole.add_argument("--json", metavar="FILE", help="write the figures there, too")
    whole.add_argument("--only", nargs="+", choices=CASES, help="some cases")
    fits = commands.add_parser("chapter", help="mixed models, smooths and Gaussian processes")
    fits.add_argument("--json", metavar="FILE", help="write the figures there, too")
    models = commands.add_parser("everyday", help="one field with six families, at 200, 500 and 2,000 sites")
    models.add_argument("--json", metavar="FILE", help="write the figures there, too")
    models.add_argument("--only", nargs="+", metavar="MODEL", help="some models")
    models.add_argument("--sites", nargs="+", type=int, metavar="N", help="some numbers of sites")
    models.add_argument("--draws", type=int, default=0, metavar="N", help="draws of a certificate, 0 for none")
    others = commands.add_parser("peers", help="the same sites with other tools, each in an environment of its own")
    peers.add_options(others)
    grows = commands.add_parser("scale", help="100,000 observations on growing meshes")
    grows.add_argument("--json", metavar="FILE", help="write the figures there, too")
    grows.add_argument("--vertices", nargs="+", type=int, default=SCALE)
    grows.add_argument("--family", nargs="+", choices=["poisson", "gaussian"], default=["poisson", "gaussian"])
    grows.add_argument("--method", nargs="+", choices=["eb", "inla"], default=["eb", "inla"])
    growth = commands.add_parser("grown", help="one fit of scale, as a line of JSON")
    growth.add_argument("vertices", type=int)
    growth.add_argument("family")
    growth.add_argument("method")
    one = commands.add_parser("case", help="one case, as a line of JSON")
    one.add_argument("name", choices=CASES)
    arguments = parser.parse_args()
    if arguments.command == "case":
        print(json.dumps(measure(arguments.name)))
        return 0
    if arguments.command == "grown":
        print(json.dumps(grown(arguments.vertices, arguments.family, arguments.method)))
        return 0
    commands_of = {"chapter": chapter, "everyday": everyday, "engine": engine, "peers": peers.peers, "scale": scale}
    return commands_of[arguments.command](arguments)


if __name__ == "__main__":
    sys.exit(main())
