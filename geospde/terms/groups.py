"""Effects of a group's levels, ``(effects | group)``, as a part of a model."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import LKJ, Fixed, Independent, PCSd, Prior, read_prior
from geospde.formula.columns import Columns, refuse_extreme
from geospde.formula.formula import Name, TermCall
from geospde.formula.grouping import Grouping
from geospde.formula.table import label
from geospde.terms.base import Context, LatentTerm, Variable
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.correlated import Correlated
from geospde.terms.precisions.iid import Iid
from geospde.text.words import counted

Vector = NDArray[np.float64]
ELSE = "groups=False for the population, or allow_new_levels=True for levels drawn from the group"


class NewLevels:
    """Rows of a group where some levels were not learnt: their effects are draws from the group's distribution.

    A `geospde.terms.rows.MovingBlock`.

    Parameters
    ----------
    rows : (m, n) csr_matrix
        Zero where the level is new.
    precision : Iid or Correlated
    values : (m, q) array
        What the effects multiply; zero where the level is known.
    levels : (m,) array
        Number of the new level of each row; rows of one number share its effects.
    """

    def __init__(self, rows: sp.csr_matrix, precision: Iid | Correlated, values: Vector, levels: NDArray[np.intp]):
        self.rows, self.precision, self.values, self.levels = rows, precision, values, levels
        self.shape = rows.shape

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows, and the variance of the new levels' effects, (m,)."""
        return self.rows, ((self.values @ self.precision.root(theta)) ** 2).sum(axis=1)

    def root(self, theta: Vector) -> Vector:
        """R of the covariance R R' of the new levels' effects, (m, q times new levels)."""
        (m, q), count = self.values.shape, int(self.levels.max(initial=-1)) + 1
        out = np.zeros((m, count, q))
        out[np.arange(m), self.levels] = self.values @ self.precision.root(theta)
        return out.reshape(m, count * q)


class Group(LatentTerm):
    """Effects of the levels of a group: independent levels, correlated effects of each.

    Attributes
    ----------
    precision : Iid or Correlated
    effects : Columns
        The left side: what each effect multiplies.
    grouping : Grouping
        The right side.
    takes_new : bool
        Whether a prediction may have levels that were not learnt.
    """

    precision: Iid | Correlated
    effects: Columns
    grouping: Grouping

    def __init__(self, precision: Iid | Correlated, effects: Columns, grouping: Grouping, takes_new: bool = False):
        self.precision = precision
        self.effects = effects
        self.effect_names = tuple(effects.names)
        self.grouping = grouping
        self.takes_new = takes_new

    @classmethod
    def read(cls, call: TermCall, context: Context) -> "Group":
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
        grouping = Grouping.learn(table, tuple(by))
        group, levels = grouping.name, len(grouping.numbers)
        if levels < 2:
            raise InputError(f"the group {group!r} has one level only: a random effect needs two or more")
        effects = Columns(left if left in ("0", "1") else f"1 + {left}", table)
        names = effects.names
        if not names:
            raise InputError(f"the group term {call.text!r} has no effect on its left side")
        refuse_extreme(effects.matrix, names)
        for other in context.terms:
            same = other.grouping is not None and other.grouping.name == group
            shared = set(names) & set(other.effect_names) if same else ()
            if shared:
                effect = shared.pop()
                raise InputError(f"the effect {effect!r} of group {group!r} is in two terms: {call.text!r} is one")
        unit = context.likelihood.unit
        sds = [(1.0 if unit is None else 3 * unit) / size for size in _sizes(effects.matrix)]
        brms = context.defaults
        priors: list[Prior] = [PCSd(sd, 0.05) if brms is None else brms.sd() for sd in sds]
        for i, name in enumerate(names):
            sd = f"sd({name} | {group})"
            if sd in context.overrides:
                priors[i] = read_prior(context.overrides.pop(sd), sd, "sd")
        label = f"{' + '.join(names)} | {group}"
        if len(names) == 1:
            return Group(Iid(levels, Independent(tuple(priors)), label=label), effects, grouping)
        term = Correlated(levels, len(names), label=label)
        priors += _correlation_priors(term, names, group, context.overrides)
        term.prior = Independent(tuple(priors))
        return Group(term, effects, grouping)

    @property
    def identities(self) -> tuple[Any, ...]:
        """Of one effect its levels, which effects of areas may have, too, and what it multiplies."""
        if len(self.effect_names) > 1:
            return ()
        return (("independent", self.grouping.name, *(name for name in self.effect_names if name != "Intercept")),)

    def taking_new_levels(self) -> "Group":
        """The same, where a prediction may have levels that were not learnt."""
        out = copy(self)
        out.takes_new = True
        return out

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> sp.csr_matrix | NewLevels:
        """Rows of the design: the effects' columns where the level is.

        Raises
        ------
        InputError
            For a level that was not learnt or is missing, unless the group takes new levels.
        """
        absent = [name for name in self.grouping.by if name not in table.columns]
        if absent and not self.takes_new:
            raise InputError(
                f"prediction needs the group column {absent[0]!r}: give predict a table that has it, {ELSE}"
            )
        stored = self.effects.matrix  # of all rows: of a shared term each likelihood has some
        values = self.effects.of(table) if new or len(table) != len(stored) else stored
        code = np.full(len(table), -1) if absent else self.grouping.codes(table)
        unknown = np.flatnonzero(code < 0)
        if unknown.size and not self.takes_new:
            raise InputError(self._unknown(table.iloc[unknown[0]]), row=table.index[unknown[0]])
        rows, (m, q) = np.flatnonzero(code >= 0), values.shape
        places = code[rows, None] * q + np.arange(q)
        known = sp.csr_matrix((values[rows].ravel(), (np.repeat(rows, q), places.ravel())), shape=(m, self.precision.n))
        if not unknown.size:
            return known
        of_new = np.where(code[:, None] < 0, values, 0.0)
        return NewLevels(known, self.precision, of_new, self._numbered(table, unknown))

    def _unknown(self, row: pd.Series) -> str:
        """What to say of a row whose level was not learnt."""
        by = self.grouping.by
        for name in by:
            if pd.isna(row[name]):
                return f"the group column {name!r} has no value in {{row}}: fill it, or give predict {ELSE}"
        labels = ":".join(label(row[name]) for name in by)
        return (
            f"the fit has not seen the level {labels!r} of group {self.grouping.name!r}, {{row}}: give predict {ELSE}"
        )

    def _numbered(self, table: pd.DataFrame, unknown: NDArray[np.intp]) -> NDArray[np.intp]:
        """Numbers of the new levels, one number per row without a label; 0 elsewhere, where the values are zero."""
        numbers = np.zeros(len(table), dtype=np.intp)
        known: dict[Any, int] = {}
        for row in unknown:
            values = tuple(table[name].iloc[row] if name in table.columns else None for name in self.grouping.by)
            key = row if any(pd.isna(v) for v in values) else tuple(map(label, values))
            numbers[row] = known.setdefault(key, len(known))
        return numbers

    def names(self) -> list[str]:
        """Names of the latent variables: level by level."""
        group = self.grouping
        return [f"{effect} | {group.name}[{level}]" for level in group.labels for effect in self.effects.names]

    def variables(self) -> list[Variable]:
        """An array for each effect, along the levels."""
        names, labels = self.names(), self.grouping.labels
        places = np.arange(len(names)).reshape(len(labels), -1)  # level by level
        words = [name.removesuffix(f"[{labels[0]}]") for name in names[: places.shape[1]]]
        dimension = f"{self.grouping.name}_level"
        return [Variable(word, dimension, labels, places[:, k]) for k, word in enumerate(words)]

    def hyperparameters(self) -> list[Hyperparameter]:
        """The standard deviations, then the correlations."""
        names, group = self.effects.names, self.grouping.name
        words = [p.describe() for p in self.precision.prior.parts]  # type: ignore[attr-defined]
        unit = np.eye(len(words))
        own = [Hyperparameter(f"sd({n} | {group})", unit[i], 0.0, words[i]) for i, n in enumerate(names)]
        for k, (j, i) in enumerate(self.precision.pairs, start=len(names)):
            name = _correlation(names[j], names[i], group)
            if j == 0:
                own.append(Hyperparameter(name, unit[k], 0.0, words[k], np.tanh))
                continue
            # those of later effects follow from all partial correlations of both with the effects before
            touched = [float(b in (i, j) and a <= j) for a, b in self.precision.pairs]
            direction = np.concatenate([np.zeros(len(names)), touched])
            own.append(Hyperparameter(name, direction, 0.0, words[k], np.tanh, self._correlation_of(j, i)))
        return own

    def _correlation_of(self, j: int, i: int) -> Any:
        term = self.precision
        assert isinstance(term, Correlated)
        return lambda thetas: term.correlations(thetas)[:, i, j]

    def start(self, unit: float) -> Vector:
        """Half the predictor's scale for each effect, and no correlation."""
        sds = 0.5 * unit / _sizes(self.effects.matrix)
        return np.concatenate([np.log(sds), np.zeros(len(self.precision.parameters) - sds.size)])


def refuse_saturated(groups: Sequence[Group], observations: int) -> None:
    """Raise InputError where the effects of a group leave nothing to the residuals, as lme4 does.

    Parameters
    ----------
    groups : sequence of Group
    observations : int
        Rows of the data.
    """
    for group in groups:
        levels, effects = len(group.grouping.numbers), len(group.effects.names)
        if levels * effects >= observations:
            many = counted(levels, "level") + (f" with {effects} effects each" if effects > 1 else "")
            raise InputError(
                f"the group {group.grouping.name!r} has {many}, too many for {counted(observations, 'observation')}: "
                "their variance and that of the residuals cannot be told apart"
            )


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
