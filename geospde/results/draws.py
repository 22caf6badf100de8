"""Draws from a fit's joint posterior, and what ArviZ takes them as."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geospde import __version__
from geospde.errors import InputError
from geospde.inference.sampling import joint_draws
from geospde.results.state import FitState
from geospde.text.arguments import refuse_seed
from geospde.text.words import in_brief

if TYPE_CHECKING:
    import xarray


Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Draws from the joint posterior, in random order.

    Attributes
    ----------
    latent : (n, n_latent) array
    theta : (n, d) array
        Free hyperparameters on their internal scale.
    hyper : (n, k) array
        Hyperparameters on the user's scale.
    """

    latent: Vector
    theta: Vector
    hyper: Vector


def draw(fit: FitState, n: int, seed: int | None = None) -> Draws:
    """Draw the latent vector from its Gaussians at the integration points, with their weights, and theta around them.

    Raises
    ------
    InputError
        Unless `n` is positive.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise InputError(f"the number of draws must be a whole number, not {in_brief(n)}")
    if n < 1:
        raise InputError(f"the number of draws must be positive, not {n}")
    refuse_seed(seed, optional=True)
    number = {id(point): k for k, point in enumerate(fit.approximation.points)}
    blocks, chosen = [], []
    for point, x in joint_draws(fit.laplace, fit.approximation, n, seed):
        blocks.append(x.T)
        chosen += [number[id(point)]] * x.shape[1]
    order = np.random.default_rng(seed).permutation(n)
    which = np.array(chosen)[order]
    points = np.array([p.theta for p in fit.approximation.points])
    hyper_posterior = fit.approximation.hyper if len(points) > 1 else None
    thetas = points[which] if hyper_posterior is None else hyper_posterior.around(points, which, seed)
    hyper = np.array([[h.value(theta) for h in fit.model.hyperparameters] for theta in thetas]).reshape(n, -1)
    return Draws(np.vstack(blocks)[order], thetas, hyper)


def log_densities(fit: FitState, draws: Draws) -> Vector:
    """Log density of each observation at each draw, all constants and weights included: (n, m)."""
    eta = (fit.laplace.design @ draws.latent.T).T + fit.model.offset
    if not fit.laplace.model.likelihood.parameters:
        return np.asarray(fit.laplace.likelihood_at(draws.theta[0]).log_density(eta))
    return np.array([fit.laplace.likelihood_at(theta).log_density(e) for theta, e in zip(draws.theta, eta)])


def to_arviz(fit: FitState, n: int = 1000, seed: int | None = None) -> xarray.DataTree:
    """Return draws as ArviZ has them.

    Parameters
    ----------
    fit : FitState
    n : int
        Number of draws. They are independent: one chain.
    seed : int, optional
        The draws are those of ``fit.sample(n, seed)``.

    Returns
    -------
    xarray.DataTree
        ``posterior``: a scalar for each hyperparameter and fixed effect, by its name; a field by its label along
        ``<label>_vertex``, an effect of a group as ``<effect> | <group>`` along ``<group>_level``, another term by its
        label along ``<label>_coefficient``. ``log_likelihood`` and ``observed_data``: the response along
        ``observation``. ``constant_data``: exposure, trials, weights and offset. Where a name has a slash, which
        labelled arrays cannot have, it is ``÷``.

    Raises
    ------
    InputError
        Unless `n` is positive, or without arviz-base.
    """
    try:
        arviz_base = import_module("arviz_base")
    except ImportError:
        raise InputError("draws for ArviZ need arviz-base and xarray: pip install 'geospde[arviz]'") from None
    draws, model, split = draw(fit, n, seed), fit.model, fit.laplace.n_random
    posterior = {h.name: draws.hyper[:, k] for k, h in enumerate(model.hyperparameters)}
    posterior |= {name: draws.latent[:, split + k] for k, name in enumerate(model.effects.names)}
    dims: dict[str, list[str]] = {}
    coords: dict[str, Any] = {"observation": np.arange(model.likelihood.n)}
    at = 0
    for part in model.terms:
        for v in part.variables():
            posterior[v.name], dims[v.name] = draws.latent[:, at + v.places], [v.dimension]
            coords[v.dimension] = v.labels
        at += part.n
    response = model.formula.response_name
    seen: Any = model.likelihood
    constants = {name: np.asarray(getattr(seen, name)) for name in ("exposure", "trials", "weights")}
    constants["offset"] = model.offset
    dims |= {name: ["observation"] for name in (response, *constants)}
    groups = {
        "posterior": {name: values[None] for name, values in posterior.items()},
        "log_likelihood": {response: log_densities(fit, draws)[None]},
        "observed_data": {response: np.asarray(seen.y)},
        "constant_data": {name: values for name, values in constants.items() if values.shape == (seen.n,)},
    }
    about = {"inference_library": "geospde", "inference_library_version": __version__}
    about |= {"formula": fit.formula, "family": fit.family, "method": fit.method}
    tree: xarray.DataTree = arviz_base.from_dict(
        {group: {_named(name): values for name, values in members.items()} for group, members in groups.items()},
        dims={_named(name): [_named(dim) for dim in along] for name, along in dims.items()},
        coords={_named(dim): labels for dim, labels in coords.items()},
        attrs={"/": about, "posterior": about},
    )
    return tree


def _named(name: str) -> str:
    return name.replace("/", "÷")
