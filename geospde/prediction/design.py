"""Where to sample next: sites chosen one after the other, each the one that most reduces what is not known.

An observation at a site with predictor eta_s and working weight W_s (its expected information on the predictor) takes
``c c' / (C_ss + 1 / W_s)`` from the posterior covariance C of the predictors, c its column of C: a rank-one update of
the Gaussian posterior at the heaviest hyperparameters, which no response enters. Greedy choice comes within 1 - 1/e of
the best set where gains diminish, as they mostly do (Krause, Singh & Guestrin 2008, J. Mach. Learn. Res. 9, 235-284).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import scipy.sparse as sp
import shapely
from numpy.typing import NDArray
from scipy.special import owens_t

from geospde.errors import InputError, alert
from geospde.inference.combinations import row_variances
from geospde.linalg.executor import cluster, executor
from geospde.linalg.threads import one_blas_thread
from geospde.mesh.trimesh import Mesh
from geospde.prediction.grid import Grid
from geospde.prediction.places import places
from geospde.prediction.regions.weights import cell_weights
from geospde.results.base import Fit
from geospde.survey.crs import is_local, parse_crs
from geospde.text.files import whole_file
from geospde.text.keywords import answers_keywords
from geospde.text.words import in_brief, number

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes

Vector = NDArray[np.float64]
CRITERIA = ("variance", "misclassification", "region")
BATCH = 256  # candidates that are solved for at a time
DECIDED = 1e-6  # share of places on the wrong side of a threshold, of which less is none
LARGEST = 3e8  # numbers in the covariance of candidates and targets


@answers_keywords
@dataclass(frozen=True, eq=False, repr=False)
class Design:
    """Sites in the order in which they are worth visiting; made by `geospde.design`.

    Attributes
    ----------
    sites : DataFrame
        One row per site, in order: ``x``, ``y``, ``candidate`` (its row among the candidates), ``gain`` (by how much it
        reduces the criterion), ``remaining`` (what is left of it) and ``cost``.
    start : float
        The criterion before any of them.
    present : DataFrame
        A row an observation that is there, the one that matters least first: ``row`` and ``loss``, by how much the
        criterion would grow without it; of misclassification the gain that it promised before it was made.
    criterion : str
    points : (k, 2) array
        All candidates.
    crs : pyproj.CRS or None
    there : (n, 2) array or None
        Places of the observations that are there.
    outline : polygons, optional
        The region that a grid of candidates, or of places, was laid around.
    fixed : (f, 2) array, optional
        Sites that were decided already.
    """

    sites: pd.DataFrame
    start: float
    present: pd.DataFrame
    criterion: str
    points: Vector
    crs: Any = None
    there: Vector | None = None
    outline: Any = None
    fixed: Vector | None = None

    @property
    def of(self) -> str:
        """What is reduced, in words."""
        return "variance of the region's mean" if self.criterion == "region" else self.criterion

    @property
    def curve(self) -> pd.Series[float]:
        """What is left of the criterion after each number of sites, from 0, as a share of the start."""
        left = np.concatenate([[self.start], self.sites["remaining"]]) / self.start
        return pd.Series(left, index=pd.RangeIndex(len(left), name="sites"), name="remaining")

    @property
    def has_longitudes(self) -> bool:
        """Whether the CRS leads to longitude and latitude."""
        return self.crs is not None and not is_local(parse_crs(self.crs))

    def to_geodataframe(self) -> gpd.GeoDataFrame:
        """Return the sites with their places as points."""
        import geopandas as gpd

        places = gpd.points_from_xy(self.sites["x"], self.sites["y"])
        return gpd.GeoDataFrame(
            self.sites.assign(order=np.arange(1, len(self.sites) + 1)), geometry=places, crs=self.crs
        )

    def to_gpkg(self, path: str | Path) -> None:
        """Write the sites as a GeoPackage."""
        from geospde.export.vectors import write_layers

        write_layers(path, {"sites": self.to_geodataframe()})

    def to_gpx(self, path: str | Path) -> None:
        """Write the sites as waypoints for a GPS receiver.

        Raises
        ------
        InputError
            Without a CRS that leads to longitude and latitude, or where the file cannot be written.
        """
        if not self.has_longitudes:
            raise InputError("waypoints are in longitude and latitude, and the sites have no CRS that leads there")
        there = self.to_geodataframe().to_crs(4326).geometry
        points = "\n".join(
            f'  <wpt lat="{p.y:.7f}" lon="{p.x:.7f}"><name>{escape(f"{k:02d}")}</name></wpt>'
            for k, p in enumerate(there, 1)
        )
        head = '<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="geospde" '
        text = f'{head}xmlns="http://www.topografix.com/GPX/1/1">\n{points}\n</gpx>\n'
        with whole_file(path) as partial:
            partial.write_text(text, encoding="utf-8")

    def least(self, share: float = 0.05) -> pd.DataFrame:
        """Return the rows of `present` that matter least: a share of all, one at least and twelve at most."""
        return self.present.head(min(max(round(share * len(self.present)), 1), 12))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the candidates, the sites that are there and which of them matter least, and the chosen ones."""
        from geospde.plots.drawing import plot_design

        return plot_design(self, ax)

    def plot_gain(self, ax: Axes | None = None) -> Axes:
        """Draw what is left of the criterion after each site: where the curve is flat, more sites tell little.

        Where the sites have unlike costs, it goes along their sum.
        """
        from geospde.plots.drawing import plot_gain

        return plot_gain(self, ax)

    def __repr__(self) -> str:
        last = self.curve.iloc[-1]
        return f"<Design: {len(self.sites)} sites leave {100 * last:.0f} % of the {self.of}>"


@answers_keywords
def design(
    fit: Fit,
    add: int,
    candidates: Any,
    *,
    criterion: str = "variance",
    where: Any = None,
    threshold: float | None = None,
    weights: Any = None,
    min_distance: float = 0.0,
    costs: Any = None,
    fixed: Any = None,
    client: Any = None,
) -> Design:
    """Choose sites to sample next.

    Parameters
    ----------
    fit : Fit
    add : int
        How many.
    candidates : Grid, Mesh, GeoDataFrame, DataFrame or (k, 2) array
        Where a site may be, of a grid the centres of its cells within the region it was laid around; covariates of the
        model are columns or come from its rasters.
    criterion : {"variance", "misclassification", "region"}
        What to reduce: the mean variance of the predictor; the expected share of places that the posterior mean puts
        on the wrong side of `threshold`; the variance of the predictor's mean over all of `where`.
    where : as `candidates`, optional
        The places that the criterion is of; by default the candidates.
    threshold : float, optional
        On the response scale, for ``"misclassification"``.
    weights : (m,) array or raster, optional
        Of the places in `where`, such as their population; even by default. Of a raster, such as a file of counts of
        people, the cells of a Grid take the sums.
    min_distance : float
        Between new sites, and from each to those of `fixed`.
    costs : (k,) array, optional
        Of each candidate: the gain for the cost is what counts.
    fixed : as `candidates`, optional
        Sites already decided on: they count as visited.
    client : distributed.Client or str, optional
        A Dask cluster whose workers take 256 candidates at a time, see `geospde.cluster`.

    Returns
    -------
    Design

    Raises
    ------
    InputError
        For options that are none, or where fewer sites are left than asked for.
    """
    if criterion not in CRITERIA:
        raise InputError(f"criterion is one of {', '.join(map(repr, CRITERIA))}, not {criterion!r}")
    if isinstance(add, bool) or not isinstance(add, int | np.integer) or add < 1:
        raise InputError(f"the number of sites to add is a positive whole number, not {add!r}")
    if threshold is None and criterion == "misclassification":
        raise InputError("criterion 'misclassification' needs a threshold: the value that places are above or below")
    if threshold is not None and criterion != "misclassification":
        raise InputError(f"a threshold is for criterion 'misclassification', and the criterion is {criterion!r}")
    if threshold is not None and not np.isfinite(float(threshold)):
        raise InputError(f"a threshold must be a finite number, not {in_brief(threshold)}")
    if isinstance(min_distance, bool) or not isinstance(min_distance, int | float) or not 0 <= min_distance < np.inf:
        raise InputError(f"min_distance is a distance, not {min_distance!r}")
    with cluster(client), one_blas_thread():
        return _Greedy(fit, candidates, where, fixed, criterion, threshold, weights, costs).chosen(add, min_distance)


def covariances(rows: Any, laplace: Any, point: Any) -> Vector:
    """Covariances of the latent vector with the predictors of some rows: a task of its own."""
    return np.asarray(laplace.solve(point, rows.T.toarray()))


class _Greedy:
    """Covariances of candidates with targets, updated as sites are taken."""

    def __init__(
        self,
        fit: Fit,
        candidates: Any,
        where: Any,
        fixed: Any,
        criterion: str,
        threshold: float | None,
        weights: Any,
        costs: Any,
    ):
        self.fit, self.criterion, self.threshold = fit, criterion, threshold
        self.point = fit.laplace.factor_again(fit.point)
        rows, self.points, self.crs = self._rows(candidates)
        self.outline = candidates.domain if isinstance(candidates, Grid) else None
        self.around = where.domain if isinstance(where, Grid) else None
        self.size = len(self.points)
        already, self.already = (rows[:0], np.zeros((0, 2))) if fixed is None else self._rows(fixed)[:2]
        targets = rows if where is None else self._rows(where)[0]
        self.costs = _numbers(costs, self.size, "costs", "candidate")
        self.weights = self._weights(weights, candidates if where is None else where, targets.shape[0])
        observed = fit.laplace.design
        total = rows.shape[0] + already.shape[0]
        if total * (total + targets.shape[0]) > LARGEST:
            raise InputError(f"{total:,} candidates with {targets.shape[0]:,} places are too many: thin them")
        new = sp.csr_matrix(sp.vstack([rows, already]))
        solved = self._solved(new)
        self.cross = np.asarray(targets @ solved).T  # (candidates, targets)
        self.among = np.asarray(new @ solved)
        self.noise = 1.0 / self._information(new)
        self.variance = np.maximum(row_variances(fit.laplace, self.point, sp.csr_matrix(targets)), 1e-300)
        self.first = self.variance.copy()
        self.scores = np.zeros(self.variance.size)
        if threshold is not None:
            at = float(fit.model.family.link.forward(np.array([float(threshold)]))[0])
            if not np.isfinite(at):
                raise InputError(f"no mean of this family lies about the threshold {threshold:g}")
            self.scores = (targets @ self.point.mean - at) / np.sqrt(self.variance)
        self.whole = 0.0
        if criterion == "region":
            mean_row = sp.csr_matrix(self.weights @ targets)
            self.whole = float(row_variances(fit.laplace, self.point, mean_row)[0])
        back = self._solved(observed)
        self.of_present = np.asarray(targets @ back).T
        self.with_fixed = np.asarray(already @ back).T  # (observations, fixed sites)

    def _weights(self, given: Any, where: Any, size: int) -> Vector:
        """Weights of the places, their sum 1."""
        if isinstance(given, str | Path | dict) or hasattr(given, "transform") or hasattr(given, "dims"):
            grid = places(self.fit.model, where).grid if isinstance(where, Grid) else None
            if grid is None:
                raise InputError("a raster weighs the cells of a Grid: of other places give a weight each")
            given, _, findings = cell_weights(given, grid, self.fit.model.crs)
            for finding in findings:
                alert(finding.as_warning())
        w = _numbers(given, size, "weights", "place", may_be_zero=True)
        total: Vector = w / w.sum()
        return total

    def _solved(self, rows: Any) -> Vector:
        """Covariances of the latent vector with the predictors of some rows, (n, rows), a batch at a time."""
        parts = (rows[a : a + BATCH] for a in range(0, rows.shape[0], BATCH))
        found = list(executor().map(covariances, parts, self.fit.laplace, self.point))
        return np.hstack(found) if found else np.zeros((self.fit.laplace.n, 0))

    def _rows(self, where: Any) -> tuple[Any, Vector, Any]:
        """Rows of the design, places and CRS."""
        model = self.fit.model
        found = places(model, where.vertices if isinstance(where, Mesh) else where)
        if found.points is None:
            raise InputError("sites have coordinates: give candidates a geometry, or the model's coordinate columns")
        try:
            rows = model.rows(found.table, found.points, leave_out=model.groups)
        except InputError as error:
            lacks = {*model.used_columns} - {*model.response_label.split(" / "), *found.table.columns}
            if not lacks or not isinstance(where, Grid | Mesh):
                raise
            kind = type(where).__name__
            remedy = f"a {kind} has coordinates only, so give candidates, and where, as a table that has it"
            raise InputError(error.what, remedy=remedy) from None
        if hasattr(rows, "at"):
            rows = rows.at(self.point.theta)[0]
        return rows, np.asarray(found.points, dtype=float), found.crs if found.crs is not None else model.crs

    def _information(self, rows: Any) -> Vector:
        """Expected information of an observation on the predictor, at exposure and trials of the survey's median."""
        model, laplace = self.fit.model, self.fit.laplace
        eta = rows @ self.point.mean
        seen: Any = model.likelihood
        exposure, trials = (float(np.median(np.asarray(getattr(seen, name)))) for name in ("exposure", "trials"))
        found = _information(model.family, eta, exposure, max(round(trials), 1), laplace, self.point)
        if found is None:  # a response that no mean stands for: as informative as those that are there
            found = np.full(len(eta), np.median(-self.point.derivatives[1]))
        return np.maximum(found, 1e-12)

    def chosen(self, add: int, min_distance: float) -> Design:
        """Take sites one after the other."""
        lost = self._losses()
        for k in range(self.size, len(self.among)):
            self._take(k)
        start = self._value()
        if self.threshold is not None and start < DECIDED:
            raise InputError(
                f"on which side of {number(self.threshold)} a place lies is in no doubt anywhere",
                remedy="take a threshold among the values of the map",
            )
        free = np.ones(self.size, dtype=bool)
        if self.outline is not None:
            free &= shapely.intersects_xy(self.outline, self.points)
        for place in self.already:
            free &= _apart(self.points, place, min_distance)
        if add > (room := int(free.sum())):
            raise _no_room(room, add)
        rows: list[tuple[float, ...]] = []
        for _ in range(add):
            if not free.any():
                raise _no_room(len(rows), add)
            worth = np.where(free, self._gains() / self.costs, -np.inf)
            k, before = int(worth.argmax()), self._value()
            self._take(k)
            left = self._value()
            rows.append((*self.points[k], k, before - left, left, self.costs[k]))
            free[k] = False
            free &= _apart(self.points, self.points[k], min_distance)
        sites = pd.DataFrame(rows, columns=["x", "y", "candidate", "gain", "remaining", "cost"])
        order = np.argsort(lost, kind="stable")
        present = pd.DataFrame({"row": order, "loss": lost[order]})
        there = self.fit.model.points
        outline = self.outline if self.outline is not None else self.around
        return Design(
            sites, start, present, self.criterion, self.points, self.crs, there, outline, self.already
        )  # fmt: skip

    def _take(self, k: int) -> None:
        """Condition all covariances on an observation at a candidate."""
        scale = self.among[k, k] + self.noise[k]
        own, across = self.among[:, k].copy(), self.cross[k].copy()
        self.whole -= float(self.weights @ across) ** 2 / scale
        self.variance = np.maximum(self.variance - across**2 / scale, 1e-300)
        self.among -= np.outer(own, own) / scale
        self.cross -= np.outer(own, across) / scale

    def _value(self) -> float:
        if self.criterion == "region":
            return max(self.whole, 0.0)
        if self.criterion == "variance":
            return float(self.weights @ self.variance)
        return float(self.weights @ _wrong(self.scores, self.first, self.variance))

    def _gains(self) -> Vector:
        """By how much each candidate reduces the criterion."""
        scale = np.maximum(np.diag(self.among)[: self.size], 0.0) + self.noise[: self.size]
        cross = self.cross[: self.size]
        if self.criterion == "region":
            values: Vector = (cross @ self.weights) ** 2 / scale
            return values
        if self.criterion == "variance":
            values = (cross**2) @ self.weights / scale
            return values
        left = np.maximum(self.variance - cross**2 / scale[:, None], 1e-300)
        values = (
            float(self.weights @ _wrong(self.scores, self.first, self.variance))
            - _wrong(self.scores, self.first, left) @ self.weights
        )
        return values

    def _losses(self) -> Vector:
        """By how much the criterion grows without each observation that is there, beside the fixed sites."""
        weights = np.maximum(-self.point.derivatives[1], 1e-300)
        fixed = slice(self.size, None)
        seen, cross = self.among[fixed, fixed] + np.diag(self.noise[fixed]), self.cross[fixed]
        known = np.linalg.solve(seen, self.with_fixed.T)
        across = self.of_present - known.T @ cross
        own = self.point.eta_variance - np.einsum("if,fi->i", self.with_fixed, known)
        scale = np.maximum(1.0 / weights - own, 1e-300)
        if self.criterion == "region":
            return np.asarray((across @ self.weights) ** 2 / scale)
        if self.criterion == "variance":
            return np.asarray((across**2) @ self.weights / scale)
        # the map of today without a site: less sure, and off by what the site's response moved it
        leverage = np.maximum(1.0 / weights - self.point.eta_variance, 1e-300)
        moved = self.point.derivatives[0] / weights / leverage
        left = self.variance - np.einsum("ft,ft->t", cross, np.linalg.solve(seen, cross))
        lost = np.empty(len(scale))
        for i, column in enumerate(self.of_present):
            first = self.first + column**2 / leverage[i]
            scores = (self.scores * np.sqrt(self.first) - column * moved[i]) / np.sqrt(first)
            lost[i] = self.weights @ (
                _wrong(scores, first, left + across[i] ** 2 / scale[i]) - _wrong(scores, first, left)
            )
        return np.maximum(lost, 0.0)


def _wrong(scores: Vector, first: Vector, variance: Vector) -> Vector:
    """Probability that the mean to come and the truth lie on different sides: 2 T(h, sqrt(v / (v0 - v)))."""
    with np.errstate(divide="ignore"):
        ratio = np.sqrt(variance / np.maximum(first - variance, 0.0))
    return np.asarray(2.0 * owens_t(scores, ratio))


def _information(family: Any, eta: Vector, exposure: float, n: int, laplace: Any, point: Any) -> Vector | None:
    """Information at other predictors, by responses of their own mean; None where the family takes none of them."""
    mean = np.asarray(family.link.inverse(eta), dtype=float) * exposure * n
    for y in (mean, np.round(mean)):
        try:
            bound = family.bind(
                y, exposure=np.full(len(eta), exposure), weights=np.ones(len(eta)), trials=np.full(len(eta), float(n))
            )  # fmt: skip
            likelihood = bound.at(laplace.whole(point.theta)[laplace.family_block])
            return np.asarray(likelihood.newton_weights(eta, likelihood.derivatives(eta)[1]))
        except (InputError, ValueError):
            continue
    return None


def _numbers(given: Any, size: int, what: str, of: str, may_be_zero: bool = False) -> Vector:
    """A positive number each, or zero where that will do for some."""
    if given is None:
        return np.ones(size)
    try:
        values = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{what} are numbers, one a {of}") from None
    least = 0.0 if may_be_zero and (values > 0).any() else np.nextafter(0.0, 1.0)
    if values.shape != (size,) or not np.isfinite(values).all() or (values < least).any():
        raise InputError(f"{what} are positive numbers, one for each of the {size:,} {of}s")
    return values


def _apart(points: Vector, place: Sequence[float] | Vector, distance: float) -> NDArray[np.bool_]:
    value: NDArray[np.bool_] = np.hypot(*(points - np.asarray(place)).T) >= distance
    return value


def _no_room(placed: int, add: int) -> InputError:
    return InputError(f"only {placed} of {add} sites can be placed: give more candidates, or less min_distance")
