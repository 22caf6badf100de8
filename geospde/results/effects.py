"""Conditional effects: what the mean is as one covariate, or two, vary and the others stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.inference.sampling import joint_draws
from geospde.model.build import Model
from geospde.results.state import FitState
from geospde.text.keywords import answers_keywords
from geospde.text.notebook import card, picture
from geospde.text.words import in_brief

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Vector = NDArray[np.float64]


@answers_keywords
@dataclass(frozen=True)
class Effects:
    """The mean per unit exposure over a grid of one covariate or two.

    Attributes
    ----------
    frame : DataFrame
        One row per point: the covariates that vary, then ``mean``, ``sd`` and quantiles of the mean per unit exposure.
    names : tuple of str
        The covariates that vary; the first runs along the x axis.
    at : dict
        Values of the others.
    response : str
    """

    frame: pd.DataFrame
    names: tuple[str, ...]
    at: dict[str, Any]
    response: str
    surface: bool
    _fit: FitState
    _rows: Any
    _offset: Any

    def __repr__(self) -> str:
        at = ", ".join(f"{k} = {v:.4g}" if isinstance(v, float) else f"{k} = {v}" for k, v in self.at.items())
        return f"<Effects of {', '.join(self.names)} on {self.response}{' at ' + at if at else ''}>"

    def _repr_html_(self) -> str:
        """Show the picture in a notebook."""
        from geospde.plots.thumbnails import axes_png

        title = f"Effects of {', '.join(self.names)} on {self.response}"
        subtitle = repr(self).removeprefix(f"<{title}").removesuffix(">").strip()
        return card(title, subtitle, picture(axes_png(self.plot), title))

    def to_frame(self) -> pd.DataFrame:
        """One row per point, as `frame`."""
        return self.frame.copy()

    def draws(self, n: int = 100, seed: int | None = None) -> Vector:
        """Whole curves from the joint posterior, (n, points of `frame`): what a spaghetti plot shows."""
        if n < 1:
            raise InputError(f"the number of draws must be positive, not {n}")
        rng, parts = np.random.default_rng(seed), []
        for point, x in joint_draws(self._fit.laplace, self._fit.approximation, n, seed):
            if hasattr(self._rows, "at"):
                eta = self._rows.at(point.theta)[0] @ x
                root = self._rows.root(point.theta)
                eta = eta + root @ rng.standard_normal((root.shape[1], x.shape[1]))
            else:
                eta = self._rows @ x
            parts.append(eta.T)
        return np.asarray(self._fit.model.family.link.inverse(rng.permutation(np.vstack(parts)) + self._offset))

    def plot(self, ax: Axes | None = None, *, spaghetti: int = 0, seed: int = 0, points: Any = None) -> Axes:
        """Draw the curve with its band; see `geospde.plots.effects.plot_effects`."""
        from geospde.plots.effects import plot_effects

        return plot_effects(self, ax, spaghetti=spaghetti, seed=seed, points=points)


def effects(
    fit: FitState,
    name: str | Sequence[str],
    *,
    at: Mapping[str, Any] | None = None,
    size: int = 100,
    surface: bool = False,
    quantiles: Sequence[float] = (0.025, 0.5, 0.975),
    offset: float = 0.0,
    observations: str | None = None,
) -> Effects:
    """Conditional effects of one covariate or two.

    Parameters
    ----------
    fit : Fit
    name : str or sequence of str
        A covariate, such as ``"Days"``, or two as ``"x2:fac"``. A number runs over its range; the second of two takes
        its mean and one standard deviation to each side, a factor all its levels.
    at : dict, optional
        Values of other covariates; by default numbers are at their mean and factors at their first level.
    size : int
        Points along a number.
    surface : bool
        Let both of two numbers run over their ranges.
    quantiles : sequence of float
    offset : float
        Adds to the predictor.
    observations : str, optional
        Which of several likelihoods the mean is of, by its name.

    Returns
    -------
    Effects
        At population level: group effects and spatial fields are zero.

    Raises
    ------
    InputError
        For a covariate that the model does not have.
    """
    fit = fit.of_likelihood(observations)
    model = fit.model
    table = model.table[_covariates(model)]
    if not isinstance(name, (str, list, tuple)):
        raise InputError(f"effects are of one covariate or two, by name, not of {in_brief(name)}")
    names = tuple(part.strip() for part in name.split(":")) if isinstance(name, str) else tuple(name)
    for wanted in (*names, *(at or {})):
        if wanted not in table:
            near = get_close_matches(wanted, list(table), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(table) or 'none'}"
            raise InputError(f"the model has no covariate {wanted!r}; {hint}")
    if not 1 <= len(names) <= 2 or len(set(names)) < len(names):
        raise InputError(f"effects are of one covariate or two, not of {in_brief(name)}")
    if size < 2:
        raise InputError(f"size must be at least 2, not {size}")
    labels = {column: list(model.effects.levels_of(column)) for column in table}
    axes = [labels[names[0]] or _axis(table[names[0]], size, True, _places(model, names[0]))]
    axes += [labels[n] or _axis(table[n], size, surface, _places(model, n)) for n in names[1:]]
    grid = pd.MultiIndex.from_product(axes, names=names).to_frame(index=False)
    typical = {c: labels[c][0] if labels[c] else _typical(table[c], _places(model, c)) for c in table}
    others = {c: (at or {}).get(c, typical[c]) for c in table if c not in names}
    frame = grid.assign(**others)
    for column in table:
        if isinstance(table[column].dtype, pd.CategoricalDtype):
            _refuse_unknown_levels(frame[column], table[column])
            frame[column] = pd.Categorical(frame[column], dtype=table[column].dtype)
    left_out = [part for part in model.terms if not part.function_of]
    rows = model.rows(frame, None, leave_out=left_out)
    shift = offset + model.remainder(frame)
    table_of = fit.response(fit.mixture(rows, shift), quantiles)
    return Effects(
        frame[list(names)].assign(**table_of), names, others, model.response_label, surface, fit, rows, shift
    )


def _covariates(model: Model) -> list[str]:
    """Columns that fixed effects and smooths are functions of."""
    read = {*model.effects.needs, *(column for term in model.terms for column in term.function_of)}
    return [c for c in model.table.columns if c in read]


def _places(model: Model, column: str) -> Vector | None:
    """Values of a column that some term goes by alone."""
    found = (term.places(column) for term in model.terms)
    return next((places for places in found if places is not None), None)


def _axis(values: pd.Series, size: int, whole: bool, places: Vector | None) -> Any:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return list(values.cat.categories)
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return sorted(values.unique())
    if places is not None:
        return places
    if whole:
        return np.linspace(values.min(), values.max(), size)
    return float(values.mean()) + float(values.std()) * np.array([-1.0, 0.0, 1.0])


def _typical(values: pd.Series, places: Vector | None) -> Any:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.categories[0]
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return sorted(values.unique())[0]
    middle = float(values.mean())
    return middle if places is None else float(places[np.abs(places - middle).argmin()])


def _refuse_unknown_levels(values: pd.Series, known: pd.Series) -> None:
    for value in values.unique():
        if value not in known.cat.categories:
            levels = ", ".join(map(str, known.cat.categories))
            raise InputError(f"{value!r} is not a level of {known.name!r}; there are {levels}")
