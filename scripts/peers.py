"""Fit the same simulated sites with geospde and with its peers, each in an environment of its own.

Run by ``scripts/benchmark.py peers``. A field of Matérn covariance (smoothness 1, range 0.25, standard deviation 1) on
the unit square is seen with noise of sd 0.3, or as Poisson counts of log mean 1 + field; what is predicted are new
values at 1,000 other places, of counts the log of their mean. Scores are RMSE, CRPS and coverage of 95 % intervals
of normal predictions.

Each tool is a function below, which gets arrays and gives the mean and sd of its predictions. It runs in a process of
its own, by the interpreter of a virtual environment that is made for it (outputs/peers/NAME) or by R; an hour of its
processors, or what ``--limit`` says, ends it. Seconds are those of fit and prediction; those of processors are of the
whole process, imports included. This file imports nothing but numpy at its head, so that all of them can run it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "outputs" / "peers"
SITES, FAMILIES, NEW = (1_000, 10_000, 100_000), ("gaussian", "poisson"), 1_000
NOISE, RANGE, LATTICE = 0.3, 0.25, 1_000
Z = 1.959964  # of a 95 % interval


# -- data -----------------------------------------------------------------------------------------------------


def simulated(sites, family, seed=1):
    """Places, responses and what is to be predicted, as a dict of arrays."""
    from lattice import stationary
    from scipy.special import kv

    rng = np.random.default_rng([seed, sites])

    def matern(distance):
        z = np.maximum(np.sqrt(8) / RANGE * distance, 1e-10)
        return z * kv(1, z)

    field = stationary((LATTICE, LATTICE), (1 / LATTICE,) * 2, matern, rng)
    cells = rng.choice(LATTICE**2, sites + NEW, replace=False)
    row, column = np.divmod(cells, LATTICE)
    places, eta = (np.column_stack([column, row]) + 0.5) / LATTICE, field[row, column]
    if family == "gaussian":
        y = eta + NOISE * rng.standard_normal(len(eta))
        target = y[sites:]
    else:
        y, target = rng.poisson(np.exp(1 + eta)).astype(float), 1 + eta[sites:]
    return {"x": places[:sites], "y": y[:sites], "new": places[sites:], "target": target}


# -- tools: from sites, responses and new places to means and sds ------------------------------------------------


def geospde(x, y, new, family, method="inla"):
    """A mesh of edges of a tenth of the range, and Gaussian or Poisson responses."""
    import pandas as pd

    import geospde as gs

    mesh = gs.build_mesh(sites=np.vstack([x, new]), max_edge=(0.025, 0.1), offset=0.25, convex=0.02, use_sites=False)
    data = pd.DataFrame({"x": x[:, 0], "y": x[:, 1], "z": y})
    fit = gs.fit("z ~ 1 + spde(mesh)", data, mesh=mesh, coords=("x", "y"), family=family, method=method)
    table = fit.predict(new).to_frame()
    if family == "gaussian":
        return table["mean"].to_numpy(), np.hypot(table["sd"], fit.hyper.loc["sigma", "mean"]).to_numpy()
    low, middle, high = (np.log(table[name].to_numpy()) for name in ("q0.025", "q0.5", "q0.975"))
    return middle, (high - low) / (2 * Z)


def geospde_eb(x, y, new, family):
    """The same at the mode of the hyperparameters."""
    return geospde(x, y, new, family, "eb")


def pykrige(x, y, new, family):
    """Ordinary kriging with an exponential variogram fitted to 30 lags; the 50 nearest sites from 2,000 on."""
    only_gaussian(family)
    from pykrige.ok import OrdinaryKriging

    kriging = OrdinaryKriging(*x.T, y, variogram_model="exponential", nlags=30)
    near = {} if len(x) <= 2_000 else {"n_closest_points": 50, "backend": "loop"}
    mean, variance = kriging.execute("points", *new.T, **near)
    nugget = kriging.variogram_model_parameters[2]
    # its variances are of new values where sites and places differ
    return np.asarray(mean), np.sqrt(np.maximum(np.asarray(variance), nugget))


def gstools(x, y, new, family):
    """Ordinary kriging with a Matérn variogram of smoothness 1, fitted."""
    only_gaussian(family)
    if len(x) > 20_000:
        raise MemoryError("a dense matrix of all sites")
    import gstools as gs

    bins, gamma = gs.vario_estimate(x.T, y, np.linspace(0, 0.5, 31), sampling_size=min(len(x), 4_000), sampling_seed=1)
    model = gs.Matern(dim=2, nu=1)
    model.fit_variogram(bins, gamma, nugget=True, nu=False)
    mean, variance = gs.krige.Ordinary(model, x.T, y, exact=False)(new.T)
    return mean, np.sqrt(np.maximum(variance, 0) + model.nugget)


def sklearn(x, y, new, family):
    """An exact Gaussian process by maximum likelihood; 10,000 sites would take hours."""
    only_gaussian(family)
    if len(x) > 20_000:
        raise MemoryError("a dense matrix of all sites")
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    kernel = ConstantKernel(1.0) * Matern(0.1, nu=1.5) + WhiteKernel(0.1)
    process = GaussianProcessRegressor(kernel, normalize_y=True, copy_X_train=False).fit(x, y)
    return process.predict(new, return_std=True)


def gpboost(x, y, new, family):
    """A Vecchia approximation with 20 neighbours, a Matérn covariance of smoothness 1.5, and Laplace for counts."""
    import gpboost as gpb

    model = gpb.GPModel(
        gp_coords=x, cov_function="matern", cov_fct_shape=1.5, likelihood=family, gp_approx="vecchia", num_neighbors=20
    )
    one, many = np.ones((len(x), 1)), np.ones((len(new), 1))
    model.fit(y=y, X=one)
    found = model.predict(gp_coords_pred=new, X_pred=many, predict_var=True, predict_response=family == "gaussian")
    return found["mu"], np.sqrt(found["var"])


def gpytorch(x, y, new, family):
    """An exact process of up to 2,000 Gaussian responses, else 300 inducing points, by 1,000 steps of 1,000 sites."""
    import gpytorch as gp
    import torch

    torch.manual_seed(1)
    centre = float(y.mean()) if family == "gaussian" else float(np.log(y.mean()))
    x, y, new = (torch.as_tensor(a, dtype=torch.float64) for a in (x, y, new))

    def kernel():
        made = gp.kernels.ScaleKernel(gp.kernels.MaternKernel(nu=1.5))
        made.base_kernel.lengthscale = 0.1
        return made

    class Exact(gp.models.ExactGP):
        def __init__(self, likelihood):
            super().__init__(x, y, likelihood)
            self.mean_module, self.covar_module = gp.means.ConstantMean(), kernel()

        def forward(self, at):
            return gp.distributions.MultivariateNormal(self.mean_module(at), self.covar_module(at))

    class Sparse(gp.models.ApproximateGP):
        def __init__(self):
            points = x[torch.randperm(len(x))[:300]]
            own = gp.variational.CholeskyVariationalDistribution(len(points))
            super().__init__(gp.variational.VariationalStrategy(self, points, own))
            self.mean_module, self.covar_module = gp.means.ConstantMean(), kernel()

        forward = Exact.forward

    class Counts(gp.likelihoods.likelihood._OneDimensionalLikelihood):
        def forward(self, eta, *_, **__):
            return torch.distributions.Poisson(eta.exp())

    exact = family == "gaussian" and len(x) <= 2_000
    likelihood = (gp.likelihoods.GaussianLikelihood() if family == "gaussian" else Counts()).double()
    model = (Exact(likelihood) if exact else Sparse()).double()
    model.mean_module.initialize(constant=centre)
    both = torch.nn.ModuleList([model, likelihood]).train()
    parameters = list({id(p): p for p in both.parameters()}.values())  # an exact process holds its likelihood, too
    steps = 100 if exact else 1_000
    adam = torch.optim.Adam(parameters, lr=0.1 if exact else 0.01)
    bound = gp.mlls.ExactMarginalLogLikelihood(likelihood, model) if exact else None
    bound = bound or gp.mlls.VariationalELBO(likelihood, model, num_data=len(x))
    for _ in range(steps):
        some = slice(None) if exact else torch.randint(len(x), (min(1_000, len(x)),))
        adam.zero_grad()
        loss = -bound(model(x[some]), y[some])
        loss.backward()
        adam.step()
    both.eval()
    with torch.no_grad():
        found = likelihood(model(new)) if family == "gaussian" else model(new)
    return found.mean.numpy(), found.variance.sqrt().numpy()


def pylgm(x, y, new, family):
    """An intrinsic autoregression over 225 squares, which stands for a field between sites; counts were not tried."""
    only_gaussian(family)
    import pandas as pd
    from pylgm import LGM, Besag, Fixed, Gaussian, Hyperparameter

    side = 15
    beside = ((-1, 0), (1, 0), (0, -1), (0, 1))
    squares = [(row, column) for row in range(side) for column in range(side)]
    graph = {
        f"{row} {column}": [f"{row + a} {column + b}" for a, b in beside if (row + a, column + b) in squares]
        for row, column in squares
    }
    column, row = np.minimum((np.vstack([x, new]) * side).astype(int), side - 1).T
    table = pd.DataFrame({"z": np.append(y, np.full(len(new), np.nan)), "time": 0})
    table["site"], table["square"] = np.arange(len(table)), [f"{a} {b}" for a, b in zip(row, column)]
    field = Besag("field", index="square", graph=graph, precision=Hyperparameter("tau", initial=1.0))
    likelihood = Gaussian(sigma=Hyperparameter("sigma", initial=1.0))
    model = LGM(
        response="z", likelihood=likelihood, predictor=Fixed("1") + field, panel=("site",), time="time"
    )  # fmt: skip
    found = model.fit(table)
    mean, variance = (part[len(x) :] for part in (found.predictive_mean, found.predictive_variance))
    return mean, np.sqrt(variance + found.hyperparameters["sigma"] ** 2)


def only_gaussian(family):
    """Leave a tool out that has no counts."""
    if family != "gaussian":
        raise NotImplementedError("no counts")


R_MGCV = """
suppressMessages(library(mgcv)); d <- read.csv("sites.csv"); n <- read.csv("new.csv")
k <- min(200, nrow(d) - 2)
m <- bam(z ~ s(x, y, bs = "gp", k = k, m = c(3, 0.1)), data = d, family = {family}, discrete = TRUE, method = "fREML")
p <- predict(m, n, se.fit = TRUE, discrete = FALSE)
sd <- if ("{family}" == "gaussian") sqrt(p$se.fit^2 + m$sig2) else p$se.fit
write.csv(data.frame(mean = as.numeric(p$fit), sd = as.numeric(sd)), "found.csv", row.names = FALSE)
"""
R_LME4 = """
suppressMessages(library(lme4)); d <- read.csv("sites.csv"); n <- read.csv("new.csv")
cell <- function(a) paste(pmin(floor(a$x * 15), 14), pmin(floor(a$y * 15), 14)); d$cell <- cell(d); n$cell <- cell(n)
m <- if ("{family}" == "gaussian") lmer(z ~ 1 + (1 | cell), d) else glmer(z ~ 1 + (1 | cell), d, family = poisson)
r <- as.data.frame(ranef(m)); at <- match(n$cell, r$grp); tau <- as.data.frame(VarCorr(m))$sdcor[1]
mean <- fixef(m)[[1]] + ifelse(is.na(at), 0, r$condval[at]); sd <- ifelse(is.na(at), tau, r$condsd[at])
if ("{family}" == "gaussian") sd <- sqrt(sd^2 + sigma(m)^2)
write.csv(data.frame(mean = mean, sd = sd), "found.csv", row.names = FALSE)
"""

TOOLS = {
    "geospde, inla": (geospde, None),
    "geospde, eb": (geospde_eb, None),
    "PyKrige": (pykrige, "pykrige"),
    "GSTools": (gstools, "gstools"),
    "scikit-learn": (sklearn, "scikit-learn"),
    "GPBoost": (gpboost, "gpboost"),
    "GPyTorch": (gpytorch, "gpytorch"),
    "pylgm, 225 squares": (pylgm, "pylgm"),
    "mgcv, 200 functions": (R_MGCV, "mgcv"),
    "lme4, 225 squares": (R_LME4, "lme4"),
}


# -- one run, and all -----------------------------------------------------------------------------------------------


def one(name, folder, family):
    """Fit what stands in a folder; write predictions and what they took."""
    tool = TOOLS[name][0]
    data = np.load(folder / "data.npz")
    began = time.perf_counter()
    if callable(tool):
        mean, sd = tool(data["x"], data["y"], data["new"], family)
    else:
        for table, columns in (("sites", [*data["x"].T, data["y"]]), ("new", data["new"].T)):
            header = "x,y,z" if table == "sites" else "x,y"
            rows = np.column_stack(list(columns))
            np.savetxt(folder / f"{table}.csv", rows, delimiter=",", header=header, comments="")
        began = time.perf_counter()
        (folder / "run.R").write_text(tool.replace("{family}", family), encoding="utf-8")
        subprocess.run(["Rscript", "run.R"], cwd=folder, check=True)
        mean, sd = np.loadtxt(folder / "found.csv", delimiter=",", skiprows=1).T
    seconds = time.perf_counter() - began
    who = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    np.savez(folder / "found.npz", mean=mean, sd=sd)
    return {
        "seconds": seconds,
        "processors": sum(each.ru_utime + each.ru_stime for each in who),
        "gb": max(each.ru_maxrss for each in who) / 1e6,
    }


def interpreter(package):
    """Python of an environment that has a package, made where it is not there; None where it cannot be."""
    if package is None or package in ("mgcv", "lme4"):
        return sys.executable
    python = PLACE / package / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", PLACE / package], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package, "numpy"]
        if subprocess.run(pip, check=False, capture_output=True).returncode:
            return None
    return python


def scored(folder, target):
    """RMSE, CRPS and coverage of normal predictions."""
    from lattice import scores

    found = np.load(folder / "found.npz")
    return scores(target, found["mean"], np.maximum(found["sd"], 1e-12))


def peers(arguments):
    """All tools on all data; prints a table in Markdown, and writes JSON."""
    rows = []
    print("| sites | responses | tool | RMSE | CRPS | coverage | seconds | of processors | GB |\n" + "|---" * 9 + "|")
    for family in arguments.family:
        for sites in arguments.sites:
            folder = PLACE / "data" / f"{family}-{sites}"
            folder.mkdir(parents=True, exist_ok=True)
            data = simulated(sites, family)
            np.savez(folder / "data.npz", **data)
            for name in arguments.only or TOOLS:
                row = {"sites": sites, "family": family, "tool": name, **run(name, folder, family, arguments.limit)}
                if "error" not in row:
                    row |= scored(folder, data["target"])
                    cells = [f"{row['rmse']:.3f}", f"{row['crps']:.3f}", f"{row['coverage']:.3f}"]
                    cells += [f"{row['seconds']:.1f}", f"{row['processors']:.1f}", f"{row['gb']:.2f}"]
                else:
                    cells = [row["error"], "", "", "", "", ""]
                print(f"| {sites:,} | {family} | {name} | " + " | ".join(cells) + " |", flush=True)
                rows.append(row)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


def run(name, folder, family, limit):
    """Run one tool in a process of its own, for at most so many seconds of its processors."""
    python = interpreter(TOOLS[name][1])
    if python is None:
        return {"error": "cannot be installed here"}
    command = [str(python), __file__, name, str(folder), family]
    environment = {**os.environ, "PYTHONPATH": str(ROOT) if TOOLS[name][1] is None else ""}

    def limited():
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))

    found = subprocess.run(command, capture_output=True, text=True, env=environment, preexec_fn=limited, check=False)
    if found.returncode < 0:
        return {"error": f"more than {limit} s"}
    if found.returncode:
        last = (found.stderr.strip().splitlines() or ["failed"])[-1]
        return {"error": last.partition(": ")[2] or last}
    return json.loads(found.stdout.splitlines()[-1])


def add_options(parser):
    """Options of ``benchmark.py peers``."""
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    parser.add_argument("--sites", nargs="+", type=int, default=SITES)
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--only", nargs="+", choices=TOOLS, help="some tools")
    parser.add_argument("--limit", type=int, default=3600, help="seconds of processors for a fit")


def main():
    """Run one tool, as `peers` asks for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=TOOLS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("family", choices=FAMILIES)
    arguments = parser.parse_args()
    print(json.dumps(one(arguments.name, arguments.folder, arguments.family)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
