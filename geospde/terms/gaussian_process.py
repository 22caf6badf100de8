"""Gaussian processes of covariates, ``gp(x, y, by=, k=, c=, cov=, iso=, scale=)``: brms's terms and their priors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError, alert
from geospde.families.priors import Independent, InverseGamma, PCSd, Prior, read_prior
from geospde.formula.covariates import Covariates, checked_names
from geospde.formula.formula import Name, TermCall
from geospde.formula.table import Coding, column_of, label, refuse_missing
from geospde.terms.base import Context, LatentTerm
from geospde.terms.calls import warn_of_degrees
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.covariance import BasisCovariance, KernelCovariance
from geospde.terms.precisions.gaussian_process import BasisProcess, GaussianProcess
from geospde.terms.precisions.hilbert import Basis, Spectrum
from geospde.terms.precisions.kernels import KERNELS, Kernel
from geospde.terms.precisions.side_by_side import SideBySide
from geospde.terms.process import Curve, ProcessRows, Rows, at_rows, multiplied
from geospde.text.words import did_you_mean, listed

Vector = NDArray[np.float64]
OPTIONS = ("by", "k", "c", "cov", "iso", "scale")
MOST_SITES = 2_000  # beyond which a dense covariance takes minutes
MOST_FUNCTIONS = 20_000  # of a basis, at so many sites
MOST_PAIRS = 30_000_000  # of functions, over all rows: what H takes of a basis whose coefficients are latent variables
FEW_PAIRS = 1_000_000  # that always pass
DENSE = 20  # multiplications of a dense covariance in the time that one pair takes
LEAST = 0.01  # share of the largest distance that the smallest counts for at least


@dataclass(frozen=True)
class Options:
    """What a call asks for.

    Attributes
    ----------
    names : tuple of str
        Columns of the covariates.
    kernel : Kernel
    iso : bool
        One length-scale for all covariates.
    scale : bool
        Divide the covariates by the largest distance.
    each : int or None
        Functions a covariate; None for the exact process.
    boundary : float
        The basis reaches this many times the covariates' range to each side of their mean.
    """

    names: tuple[str, ...]
    kernel: Kernel
    iso: bool
    scale: bool
    each: int | None
    boundary: float
    text: str


class Process(LatentTerm):
    """Gaussian processes of the same covariates: one, or one for each level of a factor.

    Attributes
    ----------
    precision : GaussianProcess, BasisProcess or SideBySide
    covariates : Covariates
    by : str or None
        Column of the factor, or of what the one process is multiplied by.
    coding : Coding or None
        Levels of the factor, one a curve.
    curves : tuple of Curve
    """

    can_be_shared = False
    follows_all = True

    def __init__(
        self, covariates: Covariates, by: str | None, coding: Coding | None, curves: Sequence[Curve], label: str
    ):
        self.covariates = covariates
        self.by = by
        self.coding = coding
        self.curves = tuple(curves)
        self.function_of = covariates.names if by is None else (*covariates.names, by)
        self.distances = covariates.names if len(curves[0].process.parameters) == 2 else ()  # one length-scale for all
        self.precision: Any = curves[0].process
        if len(curves) > 1:
            self.precision = SideBySide([c.process for c in curves], [str(c.level) for c in curves], label)

    @classmethod
    def read(cls, call: TermCall, context: Context) -> "Process":
        """Read a ``gp(...)`` call; takes its priors out of the overrides.

        ``gp(x, y)`` is a process of one sd, `sdgp`, and one length-scale, `lscale`, in a unit of the largest distance
        of two rows. With ``k=`` it is approximated by k basis functions a covariate, in a box that goes c times the
        covariates' range (at least the largest distance) to each side of their mean. With a factor for ``by=``, there
        is an independent process of its own sd, length-scale and unit for each level; a number multiplies the process.

        By default P(sdgp > three standard deviations of the response) = 0.05 (P(sdgp > 1) = 0.05 where the predictor is
        not in its unit), and the length-scale is inverse gamma as in brms: P(lscale < smallest distance) = P(lscale >
        largest distance) = 0.01, where the smallest distance counts as a hundredth of the largest at least.

        Raises
        ------
        InputError
            For columns, options or priors that do not fit, and sizes that a dense matrix does not bear.

        References
        ----------
        Riutort-Mayol, Bürkner, Andersen, Solin & Vehtari (2023), Statist. Comput. 33, 17; Bürkner (2017), J. Stat.
        Softw. 80(1), and the manual of brms.
        """
        options = _options(call)
        by = call.options.get("by")
        if by is not None and not isinstance(by, Name):
            raise InputError(f"by takes the name of a column: {call.text!r}")
        covariates = Covariates.of_table(options.names, context.table, context.points)
        values = covariates.values(context.table, context.points)
        inside = ", ".join(options.names)
        label = context.label(f"gp({inside})" if by is None else f"gp({inside}, by={by})")
        if options.iso:
            warn_of_degrees(context.table, options.names, label)
        if by is None or _is_number(context.table, by):
            rows = np.arange(len(values)) if by is None else multiplied(context.table, by)[0]
            if not rows.size:
                raise InputError(f"the column {by!r}, which multiplies {label}, is zero in every row")
            return cls(covariates, by, None, [_curve(values[rows], None, label, options, context)], label)
        levels = context.table[by]
        refuse_missing(levels, by)
        coding = Coding.learn(levels)
        codes = coding.codes(levels)
        curves = [
            _curve(values[codes == k], level, f"{label}[{level}]", options, context)
            for k, level in enumerate(coding.labels)
        ]
        return cls(covariates, by, coding, curves, label)

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> Any:
        """Rows of the design: of the data the sites or the basis, of a prediction those of `ProcessRows`."""
        values, entered = self.covariates.values(table, points), self._entered(table)
        if new:
            self._warn_outside(values, entered)
            return ProcessRows(self.curves, self.own, values, entered)
        blocks = []
        for curve, (rows, factors) in zip(self.curves, entered):
            process, m = curve.process, len(table)
            if isinstance(process, BasisProcess):
                functions = process.spectrum.basis.functions(values[rows] / curve.unit)
                blocks.append(at_rows(factors[:, None] * functions, rows, m))
            else:
                blocks.append(sp.csr_matrix((factors, (rows, curve.sites)), shape=(m, process.n)))
        return sp.csr_matrix(sp.hstack(blocks, format="csr"))

    def _entered(self, table: pd.DataFrame) -> list[tuple[Rows, Vector]]:
        """Rows that each curve enters, and what it is multiplied by there."""
        if self.by is None:
            return [(np.arange(len(table)), np.ones(len(table)))]
        if self.coding is None:
            return [multiplied(table, self.by)]
        values = column_of(table, self.by)
        refuse_missing(values, self.by)
        codes = self.coding.codes(values)
        if (codes < 0).any():
            row = int(np.flatnonzero(codes < 0)[0])
            raise InputError(
                f"the term {self.precision.label!r} has no curve for the level {label(values.iloc[row])!r} of "
                f"{self.by!r} ({{row}}); it has {listed(self.coding.labels)}",
                row=table.index[row],
            )
        return [(rows, np.ones(rows.size)) for rows in (np.flatnonzero(codes == k) for k in range(len(self.curves)))]

    def _warn_outside(self, values: Vector, entered: list[tuple[Rows, Vector]]) -> None:
        for curve, (rows, _) in zip(self.curves, entered):
            basis = curve.process.basis
            if basis is None:
                continue
            outside = int((~basis.holds(values[rows] / curve.unit)).sum())
            if outside:
                alert(
                    f"{outside} of {len(values)} predictions lie outside the box of the basis of "
                    f"{self.precision.label}, where they mean nothing: give gp a larger c"
                )

    def names(self) -> list[str]:
        """Names of the latent variables: values at the sites, or coefficients of the basis, curve by curve."""
        levels = ["" if curve.level is None else f"{curve.level}, " for curve in self.curves]
        sizes = [curve.process.n for curve in self.curves]
        return [f"{self.precision.label}[{own}{i + 1}]" for own, n in zip(levels, sizes) for i in range(n)]

    def hyperparameters(self) -> list[Hyperparameter]:
        """Standard deviation and length-scales of each curve."""
        out: list[Hyperparameter] = []
        unit = np.eye(len(self.precision.parameters))
        for curve in self.curves:
            for k, (name, prior) in enumerate(zip(curve.names, curve.process.prior.parts)):
                share = f", as a share of the largest distance, {curve.unit:.4g}" if k and curve.unit != 1 else ""
                out.append(Hyperparameter(name, unit[len(out)], 0.0, prior.describe() + share))
        return out

    def start(self, unit: float) -> Vector:
        """The predictor's scale, and each curve's first length-scales."""
        return np.concatenate([np.r_[np.log(unit), curve.first] for curve in self.curves])

    def own(self, theta: Vector) -> list[Vector]:
        """Each curve's part of theta."""
        return self.precision.own(theta) if len(self.curves) > 1 else [theta]


def _options(call: TermCall) -> Options:
    """The options of a call, checked."""
    unknown = [o for o in call.options if o not in OPTIONS]
    if unknown:
        raise InputError(
            f"gp has no option {unknown[0]!r}; {did_you_mean(unknown[0], OPTIONS, 'options')}: {call.text!r}"
        )
    names = checked_names(call.arguments, call.text, "gp(x, y)")
    cov = call.options.get("cov", "exp_quad")
    if cov not in KERNELS:
        raise InputError(f"cov of gp is one of {', '.join(map(repr, KERNELS))}, not {cov!r}: {call.text!r}")
    for option in ("iso", "scale"):
        if not isinstance(call.options.get(option, True), bool):
            raise InputError(f"{option} of gp is True or False: {call.text!r}")
    each, boundary = call.options.get("k"), call.options.get("c", 1.25)
    if each is not None and (not isinstance(each, int) or isinstance(each, bool) or each < 1):
        raise InputError(f"k of gp, the number of basis functions a covariate, is 1, 2, 3, ...: {call.text!r}")
    if not isinstance(boundary, (int, float)) or isinstance(boundary, bool) or not 1 < boundary < np.inf:
        raise InputError(f"c of gp, how far its basis reaches, is a number above 1, such as 1.25: {call.text!r}")
    if each is None and "c" in call.options:
        raise InputError(f"c belongs to the basis of an approximate process: give k, too, in {call.text!r}")
    iso, scale = call.options.get("iso", True), call.options.get("scale", True)
    return Options(names, KERNELS[cov], iso or len(names) == 1, scale, each, float(boundary), call.text)


def _is_number(table: pd.DataFrame, column: str) -> bool:
    """Whether a column multiplies a process; labels and truth values tell processes apart."""
    kind = column_of(table, column).dtype
    return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)


def _curve(values: Vector, level: str | None, label: str, options: Options, context: Context) -> Curve:
    """One process of these rows of covariates."""
    constant = np.flatnonzero(np.ptp(values, axis=0) == 0)
    if constant.size:
        where = "" if level is None else f" among the rows of level {level!r}"
        raise InputError(f"the covariate {options.names[constant[0]]!r} of {options.text!r} is constant{where}")
    places, sites = np.unique(values, axis=0, return_inverse=True)
    extent = _distances(places)[1]
    unit = extent if options.scale else 1.0
    places = places / unit
    spans = [_distances(places)] if options.iso else [_distances(np.unique(column)[:, None]) for column in places.T]
    names = _names(label, options)
    prior = Independent(_priors(names, spans, context))
    process = _process(places, values.shape[0], prior, label, extent / unit, options)
    first = np.log([0.2 * longest for _, longest in spans])
    return Curve(process, level, unit, sites.ravel(), first, names)


def _names(label: str, options: Options) -> tuple[str, ...]:
    if options.iso:
        return f"sdgp({label})", f"lscale({label})"
    return f"sdgp({label})", *(f"lscale({label}, {name})" for name in options.names)


def _distances(places: Vector) -> tuple[float, float]:
    """Smallest and largest distance of different places, (n, d)."""
    from scipy.spatial import ConvexHull, KDTree
    from scipy.spatial.distance import pdist

    if places.shape[1] == 1:
        ordered = np.sort(places[:, 0])
        return float(np.diff(ordered).min()), float(ordered[-1] - ordered[0])
    nearest = KDTree(places).query(places, k=2)[0][:, 1]
    corners = places
    if len(places) > MOST_SITES:
        corners = places[ConvexHull(places, qhull_options="QJ").vertices]
    return float(nearest.min()), float(pdist(corners).max())


def _priors(names: tuple[str, ...], spans: list[tuple[float, float]], context: Context) -> tuple[Prior, ...]:
    """Of the sd and of each length-scale, by the smallest and largest distances that it is to tell."""
    unit = context.likelihood.unit
    sd: Prior = PCSd(1.0 if unit is None else 3 * unit, 0.05)
    if context.defaults is not None:
        sd = context.defaults.sd()
    priors = [sd]
    for shortest, longest in spans:
        # two places have one distance: then the prior spans a factor of two
        shortest = float(np.clip(shortest, LEAST * longest, 0.5 * longest))
        priors.append(InverseGamma.between(shortest, longest))
    for k, name in enumerate(names):
        if name in context.overrides:
            priors[k] = read_prior(context.overrides.pop(name), name, "lscale" if k else "sd")
    return tuple(priors)


def _process(
    places: Vector, rows: int, prior: Independent, label: str, extent: float, options: Options
) -> GaussianProcess | BasisProcess:
    """Exact, by the coefficients of its basis, or, where those are many, by the basis's covariance."""
    if options.each is None:
        if len(places) > MOST_SITES:
            raise InputError(
                f"{label} has {len(places)} different places, and an exact Gaussian process is slow beyond "
                f"{MOST_SITES}: give gp the option k, a number of basis functions, or take spde(mesh) for a map"
            )
        return GaussianProcess(KernelCovariance(places, options.kernel, options.iso), prior, label)
    centre = places.mean(axis=0)
    reach = float(np.max(places - centre) - np.min(places - centre))
    basis = Basis(centre, options.boundary * max(extent, reach), options.each)
    spectrum = Spectrum(basis, options.kernel, options.iso)
    n, pairs = len(places), rows * basis.size**2
    if basis.size < n and pairs <= min(MOST_PAIRS, max(FEW_PAIRS, n**3 // DENSE)):
        return BasisProcess(spectrum, prior, label)
    if n <= MOST_SITES and basis.size <= MOST_FUNCTIONS:
        return GaussianProcess(BasisCovariance(basis.functions(places), spectrum), prior, label)
    raise InputError(
        f"k={options.each} makes {basis.size} basis functions of {label}, too many for its {rows} rows: "
        "give a smaller k, or take spde(mesh) for a map"
    )
