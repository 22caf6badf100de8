"""Models whose predictor is no linear function, by its tangent at the mode."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError, NumericalError

Vector = NDArray[np.float64]
ROUNDS = 40  # most rounds of linearising, in each of which the step may be shortened
SHORTEST = 0.1  # shortest step, as a share of the whole
PATIENCE = 12  # rounds before corners are rounded off and searched for
HALVINGS = 60  # halvings of the interval that holds a corner
NEAR_CORNER = 1e-3  # distance from a corner, in sds of the predictor, that counts as being at it


class Mode(Protocol):
    """The mode of a model with a linear predictor: latent vector, hyperparameters, variances of the predictors."""

    @property
    def x(self) -> Vector:
        """(n,)."""

    @property
    def theta(self) -> Vector:
        """(d,)."""

    @property
    def eta_variance(self) -> Vector:
        """(m,)."""


class Found(Protocol):
    """A fit of a model with a linear predictor."""

    @property
    def point(self) -> Mode:
        """Its mode."""

    def mixture(self, rows: Any) -> Any:
        """The posterior of linear combinations, whose ``sd`` is (k,)."""


def linearised_at_mode(model: Any, fit: Callable[[Any], Found], averaged: bool = False) -> Any:
    """The model with the tangent of a predictor that is not linear at the mode of the latent vector.

    The iteration of inlabru (Lindgren et al. 2024, arXiv:2407.00791): each mode is that of the tangent at the one
    before, until the two predictors agree there to a small part of their standard deviation. Where they agree less
    than before, steps are halved. Where a curve has a corner at a value of the data, tangents before and behind it
    point at each other: then the corner is rounded a little, and bisection finds where between them it is.

    Parameters
    ----------
    model : Model
    fit : callable
        Fits a model with a linear predictor.
    averaged : bool
        Whether value and slope at the mode are then averaged over the posterior about it, where the predictor is a mean
        over bent curves (statistical linearisation; Särkkä 2013, Bayesian Filtering and Smoothing, section 5.1): those
        at the mode alone make maps whose totals are not those of the areas.

    Raises
    ------
    InputError, NumericalError
        Where it does not converge, of data that tell too little, and elsewhere.
    """
    parts = model.nonlinearities
    near, corners = min(each.near for each in parts), np.concatenate([each.corners for each in parts])
    at, before, length = model.linearised_at, np.inf, 1.0
    at = np.zeros(model.design.shape[1]) if at is None else at
    brackets = [_Bracket() for _ in corners]
    for round_ in range(HALVINGS if corners.size else ROUNDS):
        if corners.size and round_ == PATIENCE:
            model, near = model.rounded().tangent(at), NEAR_CORNER
        whole = _quietly(fit, model)
        found = whole.point
        gap = np.abs(model.predictors(found.x) - (model.design @ found.x + model.offset))
        far = float(np.max(np.where(np.isfinite(gap), gap, np.inf) / np.sqrt(found.eta_variance)))
        if far < near:
            if not (round_ >= PATIENCE and corners.size):
                model = _averaged(model, whole) if averaged else model.tangent(found.x)
            return replace(model, start=found.theta)
        length = max(0.5 * length, SHORTEST) if far >= before else min(1.5 * length, 1.0)
        before, step = far, found.x - at
        for bracket, k in zip(brackets, corners):
            bracket.add(at[k], step[k])
        while not np.isfinite(model.predictors(at + length * step)).all():
            length *= 0.5
        if round_ >= PATIENCE and any(bracket.is_closed for bracket in brackets):
            step, length = found.x - at, 1.0
            for bracket, k in zip(brackets, corners):
                step[k] = bracket.next(at[k], step[k]) - at[k] if bracket.is_closed else step[k]
        at = at + length * step
        model = replace(model.tangent(at), start=found.theta)
    words, remedy = max((each.unsettled for each in parts), key=lambda pair: len(pair[1]))
    raise InputError(words, remedy=remedy) if remedy else NumericalError(f"{words} in {round_ + 1} rounds")


def _averaged(model: Any, found: Found) -> Any:
    """The model with its tangents at a fit's mode, averaged over its posterior."""
    x = found.point.x
    each = [one.averaged(x, lambda rows: found.mixture(rows).sd ** 2) for one in model.nonlinearities]
    return model.of_widths(np.concatenate([one.widths for one in each])).tangent(x)


@dataclass
class _Bracket:
    """Where a corner is: tangents at `low` point up, those at `high` down."""

    low: float = -np.inf
    high: float = np.inf
    last: float = np.inf

    def add(self, at: float, step: float) -> None:
        """Take what a tangent says; an end that it gainsays is given up."""
        if step > 0:
            self.low = at
            self.high = np.inf if self.high <= at else self.high
        else:
            self.high = at
            self.low = -np.inf if self.low >= at else self.low

    @property
    def is_closed(self) -> bool:
        """Whether both ends are known."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    def next(self, at: float, step: float) -> float:
        """Where the tangent points, if that is inside and steps shrink, or half way."""
        shrinks, self.last = abs(step) < 0.5 * abs(self.last), step
        return at + step if shrinks and self.low < at + step < self.high else 0.5 * (self.low + self.high)


def _quietly(fit: Callable[[Any], Found], model: Any) -> Found:
    """A fit without warnings, as it is not the last."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeospdeWarning)
        return fit(model)
