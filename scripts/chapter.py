"""The chapter's systems through geospde: our figures beside those of the tools the chapter uses.

Run by scripts/chapter. Each system is a function that fits and gives rows; tests/scripts/test_chapter.py holds every
row. Reference figures are in tests/reference; where a tool's own figure carries its optimiser's or sampler's error,
the target is a high-precision optimum or an exact posterior, and the row says so.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

import geospde as gs

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "tests" / "reference" / "chapter"
SPDE = ROOT / "tests" / "reference" / "rongelap"


@dataclass(frozen=True)
class Row:
    """One figure: ours, the reference's, and how far they may lie apart."""

    quantity: str
    ours: float
    reference: float
    allowed: float
    source: str

    @property
    def difference(self) -> float:
        return self.ours - self.reference

    @property
    def passed(self) -> bool:
        return bool(abs(self.difference) <= self.allowed)


@dataclass(frozen=True)
class System:
    """A system of the chapter: what it is called, its call, and its rows."""

    name: str
    call: str
    rows: Callable[[], Iterator[Row]]


SYSTEMS: list[System] = []


def system(name: str, call: str) -> Callable[[Callable[[], Iterator[Row]]], Callable[[], Iterator[Row]]]:
    """Enter a function among the systems."""

    def enter(rows: Callable[[], Iterator[Row]]) -> Callable[[], Iterator[Row]]:
        SYSTEMS.append(System(name, call, rows))
        return rows

    return enter


def read(name: str) -> Any:
    return json.loads((REFERENCE / name).read_text())


def digits(value: float, count: int) -> float:
    """Half a unit of the last of so many significant digits."""
    return 0.5 * 10.0 ** (math.floor(math.log10(abs(value))) - count + 1)


def agree(quantity: str, ours: float, reference: float, count: int, source: str) -> Row:
    """A figure that should agree to so many significant digits: to one unit of the last."""
    return Row(quantity, float(ours), float(reference), 2 * digits(reference, count), source)


def near(quantity: str, ours: float, reference: float, sd: float, share: float, source: str) -> Row:
    """A figure that should lie within a share of its posterior sd."""
    return Row(quantity, float(ours), float(reference), share * sd, source)


# ---- fits, each made once ----

SLEEP = "Reaction ~ Days + (Days | Subject)"
HERDS = "p(incidence, size) ~ period + (1 | herd)"
HERDS_SMOOTH = "p(incidence, size) ~ period + s(herd, bs='re')"
SMOOTH = "counts ~ s(cX, cY, bs='gp', k=50)"
CURVES = "y ~ gp(x2, by=fac)"
HEIGHTS = "z ~ gp(x, y)"
HEIGHTS_BASIS = "z ~ gp(x, y, k=50, c=1.25)"
FIELD = "counts ~ 1 + spde(mesh, alpha={}, constr=True, prior='spde2')"


@cache
def data(name: str) -> Any:
    return gs.load_dataset(name)


@cache
def sleep(method: str) -> Any:
    priors = {"priors": "brms"} if method == "inla" else {}
    return gs.fit(SLEEP, data("sleepstudy"), method=method, **priors)


@cache
def herds(method: str, quadrature: int = 1) -> Any:
    priors = {"priors": "brms"} if method == "inla" else {"quadrature": quadrature}
    return gs.fit(HERDS, data("cbpp"), family="binomial", method=method, **priors)


@cache
def smooth(method: str, m: Any = None) -> Any:
    formula = SMOOTH if m is None else SMOOTH.replace("k=50", f"k=50, m={m}")
    return gs.fit(formula, data("rongelap").points, family="poisson", exposure="time", method=method)


@cache
def curves() -> Any:
    return gs.fit(CURVES, data("gamsim4"), priors="brms")


@cache
def heights(formula: str) -> Any:
    return gs.fit(formula, data("topo"), priors="brms")


@cache
def field(alpha: float) -> Any:
    vertices = pd.read_csv(SPDE / "mesh_vertices.csv").to_numpy()
    triangles = pd.read_csv(SPDE / "mesh_triangles.csv").to_numpy()
    survey = data("rongelap")
    # the reference's mesh: the sites are among its vertices, so that no other mesh comes into the comparison
    mesh = gs.Mesh(vertices, triangles, crs=survey.crs)
    return gs.fit(FIELD.format(alpha), survey.points, mesh=mesh, family="poisson", exposure="time")


# ---- linear mixed models ----


@system("LMM, REML (nlme, lme4)", f'gs.fit("{SLEEP}", sleepstudy, method="reml")')
def lmm_reml() -> Iterator[Row]:
    fit, target = sleep("reml"), read("exact_optima.json")["sleep_REML"]
    yield from _lmm(fit, target)
    yield agree("df", fit.fixed.loc["Days", "df"], 161, 6, "nlme")
    yield agree("t (Intercept)", fit.fixed.loc["Intercept", "t"], 36.838, 5, "nlme")
    yield agree("t (Days)", fit.fixed.loc["Days", "t"], 6.7715, 5, "nlme")
    yield agree("AIC", fit.aic, 1755.6283, 8, "nlme, lme4")
    yield agree("BIC", fit.bic, 1774.786, 7, "lme4")
    yield agree("BIC (n - p)", fit.criteria["bic_residual"], 1774.719, 7, "nlme")
    yield agree("correlation of fixed effects", fit.correlation.iloc[0, 1], target["cor_beta"], 4, "optimum")
    quantiles = np.quantile(fit.residuals("standardized"), [0, 0.25, 0.5, 0.75, 1])
    printed = [-3.9536, -0.4634, 0.0231, 0.4634, 5.1793]
    for word, ours, theirs in zip(
        ("minimum", "lower quartile", "median", "upper quartile", "maximum"), quantiles, printed
    ):
        yield Row(f"standardised residuals, {word}", float(ours), theirs, 1e-4, "nlme")
    modes = pd.read_csv(REFERENCE / "lmm_ranef.csv")
    modes["row"] = modes["term"].str.strip("()") + " | Subject[" + modes["grp"].astype(str) + "]"
    modes = modes.set_index("row").loc[fit.random.index]
    gap = np.abs(fit.random["estimate"] - modes["condval"]).max()
    yield Row("conditional modes, largest difference", float(gap), 0.0, 1e-3, "lme4")
    gap = np.abs(fit.random["se"] / modes["condsd"] - 1).max()
    yield Row("their sds, largest relative difference", float(gap), 0.0, 1e-3, "lme4")


@system("LMM, ML (nlme, lme4)", f'gs.fit("{SLEEP}", sleepstudy, method="ml")')
def lmm_ml() -> Iterator[Row]:
    fit, target = sleep("ml"), read("exact_optima.json")["sleep_ML"]
    yield from _lmm(fit, target)
    intervals = fit.confint(method="profile")
    printed = {
        "sd(Intercept | Subject)": (14.381, 37.716), "cor(Intercept, Days | Subject)": (-0.4815, 0.6850),
        "sd(Days | Subject)": (3.801, 8.753), "sigma": (22.898, 28.858), "Intercept": (237.681, 265.130),
        "Days": (7.359, 13.576),
    }  # fmt: skip
    for name, ends in printed.items():
        for word, ours, theirs in zip(("lower", "upper"), intervals.loc[name], ends):
            yield agree(f"{name}, profile {word}", ours, theirs, 3, "lme4")


def _lmm(fit: Any, target: dict[str, Any]) -> Iterator[Row]:
    yield agree("log likelihood", fit.log_likelihood, target["logLik"], 9, "optimum")
    for name, value in zip(("sd(Intercept | Subject)", "sd(Days | Subject)"), target["sd"]):
        yield agree(name, fit.hyper.loc[name, "estimate"], value, 5, "optimum")
    name = "cor(Intercept, Days | Subject)"
    yield agree(name, fit.hyper.loc[name, "estimate"], target["corr"], 4, "optimum")
    yield agree("sigma", fit.hyper.loc["sigma", "estimate"], target["sigma"], 5, "optimum")
    for name, beta, se in zip(("Intercept", "Days"), target["beta"], target["se"]):
        yield agree(name, fit.fixed.loc[name, "estimate"], beta, 6, "optimum")
        yield agree(f"{name}, standard error", fit.fixed.loc[name, "se"], se, 4, "optimum")


def _posterior(fit: Any, rows: list[dict[str, Any]], names: list[str], share: float) -> Iterator[Row]:
    ours = pd.concat([fit.hyper, fit.fixed])
    for name, row in zip(names, rows):
        sd = row["Est.Error"]
        yield near(name, ours.loc[name, "mean"], row["Estimate"], sd, share, "NUTS")
        yield Row(f"{name}, sd", float(ours.loc[name, "sd"]), sd, 0.06 * sd, "NUTS")


@system("Bayesian LMM (brms)", f'gs.fit("{SLEEP}", sleepstudy, priors="brms")')
def lmm_bayes() -> Iterator[Row]:
    fit, target = sleep("inla"), read("brms_sleep.json")
    names = [
        "sd(Intercept | Subject)", "sd(Days | Subject)", "cor(Intercept, Days | Subject)", "sigma", "Intercept", "Days",
    ]  # fmt: skip
    rows = [*target["random"]["Subject"], *target["spec_pars"], *target["fixed"]]
    yield from _posterior(fit, rows, names, 0.1)
    loo = {r["term"]: r["Estimate"] for r in target["loo"]}
    for name in ("elpd_loo", "p_loo"):
        yield Row(name, float(fit.loo.table.loc[name, "estimate"]), loo[name], 1.5, "NUTS")
    found, theirs = fit.hypothesis("Days > 10"), target["hypothesis_Days_gt_10"][0]
    yield Row("P(Days > 10)", found.posterior_probability, theirs["Post.Prob"], 0.04, "NUTS")
    yield Row("evidence ratio of Days > 10", found.evidence_ratio, theirs["Evid.Ratio"], 0.25, "NUTS")
    printed = pd.read_csv(REFERENCE / "brms_sleep_ce_Days.csv")
    frame = fit.effects("Days").frame
    gap = np.abs(frame["q0.5"] - printed["estimate__"]) / frame["sd"]
    yield Row("effect of Days, largest gap in sds", float(gap.max()), 0.0, 0.1, "NUTS")


# ---- generalised linear mixed models ----


def _glmm(fit: Any, target: dict[str, Any]) -> Iterator[Row]:
    yield agree("log likelihood", fit.log_likelihood, target["logLik"], 8, "optimum")
    yield agree("sd(Intercept | herd)", fit.hyper.iloc[0]["estimate"], target["sd"], 5, "optimum")
    for name, beta, se in zip(fit.fixed.index, target["beta"], target["se"]):
        yield agree(str(name), fit.fixed.loc[name, "estimate"], beta, 5, "optimum")
        yield agree(f"{name}, standard error", fit.fixed.loc[name, "se"], se, 4, "optimum")
    yield agree("AIC", fit.aic, target["AIC"], 7, "optimum")


@system("GLMM, Laplace (lme4)", f'gs.fit("{HERDS}", cbpp, family="binomial", method="ml")')
def glmm_laplace() -> Iterator[Row]:
    yield from _glmm(herds("ml"), read("exact_optima.json")["cbpp_nq1"])


@system(
    "GLMM, adaptive Gauss-Hermite (GLMMadaptive)",
    f'gs.fit("{HERDS}", cbpp, family="binomial", method="ml", quadrature=11)',
)
def glmm_quadrature() -> Iterator[Row]:
    fit, target = herds("ml", 11), read("exact_optima.json")["cbpp_nq60"]
    yield from _glmm(fit, target)
    yield agree("BIC (15 groups)", fit.criteria["bic_groups"], target["BIC_n15"], 6, "optimum")


@system('GLMM, s(herd, bs="re") (mgcv)', f'gs.fit("{HERDS_SMOOTH}", cbpp, family="binomial", method="reml")')
def glmm_penalised() -> Iterator[Row]:
    fit = gs.fit(HERDS_SMOOTH, data("cbpp"), family="binomial", method="reml")
    yield agree("-REML", fit.score, 93.1991, 6, "mgcv")
    yield agree("edf", fit.smooths["edf"].iloc[0], 9.660, 4, "mgcv")
    component = fit.variance_components().iloc[0]
    for word, value in (("sd", 0.68187), ("lower", 0.39531), ("upper", 1.17614)):
        yield agree(f"variance component, {word}", component[word], value, 4, "mgcv")
    yield agree("Intercept", fit.fixed.loc["Intercept", "estimate"], -1.3670, 4, "mgcv")


@system("Bayesian GLMM (brms)", f'gs.fit("{HERDS}", cbpp, family="binomial", priors="brms")')
def glmm_bayes() -> Iterator[Row]:
    fit, target = herds("inla"), read("brms_cbpp.json")
    names = ["sd(Intercept | herd)", "Intercept", "period[2]", "period[3]", "period[4]"]
    yield from _posterior(fit, [*target["random"]["herd"], *target["fixed"]], names, 0.1)
    elpd = float(fit.loo.table.loc["elpd_loo", "estimate"])
    yield Row("elpd_loo", elpd, target["loo"][0]["Estimate"], 1.5, "NUTS")


# ---- additive models ----


def _gam(fit: Any, target: dict[str, Any], name: str) -> Iterator[Row]:
    table = target["p.table"][0]
    yield agree("Intercept", fit.fixed.loc["Intercept", "estimate"], table["Estimate"], 5, "mgcv, exact basis")
    yield agree(
        "Intercept, standard error", fit.fixed.loc["Intercept", "se"], table["Std. Error"], 4, "mgcv, exact basis"
    )
    yield agree("edf", fit.smooths["edf"].iloc[0], target["s.table"][0]["edf"], 5, "mgcv, exact basis")
    yield agree("deviance explained", fit.deviance_explained, target["dev_expl"], 5, "mgcv, exact basis")
    yield agree("adjusted R²", fit.r_squared, target["r.sq"], 4, "mgcv, exact basis")
    yield agree(name, fit.score, target["score"], 6, "mgcv, exact basis")


def _map_gap(fit: Any, column: str) -> float:
    grid = pd.read_csv(REFERENCE / "gam_grid.csv")
    ours = fit.predict(grid[["cX", "cY"]], quantiles=[0.5]).to_frame()["q0.5"].to_numpy()
    return float(np.abs(ours / grid[column] - 1).max())


@system("GP smooth, UBRE (mgcv)", f'gs.fit("{SMOOTH}", rongelap, family="poisson", exposure="time", method="ubre")')
def gam_ubre() -> Iterator[Row]:
    fit = smooth("ubre")
    yield from _gam(fit, read("gam.json")["default_eig_UBRE"], "UBRE")
    yield Row("map, largest relative difference", _map_gap(fit, "default_eig_UBRE"), 0.0, 2e-3, "mgcv, exact basis")
    for kind, intercept, explained in ((1, 1.98013, 0.5940), (2, 1.98065, 0.5901), (4, 1.97551, 0.6076)):
        other = smooth("ubre", kind)
        # mgcv's Lanczos basis misses part of the eigenspace: its own figures move by so much with the exact one
        yield Row(f"m = {kind}, Intercept", float(other.fixed.iloc[0, 0]), intercept, 2e-3, "mgcv, Lanczos")
        yield Row(f"m = {kind}, deviance explained", other.deviance_explained, explained, 0.015, "mgcv, Lanczos")


@system("GP smooth, REML (mgcv)", f'gs.fit("{SMOOTH}", rongelap, family="poisson", exposure="time", method="reml")')
def gam_reml() -> Iterator[Row]:
    fit = smooth("reml")
    yield from _gam(fit, read("gam.json")["default_eig_REML"], "-REML")
    yield Row("map, largest relative difference", _map_gap(fit, "default_eig_REML"), 0.0, 2e-3, "mgcv, exact basis")


@system("GP smooth, simplified INLA (mgcv's ginla)", f'gs.fit("{SMOOTH}", rongelap, family="poisson", exposure="time")')
def gam_inla() -> Iterator[Row]:
    marginal, (mean, sd) = smooth("inla").marginal("Intercept"), _ginla()
    yield Row("Intercept, mean", marginal.mean, mean, 1e-3, "mgcv, Lanczos")
    yield Row("Intercept, sd", marginal.sd, sd, 0.02 * sd, "mgcv, Lanczos")


def _ginla() -> tuple[float, float]:
    density = pd.read_csv(REFERENCE / "ginla_intercept.csv")
    weight = density["density"] / density["density"].sum()
    mean = float(weight @ density["beta"])
    return mean, float(np.sqrt(weight @ (density["beta"] - mean) ** 2))


# ---- Gaussian process regression ----


@system("GP regression, a curve a level (brms)", f'gs.fit("{CURVES}", gamsim4, priors="brms")')
def gp_curves() -> Iterator[Row]:
    fit, target = curves(), read("brms_gamsim.json")
    printed = pd.read_csv(REFERENCE / "brms_gamsim_ce_x2_fac.csv").astype({"fac": str})
    frame = fit.effects("x2:fac").frame.astype({"fac": str})
    for level, part in printed.groupby("fac"):
        own = frame[frame["fac"] == level]
        ours = np.interp(part["x2"], own["x2"], own["q0.5"])
        sd = np.interp(part["x2"], own["x2"], own["sd"])
        gap = float((np.abs(ours - part["estimate__"]) / sd).mean())
        yield Row(f"curve of level {level}, mean gap in sds", gap, 0.0, 0.15, "NUTS")
    sigma = target["spec_pars"][0]
    yield near("sigma", fit.hyper.loc["sigma", "mean"], sigma["Estimate"], sigma["Est.Error"], 0.15, "NUTS")


def _heights(fit: Any, target: dict[str, Any]) -> Iterator[Row]:
    rows = {**{r["term"]: r for r in _gp_rows(target)}, "sigma": target["spec_pars"][0]}
    for name, row in zip(("sdgp(gp(x, y))", "lscale(gp(x, y))", "sigma"), rows.values()):
        yield near(name, _row(fit, name), row["Estimate"], row["Est.Error"], 0.2, "NUTS")
    row = target["fixed"][0]
    yield near("Intercept", fit.fixed.loc["Intercept", "mean"], row["Estimate"], row["Est.Error"], 0.2, "NUTS")


def _gp_rows(target: dict[str, Any]) -> list[dict[str, Any]]:
    return list(target["gp"])


def _row(fit: Any, name: str) -> float:
    matching = [n for n in fit.hyper.index if n.split("(")[0] == name.split("(")[0]]
    return float(fit.hyper.loc[matching[0], "mean"])


@system("GP regression of heights, exact (brms)", f'gs.fit("{HEIGHTS}", topo, priors="brms")')
def gp_exact() -> Iterator[Row]:
    fit = heights(HEIGHTS)
    yield from _heights(fit, read("brms_topo_exact_init.json"))
    printed = pd.read_csv(REFERENCE / "brms_topo_exact_init_gp_predictions.csv")
    for kind, part in printed.groupby("kind"):
        frame = fit.predict(part[["x", "y"]].reset_index(drop=True)).to_frame()
        gap = np.abs(frame["mean"].to_numpy() - part["mean"].to_numpy()) / part["sd"].to_numpy()
        yield Row(f"predictions ({kind}), mean gap in sds", float(gap.mean()), 0.0, 0.2, "NUTS")


@system("GP regression of heights, Hilbert space (brms)", f'gs.fit("{HEIGHTS_BASIS}", topo, priors="brms")')
def gp_hilbert() -> Iterator[Row]:
    yield from _heights(heights(HEIGHTS_BASIS), read("brms_topo_approx.json"))


# ---- SPDE ----


@system(
    "SPDE model of Rongelap (R-INLA)", f'gs.fit("{FIELD.format(1.5)}", rongelap, family="poisson", exposure="time")'
)
def spde() -> Iterator[Row]:
    for alpha in (1.5, 2.0):
        fit = field(alpha)
        label = {1.5: "alpha 3/2", 2.0: "alpha 2"}[alpha]
        targets = {
            1.5: {"range(spde)": (259.17, 34.43), "sigma(spde)": (0.61767, 0.04447), "Intercept": (1.82801, 0.06166)},
            2.0: {"range(spde)": (194.52, 20.45), "sigma(spde)": (0.60696, 0.04178), "Intercept": (1.83659, 0.06191)},
        }[alpha]
        ours = pd.concat([fit.hyper, fit.fixed])
        for parameter, (mean, sd) in targets.items():
            yield near(f"{label}, {parameter}", ours.loc[parameter, "mean"], mean, sd, 0.02, "importance sampling")
            yield Row(
                f"{label}, {parameter}, sd", float(ours.loc[parameter, "sd"]), sd, 0.02 * sd, "importance sampling"
            )
        evidence = {1.5: -1327.568, 2.0: -1329.183}[alpha]
        yield Row(
            f"{label}, log marginal likelihood", fit.log_marginal_likelihood, evidence, 0.02, "importance sampling"
        )
        dic = {1.5: 1834.42, 2.0: 1834.26}[alpha]
        yield Row(f"{label}, DIC", fit.criteria["dic"], dic, 0.2, "importance sampling")


# ---- pictures ----


def pictures(folder: Path) -> None:
    """Draw what the chapter draws."""
    from matplotlib.figure import Figure

    def save(figure: Any, name: str) -> None:
        figure.savefig(folder / f"{name}.png", dpi=160)

    def panel(width: float = 4.8, height: float = 3.3) -> tuple[Any, Any]:
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.add_subplot()

    sleepstudy, gamsim, survey = data("sleepstudy"), data("gamsim4"), data("rongelap")
    figure, ax = panel()
    sleep("inla").effects("Days").plot(ax, points=sleepstudy.assign(response=sleepstudy["Reaction"]))
    ax.set_ylabel("Reaction, ms")
    save(figure, "sleepstudy")
    figure, ax = panel()
    herds("inla").effects("period").plot(ax)
    ax.set_ylabel("incidence / size")
    save(figure, "cbpp")
    figure = Figure(figsize=(9.6, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    found = curves().effects("x2:fac")
    found.plot(left, points=gamsim.assign(response=gamsim["y"]))
    found.plot(right, spaghetti=60)
    save(figure, "gamsim")
    for formula, name in ((HEIGHTS, "topo"), (HEIGHTS_BASIS, "topo_hilbert")):
        figure, ax = panel(4.8, 4.0)
        heights(formula).effects("x:y", surface=True, size=60).plot(ax)
        ax.plot(data("topo")["x"], data("topo")["y"], "o", ms=2.5, color="white", mec="black", mew=0.5)
        ax.set_aspect("equal")
        save(figure, name)
    figure, ax = panel()
    density, own = pd.read_csv(REFERENCE / "ginla_intercept.csv"), smooth("inla").marginal("Intercept")
    ax.plot(own.x, own.y, color="#0072B2", label="geospde, exact eigenbasis")
    ax.plot(density["beta"], density["density"], color="#D55E00", ls="--", label="mgcv's ginla, Lanczos basis")
    ax.set(xlabel="Intercept", ylabel="posterior density", xlim=(density["beta"].min(), density["beta"].max()))
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    save(figure, "ginla")
    grid = gs.Grid.around(survey.coastline, shape=(75, 150), buffer=50, crs=survey.crs)
    for fit, name in ((smooth("ubre"), "rongelap_smooth"), (field(1.5), "rongelap_spde")):
        save(fit.predict(grid).plot(coastline=survey.coastline).figure, name)


# ---- the table ----


def table(chosen: list[System]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row a figure; and a row a system with how many of its figures pass, the worst, and seconds."""
    rows, totals = [], []
    for entry in chosen:
        began = perf_counter()
        found = list(entry.rows())
        seconds = perf_counter() - began
        for row in found:
            rows.append(
                {
                    "system": entry.name, "quantity": row.quantity, "ours": row.ours, "reference": row.reference,
                    "difference": row.difference, "allowed": row.allowed, "source": row.source,
                    "verdict": "pass" if row.passed else "miss",
                }
            )  # fmt: skip
        missed = [row.quantity for row in found if not row.passed]
        totals.append(
            {
                "system": entry.name, "call": entry.call, "figures": len(found), "pass": len(found) - len(missed),
                "misses": "; ".join(missed), "seconds": round(seconds, 2),
            }
        )  # fmt: skip
        print(f"{entry.name}: {len(found) - len(missed)} of {len(found)} pass, {seconds:.1f} s", file=sys.stderr)
    return pd.DataFrame(rows), pd.DataFrame(totals)


NOTES = {
    "GP smooth, UBRE (mgcv)": (
        "mgcv's search stops where UBRE is 150.74616; its minimum, which we take, is 150.74606, a hair less smooth. At "
        "mgcv's own smoothing parameter every figure agrees to five digits. The maps differ by 0.04 % in the median, "
        "and by 4 % in a cell where both extrapolate wildly."
    ),
    "GP regression of heights, Hilbert space (brms)": (
        "NUTS had 117 and 93 effective draws of these two. In brms's box the approximation is the exact process to "
        "three digits, so both posteriors are the same; quadrature over the hyperparameters gives 0.162 and 12.36, and "
        "brms's own exact fit 0.165 and 12.56."
    ),
    "GP smooth, simplified INLA (mgcv's ginla)": (
        "The shift of 0.001 is that of mgcv's basis, which misses part of the eigenspace."
    ),
}


def markdown(rows: pd.DataFrame, totals: pd.DataFrame) -> str:
    """Both tables as text for the documentation."""
    lines = ["| system | figures | agree | misses |", "|---|---|---|---|"]
    for entry in totals.to_dict("records"):
        misses = entry["misses"].replace("|", "\\|") or "none"
        lines.append(f"| {entry['system']} | {entry['figures']} | {entry['pass']} | {misses} |")
    calls = dict(zip(totals["system"], totals["call"]))
    for name, part in rows.groupby("system", sort=False):
        lines += ["", f"### {name}", "", "```text", calls[name], "```", ""]
        lines += ["| figure | geospde | reference | difference | allowed | source | |", "|---|---|---|---|---|---|---|"]
        for row in part.to_dict("records"):
            cells = [
                row["quantity"].replace("|", "\\|"), f"{row['ours']:.7g}", f"{row['reference']:.7g}",
                f"{row['difference']:.2g}", f"{row['allowed']:.2g}", row["source"],
                "" if row["verdict"] == "pass" else "**miss**",
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
        if name in NOTES:
            lines += ["", NOTES[name]]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Reproduce the chapter on mixed models.")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "chapter", metavar="DIR")
    parser.add_argument("--only", metavar="WORD", help="systems whose name holds this word")
    parser.add_argument("--no-pictures", action="store_true")
    parser.add_argument("--docs", action="store_true", help="write the table into the documentation, too")
    arguments = parser.parse_args()
    began = perf_counter()
    chosen = [s for s in SYSTEMS if not arguments.only or arguments.only.lower() in s.name.lower()]
    rows, totals = table(chosen)
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows.to_csv(arguments.out / "table.csv", index=False)
    text = markdown(rows, totals)
    (arguments.out / "table.md").write_text(text, encoding="utf-8")
    if arguments.docs and not arguments.only:
        (ROOT / "docs" / "chapter_table.md").write_text(text, encoding="utf-8")
    if not arguments.no_pictures and not arguments.only:
        pictures(arguments.out)
    passed = int((rows["verdict"] == "pass").sum())
    print(totals[["system", "figures", "pass", "misses", "seconds"]].to_string(index=False))
    print(f"{passed} of {len(rows)} figures agree; {perf_counter() - began:.0f} s in all; see {arguments.out}")


if __name__ == "__main__":
    main()
