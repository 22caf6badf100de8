"""`explore`: everything that can be said of a survey before a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from geospde.errors import InputError
from geospde.explore.observed import Observed, observe
from geospde.explore.summary import Summary
from geospde.explore.survey_checks import check_survey
from geospde.explore.variogram import Variogram, variogram
from geospde.families.base import Family
from geospde.survey.places import kilometres_per_degree
from geospde.survey.survey import Survey
from geospde.text.findings import Finding, count_levels
from geospde.text.keywords import answers_keywords
from geospde.text.notebook import card, facts
from geospde.text.words import counted, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


MOST_LEVELS = 12
"""A text column with more different words is a label of rows, not a covariate."""

ALMOST = 0.999
"""R² from which a column is taken for the coordinates in another system."""


@answers_keywords
@dataclass(frozen=True, eq=False)
class Exploration:
    """What a survey shows before any model.

    Attributes
    ----------
    survey : Survey
    observed : Observed
        Response, exposure, rates, and the scale that they are compared on.
    covariates : pandas.DataFrame
        One row per site; numbers, or words with few different ones.
    summary : Summary
    variogram : Variogram or None
        Of the scaled rates; None where too few sites differ.
    findings : tuple of Finding
        What is well, and what to look at.

    Examples
    --------
    >>> import geospde as gs
    >>> found = gs.explore(gs.load_dataset("rongelap"), response="counts", exposure="time", family="poisson")
    >>> found
    <Exploration of counts / time: 157 sites, 15 distances, 1 warning, 1 note>
    >>> round(float(found.table().loc["overall counts / time", "value"]), 3)
    7.493
    """

    survey: Survey
    observed: Observed
    covariates: pd.DataFrame
    summary: Summary
    variogram: Variogram | None
    findings: tuple[Finding, ...]

    def table(self) -> pd.DataFrame:
        """Return the survey's facts: ``value`` and ``unit`` by ``quantity``."""
        return self.summary.table()

    def quantiles(self) -> pd.DataFrame:
        """Return the distributions of response, exposure, rate, spacing and numeric covariates, a row each."""
        return self.summary.quantiles(self.covariates)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but pictures as plain types, for JSON; what is not known is None or NaN."""
        facts = self.table()
        return {
            "survey": self.survey.name,
            "response": self.observed.label,
            "scale": self.observed.scale,
            "facts": facts.to_dict("index"),
            "quantiles": self.quantiles().to_dict("index"),
            "variogram": None if self.variogram is None else self.variogram.to_dict(),
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def plot(self, figure: Any = None) -> Any:
        """Draw all panels as one figure; see `geospde.plots.exploration.plot_exploration`."""
        from geospde.plots.exploration import plot_exploration

        return plot_exploration(self, figure)

    def _repr_html_(self) -> str:
        """Show facts and findings in a notebook."""
        from geospde.plots.exploration import fact_rows

        found = {f"{f.level}: {f.subject}": "; ".join(filter(None, [f.message, f.remedy])) for f in self.findings}
        summary = repr(self).removeprefix(f"<Exploration of {self.observed.label}: ").removesuffix(">")
        parts = facts(dict(fact_rows(self)), "the survey"), facts(found, "findings")
        return card(f"Exploration of {self.observed.label}", summary, *parts)

    def __repr__(self) -> str:
        levels = count_levels(self.findings)
        counts = [counted(levels[level], level) for level in ("error", "warning", "note") if levels[level]]
        distances = [] if self.variogram is None else [counted(len(self.variogram.table), "distance")]
        parts = [counted(self.summary.sites, self.summary.word), *distances, *(counts or ["all well"])]
        return f"<Exploration of {self.observed.label}: {', '.join(parts)}>"


@answers_keywords
def explore(
    survey: Survey,
    response: str,
    exposure: str | float | None = None,
    *,
    covariates: Sequence[str] | None = None,
    family: str | Family | type[Family] | None = None,
    permutations: int = 199,
    seed: int = 1,
) -> Exploration:
    """Look at a survey before any model: numbers, distributions, spatial structure, and what may be wrong.

    Parameters
    ----------
    survey : Survey
    response : str
        The column that a model would explain.
    exposure : str or float, optional
        The column that the response is counted over (a time, an area, the trials of a proportion), or one
        number for all rows.
    covariates : sequence of str, optional
        Columns to set beside the response; by default all that hold numbers, or words with few different
        ones, except response, exposure, coordinates and labels of rows.
    family : str or Family, optional
        As `geospde.fit` takes it: decides the scale. Rates of counts are compared as logarithms, proportions
        of trials as logits; without a family, whatever is positive over an exposure as logarithms, and
        everything else as it is.
    permutations, seed : int
        Of the variogram's envelope.

    Returns
    -------
    Exploration

    Raises
    ------
    InputError
        If a column is missing or does not hold what it must.
    """
    observed = observe(survey, response, exposure, family)
    columns = _covariates(survey, observed, covariates)
    found = _variogram(survey, observed, permutations, seed)
    findings = check_survey(survey, observed, covariates=columns, variogram=found)
    return Exploration(survey, observed, columns, Summary.of(survey, observed), found, findings)


def _variogram(survey: Survey, observed: Observed, permutations: int, seed: int) -> Variogram | None:
    """Return the variogram of the rates, or None where there is nothing to compute one from."""
    known = observed.known
    places, values, unit = survey.coordinates[known], observed.scaled[known], survey.units
    if unit == "degree" and len(places):
        places, unit = places * kilometres_per_degree(places), "km"
    constant = not len(values) or np.ptp(values) == 0 or np.ptp(observed.rates[known]) == 0
    if constant or len(values) < 5 or len(np.unique(places, axis=0)) < 3:
        return None
    return variogram(places, values, permutations=permutations, seed=seed, unit=unit, label=observed.scale_label)


def _covariates(survey: Survey, observed: Observed, wanted: Sequence[str] | None) -> pd.DataFrame:
    """Return the columns wanted, or those that may be covariates."""
    import pandas as pd

    geometry = survey.points.geometry.name
    table = pd.DataFrame(survey.points.drop(columns=geometry)).reset_index(drop=True)
    if wanted is None:
        taken = {observed.response, observed.exposure}
        names = [n for n in table.columns if n not in taken and _may_explain(table[n], survey.coordinates)]
    else:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            if name not in table.columns:
                raise InputError(
                    f"the survey has no column {name!r}: {did_you_mean(str(name), map(str, table.columns), 'columns')}"
                )
    return pd.DataFrame({name: _as_covariate(table[name]) for name in names}, index=table.index)


def _as_covariate(column: pd.Series) -> pd.Series:
    """Return a column as numbers without infinities, or as words."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(column) and not is_bool_dtype(column):
        return column.replace([np.inf, -np.inf], np.nan)
    return column.astype(str).where(column.notna(), None)


def _may_explain(column: pd.Series, places: NDArray[np.float64]) -> bool:
    """Tell a covariate from a coordinate, a number or a name of rows, and an empty column."""
    from pandas.api.types import is_bool_dtype, is_complex_dtype, is_datetime64_any_dtype, is_numeric_dtype

    if column.isna().all() or is_datetime64_any_dtype(column) or is_complex_dtype(column):
        return False
    if not is_numeric_dtype(column) or is_bool_dtype(column):
        return bool(column.astype(str).nunique() <= min(MOST_LEVELS, max(len(column) // 2, 1)))
    values = column.to_numpy(dtype=float, na_value=np.nan)
    known = np.isfinite(values)
    if np.ptp(values[known]) == 0:
        return True
    steps = np.diff(values)
    upward = (steps > 0).all() and np.array_equal(values, np.round(values))
    if known.all() and len(values) > 3 and (upward or (steps == -1).all()):
        return False  # rows that are numbered, some of them left out
    design = np.column_stack([np.ones(known.sum()), places[known] - places.mean(axis=0)])
    off = values[known] - design @ np.linalg.lstsq(design, values[known], rcond=None)[0]
    return bool(known.sum() <= 4 or off.var() > (1 - ALMOST) * values[known].var())
