"""What was observed: rows of a table that say something, with their response, exposures, weights and offsets."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError, RowsCalled, alert
from geospde.families.base import Family
from geospde.families.likelihood import Likelihood
from geospde.families.priors import PCSd, read_prior
from geospde.formula.formula import Formula
from geospde.formula.offsets import Offset, read_offset
from geospde.formula.response import TELLING, Response, read_response
from geospde.formula.syntax import symbols
from geospde.formula.table import coordinates, per_row, refuse_other_order, require_table
from geospde.model.bounds import check_exposure, check_offset, check_response, check_weights, refuse_truths
from geospde.model.priors import GivenPriors
from geospde.model.support import Support
from geospde.text.words import counted, listed

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Observed:
    """Rows of a table, as a likelihood takes them.

    Attributes
    ----------
    table : DataFrame
        One row per response, m of them, without geometry.
    points : (m, 2) array or None
    crs : pyproj.CRS or None
    response : Response
    exposures, weights : (m,) arrays or None
        None where all are 1.
    offsets : Offset
        One value per place.
    support : Support or None
        The places within each row, where rows are means or totals of several.
    labels : Index
        What the user calls the rows.
    """

    table: pd.DataFrame
    points: Vector | None
    crs: Any
    response: Response
    exposures: Vector | None
    weights: Vector | None
    offsets: Offset
    support: Support | None
    labels: pd.Index

    @property
    def sites(self) -> tuple[pd.DataFrame, Vector | None]:
        """The table and coordinates that terms and fixed effects are of: of areas the places within them."""
        return (self.table, self.points) if self.support is None else (self.support.table, self.support.points)

    @property
    def away(self) -> Vector:
        """The offset of each place, (k,)."""
        return np.asarray(self.offsets.values, dtype=float)

    @property
    def described(self) -> pd.DataFrame:
        """The table, with the covariates of the places within its rows."""
        return self.table if self.support is None else self.support.described(self.table)


def read_observed(
    parsed: Formula,
    data: Any,
    family: Family,
    *,
    coords: tuple[str, str] | None,
    exposure: Any,
    offset: Any,
    weights: Any,
    support: Support | None,
) -> Observed:
    """Read the left side of a formula and the arguments of `geospde.fit` that have one value per row.

    Rows that say nothing, such as those of a missing response, are left out with a warning.

    Raises
    ------
    InputError
        For a table, column or value that does not fit.
    """
    require_table(data)
    if len(data) == 0:
        raise InputError("the table of observations is empty")
    refuse_other_order(data, exposure=exposure, offset=offset, weights=weights)
    if not family.is_pattern:
        _refuse_itself(parsed, {"exposure": exposure, "weights": weights}, coords if support is None else None)
    for says_something, subject, why in TELLING:
        rows = says_something(parsed.left, data, None if family.is_pattern else exposure)
        if rows.any() and not rows.all():
            exposure, offset, weights = (_of_rows(value, rows) for value in (exposure, offset, weights))
            data = _without(data, rows, subject, why)
            support = None if support is None else support.of_rows(rows)
    table = pd.DataFrame(data.drop(columns="geometry", errors="ignore")).reset_index(drop=True)
    points, crs = coordinates(data, coords) if support is None else (support.centres, support.crs)
    with RowsCalled(data.index):
        response = read_response(parsed.left, table, family.takes_categories)
        check_response(response.values, family)
        refuse_truths(table, response.label, family)
        exposures, weight = _exposures(table, exposure, response.values, family), _weights(table, weights)
        places, away = (table, offset) if support is None else (support.table, support.spread(offset))
        offsets = read_offset([call.arguments[0] for call in parsed.terms if call.name == "offset"], away, places)
        check_offset(offsets.values, response.values, family)
    return Observed(table, points, crs, response, exposures, weight, offsets, support, data.index)


def bound(observed: Observed, family: Family, given: GivenPriors, any_follow: bool) -> tuple[Likelihood, Likelihood]:
    """The likelihood of the responses, and the same less what an offset explains, whose scale default priors have.

    Parameters
    ----------
    observed : Observed
    family : Family
    given : GivenPriors
        Those of the family are taken out.
    any_follow : bool
        Whether a term can follow every observation: the residual's prior must not draw it to zero beside one.
    """
    response, overrides, defaults = observed.response, given.overrides, given.defaults
    priors: dict[str, Any] = {}
    for h in family.hyperparameters(response.values):
        if h.name in overrides:
            priors[h.name] = read_prior(overrides.pop(h.name), h.name, h.kind)
        elif defaults is not None and (prior := defaults.of_family(h.kind, h.prior)) is not None:
            priors[h.name] = prior
    own: dict[str, Any] = {"exposure": observed.exposures, "weights": observed.weights}
    own |= {"trials": response.trials, "censoring": response.censoring}
    likelihood = family.bind(response.values, priors=priors, **own)
    is_away = observed.support is None and bool(observed.away.any())
    explained = likelihood.less_offset(observed.away) if is_away else likelihood
    unit = explained.residual_unit
    if defaults is None and unit is not None and (any_follow or explained is not likelihood):
        beside = PCSd(3 * unit, 0.05) if any_follow else None
        of_unit = {h.name: beside or h.default_prior(unit) for h in likelihood.hyper if h.kind == "sd"}
        likelihood = family.bind(response.values, priors={**of_unit, **priors}, **own)
    return likelihood, explained


def _refuse_itself(parsed: Formula, columns: dict[str, Any], coords: tuple[str, str] | None) -> None:
    """Raise InputError for a response that would explain itself."""
    response = next(symbols(parsed.left), None)
    if response in parsed.explaining:
        raise InputError(
            f"the response {response!r} is on both sides of '~', and would explain itself",
            remedy="leave it out of the right side",
        )
    for what, column in columns.items():
        if isinstance(column, str) and column == response:
            raise InputError(f"{what}={column!r} is the response itself: name another column")
    if isinstance(coords, list | tuple) and response in coords:
        raise InputError(
            f"the response {response!r} is a coordinate, too, by coords={coords!r}, and would explain itself"
        )


def _exposures(table: pd.DataFrame, exposure: Any, responses: Vector, family: Family) -> Vector | None:
    """An exposure a row, as given; raises InputError for one that is not positive."""
    given = table[exposure] if isinstance(exposure, str) and exposure in table else exposure
    if isinstance(given, bool) or getattr(getattr(given, "dtype", None), "kind", "") == "b":
        raise InputError("exposure is a number a row, such as hours or people, and these are True and False")
    exposures = per_row(table, exposure, "exposure", len(table))
    least = 0.0 if family.is_pattern else np.nextafter(0.0, 1.0)
    if exposures is not None and not (exposures >= least).all():
        row = int(np.flatnonzero(~(exposures >= least))[0])
        raise InputError(f"exposure must be positive: {{row}} holds {exposures[row]:g}", row=row)
    check_exposure(exposures, responses, is_pattern=family.is_pattern)
    return exposures


def _weights(table: pd.DataFrame, weights: Any) -> Vector | None:
    """One weight per row, as given; raises InputError for a negative one."""
    weight = per_row(table, weights, "weights", len(table))
    if weight is not None and not (weight >= 0).all():
        row = int(np.flatnonzero(~(weight >= 0))[0])
        raise InputError(f"weights must not be negative: {{row}} holds {weight[row]:g}", row=row)
    check_weights(weight)
    if weight is not None and len(weight) > 1 and np.count_nonzero(weight) == 1:
        what = f"only one of {len(weight):,} rows has a weight above 0"
        alert(GeospdeWarning(what, subject="weights", remedy="see whether weights are what they should be"))
    return weight


def _without(data: pd.DataFrame, meaningful: NDArray[np.bool_], subject: str, why: str) -> pd.DataFrame:
    """Leave rows out that say nothing, and warn of it."""
    rows = np.flatnonzero(~meaningful)
    what = f"{counted(rows.size, 'row')} {why} left out: {listed(data.index[rows].tolist(), most=5)}"
    alert(GeospdeWarning(what, subject=subject, remedy="fit.predict(table) has their means"))
    return data[meaningful]


def _of_rows(value: Any, rows: NDArray[np.bool_]) -> Any:
    """Some rows of an argument that is one value per row; what is a name, a number or nothing stays."""
    if value is None or isinstance(value, str) or np.ndim(value) == 0 or len(value) != rows.size:
        return value
    return np.asarray(value)[rows]
