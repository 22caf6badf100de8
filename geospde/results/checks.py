"""What looks wrong with a fit, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc

from geospde.errors import InputError
from geospde.inference.hyper import HyperPosterior, Posterior
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.second_order.evidence import evidence_correction
from geospde.model.build import Model
from geospde.results.checking.fields import range_findings, resolution_findings
from geospde.results.loo import Loo, row_labels, rows_named
from geospde.results.prior import prior_marginal
from geospde.survey.places import columns_of_degrees, unprojected
from geospde.terms.hyperparameter import Hyperparameter
from geospde.text.findings import Finding, without_moments
from geospde.text.words import counted, listed, number

Vector = NDArray[np.float64]

PULL = 1.0  # of a prior, in posterior sds: log prior slope times sd
LEARNT = 0.9  # posterior sd over prior sd beyond which the data have told nothing
DECIDED = 0.7  # beyond which the prior decides much
NARROWED = 0.4  # beyond which it does where the data leave an end open
SPEAKS = 0.5  # fall of the log likelihood at an end of the interval, less than which leaves it open
SMALL = 0.01  # of a chi-square test
NO_END = 1e-10  # lower end of a standard deviation's interval over its upper one: a flat prior's, of no finite mass
SHIFT = 0.3  # posterior sds between a mode and its corrected mean
EVIDENCE = 0.1  # next term of the Laplace expansion, in nats


def model_findings(
    model: Model, laplace: Laplace, point: LaplacePoint, ranges: Mapping[Any, float]
) -> Iterator[Finding]:
    """Covariates from rasters, and each field against its mesh: by its range, and by what the observations tell.

    Parameters
    ----------
    model : Model
    laplace : Laplace
    point : LaplacePoint
        Where the fit is looked at.
    ranges : mapping
        Estimates of the hyperparameters by name.
    """
    if model.covariates is not None:
        yield from model.covariates.findings
    yield from _degrees(model)
    yield from range_findings(model, ranges)
    yield from resolution_findings(model, laplace, point)


def _degrees(model: Model) -> Iterator[Finding]:
    """Coordinates without a system that are called longitude and latitude, where they are taken for lengths."""
    for one in model.parts.values() or [model]:
        if one.crs is None and one.points is not None and any(term.mesh is not None for term in one.terms):
            found = unprojected(one.table, one.points)
            if found is not None:
                yield found
        measured = {term.distances: term.label for term in reversed(one.terms)}  # once for all levels of a factor
        for columns, label in measured.items():
            found = columns_of_degrees(one.table, columns, label)
            if found is not None:
                yield found


def posterior_findings(
    model: Model,
    laplace: Laplace,
    posterior: Posterior,
    fixed: pd.DataFrame,
    hyper: pd.DataFrame,
    pointwise: pd.DataFrame,
    loo: Loo,
) -> Iterator[Finding]:
    """What makes the figures of a posterior doubtful.

    Parameters
    ----------
    model : Model
    laplace : Laplace
    posterior : Posterior
    fixed, hyper, pointwise, loo
        As `BayesianFit` has them.
    """
    yield from _priors(model, laplace, posterior)
    yield from _zero_variances(hyper)
    yield from _heavy_tails(pd.concat([fixed, hyper]))
    if not any(one.family.is_pattern for one in model.parts.values() or [model]):  # whose rows are no observations
        yield from _calibration(pointwise, model.jumps)
        yield from _influence(loo.pareto_k, row_labels(model))
    yield from _laplace(laplace, posterior)
    yield from _integration(posterior)


def _priors(model: Model, laplace: Laplace, posterior: Posterior) -> Iterator[Finding]:
    """How far priors hold each hyperparameter, and which of them they decide."""
    hyper = posterior.hyper
    if hyper is None:
        return
    mode = posterior.mode.theta
    sds = np.sqrt(np.diag(hyper.moments()[1]))
    slope = _log_prior_slope(laplace, mode)
    decided: list[Finding] = []
    pulled, flat, seen = [], [], set()
    for h in model.hyperparameters:
        if h.is_fixed or h.function is not None or np.count_nonzero(h.direction) != 1:
            continue
        k = int(np.flatnonzero(h.direction)[0])
        if k in seen:  # kappa goes with range
            continue
        seen.add(k)
        learning = _learning(model, hyper, h)
        sd = float(sds[k])
        if learning is not None and learning.ratio > LEARNT:
            flat.append(h.name)
        elif abs(slope[k]) * sd > PULL:
            pulled.append((h.name, slope[k] * sd))
        elif learning is not None and learning.by_prior:
            decided.append(learning.finding(h.name))
    for name, pull in pulled:
        yield Finding(
            "warning",
            "prior",
            f"the prior of {name} pulls it {'up' if pull > 0 else 'down'} by about {abs(pull):.1f} posterior sds",
            "see whether the prior says what you mean, and fit again with a wider one",
        )
    yield from decided
    if flat:
        yield Finding(
            "note",
            "prior",
            f"the data say next to nothing about {listed(flat)}: the posterior is as wide as the prior, which decides",
            "fix it, or leave out the term",
        )
    if not pulled and not flat and not decided:
        yield Finding("ok", "prior", "no prior moves a hyperparameter by more than a posterior sd, or decides it")


@dataclass(frozen=True)
class _Learning:
    """What the data add to the prior of one hyperparameter.

    Attributes
    ----------
    ratio : float
        Posterior over prior sd, on the internal scale.
    ends : (float, float)
        Of the posterior's 95 % interval, on the user's scale.
    falls : (float, float)
        By how much the log of posterior over prior density is lower at these ends than at its highest between them: 0
        where the data do not speak against going further.
    """

    ratio: float
    ends: tuple[float, float]
    falls: tuple[float, float]

    @property
    def open_ends(self) -> list[str]:
        """Values that the prior alone excludes."""
        sides = [f"{side} {number(end)}" for side, end in zip(("below", "above"), self.ends)]
        return [side for side, fall in zip(sides, self.falls) if fall < SPEAKS]

    @property
    def by_prior(self) -> bool:
        """Whether another prior would give another figure."""
        return self.ratio > DECIDED or (self.ratio > NARROWED and bool(self.open_ends))

    def finding(self, name: str) -> Finding:
        fact = f"the prior decides much of {name}: the posterior is {self.ratio:.2g} times as wide as the prior"
        if self.open_ends:
            fact += f", and the data exclude no values {' nor '.join(self.open_ends)}"
        return Finding("note", "prior", fact, "fit with another prior and see what moves, or fix it at what is known")


def _learning(model: Model, hyper: HyperPosterior, h: Hyperparameter) -> _Learning | None:
    """Prior and posterior of one hyperparameter compared; None where the prior has no density."""
    try:
        prior = prior_marginal(model, h.name)
    except InputError:
        return None
    values, density = hyper.along(h.direction)
    values = values + h.shift
    below = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(values))])
    ends = np.interp([0.025, 0.975], below / below[-1], values)
    floor = 1e-300
    log_prior = np.interp(values, prior.inner, np.log(np.maximum(prior.inner_density, floor)))
    learnt = np.log(np.maximum(density, floor)) - log_prior
    low, high = np.interp(ends, values, learnt)
    top = float(learnt[(values >= ends[0]) & (values <= ends[1])].max(initial=max(low, high)))
    ratio = _sd(values, density) / _sd(prior.inner, prior.inner_density)
    first, last = map(float, h.transform(ends))
    return _Learning(ratio, (first, last), (top - float(low), top - float(high)))


def _sd(values: Vector, density: Vector) -> float:
    """Standard deviation of a density on a grid."""
    total = np.trapezoid(density, values)
    mean = np.trapezoid(values * density, values) / total
    return float(np.sqrt(np.trapezoid((values - mean) ** 2 * density, values) / total))


def _log_prior_slope(laplace: Laplace, theta: Vector) -> Vector:
    """Derivative of the hyperparameters' log prior, by differences: priors are smooth and cheap."""
    steps = 1e-4 * np.eye(theta.size)
    return np.array([(laplace.log_prior(theta + s) - laplace.log_prior(theta - s)) / 2e-4 for s in steps])


def _zero_variances(table: pd.DataFrame) -> Iterator[Finding]:
    """Standard deviations whose posterior leans on zero."""
    for name in table.index:
        if not str(name).startswith(("sd(", "sdgp(", "sigma(")):
            continue
        row = table.loc[name]
        if row["q0.025"] < NO_END * row["q0.975"]:
            yield Finding(
                "warning",
                "variance",
                f"the posterior of {name} has no end towards zero: its 95 % interval begins at {number(row['q0.025'])}",
                "give it a prior, or leave the term out",
            )
        elif row["sd"] > 0 and row["q0.025"] < 0.05 * row["q0.975"]:
            yield Finding(
                "note",
                "variance",
                f"{name} may be zero: its 95 % interval begins at {number(row['q0.025'])} and ends at "
                f"{number(row['q0.975'])}",
                "compare with a fit that leaves the term out",
            )


def _heavy_tails(table: pd.DataFrame) -> Iterator[Finding]:
    """Parameters that have no mean or sd."""
    said = without_moments(table)
    if said:
        remedy = "see the median and the interval, or give a prior that says how large it can be"
        yield Finding("note", "moments", said, remedy)


def _calibration(point: pd.DataFrame, jumps: NDArray[np.bool_]) -> Iterator[Finding]:
    """Whether the leave-one-out PIT is uniform."""
    good = (point["failure"] == 0).to_numpy()
    failures = int((~good).sum())
    if failures:
        yield Finding(
            "warning",
            "leave-one-out",
            f"CPO and PIT cannot be relied on at {counted(failures, 'observation')}",
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
    p = float(chdtrc(bins - 1, ((seen - expected) ** 2 / expected).sum()))
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


def influential(count: int) -> str:
    """What to do about so many observations that shape their own prediction."""
    return "see whether it is an outlier" if count == 1 else "see whether these are outliers"


def _influence(pareto_k: Vector, labels: Sequence[tuple[str, Any]]) -> Iterator[Finding]:
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
        message = f"{influential(len(rows))}: {rows_named(labels, rows)}"
        yield Finding("note", "influence", fact, message, rows)


def _laplace(laplace: Laplace, posterior: Posterior) -> Iterator[Finding]:
    """The Laplace approximation against its own next terms."""
    point = posterior.heaviest
    sds = np.sqrt(np.maximum(point.covariance[laplace.pattern.indptr[:-1]], 1e-300))
    shift = float(np.abs(laplace.basis.inside(point.mean - point.x) / sds).max())
    alike = copy(laplace)  # whose counts are not those of the fit
    correction = abs(evidence_correction(alike, alike.at(point.theta, point.x, gradient=False)))
    means = f"means move by up to {shift:.2g} sd when corrected, " if shift > 0 else ""  # strategy 'gaussian' has none
    moves = f"the log evidence by {correction:.2g}" if means else f"the log evidence moves by {correction:.2g}"
    fact = f"{means}{moves}" if means else f"{moves} when corrected"
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


def _integration(posterior: Posterior) -> Iterator[Finding]:
    """What the rule over the hyperparameters says of its own error, where it ended by its budget."""
    accuracy = posterior.accuracy
    if accuracy is None or accuracy.within:
        return
    fact = f"the integration over the hyperparameters {accuracy}"
    if accuracy.serves:
        yield Finding("note", "integration", fact)
    else:
        remedy = "take the figures of fit.certify(), fix a hyperparameter, or give narrower priors"
        yield Finding("warning", "integration", fact, remedy)


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
