"""Priors of a saved fit as they were in force: the other defaults of a later version change nothing in it."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from geospde.families import pc, priors, scaled
from geospde.families.registry import read_family
from geospde.inference.laplace import Laplace
from geospde.model.build import Model
from geospde.results.saving.schema import Words
from geospde.text.words import is_name

_KINDS: dict[str, Any] = {
    name: getattr(room, name)
    for room, names in (
        (pc, ("PCCor0", "PCCor1", "PCDf", "PCMixing", "PCMixingOf", "PCRange", "PCSd", "PCSize", "PCWeibull")),
        (
            priors,
            (
                "LKJ", "Fixed", "Flat", "GammaPositive", "Gaussian", "HalfStudentT", "InUnit", "Independent",
                "InverseGamma", "LinearGaussian", "LogGamma", "LogitBeta",
            ),
        ),
        (scaled, ("OfSize", "Shifted")),
    )
    for name in names
}  # fmt: skip
_STRUCTURE = {"PCMixingOf": ("excess",)}
"""Fields that are of the model and not of a prior, which no version changes."""


def priors_words(model: Model) -> dict[str, Any]:
    """The priors of a model, whether given or defaults: of its terms in order, its likelihood and its coefficients."""
    fixed = model.fixed_priors
    precision = np.where(np.isfinite(fixed.df), fixed.scale**-2.0, fixed.precision)  # before a Gaussian stood for it
    return {
        "terms": [_written(precision.prior) for precision in model.precisions],
        "likelihood": _written(model.likelihood.prior),
        "coefficients": {"mean": fixed.mean.tolist(), "precision": precision.tolist()},
    }


def with_priors(model: Model, words: Mapping[str, Any]) -> Model:
    """The model, newly made, with the priors that `priors_words` wrote.

    Raises
    ------
    ValueError
        Where they are no priors of this model, or others than those that were given.
    """
    now = priors_words(model)
    if words == now:
        return model
    if len(words["terms"]) != len(now["terms"]):
        raise ValueError("its priors are of another model")
    for precision, one in zip(model.precisions, words["terms"]):
        precision.set_prior(_read(one, precision.prior, len(precision.parameters)))
    own = _read(words["likelihood"], model.likelihood.prior, model.likelihood.theta.size)
    mean, precision = (np.array(words["coefficients"][name], dtype=float) for name in ("mean", "precision"))
    if not mean.shape == precision.shape == model.fixed_mean.shape or not (
        np.isfinite(mean).all() and np.isfinite(precision).all() and (precision >= 0).all()
    ):
        raise ValueError("the priors of its coefficients are of another model")
    made = replace(
        model, likelihood=replace(model.likelihood, prior=own),
        fixed_priors=replace(model.fixed_priors, mean=mean, precision=precision),
    )  # fmt: skip
    return _described(made)


def former_priors(words: Words) -> list[dict[str, Any]]:
    """What the argument `priors` of a fit may have been, of a format that holds no priors in force.

    Today's defaults, and those of before where they were others.
    """
    given = words.priors or {}
    families = {"": words.settings.family} if words.several is None else {}
    for part in [] if words.several is None else words.several.parts:
        families[f"{part.name}: "] = part.family
    former = {of: read_family(family).former_priors.get(words.format, {}) for of, family in families.items()}
    before = {f"{of}{k}": prior for of, priors in former.items() for k, prior in priors.items()}
    return [given] if "defaults" in given or not before else [given, {**before, **given}]


def nearest(models: list[Model], theta: np.ndarray, x: np.ndarray, log_posterior: float) -> Model:
    """The model whose log posterior at a mode is nearest to what a fit has there."""

    def off(model: Model) -> float:
        return abs(Laplace(model).at(theta, x, gradient=False).log_posterior - log_posterior)

    return min(models, key=off) if len(models) > 1 else models[0]


def _described(model: Model) -> Model:
    """The model, whose tables say which priors it has."""
    words = [h.prior for term in model.terms for h in term.hyperparameters()]
    words += [prior.describe() for prior in model.likelihood.prior.of_theta]  # type: ignore[attr-defined]
    for h, prior in zip(model.hyperparameters, words):
        if h.name in model.priors_given and h.prior != prior:
            raise ValueError(f"the prior of {h.name[:60]} is written twice, and differs")
    hyper = tuple(replace(h, prior=prior) for h, prior in zip(model.hyperparameters, words))
    if model.parts:
        members = {name: replace(part, hyperparameters=hyper) for name, part in model.parts.items()}
        model = replace(model, members=members)  # type: ignore[call-arg]
    return replace(model, hyperparameters=hyper)


def _written(value: Any) -> Any:
    """A prior as words and numbers, by the names of its class and its parts; None for a class of one's own."""
    name = type(value).__name__
    if _KINDS.get(name) is type(value):
        kept = [f.name for f in fields(value) if f.name not in _STRUCTURE.get(name, ())]
        return {name: {each: _written(getattr(value, each)) for each in kept}}
    if isinstance(value, tuple):
        return [_written(each) for each in value]
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value if isinstance(value, int | float) else None


def _read(words: Any, like: Any, size: int) -> Any:
    """The prior that `_written` wrote, of so many thetas, where the model's own has `like`."""
    prior = _made(words, like)
    places = np.full(size, 0.5)
    ends = getattr(prior, "places", [slice(0, getattr(prior, "size", 1))])[-1:]
    if [where.stop for where in ends] != ([size] if size else []):
        raise ValueError("its priors are of another model")
    if not np.isfinite(prior.log_density(places)) or np.shape(prior.gradient(places)) != (size,):
        raise ValueError("its priors are no densities")
    return prior


def _made(words: Any, like: Any) -> Any:
    """A prior or a part of one."""
    if words == []:
        return ()
    if isinstance(words, list):
        if isinstance(words[0], dict | None):
            parts = like if isinstance(like, tuple) else ()
            return tuple(_made(each, parts[k] if k < len(parts) else None) for k, each in enumerate(words))
        return tuple(words) if isinstance(words[0], str) else np.array(words, dtype=float)
    if words is None:  # of a class of one's own
        if like is None:
            raise ValueError("one of its priors is not known here")
        return like
    if not isinstance(words, dict):
        return words
    ((name, values),) = words.items()
    kind = _KINDS[name]
    own = like if type(like) is kind else None
    structure = {each: getattr(own, each) for each in _STRUCTURE.get(name, ())}
    given = {each: _made(value, getattr(own, each, None)) for each, value in values.items()}
    for part in fields(kind):
        value = given.get(part.name)
        if part.type is float and not (isinstance(value, int | float) and np.isfinite(value)):
            raise ValueError(f"its prior {name} has a number that is none")
        if part.type is str and not is_name(value):
            raise ValueError(f"its prior {name} has a word that is none")
    return kind(**given, **structure)
