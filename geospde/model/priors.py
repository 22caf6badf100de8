"""Priors as users write them: in the formula's calls, or by a parameter's name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.latent.priors import prior_by_name

Vector = NDArray[np.float64]


def prior_table(priors: Any) -> dict[str, Any]:
    """The `priors` argument as a dict from names to priors as written."""
    if priors is None or (isinstance(priors, str) and priors == "default"):
        return {}
    if isinstance(priors, Mapping):
        return dict(priors)
    raise InputError(f"priors is 'default' or a dict from a parameter's name to a prior, not {priors!r}")


def read_prior(given: Any, name: str, kind: str) -> Any:
    """A prior from {"pc": [a, b]}, ("pc", a, b) or a prior object."""
    if hasattr(given, "log_density"):
        return given
    if isinstance(given, Mapping) and len(given) == 1:
        ((family, arguments),) = given.items()
    elif isinstance(given, (tuple, list)) and given and isinstance(given[0], str):
        family, arguments = given[0], given[1:]
    elif isinstance(given, str):
        family, arguments = given, ()
    else:
        raise InputError(f"the prior of {name!r} reads like {{'pc': [1.0, 0.01]}}, not {given!r}")
    if not isinstance(arguments, (list, tuple)):
        arguments = (arguments,)
    return prior_by_name(family, tuple(arguments), kind)


def fixed_priors(names: list[str], overrides: dict[str, Any]) -> tuple[Vector, Vector]:
    """Means and precisions of the coefficients: flat unless a Gaussian is given as {"gaussian": [mean, sd]}."""
    mean, precision = np.zeros(len(names)), np.zeros(len(names))
    for k, name in enumerate(names):
        if name not in overrides:
            continue
        given = overrides.pop(name)
        if isinstance(given, Mapping) and list(given) == ["gaussian"]:
            given = ("gaussian", *given["gaussian"])
        if given == "flat" or given == ("flat",) or given == {"flat": []}:
            continue
        if not (isinstance(given, (tuple, list)) and len(given) == 3 and given[0] == "gaussian" and given[2] > 0):
            raise InputError(f"the prior of {name!r} reads {{'gaussian': [mean, sd]}}, not {given!r}")
        mean[k], precision[k] = float(given[1]), float(given[2]) ** -2
    return mean, precision
