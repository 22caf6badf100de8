"""Empirical variograms, with the envelope that values thrown about at random among the sites would keep to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from geospde.errors import InputError
from geospde.explore.robust import pulled_in
from geospde.explore.structure import Structure, fitted_structure
from geospde.mesh.arrays import point_array
from geospde.text.arguments import is_whole
from geospde.text.keywords import answers_keywords
from geospde.text.words import counted, length

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MOST_SITES = 2000
"""Beyond so many sites a random part stands for all: two million pairs."""

FEWEST_PAIRS = 30
"""A mean of fewer squared differences says nothing (Journel & Huijbregts 1978, section III.B)."""


@answers_keywords
@dataclass(frozen=True, eq=False)
class Variogram:
    """How much values differ by how far apart they are.

    Attributes
    ----------
    table : pandas.DataFrame
        A row a bin of distances: ``distance`` (mean of its pairs), ``pairs``, ``semivariance`` (Matheron's),
        ``robust`` (Cressie and Hawkins', but Matheron's of yes and no), and ``lower`` and ``upper``, the limits of
        `semivariance` for values permuted among the sites.
    edges : (bins + 1,) array
        Of the bins; a pair belongs to the bin whose upper edge is the first that it does not exceed.
    variance : float
        Of the values.
    p : float
        Probability that permuted values are as alike at small distances as the observed ones.
    structure : Structure or None
        A Matérn variogram put through the robust estimates; None where `p` does not bear one out.
    sites : int
        How many sites it was computed from.
    level : float
        Probability that a permutation keeps within the limits of one bin.
    permutations, seed : int
        Of the envelope.
    unit : str
        Unit of distances.
    label : str
        What the values are.
    """

    table: pd.DataFrame
    edges: NDArray[np.float64]
    variance: float
    p: float
    structure: Structure | None
    sites: int
    level: float
    permutations: int
    seed: int
    unit: str
    label: str

    def __repr__(self) -> str:
        reach = length(float(self.edges[-1]), self.unit)
        return (
            f"<Variogram of {self.label}: {counted(len(self.table), 'bin')} up to {reach}, p = {self.p:.2g} "
            "without spatial structure>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain types, for JSON."""
        fitted = None if self.structure is None else asdict(self.structure)
        settings = {"level": self.level, "permutations": self.permutations, "seed": self.seed, "sites": self.sites}
        bins = {"edges": self.edges.tolist(), "bins": self.table.to_dict("records")}
        facts = {"label": self.label, "unit": self.unit, "variance": self.variance, "p": self.p, "matern": fitted}
        return facts | settings | bins

    def plot(self, ax: Any = None) -> Any:
        """Draw it; see `geospde.plots.exploration.plot_variogram`."""
        from geospde.plots.exploration import plot_variogram

        return plot_variogram(self, ax)


@answers_keywords
def variogram(
    points: Any,
    values: ArrayLike,
    *,
    bins: int | Sequence[float] = 15,
    reach: float | None = None,
    permutations: int = 199,
    level: float = 0.95,
    seed: int = 1,
    unit: str = "",
    label: str = "value",
) -> Variogram:
    """Compute the empirical variogram of values at sites, and what chance alone would make of it.

    Parameters
    ----------
    points : array of shape (n, 2), GeoDataFrame or GeoSeries
        The sites. Of more than `MOST_SITES` a random part is taken.
    values : array of shape (n,)
        A finite number a site, best on a scale where their spread does not depend on their size: logarithms
        of rates, say.
    bins : int or sequence of float
        How many bins of distances, or their edges, rising from 0 or more. By default up to 15 that widen
        with distance: the first is as wide as neighbouring sites are apart. A bin with fewer than
        `FEWEST_PAIRS` pairs is joined to the next.
    reach : float, optional
        Largest distance; by default half of the greatest between two sites: beyond, only sites at opposite
        ends of the survey are compared.
    permutations : int
        How often values are permuted among the sites; at least 19.
    level : float
        Probability that a permutation keeps within the limits of one bin.
    seed : int
        Of the permutations.
    unit, label : str
        Of distances and values, for pictures.

    Returns
    -------
    Variogram

    Raises
    ------
    InputError
        If points or values cannot be used, or too few differ.

    Notes
    -----
    With d the differences of the pairs of a bin, Matheron's estimate is mean(d²) / 2, that of Cressie &
    Hawkins (1980, Math. Geology 12, 115-125) ``mean(sqrt|d|)⁴ / (0.914 + 0.988 / pairs)``, where their
    0.457 + 0.494 / pairs is doubled. `p` is of the studentised maximum, over the nearer half of the bins, of how
    far the variogram falls below the mean of all permutations: one test for all distances (Myllymäki et al. 2017,
    J. R. Statist. Soc. B 79, 381-404), exact where values are exchangeable. Values that stand out are pulled in for
    it: two wild ones among 150 would hide a clear structure two times in three.

    Examples
    --------
    >>> import numpy as np, geospde as gs
    >>> survey = gs.load_dataset("rongelap")
    >>> counts, time = survey.points["counts"], survey.points["time"]
    >>> found = gs.variogram(survey.points, np.log((counts + 0.5) / time), unit="m", label="log rate")
    >>> found
    <Variogram of log rate: 15 bins up to 3,350 m, p = 0.005 without spatial structure>
    >>> found.table.columns.tolist()
    ['distance', 'pairs', 'semivariance', 'robust', 'lower', 'upper']
    """
    sites, z = _checked(points, values, permutations, level)
    rng = np.random.default_rng(seed)
    if len(sites) > MOST_SITES:
        some = np.sort(rng.choice(len(sites), MOST_SITES, replace=False))
        sites, z = sites[some], z[some]
    z = z - z.mean()  # differences do not mind, and sums of squares lose fewer digits
    pairs = _Pairs.of(sites, bins, reach)
    order = rng.permuted(np.repeat(np.arange(len(z))[:, None], permutations, axis=1), axis=0)
    order = np.column_stack([np.arange(len(z)), order])  # the observed one first
    every = pairs.semivariances(z[order])
    tail = (1 - level) / 2
    # the k-th of m permutations is passed below with probability k / (m + 1), exactly
    lower, upper = np.quantile(every[:, 1:], [tail, 1 - tail], axis=1, method="weibull")
    tame = pulled_in(z)
    p = _p_of_chance(every if (tame == z).all() else pairs.semivariances(tame[order]))
    robust = every[:, 0] if len(np.unique(z)) == 2 else pairs.robust(z)
    structure = fitted_structure(pairs.distance, robust, pairs.count, pairs.edges[-1]) if p <= 1 - level else None
    columns = {
        "distance": pairs.distance,
        "pairs": pairs.count,
        "semivariance": every[:, 0],
        "robust": robust,
        "lower": lower,
        "upper": upper,
    }
    table, variance = pd.DataFrame(columns).rename_axis("bin"), float(z.var(ddof=1))
    return Variogram(table, pairs.edges, variance, p, structure, len(z), level, permutations, seed, unit, label)


@dataclass(frozen=True)
class _Pairs:
    """The pairs of sites within reach, by bin: a sparse strictly upper triangular matrix of ones each."""

    edges: NDArray[np.float64]
    distance: NDArray[np.float64]
    count: NDArray[np.int64]
    together: list[sparse.csr_matrix]

    @classmethod
    def of(cls, sites: NDArray[np.float64], bins: int | Sequence[float], reach: float | None) -> _Pairs:
        from scipy.spatial.distance import pdist

        apart = pdist(sites)
        edges = _edges(sites, apart, bins, reach)
        near = np.flatnonzero((apart <= edges[-1]) & (apart >= edges[0]))
        at = np.searchsorted(edges, apart[near]).clip(min=1) - 1  # what lies on the lowest edge is in the first bin
        edges, at = _joined(edges, at)
        first, second = np.triu_indices(len(sites), 1)
        together = []
        for k in range(len(edges) - 1):
            own = near[at == k]
            shape = (len(sites), len(sites))
            together.append(sparse.csr_matrix((np.ones(len(own)), (first[own], second[own])), shape=shape))
        count = np.bincount(at, minlength=len(together))
        return cls(edges, np.bincount(at, apart[near]) / count, count, together)

    def semivariances(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Matheron's estimate for each column of z, (bins, columns)."""
        squares, rows = z * z, []
        for ones, count in zip(self.together, self.count):
            # sum over pairs of (z_i - z_j)² = sum_i degree_i z_i² - 2 sum_pairs z_i z_j
            degree = np.asarray(ones.sum(axis=0)).ravel() + np.asarray(ones.sum(axis=1)).ravel()
            rows.append((degree @ squares - 2 * np.einsum("ij,ij->j", z, ones @ z)) / (2 * count))
        return np.maximum(rows, 0.0)

    def robust(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cressie and Hawkins' estimate, (bins,)."""
        roots = [np.sqrt(np.abs(z[a.tocoo().row] - z[a.tocoo().col])).mean() for a in self.together]
        return np.array(roots) ** 4 / (0.914 + 0.988 / self.count)


def _checked(
    points: Any, values: ArrayLike, permutations: int, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sites = point_array(points)
    try:
        z = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError("the values of a variogram must be numbers") from None
    if z.shape != (len(sites),) or not np.isfinite(z).all():
        raise InputError(f"a variogram needs a finite number at each of {counted(len(sites), 'site')}")
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, not {level!r}")
    if not is_whole(permutations, 19):
        raise InputError(f"permutations must be 19 or more for an envelope, not {permutations!r}")
    if len(np.unique(sites, axis=0)) < 3 or len(sites) < 5:
        raise InputError(f"a variogram needs five sites at three places or more, not {len(sites)}")
    if np.ptp(z) == 0:
        raise InputError("all values are the same: there is nothing that a variogram could show")
    return sites, z


def _edges(
    sites: NDArray[np.float64], apart: NDArray[np.float64], bins: int | Sequence[float], reach: float | None
) -> NDArray[np.float64]:
    """Edges of the bins as asked for, or ``reach (k / n)^power`` that begin at the spacing of neighbours."""
    if not isinstance(bins, int | np.integer):
        edges = np.asarray(bins, dtype=float)
        if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all() or edges[0] < 0:
            raise InputError("bins must be a number, or two or more rising edges from 0")
        return edges
    if bins < 1:
        raise InputError(f"a variogram needs at least one bin, not {bins}")
    reach = apart.max() / 2 if reach is None else float(reach)
    if not 0 < reach < np.inf:
        raise InputError(f"reach must be a distance above 0, not {reach!r}")
    if bins == 1:
        return np.array([0.0, reach])
    spacing = 1.5 * np.median(_nearest(sites))  # on a square lattice, the diagonal neighbours too
    power = np.log(min(spacing / reach, 0.5)) / -np.log(bins)
    return np.asarray(reach * (np.arange(bins + 1) / bins) ** np.clip(power, 1.0, 2.0))


def _nearest(sites: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each place to the nearest other one."""
    from scipy.spatial import cKDTree

    places = np.unique(sites, axis=0)
    return np.asarray(cKDTree(places).query(places, k=2)[0][:, 1])


def _joined(edges: NDArray[np.float64], at: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Join bins of too few pairs to the next, the last ones to the one before; return edges and bin of each pair."""
    count = np.bincount(at, minlength=len(edges) - 1)
    if not count.any():
        raise InputError("no two sites are as near to one another as the bins of the variogram ask: widen them")
    ends, waiting = [], 0
    for k, more in enumerate(count):
        waiting += more
        if waiting >= FEWEST_PAIRS:
            ends.append(k + 1)
            waiting = 0
    if waiting or not ends:
        ends = [*ends[:-1], int(np.flatnonzero(count)[-1]) + 1]
    kept = np.array([0, *ends])
    return edges[kept], np.searchsorted(kept[1:], at, side="right")


def _p_of_chance(every: NDArray[np.float64]) -> float:
    """Rank of the first variogram's fall below the mean of all, the largest over the nearer half of the bins."""
    every = every[: (len(every) + 1) // 2]
    spread = every.std(axis=1, keepdims=True)
    fall = ((every.mean(axis=1, keepdims=True) - every) / np.where(spread > 0, spread, 1.0)).max(axis=0)
    return float(np.mean(fall >= fall[0] * (1 - 1e-12)))
