"""What a user should look at in a fit by likelihood: variances at zero, parameters of which the data say nothing."""

import itertools

import numpy as np

from geospde.likelihood.intervals import LEVEL
from geospde.likelihood.search import Maximum
from geospde.likelihood.vanishing import residual_places
from geospde.model.build import Model
from geospde.model.hyperparameters import names_by_term, theta_slices, whole_theta
from geospde.terms.hyperparameter import Hyperparameter
from geospde.text.words import listed

WIDE = 2.0  # standard error of a logarithm or Fisher's z, or of a factor over it, whose limits are 50 times off or more
TOGETHER = 0.98  # correlation of two errors as wide as that, which are then one: a ridge


def notes_on(model: Model, found: Maximum, errors: bool = True) -> tuple[str, ...]:
    """What a user should look at; that a smooth is its linear trend is no fault.

    `errors` is False where hyperparameters have none: a prediction error's curvature is no information.
    """
    out = []
    zero: list[str] = []
    residual: list[str] = []
    one: list[str] = []
    edges = found.edges.copy()
    by_term = zip(model.terms, names_by_term(model))
    straight = {name for term, own in by_term if term.penalty_scales and term.grouping is None for name in own}
    number = np.cumsum(np.isnan(model.fixed_theta)) - 1
    of_family = {int(number[k]) for k in residual_places(model)}
    for h in model.hyperparameters:
        touched = h.direction != 0
        if h.name in straight and not h.is_fixed:
            edges[touched] = 0
        if h.is_fixed or touched.sum() != 1 or not edges[touched][0]:
            continue
        own = np.flatnonzero(touched)[0] in of_family
        (residual if own else zero if h.transform is np.exp else one).append(h.name)
        edges[touched] = edges[touched] * (not own)
    if zero:
        out.append(f"{listed(zero)} {'is' if len(zero) == 1 else 'are'} estimated as 0")
    if one:
        out.append(f"{listed(one)} {'is' if len(one) == 1 else 'are'} estimated as 1 or -1")
    if edges.any() and not out:
        out.append("the effects of a group have a singular covariance")
    if out:
        said = " and ".join(out)
        out = [f"singular fit: {said}; the data do not tell these random effects apart, a simpler model may do"]
    out += [
        f"{name!r} is estimated as 0: the random effects reach every observation, and the likelihood is largest where "
        "they leave nothing to the residual"
        for name in residual
    ]
    at = found.flat.size - len(model.likelihood.hyper)
    level = (found.flat | (np.diag(found.covariance) > LEVEL**2))[at:]
    unknown = [h.name for h in model.hyperparameters if not h.is_fixed and level[h.direction[at:] != 0].any()]
    ended = {h.name: h.nearest_end(found.theta) for h in model.hyperparameters if h.name in unknown}
    out += [
        f"{name!r} is estimated as {end:g}, an end of its range: a simpler family may do"
        for name, end in ended.items()
        if end is not None
    ]
    unknown = [name for name in unknown if ended[name] is None]
    if unknown:
        out.append(
            f"the likelihood is flat in {listed(unknown)}, which {'has' if len(unknown) == 1 else 'have'} no finite "
            "estimate within its range; a simpler family may do"
        )
    whole, noted = whole_theta(model, found.theta), set()
    for term, names, where in zip(model.terms, names_by_term(model), theta_slices(model.terms)):
        free = number[where][np.isnan(model.fixed_theta[where])]
        vanished = (found.edges[free] < 0).any() and found.flat[free].any()  # its range then says nothing
        of_term: list[str] = [] if vanished else term.notes(whole[where])
        out += of_term
        noted |= set(names if of_term else ())
    if errors:
        out += _ridges(model, found, noted)
    if found.whole_curvature and not np.isfinite(found.fixed_covariance).all():
        out.append("no standard errors: the likelihood does not curve downwards in every direction at its maximum")
    return tuple(out)


def _ridges(model: Model, found: Maximum, noted: set[str]) -> list[str]:
    """Pairs of hyperparameters, but those noted, that the data tell in combination alone: a field's range and sigma."""
    own = [(h, int(np.argmax(h.direction))) for h in model.hyperparameters if _is_one(h) and h.name not in noted]
    own = [(h, k) for h, k in own if found.edges[k] == 0 and not found.flat[k]]
    se = np.sqrt(np.diag(found.covariance))
    if own and not np.isfinite(se[[k for _, k in own]]).any():
        return [
            f"no standard errors of {listed([h.name for h, _ in own])}: the likelihood does not curve downwards where "
            "its search ended; leave out a term, or take priors, method 'inla'"
        ]
    wide = [(h.name, k) for h, k in own if se[k] > WIDE * (max(1.0, abs(found.theta[k])) if _is_plain(h) else 1.0)]
    return [
        f"the data tell {one!r} and {other!r} in combination alone, a ridge along which the likelihood is level: "
        "their estimates, and standard errors that depend on them, such as an intercept's, say little; "
        "a simpler model may do, or priors, method 'inla'"
        for (one, i), (other, j) in itertools.combinations(wide, 2)
        if abs(found.covariance[i, j]) > TOGETHER * se[i] * se[j]
    ]


def _is_one(h: Hyperparameter) -> bool:
    """Whether a hyperparameter is one of theta's and not made of them."""
    return not h.is_fixed and h.function is None and (h.direction != 0).sum() == 1 and bool((h.direction > 0).any())


def _is_plain(h: Hyperparameter) -> bool:
    """Whether a hyperparameter stands in theta as it is, as a factor of a copy does, and not by its logarithm."""
    return bool(h.transform(2.0) == 2.0 and h.transform(3.0) == 3.0)
