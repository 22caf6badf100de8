"""What looks wrong with a fit, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.inference.higher_order import evidence_correction
from geospde.inference.hyper import Posterior
from geospde.inference.laplace import Laplace
from geospde.mesh.trimesh import Mesh
from geospde.model.build import Model
from geospde.results.loo import Loo
from geospde.survey.crs import unit_of
from geospde.text.findings import Finding, count_levels, findings_frame
from geospde.text.words import counted, in_unit, length, listed, number

Vector = NDArray[np.float64]

PULL = 1.0  # of a prior, in posterior sds: log prior slope times sd
LEARNT = 0.9  # posterior sd over prior sd beyond which the data have told nothing
SHARP = 1.0  # degrees
EDGE, COARSE = 0.5, 0.2  # longest inner edge over the range: warn, note
LONG = 1.0  # range over the extent
NEAR = 0.5  # ranges between the inner zone and the mesh's boundary
SMALL = 0.01  # of a chi-square test
SHIFT = 0.3  # posterior sds between a mode and its corrected mean
EVIDENCE = 0.1  # next term of the Laplace expansion, in nats


class Checks(tuple[Finding, ...]):
    """Findings about a fit, the gravest last when printed."""

    @property
    def levels(self) -> dict[str, int]:
        """How many there are of each level."""
        return count_levels(self)

    @property
    def passed(self) -> bool:
        """Whether there is neither a warning nor an error."""
        return not (self.levels["warning"] or self.levels["error"])

    def to_frame(self) -> pd.DataFrame:
        """A row a finding: ``level, subject, message, remedy``."""
        return findings_frame(self)

    def __str__(self) -> str:
        order = ("ok", "note", "warning", "error")
        return "\n".join(str(f) for f in sorted(self, key=lambda f: order.index(f.level)))

    __repr__ = __str__


def covariate_findings(model: Model) -> Iterator[Finding]:
    """What was looked at when covariates were taken from rasters."""
    if model.covariates is not None:
        yield from model.covariates.findings


def range_findings(model: Model, ranges: Mapping[Any, float]) -> Iterator[Finding]:
    """Each field's range against its mesh.

    Parameters
    ----------
    model : Model
    ranges : mapping
        Estimates of the hyperparameters by name.
    """
    seen: set[str] = set()
    for term in model.terms:
        own = f"range({term.label})"
        for name in map(str, ranges.keys()):
            if term.mesh is None or name in seen or not (name == own or name.endswith(f": {own}")):
                continue
            seen.add(name)  # of several likelihoods each may have a field of this label
            yield from _range_and_mesh(name, term.mesh, float(ranges[name]))


def posterior_findings(
    model: Model, laplace: Laplace, posterior: Posterior, hyper: pd.DataFrame, pointwise: pd.DataFrame, loo: Loo
) -> Iterator[Finding]:
    """What makes the figures of a posterior doubtful.

    Parameters
    ----------
    model : Model
    laplace : Laplace
    posterior : Posterior
    hyper, pointwise, loo
        As `BayesianFit` has them.
    """
    yield from _priors(model, laplace, posterior)
    yield from _zero_variances(hyper)
    yield from _calibration(pointwise, model.jumps)
    yield from _influence(loo.pareto_k)
    yield from _laplace(laplace, posterior)


def _range_and_mesh(name: str, mesh: Mesh, reach: float) -> Iterator[Finding]:
    """The fitted range between the mesh's edges and the extent of the inner zone."""
    unit = unit_of(mesh.crs)
    quality = mesh.quality()
    if quality.min_angle < SHARP:
        fact = f"its smallest angle is {number(quality.min_angle)} degrees"
        yield Finding("warning", "angle", fact, "build it with gs.build_mesh, or move vertices: slivers cost digits")
    edges = quality.inner_edges
    longest, inner = max(edges, default=0.0), mesh.vertices[np.unique(mesh.triangles[mesh.inner])]
    extent = float(np.hypot(*np.ptp(inner, axis=0)))
    fact = f"{name} is {length(reach, unit)}, the mesh's longest inner edge {length(longest, unit)}"
    if longest > EDGE * reach:
        remedy = f"lower max_edge, towards {in_unit(reach / 5, unit)}, until maps no longer change"
        yield Finding("warning", "mesh", f"{fact}: between vertices standard deviations come out too small", remedy)
    elif longest > COARSE * reach:
        remedy = f"try max_edge {in_unit(reach / 5, unit)} and see whether the map changes"
        yield Finding("note", "mesh", f"{fact}: more than a fifth of the range", remedy)
    else:
        yield Finding("ok", "mesh", fact)
    if reach > LONG * extent:
        yield Finding(
            "warning",
            "range",
            f"{name} is {length(reach, unit)}, longer than the {length(extent, unit)} of the study area: the field is "
            "a trend, and range and sigma cannot be told apart",
            "add coordinates as covariates, or give the range a prior that keeps it within the area",
        )
    from scipy.spatial import cKDTree

    gap = float(cKDTree(mesh.vertices[mesh.boundary_vertices]).query(inner)[0].min())
    fact = f"the mesh goes {length(gap, unit)} beyond the inner zone, {gap / reach:.2g} ranges"
    if gap < NEAR * reach:
        remedy = f"extend it with offset {in_unit(reach, unit)}: variances near its boundary are inflated"
        yield Finding("note", "extension", fact, remedy)
    else:
        yield Finding("ok", "extension", fact)


def _priors(model: Model, laplace: Laplace, posterior: Posterior) -> Iterator[Finding]:
    """How far priors hold each hyperparameter."""
    hyper = posterior.hyper
    if hyper is None:
        return
    mode = posterior.mode.theta
    covariance = hyper.root @ hyper.root.T
    slope = _log_prior_slope(laplace, mode)
    pulled, flat = [], []
    for h in model.hyperparameters:
        if h.is_held or h.function is not None or np.count_nonzero(h.direction) != 1:
            continue
        k = int(np.flatnonzero(h.direction)[0])
        sd = float(np.sqrt(covariance[k, k]))
        prior_sd = _prior_sd(laplace, mode, k)
        if prior_sd is not None and sd > LEARNT * prior_sd:
            flat.append(h.name)
        elif abs(slope[k]) * sd > PULL:
            pulled.append((h.name, slope[k] * sd))
    for name, pull in pulled:
        yield Finding(
            "warning",
            "prior",
            f"the prior of {name} pulls it {'up' if pull > 0 else 'down'} by about {abs(pull):.1f} posterior sds",
            "see whether the prior says what you mean, and fit again with a wider one",
        )
    if flat:
        yield Finding(
            "note",
            "prior",
            f"the data say next to nothing of {listed(flat)}: the posterior is as wide as the prior",
            "fix it, or leave out the term",
        )
    if not pulled and not flat:
        yield Finding("ok", "prior", "no prior moves a hyperparameter by more than a posterior sd")


def _log_prior_slope(laplace: Laplace, theta: Vector) -> Vector:
    """Derivative of the hyperparameters' log prior, by differences: priors are smooth and cheap."""
    steps = 1e-4 * np.eye(theta.size)
    return np.array([(laplace.log_prior(theta + s) - laplace.log_prior(theta - s)) / 2e-4 for s in steps])


def _prior_sd(laplace: Laplace, theta: Vector, k: int) -> float | None:
    """Sd of the prior of one theta with the others held, on the internal scale; None for improper ones."""
    grid = theta[k] + np.linspace(-25, 25, 2001)
    at = np.tile(theta, (grid.size, 1))
    at[:, k] = grid
    with np.errstate(over="ignore"):
        values = np.array([laplace.log_prior(t) for t in at])
    density = np.exp(values - values.max())
    if density[0] > 1e-6 or density[-1] > 1e-6:
        return None
    mean = np.average(grid, weights=density)
    return float(np.sqrt(np.average((grid - mean) ** 2, weights=density)))


def _zero_variances(table: pd.DataFrame) -> Iterator[Finding]:
    """Standard deviations whose posterior leans on zero."""
    for name in table.index:
        if not str(name).startswith(("sd(", "sdgp(", "sigma(")):
            continue
        row = table.loc[name]
        if row["sd"] > 0 and row["q0.025"] < 0.05 * row["q0.975"]:
            yield Finding(
                "note",
                "variance",
                f"{name} may be zero: its 95 % interval begins at {number(row['q0.025'])} and ends at "
                f"{number(row['q0.975'])}",
                "compare with a fit that leaves the term out",
            )


def _calibration(point: pd.DataFrame, jumps: NDArray[np.bool_]) -> Iterator[Finding]:
    """Whether the leave-one-out PIT is uniform."""
    from scipy.stats import chi2

    good = (point["failure"] == 0).to_numpy()
    failures = int((~good).sum())
    if failures:
        yield Finding(
            "warning",
            "leave-one-out",
            f"CPO and PIT do not hold at {counted(failures, 'observation')}",
            "refit without them to judge their fit",
        )
    pit = point["pit"].to_numpy()[good]
    if np.isnan(pit).any():
        yield Finding(
            "note",
            "calibration",
            "PIT values need the distribution function of the family, which its class does not have",
            "write its method cdf(eta)",
        )
        return
    if good.sum() < 30:
        return
    # P(Y <= y) less a random part of P(Y = y)
    part = np.random.default_rng(0).uniform(size=pit.size) * point["cpo"].to_numpy()[good]
    pit = pit - np.where(jumps[good], part, 0.0)
    bins = int(np.clip(good.sum() // 15, 5, 10))
    seen = np.histogram(np.clip(pit, 0, 1), bins, (0, 1))[0]
    expected = good.sum() / bins
    p = float(chi2.sf(((seen - expected) ** 2 / expected).sum(), bins - 1))
    if p < SMALL:
        outer, middle = seen[[0, -1]].mean(), seen[bins // 2 - 1 : bins // 2 + 2].mean()
        shape = (
            "too many observations lie in the tails of their prediction: it is too sure"
            if outer > 1.3 * expected and outer > middle
            else "too many lie in its middle: it is too unsure"
            if middle > 1.3 * expected and middle > outer
            else "observations lie to one side of their prediction"
        )
        yield Finding(
            "warning",
            "calibration",
            f"the PIT histogram is not flat (p = {p:.2g}): {shape}",
            "look at it, and try another family, a nugget (1 | site), or covariates",
        )
    else:
        yield Finding("ok", "calibration", f"the PIT histogram is flat (chi-square p = {p:.2g})")


def _influence(pareto_k: Vector) -> Iterator[Finding]:
    """Observations that shape their own prediction."""
    high = np.flatnonzero(pareto_k > 0.7)
    share = high.size / pareto_k.size
    if high.size == 0:
        yield Finding("ok", "influence", "no observation has a Pareto k above 0.7")
        return
    fact = f"Pareto k is above 0.7 at {counted(int(high.size), 'observation')}"
    rows = tuple(int(i) for i in high)
    if share > 0.2:
        yield Finding(
            "note",
            "influence",
            f"{fact}, {100 * share:.0f} % of all: each nearly sets its own prediction",
            "compare models by cross-validation in blocks, not by LOO or WAIC",
            rows,
        )
    else:
        yield Finding("note", "influence", fact, f"see whether these are outliers: rows {listed(rows[:8])}", rows)


def _laplace(laplace: Laplace, posterior: Posterior) -> Iterator[Finding]:
    """The Laplace approximation against its own next terms."""
    point = posterior.heaviest
    sds = np.sqrt(np.maximum(point.covariance[laplace.pattern.indptr[:-1]], 1e-300))
    shift = float(np.abs((point.mean - point.x) / sds).max())
    correction = abs(evidence_correction(laplace, laplace.factor_again(point)))
    fact = f"means move by up to {shift:.2g} sd when corrected, the log evidence by {correction:.2g}"
    if posterior.strategy == "gaussian" and (shift > SHIFT or correction > EVIDENCE):
        yield Finding("warning", "Laplace", fact, "fit with strategy='auto', which corrects means and skewness")
    elif shift > 3 * SHIFT or correction > 20 * EVIDENCE:
        yield Finding(
            "warning",
            "Laplace",
            f"{fact}: the responses say little, each by itself",
            "compare with strategy='laplace', and take tighter priors",
        )
    elif shift > SHIFT or correction > EVIDENCE:
        yield Finding("note", "Laplace", f"{fact} (strategy {posterior.strategy!r} has done so)")
    else:
        yield Finding("ok", "Laplace", fact)


def singular_findings(is_singular: bool, no_residual: bool = False) -> Iterator[Finding]:
    """Variances at zero and correlations at one: of random effects, and of the residual."""
    if no_residual:
        yield Finding(
            "warning",
            "no residual",
            "the residual standard deviation is estimated as 0: the random effects follow every observation",
            "add repeated measurements, hold it at the error of measurement, or fit with method='inla' and priors",
        )
    if is_singular:
        yield Finding(
            "warning",
            "singular fit",
            "a variance is zero or a correlation at its end: the data do not support all group effects",
            "leave out the effect, or fit with method='inla' and priors",
        )
    elif not no_residual:
        yield Finding("ok", "singular fit", "all variances are above zero and correlations within their ends")
