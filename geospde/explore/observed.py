"""What was observed: a response, its exposure, their rate, and the scale on which rates are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from geospde.errors import InputError
from geospde.families.base import Family
from geospde.families.registry import read_family
from geospde.survey.numbers import as_numbers
from geospde.survey.survey import Survey
from geospde.text.arguments import as_number
from geospde.text.rates import Rate
from geospde.text.words import counted, did_you_mean, in_brief

if TYPE_CHECKING:
    from numpy.typing import NDArray


Scale = Literal["value", "log", "logit"]

_SMALL = 5  # whole numbers of which none is so small are taken for rounded measurements


@dataclass(frozen=True, eq=False)
class Observed:
    """The response of a survey, one number per row.

    Attributes
    ----------
    response : str
        Its column.
    exposure : str or None
        The column that it is counted over (a time, an area, trials).
    values, exposures : (n,) arrays
        As measured; exposures are 1 where there are none.
    rates : (n,) array
        ``values / exposures``; NaN where the exposure is not above 0.
    scale : {"value", "log", "logit"}
        How rates are compared.
    scaled : (n,) array
        The rates on that scale. Counts are raised by a half before the logarithm, and so are successes and failures
        before the logit, which takes most of the bias away and keeps zeros finite (Haldane 1956, Annals of Human
        Genetics 20, 309-311; Cox & Snell 1989, Analysis of Binary Data, section 2.1).
    classes : tuple of str
        What ordered classes are called, the first that of 1; empty of numbers.
    bounds : int
        How many of the values are no more than bounds, such as detection limits.
    family : str, optional
        The name of the family that they are to have.
    discrete : bool, optional
        Whether that family is of counts; None without one.
    """

    response: str
    exposure: str | None
    values: NDArray[np.float64]
    exposures: NDArray[np.float64]
    rates: NDArray[np.float64]
    scale: Scale
    scaled: NDArray[np.float64]
    classes: tuple[str, ...] = ()
    bounds: int = 0
    family: str | None = None
    discrete: bool | None = None

    @property
    def can_be_summed(self) -> bool:
        """Whether their total says something: concentrations have none, though they be rounded to whole numbers.

        Without a family, whole numbers are counts where some are small.
        """
        if self.exposure is not None or self.discrete is not None:
            return self.exposure is not None or bool(self.discrete)
        return _whole(self.values) and bool((self.values <= _SMALL).any())

    @property
    def label(self) -> str:
        """What the rates are: ``"counts / time"``."""
        return self.response if self.exposure is None else f"{self.response} / {self.exposure}"

    @property
    def rate(self) -> Rate:
        """The rates in words and what they are multiplied with in pictures, such as deaths per 1,000 people."""
        rates = self.rates[np.isfinite(self.rates)]
        return Rate.of(self.label, float(np.quantile(rates, 0.95)) if rates.size else 0.0)

    @property
    def scale_note(self) -> str:
        """What to add to a label of an axis of logarithms, where zeros stand on it."""
        return " (½ added to counts)" if self.scale == "log" and bool((self.values[self.known] == 0).any()) else ""

    @property
    def binary(self) -> bool:
        """Whether each row says yes or no."""
        return self.exposure is None and set(np.unique(self.values)) == {0.0, 1.0}

    @property
    def over(self) -> str:
        """What kind of numbers the response is counted over."""
        return "trials" if self.scale == "logit" else "exposure"

    @property
    def scale_label(self) -> str:
        """What the scaled rates are: ``"log(counts / time)"``."""
        return self.label if self.scale == "value" else f"{self.scale}({self.label})"

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which rows have a rate."""
        return np.isfinite(self.scaled)


def observe(
    survey: Survey,
    response: str,
    exposure: str | float | None = None,
    family: str | Family | type[Family] | None = None,
) -> Observed:
    """Take a response and its exposure out of a survey.

    Parameters
    ----------
    survey : Survey
    response : str
        A column.
    exposure : str or float, optional
        The column of times, areas or trials that the response is counted over, or one number for all rows.
    family : str or Family, optional
        As `geospde.fit` takes it: decides the scale. Without one, rates of counts and of positive numbers over an
        exposure are compared as logarithms, everything else as it is.

    Returns
    -------
    Observed

    Raises
    ------
    InputError
        For a column that is missing or does not hold numbers, or values that the family does not allow.

    Examples
    --------
    >>> import geospde as gs
    >>> observe(gs.load_dataset("rongelap"), "counts", "time").scale_label
    'log(counts / time)'
    """
    if not hasattr(survey, "points"):
        raise InputError(f"a Survey is explored, not a {type(survey).__name__}: make one with gs.read_survey(...)")
    if not isinstance(exposure, str | None):
        exposure = as_number(exposure, "the exposure, a column's name or one number for all rows,")
    values = numbers(survey, response)
    known = None if family is None else read_family(family)
    if known is not None:
        _refuse_outside(survey, response, values, known)
    named = exposure if isinstance(exposure, str) else None if exposure is None else f"{exposure:g}"
    if exposure is None:
        exposures = np.ones_like(values)
    else:
        exposures = numbers(survey, exposure) if isinstance(exposure, str) else np.full_like(values, exposure)
    usable = exposures > 0
    rates = np.divide(values, exposures, out=np.full_like(values, np.nan), where=usable)
    scale = _scale(values, named, known)
    if scale == "logit":
        _refuse_beyond(survey, response, values, exposures)
    scaled = rates.copy()
    if scale != "value":
        half = 0.5 if _whole(values) else 0.0
        over = exposures if scale == "log" else exposures - values + half
        scaled[usable] = np.log((values[usable] + half) / over[usable])
    ordered = known is not None and known.takes_categories
    classes = tuple(str(k) for k in range(1, int(values.max(initial=0)) + 1)) if ordered else ()
    return Observed(
        response, named, values, exposures, rates, scale, scaled, classes, family=known.name if known else None,
        discrete=known.is_discrete if known else None,
    )  # fmt: skip


def numbers(survey: Survey, column: str) -> NDArray[np.float64]:
    """Return a column of the points as finite floats, (n,); an InputError names the row that is none."""
    import pandas as pd

    table = survey.points
    if not isinstance(column, str):
        raise InputError(f"a column of the survey is given by its name, not as {in_brief(column)}")
    if column not in table.columns or column == table.geometry.name:
        known = [str(c) for c in table.columns if c != table.geometry.name]
        raise InputError(f"the survey has no column {column!r}: {did_you_mean(str(column), known, 'columns')}")
    values = as_numbers(table[column])
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raw = table[column].iloc[bad[0]]
        more = f"; {counted(len(bad) - 1, 'further row')} like it" if len(bad) > 1 else ""
        shown = "empty" if pd.isna(raw) else f"{str(raw)!r}, which is no finite number"
        raise InputError(f"is {shown}{more}", of=survey.place(int(bad[0]), column))
    return values


def _refuse_outside(survey: Survey, response: str, values: NDArray[np.float64], family: Family) -> None:
    outside = np.flatnonzero(family.outside(values))
    if len(outside):
        what = f"family {family.name!r} needs {family.needs}, not {values[outside[0]]:g}"
        raise InputError(what, where=survey.place(int(outside[0]), response))


def _refuse_beyond(survey: Survey, response: str, successes: NDArray[np.float64], trials: NDArray[np.float64]) -> None:
    beyond = np.flatnonzero(successes > trials)
    if len(beyond):
        i = int(beyond[0])
        what = f"there cannot be more successes than trials, not {successes[i]:g} of {trials[i]:g}"
        raise InputError(what, where=survey.place(i, response))


def _scale(values: NDArray[np.float64], exposure: str | None, known: Family | None) -> Scale:
    positive = bool((values > 0).all() or (_whole(values) and (values >= 0).all()))
    if known is None:
        return "log" if exposure is not None and positive else "value"
    if known.takes_trials:
        return "value" if exposure is None else "logit"
    return "log" if positive and known.link.name == "log" else "value"


def _whole(values: NDArray[Any]) -> bool:
    return bool((values == np.round(values)).all())
