"""What the methods of likelihood are not for, in sentences: priors, saturated models, separation, perfect fits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.likelihood.exponential import exponential_names
from geospde.likelihood.likelihoods import Unpriored
from geospde.likelihood.penalties import refuse_formula_priors
from geospde.likelihood.search import Maximum
from geospde.likelihood.separation import separated, suspicious
from geospde.likelihood.ubre import LARGEST
from geospde.likelihood.vanishing import PERFECT
from geospde.model.build import Model
from geospde.model.hyperparameters import whole_theta
from geospde.terms.base import LatentTerm
from geospde.text.words import listed

Vector = NDArray[np.float64]
LARGEST_DENSE = 20_000_000  # most entries of a design that is made dense
LARGEST_EFFECTS = 500_000  # and of one with random effects, before any sign of a perfect fit
EXACT = 1e-9  # of the predictors: what effects leave of them that is rounding


def refuse_options(method: str, integration: str, strategy: str, quadrature: Any, priors: Any) -> None:
    """Raise InputError for options that do not go with ML or REML."""
    for value, what in ((integration, "integration"), (strategy, "strategy")):
        if value != "auto":
            raise InputError(
                f"{what}={value!r} is only for method 'inla': method {method!r} does not integrate over hyperparameters"
            )
    if isinstance(quadrature, bool) or not isinstance(quadrature, (int, np.integer)) or quadrature < 1:
        raise InputError(f"quadrature is a number of points, 1 (Laplace) or more, not {quadrature!r}")
    if quadrature > 1 and method != "ml":
        raise InputError(f"quadrature={quadrature} is only for method 'ml', not {method!r}")
    if priors is not None and not isinstance(priors, Mapping) and priors != "default":
        raise InputError(f"method {method!r} takes no priors: leave priors={priors!r} out, or fit with method='inla'")


def without_priors(model: Model, method: str, points: int) -> Unpriored:
    """The model as ML or REML sees it; raises InputError for one that they are not for."""
    refuse_formula_priors(model, method)
    unpriored = Unpriored.of(model)
    if unpriored.penalised and points > 1:
        raise InputError(f"quadrature has no penalties: leave the prior of {unpriored.penalised[0]!r} out")
    _refuse_saturated(model, unpriored)
    if not unpriored.is_gaussian:
        refuse_exact(model)
    if points > 1:
        _refuse_quadrature(model)
    return unpriored


def only_smooths(model: Model) -> Unpriored:
    """The model as UBRE sees it; raises InputError for one that it is not for."""
    family = model.family
    if not family.is_exponential:
        raise InputError(
            f"method 'ubre' is for the families {exponential_names()}, not {family.name!r}: fit with method='reml'"
        )
    if model.dispersion is not None:
        raise InputError("method 'ubre' has one dispersion, and dispformula several: fit with method='reml'")
    if not model.likelihood.observed_exactly:
        raise InputError("method 'ubre' is not for censored responses, which have no deviance: fit with method='reml'")
    refuse_priors(model, "ubre")
    if not model.terms:
        raise InputError("method 'ubre' chooses how smooth a smooth is, and the formula has none: fit with method='ml'")
    others = [part.label for part in model.terms if not _has_penalty(part)]
    if others:
        raise InputError(
            f"method 'ubre' is for smooths and random intercepts, not for {listed(others)}: fit with method='reml'"
        )
    size = model.design.shape[1]
    if size > LARGEST:
        raise InputError(f"method 'ubre' is for at most {LARGEST:,} coefficients, not {size:,}: fit with method='reml'")
    unpriored = Unpriored.of(model)
    own = len(model.likelihood.parameters)
    of_terms, of_family = np.split(unpriored.fixed_theta, [unpriored.fixed_theta.size - own])
    if np.isnan(of_family).any() and not np.isnan(of_terms).all():
        raise InputError("with a free dispersion, method 'ubre' cannot hold the sd of a smooth: fit with method='reml'")
    return unpriored


def _has_penalty(term: LatentTerm) -> bool:
    """Whether a term is a smooth, or the effects of a group with one standard deviation."""
    return bool(term.penalty_scales) or (term.precision.parameters == ("sd",) and term.grouping is not None)


def refuse_priors(model: Model, method: str) -> None:
    """A likelihood has no priors; a value that is fixed is none."""
    fixed = {h.name for h in model.hyperparameters if h.is_fixed}
    for name in model.priors_given:
        if name not in fixed:
            raise InputError(
                f"method {method!r} takes no priors, but one is given for {name!r}: leave it out, hold it at a value "
                f"with {{'fixed': value}}, or fit with method='inla'"
            )
    for call in model.formula.terms:
        for option in call.options:
            if option.startswith("prior"):
                raise InputError(
                    f"method {method!r} takes no priors: leave {option} out of {call.text!r}, or fit with method='inla'"
                )


def _refuse_saturated(model: Model, unpriored: Unpriored) -> None:
    """More parameters or random effects than data can tell apart."""
    rows, p = unpriored.design.shape[0], unpriored.n_fixed
    if p > rows or (unpriored.is_gaussian and p == rows):
        raise InputError(f"{p} fixed effects cannot be told from {rows} observations: leave terms out")
    if not unpriored.is_gaussian:
        return
    for part in model.terms:
        if part.grouping is not None and part.n >= rows and np.isnan(unpriored.fixed_theta[-1]):
            effects = len(part.effect_names)
            raise InputError(
                f"the term {part.label!r} has {part.n} random effects "
                f"({len(part.grouping.labels)} levels"
                + (f" of {effects} effects" if effects > 1 else "")
                + f") for {rows} observations: they cannot be told from the residual; leave effects out, or fit with "
                "method='inla'"
            )


def _refuse_quadrature(model: Model) -> None:
    """Adaptive quadrature is over the levels of one group."""
    groups = {part.grouping.name for part in model.terms if part.grouping is not None}
    others = [part.label for part in model.terms if part.grouping is None]
    if others:
        raise InputError(
            f"quadrature is over the random effects of one group, and {listed(others)} is none: take quadrature=1 "
            "(Laplace)"
        )
    if len(groups) > 1:
        raise InputError(
            f"quadrature is over the random effects of one group, not of {listed(sorted(groups))}: take quadrature=1 "
            "(Laplace)"
        )


def refuse_separated(model: Model, found: Maximum | None = None) -> None:
    """Effects without a prior, trends of smooths among them, that separation draws to infinity.

    Parameters
    ----------
    model : Model
    found : Maximum, optional
        Where the search ended; without it they are looked into whether or not they seem to run off.
    """
    fixed, first = model.effects.names, model.design.shape[1] - len(model.effects.names)
    flat = {first + k: name for k, name in enumerate(fixed)} | _trends(model)
    x = model.design[:, list(flat)].toarray()
    if found is not None:
        se = np.zeros(len(flat))
        se[: len(fixed)] = np.sqrt(np.diag(found.fixed_covariance))
        if not suspicious(x, found.x[list(flat)], se):
            return
    drawn = separated(list(flat.values()), x, model.likelihood)
    if not drawn:
        return
    one = len(drawn) == 1
    own = [name for name in drawn if name in fixed]
    mend = f"priors such as {{{own[0]!r}: {{'gaussian': [0, 2.5]}}}}" if own else "a negative m, such as m=-3"
    raise InputError(
        f"the fixed effect{'' if one else 's'} {listed(drawn)} {'has' if one else 'have'} no finite estimate: "
        f"{'it separates' if one else 'together they separate'} responses at an end of their range from the "
        f"others; leave terms out, join levels, or fit with method='inla' and {mend}"
    )


def _trends(model: Model) -> dict[int, str]:
    """Latent variables that are the flat linear trends of smooths, and what to call them."""
    out: dict[int, str] = {}
    at = 0
    for part in model.terms:
        first = at + part.n - len(part.trend)
        for k, name in enumerate(part.trend):
            out[first + k] = f"{part.label}, linear in {name}" if name else f"the constant of {part.label}"
        at += part.n
    return out


def refuse_improper(model: Model, mode: Vector | None = None) -> None:
    """Effects with a flat prior that separation draws to infinity: their posterior has no integral.

    Parameters
    ----------
    model : Model
    mode : array, optional
        Of the latent variables; without it they are looked into whether or not they seem to run off.
    """
    fixed, first = model.effects.names, model.design.shape[1] - len(model.effects.names)
    own = {first + k: name for k, name in enumerate(fixed) if model.fixed_priors.precision[k] == 0}
    flat = own | _trends(model)
    if not flat:
        return
    # coefficients that have a prior stay; where that is on an intercept at the covariates' means, columns are centred
    x = model.design[:, list(flat)].toarray()
    centred = model.design[:, first:].toarray() @ np.linalg.inv(model.fixed_transform)
    x[:, : len(own)] = centred[:, [k - first for k in own]]
    if mode is not None and not suspicious(x, mode[list(flat)], np.zeros(len(flat))):
        return
    drawn = separated(list(flat.values()), x, model.likelihood)
    if drawn:
        one = len(drawn) == 1
        named = [name for name in drawn if name in fixed]
        mend = f", such as priors={{{named[-1]!r}: {{'gaussian': [0, 2.5]}}}}" if named else ""
        raise InputError(
            f"the fixed effect{'' if one else 's'} {listed(drawn)} {'has' if one else 'have'} a flat prior and no "
            f"finite posterior: {'it separates' if one else 'together they separate'} responses at an end of their "
            f"range from the others; give {'it' if one else 'them'} a prior{mend}, leave terms out, or join levels"
        )


def refuse_perfect(model: Model, unpriored: Unpriored) -> None:
    """A residual of zero makes the likelihood infinite."""
    size = model.design.shape[0] * model.design.shape[1]
    if not unpriored.is_gaussian or size > LARGEST_DENSE:
        return
    y = unpriored.likelihood.start() - unpriored.offset
    left = y - model.design @ np.linalg.lstsq(model.design.toarray(), y, rcond=None)[0]
    if np.linalg.norm(left) < PERFECT * max(float(np.linalg.norm(y)), 1e-300):
        raise perfect_fit()


def refuse_exact(model: Model) -> None:
    """Fewer effects than responses that reproduce these: a density whose spread is free has no end there.

    A normal's is looked at by `refuse_perfect`, since it may be bounded.
    """
    likelihood, own = model.likelihood, model.fixed_theta[len(model.fixed_theta) - len(model.likelihood.hyper) :]
    has_spread = np.isnan(own).any() and not model.family.is_discrete and likelihood.observed_exactly
    if not has_spread or model.parts or model.is_linearised:
        return
    seen, start = likelihood.weights > 0, likelihood.start()
    if np.unique(start[seen]).size < np.unique(likelihood.y[seen]).size:
        return  # a start that does not tell responses apart, as under a link that not all means have
    y, design, fixed = (start - model.offset)[seen], model.design[seen], len(model.effects.names)
    if not design.shape[1] < design.shape[0] or design.shape[0] * design.shape[1] > LARGEST_EFFECTS:
        design = design[:, design.shape[1] - fixed :]
    if design.shape[0] * design.shape[1] > LARGEST_DENSE:
        return
    left = y - design @ np.linalg.lstsq(design.toarray(), y, rcond=None)[0]
    if np.linalg.norm(left) < EXACT * max(float(np.linalg.norm(y)), 1e-300):
        named = listed([h.name for h, value in zip(likelihood.hyper, own) if np.isnan(value)])
        raise perfect_fit(f"nothing is left to tell {named} by")


def refuse_endless(model: Model, found: Maximum) -> None:
    """Raise InputError where a search ended at hyperparameters of the family towards which the likelihood grows on."""
    whole = whole_theta(model, found.theta)
    model.likelihood.at(whole[whole.size - len(model.likelihood.hyper) :]).refuse_endless()


def perfect_fit(so: str = "the residual standard deviation is zero") -> InputError:
    """What to say of a residual of zero that makes the likelihood infinite."""
    return InputError(
        f"the model fits the response perfectly, so that {so} and the likelihood has no maximum: leave terms out, or "
        "look whether the response is constant"
    )
