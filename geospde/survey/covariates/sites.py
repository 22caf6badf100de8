"""Covariates at the sites of a survey and on its map: filled in, standardised, and compared."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.survey.covariates.base import Cells, Covariate, Vector
from geospde.survey.covariates.builtin import Lost
from geospde.survey.covariates.reading import read_covariates
from geospde.survey.crs import parse_crs
from geospde.survey.numbers import as_numbers, is_text
from geospde.text.findings import Finding
from geospde.text.systems import crs_name
from geospde.text.words import coordinate, counted, in_unit, number

DIFFERENT = 0.25
"""Root mean square difference of a survey's column from a raster, in standard deviations, that is told."""
LABELS_DIFFERENT = 0.1
"""Share of sites with another label in the survey than in the raster that is told."""


class Seen(NamedTuple):
    """What a covariate was at the sites: numbers before they are standardised, or labels."""

    low: float = np.nan
    high: float = np.nan
    mean: float = np.nan
    sd: float = np.nan
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class SiteCovariates:
    """Covariates that a model takes from outside of the survey, and what they were at its sites.

    Attributes
    ----------
    covariates : tuple of Covariate
    seen : tuple of Seen
        Of each.
    precision : (k, k) array
        Inverse covariance of the numbers among them at the sites, for Mahalanobis distances.
    farthest : float
        The largest Mahalanobis distance of a site.
    findings : tuple of Finding
        What was looked at when they were sampled.
    """

    covariates: tuple[Covariate, ...]
    seen: tuple[Seen, ...]
    precision: Vector
    farthest: float
    findings: tuple[Finding, ...] = ()

    @property
    def of_classes(self) -> bool:
        """Whether none of them is of numbers, which a map can lie beyond."""
        return all(one.labels for one in self.covariates)

    @property
    def may_drop(self) -> bool:
        """Whether places without a value are left out."""
        return any(one.missing == "drop" for one in self.covariates)

    @property
    def names(self) -> tuple[str, ...]:
        """What formulas call them."""
        return tuple(one.name for one in self.covariates)

    def without(self, names: set[str], table: pd.DataFrame) -> SiteCovariates | None:
        """All but these; None where that is none. `table` is of the sites."""
        if not names & set(self.names):
            return self
        left = [k for k, name in enumerate(self.names) if name not in names]
        if not left:
            return None
        covariates, seen = tuple(self.covariates[k] for k in left), tuple(self.seen[k] for k in left)
        return _with_distances(SiteCovariates(covariates, seen, np.zeros((0, 0)), 0.0, self.findings), table)

    def raw(self, table: pd.DataFrame) -> dict[str, Vector]:
        """Return those of a table's columns that were standardised, as their rasters have them."""
        both = zip(self.covariates, self.seen)
        return {a.name: _raw(a, b, table) for a, b in both if a.standardise and a.name in table.columns}

    def at(self, points: Vector, crs: Any, cells: Cells | None = None, is_part: bool = False) -> MapValues:
        """Fill in the covariates of a map, as the model has them.

        Parameters
        ----------
        points : (m, 2) array
        crs : pyproj.CRS or None
        cells : Cells, optional
            Whose centres the points are.
        is_part : bool
            Whether they are a part of a map: all of it may then be without a value, where places may be dropped.

        Returns
        -------
        MapValues

        Raises
        ------
        InputError
            Where a covariate has no value, unless it says what to do then.
        """
        columns: dict[str, Any] = {}
        lacks: dict[str, int] = {}
        usable = np.ones(len(points), dtype=bool)
        what = "cell" if cells is not None else "place"
        for one, seen in zip(self.covariates, self.seen):
            values = one.at_points(points, crs) if cells is None else one.in_cells(cells, crs)
            known = np.isfinite(values)
            may_miss_all = is_part and one.missing != "refuse"
            if not known.any() and not may_miss_all:
                raise InputError(
                    f"covariate {one.name!r} has no value anywhere on the map: {one.source} does not reach it"
                )
            if not known.all() and one.missing == "nearest":
                values = values.copy()
                values[~known], _ = one.nearest(points[~known], crs)
                known = np.isfinite(values)
            texts = one.labelled(values) if one.labels else None
            if texts is not None:
                known &= np.isin(texts.astype(str), seen.labels)
            if not known.all() and one.missing != "drop":
                raise InputError(*_unknown(one, points, known, texts, what))
            usable &= known
            lacks[one.name] = int((~known).sum())
            columns[one.name] = texts if texts is not None else _standardised(one, seen, values)
        if not usable.any() and not is_part:
            raise InputError(f"no {what} of the map has a value of every covariate ({', '.join(self.names)})")
        return MapValues(pd.DataFrame(columns).loc[usable].reset_index(drop=True), usable, lacking(lacks, usable, what))

    def nearest_at(self, points: Vector, crs: Any, names: Collection[str]) -> dict[str, Vector]:
        """Those of numbers at points, as the model has them, (m,) each; the nearest value where there is none."""
        out = {}
        for one, seen in zip(self.covariates, self.seen):
            if one.labels or one.name not in names:
                continue
            values = np.array(one.at_points(points, crs), dtype=float)
            away = ~np.isfinite(values)
            if away.any():
                values[away], _ = one.nearest(points[away], crs)
            out[one.name] = _standardised(one, seen, values)
        return out

    def beyond(self, table: pd.DataFrame) -> Vector:
        """How far each row lies beyond the sites' covariates, (m,): 0 within.

        The largest of the distances outside the sites' range, in ranges, and of the Mahalanobis distance from the
        sites' mean over the farthest site's, less one.

        References
        ----------
        Mesgaran, Cousens & Webber (2014), Diversity Distrib. 20, 1147-1159.
        """
        far = np.zeros(len(table))
        for one, seen in self._numbers():
            values = _raw(one, seen, table)
            far = np.maximum(far, _outside(values, seen))
        scores = self._scores(table)
        if scores.shape[1] > 1 and self.farthest > 0:
            distances = np.sqrt(np.einsum("ij,jk,ik->i", scores, self.precision, scores))
            far = np.maximum(far, distances / self.farthest - 1.0)
        return np.where(far < 1e-6, 0.0, far)

    def beyond_in_words(self, table: pd.DataFrame) -> str:
        """Say which rows lie beyond the sites' covariates, empty where none does."""
        far = self.beyond(table) > 0
        if not far.any():
            return ""
        parts = []
        for one, seen in self._numbers():
            outside = int((_outside(_raw(one, seen, table), seen) > 0).sum())
            if outside:
                share = f"{100 * outside / len(table):.2g} %"
                parts.append(f"{share} beyond {in_unit(seen.low, '')} to {in_unit(seen.high, '')} of {one.name!r}")
        said = ", ".join(parts) or "in their combination"
        return (
            f"{int(far.sum()):,} of {counted(len(table), 'cell')} of the map ({100 * far.mean():.2g} %) lie beyond the "
            f"covariates of the sites: {said}"
        )

    def without_objects(self) -> dict[str, Any]:
        """Return it as plain types for a file; of a covariate that is an object no more than its name."""
        return {
            "covariates": {
                one.name: {
                    "spec": one.spec,
                    "labels": {f"{value:g}": text for value, text in one.labels.items()},
                    "standardise": one.standardise,
                }
                for one in self.covariates
            },
            "seen": {one.name: [*seen[:4], list(seen.labels)] for one, seen in zip(self.covariates, self.seen)},
            "precision": self.precision.tolist(),
            "farthest": self.farthest,
        }

    def _numbers(self) -> Iterator[tuple[Covariate, Seen]]:
        yield from ((one, seen) for one, seen in zip(self.covariates, self.seen) if not one.labels)

    def _scores(self, table: pd.DataFrame) -> Vector:
        """Numbers of rows, less their mean over their standard deviation at the sites, (m, k)."""
        columns = [(_raw(one, seen, table) - seen.mean) / seen.sd for one, seen in self._numbers()]
        return np.column_stack(columns) if columns else np.zeros((len(table), 0))


class MapValues(NamedTuple):
    """Covariates of a map.

    Attributes
    ----------
    table : DataFrame
        A row a place that has all of them.
    usable : (m,) array of bool
        The places that have.
    lacking : str
        How many have not, and what they lack; empty where all have.
    """

    table: pd.DataFrame
    usable: NDArray[np.bool_]
    lacking: str


class Sampled(NamedTuple):
    """A survey's table with covariates.

    Attributes
    ----------
    table : DataFrame
        With a column for each covariate, without the rows that miss one and may be dropped.
    rows : (m,) array of bool
        The rows that remain.
    covariates : SiteCovariates or None
    """

    table: Any
    rows: NDArray[np.bool_]
    covariates: SiteCovariates | None

    def rows_of(self, given: Any) -> Any:
        """Return a value a row for the rows that remain; a column's name, a number and None stay."""
        if given is None or isinstance(given, str) or self.rows.all() or np.ndim(given) != 1:
            return given
        return np.asarray(given)[self.rows] if len(given) == len(self.rows) else given


def sample_sites(given: Any, table: Any, points: Vector | None, crs: Any, used: Sequence[str] | None = None) -> Sampled:
    """Take covariates at the sites of a survey.

    Parameters
    ----------
    given : mapping or sequence of Covariate
        As `geospde.survey.covariates.reading.read_covariates` takes it.
    table : DataFrame
        A column of it that is called as a covariate is taken for the fit.
    points : (m, 2) array or None
    crs : pyproj.CRS or None
    used : sequence of str, optional
        The names that a model uses; other covariates are left alone.

    Raises
    ------
    InputError
        Where a covariate has no value at a site, unless it says what to do then; or the same at all.
    """
    covariates = tuple(given) if isinstance(given, tuple) else read_covariates(given)
    if not covariates:
        return Sampled(table, np.ones(len(table), dtype=bool), None)
    if points is None:
        raise InputError(
            "covariates are taken at the sites, and the data say no places",
            remedy="give a GeoDataFrame, or name the coordinates' columns with coords",
        )
    crs = None if crs is None else parse_crs(crs)
    findings = [_unused(one) for one in covariates if used is not None and one.name not in used]
    covariates = tuple(one for one in covariates if used is None or one.name in used)
    rows = np.ones(len(table), dtype=bool)
    columns: dict[str, Any] = {}
    for one in covariates:
        values, found = _at_sites(one, table, points, crs)
        findings += found
        known = pd.notna(pd.Series(values)).to_numpy()
        rows &= known
        columns[one.name] = values
    if not rows.any():
        raise InputError(f"no site has a value of every covariate ({', '.join(columns)})")
    seen, taken = [], {}
    for one in covariates:
        values = columns[one.name][rows]
        summary = _seen(one, values)
        seen.append(summary)
        taken[one.name] = pd.Series(values, dtype=object) if one.labels else _standardised(one, summary, values)
    kept = table.loc[rows] if not rows.all() else table
    index = kept.index
    kept = kept.assign(**{name: np.asarray(values) for name, values in taken.items()})
    kept.index = index
    found_set = SiteCovariates(covariates, tuple(seen), np.zeros((0, 0)), 0.0, tuple(findings))
    return Sampled(kept, rows, _with_distances(found_set, kept))


def lacking(lacks: Mapping[str, int], usable: NDArray[np.bool_], what: str) -> str:
    """Say how many places of a map are left out, and which covariates have no value there; empty where none is."""
    left = int((~usable).sum())
    if not left:
        return ""
    of = ", ".join(f"{name!r} ({count:,})" for name, count in lacks.items() if count)
    verb = "is" if left == 1 else "are"
    return (
        f"{left:,} of {counted(usable.size, what)} of the map ({100 * left / usable.size:.2g} %) {verb} left out, "
        f"where a covariate has no value: {of}"
    )


def _with_distances(covariates: SiteCovariates, table: pd.DataFrame) -> SiteCovariates:
    """Learn the Mahalanobis distances of the sites."""
    scores = covariates._scores(table)
    if scores.shape[1] < 2:
        return covariates
    precision = np.linalg.pinv(np.atleast_2d(np.cov(scores, rowvar=False)), hermitian=True)
    farthest = float(np.sqrt(np.einsum("ij,jk,ik->i", scores, precision, scores)).max())
    return replace(covariates, precision=precision, farthest=farthest)


def restored(words: Any) -> SiteCovariates | None:
    """Return what `SiteCovariates.without_objects` wrote, its rasters opened again; None without any."""
    if not words:
        return None
    covariates = tuple(_restored(name, spec) for name, spec in words["covariates"].items())
    seen = tuple(Seen(low, high, mean, sd, tuple(labels)) for low, high, mean, sd, labels in words["seen"].values())
    return SiteCovariates(covariates, seen, np.array(words["precision"]), words["farthest"])


def _restored(name: str, words: Any) -> Covariate:
    """One covariate of a saved fit; `Lost` where it cannot be read again."""
    if words["spec"] is not None:
        try:
            return read_covariates({name: words["spec"]})[0]
        except InputError as error:
            why = str(error)
    else:
        why = "it was an object in memory when the fit was made"
    labels = {float(number): text for number, text in words["labels"].items()}
    return Lost(name, why=why, labels=labels, standardise=words["standardise"])


def _unused(one: Covariate) -> Finding:
    return Finding("note", "covariates", f"no term of the formula uses the covariate {one.name!r}")


def _at_sites(one: Covariate, table: Any, points: Vector, crs: Any) -> tuple[Any, list[Finding]]:
    """Values at the sites, NaN or None where there is none and the row may be dropped."""
    own = table[one.name] if one.name in table.columns else None
    if own is not None:
        values = own.map(str).to_numpy(dtype=object) if one.labels else as_numbers(own)
        if not one.labels and not np.isfinite(values).all() and one.missing != "drop":
            place = int(np.argmax(~np.isfinite(values)))
            row, text = table.index[place], is_text(own)
            if text.any():
                raise InputError(
                    f"column {one.name!r} holds text, such as {own.iloc[int(np.argmax(text))]!r}, and the covariate of "
                    "its name numbers: give this one labels, or another name"
                )
            raise InputError(f"column {one.name!r} has no number in {{row}}: drop or fill it", row=row)
        return values, list(_compared(one, values, one.at_points(points, crs), table.index))
    values = one.at_points(points, crs)
    known = np.isfinite(values)
    if not known.any() and one.missing != "nearest":
        raise InputError(*_elsewhere(one, points, crs))
    said = f"{one.name!r}: {one.method(None, crs)}, from {one.source}"
    findings = [Finding("ok", "covariates", said)]
    if not known.all():
        some = f"{one.name!r} has no value at {int((~known).sum()):,} of {counted(len(known), 'site')}"
        if one.missing == "refuse":
            row = table.index[int(np.argmax(~known))]
            raise InputError(
                f"covariate {some}, such as {{row}}",
                row=row,
                remedy=f'say what to do, as in {one.name} = {{ ..., missing = "nearest" }}, or "drop"',
            )
        if one.missing == "nearest":
            values = values.copy()
            values[~known], far = one.nearest(points[~known], crs)
            if not np.isfinite(values).all():
                raise InputError(f"covariate {one.name!r} holds no value anywhere: {one.source} is empty")
            off = in_unit(float(np.nanmax(far)), "")
            findings = [Finding("note", "covariates", f"{some}; the nearest is taken, up to {off} off")]
        else:
            findings = [Finding("note", "covariates", f"{some}; these rows are dropped")]
    return (one.labelled(values) if one.labels else values), findings


def _elsewhere(one: Covariate, points: Vector, crs: Any) -> tuple[str]:
    """What to say of a raster that no site lies on."""
    low, high = points.min(axis=0), points.max(axis=0)
    sites = f"x {coordinate(low[0])} to {coordinate(high[0])}, y {coordinate(low[1])} to {coordinate(high[1])}"
    frame = getattr(getattr(one, "pixels", None), "frame", None)
    lies = "" if frame is None else f" ({frame.words}{'' if frame.crs is None else ', ' + crs_name(frame.crs)})"
    survey = "" if crs is None else f", {crs_name(crs)}"
    return (f"covariate {one.name!r} has no value at any site: {one.source}{lies} and the sites ({sites}{survey}) "
            "do not meet, or it is empty there",)  # fmt: skip


def _unknown(one: Covariate, points: Vector, known: NDArray[np.bool_], texts: Any, what: str) -> tuple[str]:
    """What to say of places without a usable value."""
    first = int(np.argmax(~known))
    some = f"{int((~known).sum()):,} of {counted(len(known), what)}"
    at = f"such as that at ({coordinate(points[first, 0])}, {coordinate(points[first, 1])})"
    advice = f'say what to do, as in {one.name} = {{ ..., missing = "drop" }}'
    if texts is not None and texts[first] is not None:
        return (f"covariate {one.name!r} is {texts[first]!r} in {some}, a class that no site has, {at}: {advice}",)
    return (f'covariate {one.name!r} has no value in {some}, {at}: {advice}, or "nearest"',)


def _seen(one: Covariate, values: Any) -> Seen:
    """Summarise a covariate at the sites; raises InputError where it is the same at all."""
    if one.labels:
        labels = tuple(sorted(set(values)))
        if len(labels) < 2:
            raise InputError(f"covariate {one.name!r} is {labels[0]!r} at every site: it cannot explain anything")
        return Seen(labels=labels)
    low, high = float(values.min()), float(values.max())
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        raise InputError(f"covariate {one.name!r} is {number(low)} at every site: it cannot explain anything")
    return Seen(low, high, float(values.mean()), float(values.std(ddof=1)))


def _compared(one: Covariate, own: Any, raster: Vector, labels: pd.Index) -> Iterator[Finding]:
    """Tell of a survey's column that differs from the raster of its name."""
    if one.labels:
        both = np.isfinite(raster)
        texts = one.labelled(raster)
        share = float(np.mean(texts[both] != own[both])) if both.any() else 0.0
        said, differs = f"{100 * share:.2g} % of the sites have another label", share > LABELS_DIFFERENT
    else:
        both = np.isfinite(raster) & np.isfinite(own)
        gap = own[both] - raster[both]
        spread = float(np.std(own[both])) if both.any() else 0.0
        rms = float(np.sqrt(np.mean(gap**2))) if both.any() else 0.0
        off = int(np.argmax(np.abs(gap))) if both.any() else 0
        worst = np.flatnonzero(both)[off] if both.any() else 0
        differs = both.any() and rms > DIFFERENT * spread
        said = f"they differ by {number(rms)} (root mean square; the column's sd is {number(spread)})"
        if differs:
            said += f", most in row {labels[worst]}: {number(float(own[worst]))} and {number(float(raster[worst]))}"
    if not both.any():
        yield Finding("warning", "covariates", f"{one.name!r} is a column of the survey; {one.source} covers no site")
    elif differs:
        yield Finding(
            "warning",
            "covariates",
            f"{one.name!r} is a column of the survey, which the fit takes, and a raster, which the map takes: {said}",
            "check units and places, or leave the column out so that the raster serves for both",
        )
    else:
        yield Finding("ok", "covariates", f"{one.name!r}: the survey's column for the fit, {one.source} for the map")


def _standardised(one: Covariate, seen: Seen, values: Any) -> Vector:
    return np.asarray((values - seen.mean) / seen.sd if one.standardise else values, dtype=float)


def _raw(one: Covariate, seen: Seen, table: pd.DataFrame) -> Vector:
    """A column as the raster has it."""
    values = as_numbers(table[one.name])
    return values * seen.sd + seen.mean if one.standardise else values


def _outside(values: Vector, seen: Seen) -> Vector:
    """How far numbers lie outside the sites' range, in ranges."""
    return np.maximum(np.maximum(seen.low - values, values - seen.high), 0.0) / (seen.high - seen.low)
