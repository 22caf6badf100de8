"""What a user should look at in a fit by likelihood: variances at zero, parameters of which the data say nothing."""

from typing import Any

import numpy as np

from geospde.likelihood.search import Maximum
from geospde.likelihood.vanishing import residual_places
from geospde.model.hyperparameters import names_by_term, theta_slices
from geospde.text.words import listed

LEVEL = 10.0  # standard error of a logarithm or logit above which the data say nothing about it


def notes_on(model: Any, found: Maximum) -> tuple[str, ...]:
    """What a user should look at; that a smooth is its linear trend is no fault."""
    out = []
    zero: list[str] = []
    residual: list[str] = []
    one: list[str] = []
    edges = found.edges.copy()
    by_term = zip(model.terms, names_by_term(model))
    straight = {name for term, own in by_term if term.penalty_scales and term.grouping is None for name in own}
    number = np.cumsum(np.isnan(model.held)) - 1
    of_family = {int(number[k]) for k in residual_places(model)}
    for h in model.hyperparameters:
        touched = h.direction != 0
        if h.name in straight and not h.is_held:
            edges[touched] = 0
        if h.is_held or touched.sum() != 1 or not edges[touched][0]:
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
    unknown = [h.name for h in model.hyperparameters if not h.is_held and level[h.direction[at:] != 0].any()]
    if unknown:
        out.append(
            f"the likelihood is flat in {listed(unknown)}, which {'has' if len(unknown) == 1 else 'have'} no finite "
            "estimate within its range; a simpler family may do"
        )
    whole = model.held.copy()
    whole[np.isnan(whole)] = found.theta
    for term, where in zip(model.terms, theta_slices(model.terms)):
        out += term.notes(whole[where])
    if found.whole_curvature and not np.isfinite(found.fixed_covariance).all():
        out.append("no standard errors: the likelihood does not curve downwards in every direction at its maximum")
    return tuple(out)
