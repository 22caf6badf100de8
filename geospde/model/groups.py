"""Effects of a group's levels, ``(effects | group)``, as a part of a model."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.latent.correlated import Correlated
from geospde.latent.iid import Iid
from geospde.latent.priors import LKJ, Fixed, Independent, PCSd, Prior
from geospde.model.context import Context, round_to
from geospde.model.effects import Columns
from geospde.model.formula import Name, TermCall
from geospde.model.hyperparameter import Hyperparameter
from geospde.model.priors import read_prior
from geospde.model.table import column_of

Vector = NDArray[np.float64]


class Group:
    """Effects of the levels of a group: independent levels, correlated effects of each.

    Attributes
    ----------
    term : Iid or Correlated
    effects : Columns
        The left side: what each effect multiplies.
    by : tuple of str
        Columns whose values together are the level.
    levels : list of tuple
        A value for each of `by`.
    """

    def __init__(self, term: Iid | Correlated, effects: Columns, by: tuple[str, ...], levels: list[tuple[Any, ...]]):
        self.term = term
        self.effects = effects
        self.by = by
        self.levels = levels

    @property
    def group(self) -> str:
        """Name of the group, such as ``a:b``."""
        return ":".join(self.by)

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> sp.csr_matrix:
        """Rows of the design: the effects' columns where the level is; zeros for a level that was not seen."""
        values = self.effects.of(table) if new else self.effects.matrix
        code = pd.MultiIndex.from_tuples(self.levels).get_indexer(_index(table, self.by))
        rows, (m, q) = np.flatnonzero(code >= 0), values.shape
        places = code[rows, None] * q + np.arange(q)
        return sp.csr_matrix((values[rows].ravel(), (np.repeat(rows, q), places.ravel())), shape=(m, self.term.n))

    def names(self) -> list[str]:
        """Names of the latent variables: level by level."""
        labels = [":".join(map(str, level)) for level in self.levels]
        return [f"{effect} | {self.group}[{label}]" for label in labels for effect in self.effects.names]

    def hyperparameters(self) -> list[Hyperparameter]:
        """The standard deviations, then the correlations."""
        names, group = self.effects.names, self.group
        words = [p.describe() for p in self.term.prior.parts]  # type: ignore[attr-defined]
        unit = np.eye(len(words))
        own = [Hyperparameter(f"sd({n} | {group})", unit[i], 0.0, words[i]) for i, n in enumerate(names)]
        for k, (j, i) in enumerate(getattr(self.term, "pairs", ()), start=len(names)):
            name = _correlation(names[j], names[i], group)
            if j == 0:
                own.append(Hyperparameter(name, unit[k], 0.0, words[k], np.tanh))
                continue
            # those of later effects follow from all partial correlations of both with the effects before
            touched = [float(b in (i, j) and a <= j) for a, b in self.term.pairs]  # type: ignore[union-attr]
            direction = np.concatenate([np.zeros(len(names)), touched])
            own.append(Hyperparameter(name, direction, 0.0, words[k], np.tanh, self._correlation_of(j, i)))
        return own

    def _correlation_of(self, j: int, i: int) -> Any:
        term = self.term
        assert isinstance(term, Correlated)
        return lambda thetas: np.array([term.correlations(theta)[i, j] for theta in thetas])

    def start(self, unit: float) -> Vector:
        """Half the predictor's scale for each effect, and no correlation."""
        sds = 0.5 * unit / _sizes(self.effects.matrix)
        return np.concatenate([np.log(sds), np.zeros(len(self.term.parameters) - sds.size)])


def make_group(call: TermCall, context: Context) -> Group:
    """Read an ``iid(g)`` or ``(effects | g)`` term; takes its priors out of the overrides.

    By default P(sd > s) = 0.05 for each sd, where s is three standard deviations of the response, or 1 where the
    predictor is not in its unit, over the root mean square of the effect's column; and all correlation matrices are
    equally likely.
    """
    table = context.table
    if call.name == "iid":
        if len(call.arguments) != 1 or not isinstance(call.arguments[0], Name):
            raise InputError(f"iid takes the name of one column: {call.text!r}")
        if call.options:
            raise InputError(f"iid has no option {next(iter(call.options))!r}: {call.text!r}")
        left, by = "1", (str(call.arguments[0]),)
    else:
        left, by = call.arguments
    group = ":".join(by)
    levels = _levels(table, by)
    if len(levels) < 2:
        raise InputError(f"the group {group!r} has one level only: a random effect needs two or more")
    effects = Columns(left if left in ("0", "1") else f"1 + {left}", table)
    names = effects.names
    if not names:
        raise InputError(f"the group term {call.text!r} has no effect on its left side")
    for part in context.parts:
        shared = set(names) & set(part.effects.names) if isinstance(part, Group) and part.group == group else ()
        if shared:
            raise InputError(f"the effect {shared.pop()!r} of group {group!r} is in two terms: {call.text!r} is one")
    unit = context.likelihood.unit
    sds = [round_to((1.0 if unit is None else 3 * unit) / size, 2) for size in _sizes(effects.matrix)]
    brms = context.defaults
    priors: list[Prior] = [PCSd(sd, 0.05) if brms is None else brms.sd() for sd in sds]
    for i, name in enumerate(names):
        sd = f"sd({name} | {group})"
        if sd in context.overrides:
            priors[i] = read_prior(context.overrides.pop(sd), sd, "sd")
    label = f"{' + '.join(names)} | {group}"
    if len(names) == 1:
        return Group(Iid(len(levels), Independent(tuple(priors)), label=label), effects, by, levels)
    term = Correlated(len(levels), len(names), label=label)
    priors += _correlation_priors(term, names, group, context.overrides)
    term.prior = Independent(tuple(priors))
    return Group(term, effects, by, levels)


def _correlation_priors(term: Correlated, names: list[str], group: str, overrides: dict[str, Any]) -> list[Prior]:
    """Priors of the partial correlations: an LKJ given for one correlation of the group is that of the whole matrix."""
    given: dict[int, Prior] = {}
    for k, (j, i) in enumerate(term.pairs):
        for name in (_correlation(names[j], names[i], group), _correlation(names[i], names[j], group)):
            if name in overrides:
                given[k] = read_prior(overrides.pop(name), name, "correlation")
                if isinstance(given[k], Fixed) and j > 0:
                    raise InputError(f"{name} cannot be held by itself: hold correlations with {names[0]!r} only")
    shapes = {p.eta for p in given.values() if isinstance(p, LKJ)}
    if len(shapes) > 1:
        raise InputError(f"the correlations of group {group!r} have one LKJ prior together, not several")
    whole = LKJ(shapes.pop() if shapes else 1.0, term.effects)
    own = [given.get(k, whole) for k in range(len(term.pairs))]
    return [replace(whole, position=j) if isinstance(p, LKJ) else p for p, (j, _) in zip(own, term.pairs)]


def _correlation(first: str, second: str, group: str) -> str:
    return f"cor({first}, {second} | {group})"


def _sizes(matrix: Vector) -> Vector:
    """Root mean square of each column, 1 for a column of zeros."""
    sizes = np.sqrt((matrix**2).mean(axis=0))
    return np.where(sizes > 0, sizes, 1.0)


def _index(table: pd.DataFrame, by: tuple[str, ...]) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([np.asarray(column_of(table, name)) for name in by])


def _levels(table: pd.DataFrame, by: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Levels that occur, in the order of the categories or of the sorted values."""
    orders = []
    for name in by:
        values = pd.Series(column_of(table, name))
        if values.isna().any():
            row = int(np.flatnonzero(values.isna())[0])
            raise InputError(f"column {name!r} has no value in row {row}: drop or fill it")
        if isinstance(values.dtype, pd.CategoricalDtype):
            orders.append(list(values.cat.categories))
        else:
            orders.append(sorted(pd.unique(values), key=lambda v: (str(type(v)), v)))
    codes = np.column_stack([pd.Index(o).get_indexer(np.asarray(table[name])) for o, name in zip(orders, by)])
    return [tuple(order[c] for order, c in zip(orders, row)) for row in np.unique(codes, axis=0)]
