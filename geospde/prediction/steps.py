"""Predictions at several steps of one column, such as years: each alone, and all of them as layers side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.prediction.layers import Layers
from geospde.text.arguments import refuse_values_of
from geospde.text.keywords import answers_keywords
from geospde.text.words import did_you_mean, listed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from geospde.prediction.layer import Layer


@answers_keywords
@dataclass(frozen=True, eq=False, repr=False)
class SteppedPrediction(Layers):
    """A prediction at several steps; made by `Fit.predict` where `at` has several values of a column.

    Its layers are those of all steps: ``mean_2018``, ``mean_2019``, and so on.

    Attributes
    ----------
    along : str
        The column.
    steps : tuple of str
        Its values in words.

    Examples
    --------
    >>> import geospde as gs
    >>> data = pd.DataFrame({"x": [0.0, 1, 2, 3] * 6, "year": [2001, 2002, 2003] * 8})
    >>> data["z"] = np.sin(data.x + data.year)
    >>> fit = gs.fit("z ~ x + year", data, method="ml")
    >>> found = fit.predict(pd.DataFrame({"x": [0.0, 1.0]}), at={"year": [2001, 2005]})
    >>> found.to_frame().columns[:3].tolist()
    ['mean_2001', 'mean_2005', 'sd_2001']
    >>> found.to_long()[["year", "mean"]].shape
    (4, 2)
    >>> len(found[2005].to_frame())
    2
    """

    along: str = field(kw_only=True)
    values_along: tuple[Any, ...] = field(kw_only=True)
    _each: tuple[Any, ...] = field(kw_only=True)

    @classmethod
    def of(cls, along: str, values: Sequence[Any], each: Sequence[Any]) -> SteppedPrediction:
        """Put predictions at the same places together, one a value of a column.

        Parameters
        ----------
        along : str
            The column.
        values : sequence
            Its values.
        each : sequence of Prediction
            As many, with the same layers.
        """
        words, first = [step_words(value) for value in values], each[0]
        layers, columns = [], {name: first.frame[name] for name in ("x", "y") if name in first.frame}
        for layer in first.layers:
            for step, one in zip(words, each):
                layers.append(layer.at_step(along, step))
                columns[layers[-1].name] = one.frame[layer.name]
        return cls(
            first.label, pd.DataFrame(columns), tuple(layers), first.grid, first.points, first.crs, first.model,
            first.contents, along=along, values_along=tuple(values), _each=tuple(each),
        )  # fmt: skip

    def __getitem__(self, value: Any) -> Any:
        """The prediction at a value of the column."""
        for known, one in zip(self.values_along, self._each):
            if known == value:
                return one
        near = did_you_mean(str(value), list(self.steps), f"values of {self.along!r}")
        raise InputError(f"nothing was predicted at {self.along} {value}: {near}")

    def __len__(self) -> int:
        """Number of steps."""
        return len(self._each)

    @property
    def sites(self) -> NDArray[np.float64] | None:
        """Where the model's observations are, (n, 2), of all steps; None for those without places."""
        found: NDArray[np.float64] | None = replace(self._each[0], _step=None).sites
        return found

    def sites_of(self, layer: Layer) -> NDArray[np.float64] | None:
        """Where the observations of a layer's step are, (n, 2); None for those without places."""
        found: NDArray[np.float64] | None = self._each[self.steps.index(layer.step)].sites
        return found

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Values of the column, each with its prediction."""
        return iter(zip(self.values_along, self._each))

    def to_long(self) -> pd.DataFrame:
        """One row per place and step: ``x`` and ``y``, the column of the steps, then one column per layer."""
        parts = []
        for value, one in self.items():
            frame = one.to_frame()
            frame.insert(sum(name in frame for name in ("x", "y")), self.along, value)
            parts.append(frame)
        return pd.concat(parts, ignore_index=True)

    def each(self, work: Callable[[Any], Any]) -> SteppedPrediction:
        """Return what `work` makes of the prediction of each step."""
        return SteppedPrediction.of(self.along, self.values_along, [work(one) for one in self._each])

    def with_layer(
        self, layer: Layer | str, values: ArrayLike | Callable[[Any], ArrayLike] | None = None
    ) -> SteppedPrediction:
        """Return the same with one more layer at every step; see `geospde.prediction.layers.Layers.with_layer`.

        Parameters
        ----------
        layer : Layer or str
        values : callable, optional
            A function of the prediction at a step that returns one number per place.
        """
        if values is not None and not callable(values):
            raise InputError("a layer of several steps needs a function of a step's prediction, not numbers")
        return self.each(lambda one: one.with_layer(layer, values))

    def excursions(self, *args: Any, **options: Any) -> Any:  # noqa: ARG002
        """Refuse: an excursion set is of one step."""
        one = self.values_along[-1]
        raise InputError(f"an excursion set is of one {self.along}: prediction[{one!r}].excursions(...)")

    def exceedance(self, threshold: float) -> pd.DataFrame:
        """P(mean per unit exposure > threshold) at each place, a column a value of the column."""
        return pd.DataFrame({value: one.exceedance(threshold) for value, one in self.items()})


class Steps(NamedTuple):
    """A column, and its values at several steps."""

    along: str
    values: list[Any]


def several_steps(at: Mapping[str, Any] | None, who: str = "at ") -> Steps | None:
    """Return the column of which `at` gives several values, and these; None where every column has one.

    Parameters
    ----------
    at : mapping or None
    who : str
        What sentences begin with, where nothing stands before them.

    Raises
    ------
    InputError
        For two such columns, and for values that are none, that repeat, or that no file's layer can be called by.
    """
    refuse_values_of(at)
    several = {name: value for name, value in (at or {}).items() if not np.isscalar(value) and np.iterable(value)}
    if not several:
        return None
    if len(several) > 1:
        raise InputError(
            f"{who}gives several values of {listed(several)}: one column may have several",
            remedy="predict once for each value of the others",
        )
    (name, given), = several.items()  # fmt: skip
    values = [value.item() if isinstance(value, np.generic) else value for value in given]
    if not values:
        raise InputError(f"{who}gives no value of {name!r}")
    for value in values:
        if not np.isscalar(value) or (isinstance(value, float) and not np.isfinite(value)):
            raise InputError(f"{who}gives {value!r} as a value of {name!r}: give numbers or words")
    words = [step_words(value) for value in values]
    if len(set(words)) < len(words):
        raise InputError(f"{who}gives {next(w for w in words if words.count(w) > 1)} twice for {name!r}")
    return Steps(name, values)


def of_step(table: pd.DataFrame, along: str, step: str) -> NDArray[np.bool_]:
    """Which rows of a table are of a step, by its words; all of a table that does not say.

    Examples
    --------
    >>> of_step(pd.DataFrame({"year": [2001, 2002, 2001]}), "year", "2001")
    array([ True, False,  True])
    """
    if along not in table.columns:
        return np.ones(len(table), dtype=bool)
    return np.array([step_words(value) == step for value in table[along]], dtype=bool)


def step_words(value: Any) -> str:
    """Return what a step is called, in letters, digits, ``_``, ``.`` and ``-``.

    Examples
    --------
    >>> step_words(2018), step_words(2018.0), step_words("spring, late")
    ('2018', '2018', 'spring_late')
    """
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return f"{value:.12g}".replace("+", "")
    return re.sub(r"[^\w.-]+", "_", str(value)).strip("_") or "_"
