"""Smooth terms, ``s(x)``, ``s(x, y, bs="gp")``, ``s(g, bs="re")`` and ``te(x, y)``, as parts of a model."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import Independent, PCSd, Prior, read_prior
from geospde.formula.covariates import Covariates, checked_names
from geospde.formula.formula import TermCall
from geospde.terms.base import Context, LatentTerm
from geospde.terms.calls import own_prior, refuse_unknown, warn_of_degrees
from geospde.terms.groups import Group
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.multiplier import ALONE, Multiplier
from geospde.terms.precisions.eigenbasis import KINDS, Eigenbasis
from geospde.terms.precisions.iid import Iid
from geospde.terms.precisions.smooth import Smooth
from geospde.terms.precisions.splines import SPLINES, SplineBasis, TensorBasis

Vector = NDArray[np.float64]
OPTIONS = ("bs", "k", "m", "by")
FUNCTIONS = (10, 30, 100)  # in one, two and more dimensions, beside the trend, where k is not given
FURTHEST = 1e150  # whose square is still a number
LARGEST = 1_000  # k beyond which a dense basis is no longer the way


class KernelSmooth(LatentTerm):
    """A smooth function of covariates in a Gaussian process's or a spline's eigenbasis, as ``mgcv`` has them.

    Attributes
    ----------
    precision : Smooth
    basis : Eigenbasis
    covariates : Covariates
    by : Multiplier
        What it is multiplied with.
    """

    can_be_shared = False
    precision: Smooth
    options: ClassVar[tuple[str, ...]] = OPTIONS

    def __init__(self, precision: Smooth, basis: Eigenbasis, covariates: Covariates, by: Multiplier = ALONE):
        self.precision = precision
        self.basis = basis
        self.covariates = covariates
        self.by = by
        self.without_free_part = basis.without_trend
        self.function_of = (*covariates.names, *by.names)
        self.distances = () if isinstance(basis, TensorBasis) else covariates.names
        self.trend = tuple(by.times(name) for name in basis.trend_names(covariates.names))
        self.penalty_scales = tuple(basis.penalty_scales * basis.scale**2)
        if basis.constant:
            self.free_part = "the constant or the linear trend"

    @classmethod
    def read(cls, call: TermCall, context: Context) -> LatentTerm:
        """Read a call that stands for one smooth; see `read_all`."""
        terms = cls.read_all(call, context)
        if len(terms) > 1:
            raise InputError(f"{call.text} is a smooth for each level of a factor, where one is meant")
        return terms[0]

    @classmethod
    def read_all(cls, call: TermCall, context: Context) -> list[LatentTerm]:
        """Read an ``s(...)`` call; takes its priors out of the overrides.

        With a factor for ``by=`` there is a smooth for each level, of its own standard deviation.

        Raises
        ------
        InputError
            For a kind of smooth that there is not, covariates that are no numbers, constant, or on a
            line, and a k, kernel or range that the data do not bear.
        """
        refuse_unknown(call, cls.options)
        columns = checked_names(call.arguments, call.text, "s(x, y, bs='gp')")
        if call.options.get("bs", "tp") == "re":
            return [_group_smooth(call, columns, context.label(f"s({','.join(columns)})"), context)]
        covariates, places = _places(columns, call, context)
        return cls._each(call, covariates, places, context)

    @classmethod
    def _each(cls, call: TermCall, covariates: Covariates, places: Vector, context: Context) -> list[LatentTerm]:
        """A smooth for each thing that it is multiplied with, all in one basis."""
        multipliers = Multiplier.read(call.options.get("by"), context.table, call.text)
        basis = cls._basis(call, places, any(by.needs_constant for by in multipliers))
        name = f"{call.name}({','.join(covariates.names)})"
        terms = [_smooth(basis, covariates, by, context.label(name + by.suffix), context) for by in multipliers]
        warn_of_degrees(context.table, terms[0].distances, name)
        return list(terms)

    @classmethod
    def _basis(cls, call: TermCall, places: Vector, constant: bool) -> Eigenbasis:
        """The basis that the call names."""
        kind = call.options.get("bs", "tp")
        if kind == "gp":
            return _eigenbasis(call, places, constant)
        if isinstance(kind, str) and kind in SPLINES:
            return _spline_basis(call, places, constant)
        kinds = ", ".join(map(repr, (*SPLINES, "gp", "re")))
        raise InputError(f"there is no smooth bs={kind!r}; there are {kinds}: {call.text!r}")

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> sp.csr_matrix:
        """Rows of the design: the basis at the covariates."""
        values = self.basis.at(self.covariates.values(table, points)) if new else self.basis.columns
        return self.by.rows(sp.csr_matrix(values), table)

    def start(self, unit: float) -> Vector:
        """Where functions of all sizes have something to say: the predictor's scale, over the typical share."""
        return np.full(len(self.precision.parameters), np.log(unit / self.basis.typical))

    def hyperparameters(self) -> list[Hyperparameter]:
        """The standard deviation along each covariate, or of the whole."""
        names = [f"sd({self.label})"]
        if len(self.precision.parameters) > 1:
            names = [f"sd({self.label}: {name})" for name in self.covariates.names]
        unit, parts = np.eye(len(names)), self.precision.prior.parts  # type: ignore[attr-defined]
        return [Hyperparameter(name, unit[k], 0.0, parts[k].describe()) for k, name in enumerate(names)]


class TensorSmooth(KernelSmooth):
    """A smooth function of covariates in units of their own, ``te(x, y)``: products of splines of each."""

    options = ("bs", "k", "by")

    @classmethod
    def read_all(cls, call: TermCall, context: Context) -> list[LatentTerm]:
        """Read a ``te(...)`` call; takes its priors out of the overrides.

        Raises
        ------
        InputError
            For fewer than two covariates, and kinds and sizes that there are not.
        """
        refuse_unknown(call, cls.options)
        columns = checked_names(call.arguments, call.text, "te(x, y)")
        if len(columns) < 2:
            raise InputError(f"te takes two covariates or more: {call.text}", remedy=f"write s({columns[0]})")
        covariates, places = _places(columns, call, context)
        return cls._each(call, covariates, places, context)

    @classmethod
    def _basis(cls, call: TermCall, places: Vector, constant: bool) -> TensorBasis:
        count = places.shape[1]
        kinds, sizes = (_for_each(call, option, default, count) for option, default in (("bs", "cr"), ("k", 5)))
        margins = []
        for j, (kind, size) in enumerate(zip(kinds, sizes)):
            if not isinstance(kind, str) or kind not in SPLINES:
                listed_kinds = ", ".join(map(repr, SPLINES))
                raise InputError(f"te has no margin bs={kind!r}; there are {listed_kinds}: {call.text!r}")
            margins.append(SPLINES[kind](places[:, [j]], _size(size, SPLINES[kind].least, places[:, [j]], call.text)))
        if np.prod(sizes) > LARGEST:
            raise InputError(f"{call.text}: {np.prod(sizes):,} products are more than {LARGEST:,}: lower k")
        try:
            return TensorBasis(margins, places, constant)
        except InputError as error:
            raise InputError(f"{call.text}: {error}") from None


class GroupSmooth(Group):
    """Independent effects of a group's levels as a smooth: ``mgcv``'s ``bs="re"``, the same as ``(1 | g)``."""

    precision: Iid
    penalty_scales = (1.0,)

    def names(self) -> list[str]:
        """Names of the levels' effects."""
        return [f"{self.precision.label}[{level}]" for level in self.grouping.labels]

    def hyperparameters(self) -> list[Hyperparameter]:
        """The standard deviation of the effects."""
        return [_sd(self.precision)]


def _places(columns: tuple[str, ...], call: TermCall, context: Context) -> tuple[Covariates, Vector]:
    """The covariates and their values, (m, d)."""
    covariates = Covariates.of_table(columns, context.table, context.points)
    places = covariates.values(context.table, context.points)
    _refuse_degenerate(columns, places, call.text)
    return covariates, places


def _for_each(call: TermCall, option: str, default: Any, count: int) -> list[Any]:
    """An option for each covariate: one for all, or as many as there are."""
    value = call.options.get(option, default)
    if not isinstance(value, (tuple, list)):
        return [value] * count
    if len(value) != count:
        raise InputError(f"{option} is one for all covariates, or one for each of {count}: {call.text!r}")
    return list(value)


def _size(size: Any, least: int, places: Vector, text: str) -> int:
    """The number of functions, if the data bear it."""
    distinct = len(np.unique(places, axis=0))
    if not isinstance(size, int) or isinstance(size, bool) or not least <= size <= LARGEST:
        raise InputError(f"k is a whole number from {least} to {LARGEST}, not {size!r}: {text!r}")
    if size > distinct:
        raise InputError(f"{text}: k={size} is more than the {distinct} distinct places of the data: lower k")
    return size


def _spline_basis(call: TermCall, places: Vector, constant: bool) -> SplineBasis:
    """A spline's basis of k functions, the constant included."""
    spline, count = SPLINES[call.options.get("bs", "tp")], places.shape[1]
    if "m" in call.options:
        raise InputError(f"m is only for bs='gp': splines are penalised by their second derivative: {call.text!r}")
    if count not in spline.dimensions:
        most = "one covariate" if spline.dimensions == (1,) else "one or two covariates"
        raise InputError(f"this spline is of {most}: {call.text!r}; bs='gp' and te are of any number")
    default = min((10, 30)[count - 1], len(np.unique(places, axis=0)))
    size = _size(call.options.get("k", default), max(spline.least, count + 2), places, call.text)
    try:
        return SplineBasis(spline(places, size), places, constant)
    except InputError as error:
        raise InputError(f"{call.text}: {error}") from None


def _smooth(basis: Eigenbasis, covariates: Covariates, by: Multiplier, label: str, context: Context) -> KernelSmooth:
    """A smooth in a basis, with the priors that were given or the default, P(sd > s) = 0.05.

    As a kernel's range is by default as long as the data are wide, a surface that bends often needs an sd much larger
    than its own variation. s is therefore `Likelihood.largest_sd` over the share of it that a typical function
    of the basis has.
    """
    if context.defaults is not None:
        default = context.defaults.sd()
    else:
        largest = context.likelihood.largest_sd / (basis.typical * by.size(context.table))
        default = PCSd(largest, 0.05)
    names = [f"sd({label})"]
    if basis.shares is not None:
        names = [f"sd({label}: {name})" for name in covariates.names]
    priors = [own_prior(context, name, "sd", default) for name in names]
    prior = Independent(tuple(priors))
    precision = Smooth(basis.n, basis.n_trend, basis.trend_volume, prior, label, basis.shares, basis.slants)
    return KernelSmooth(precision, basis, covariates, by)


def _eigenbasis(call: TermCall, places: Vector, constant: bool) -> Eigenbasis:
    """A kernel's basis of the size asked for, or ``mgcv``'s default."""
    kind, reach, power, trend = _kernel(call.options.get("m"), call.text)
    free = 1 + (places.shape[1] if trend else 0)
    size = call.options.get("k", free + FUNCTIONS[min(places.shape[1], 3) - 1])
    if not isinstance(size, int) or isinstance(size, bool):
        raise InputError(f"k is a whole number, not {size!r}: {call.text!r}")
    if size <= free:
        raise InputError(f"k={size} leaves no function beside the {free} unpenalised ones; give k={free + 1} or more")
    if size > LARGEST:
        raise InputError(f"k={size} is more than a dense basis bears ({LARGEST}): {call.text!r}")
    try:
        return Eigenbasis(places, size, kind, reach, power, trend, constant)
    except InputError as error:
        raise InputError(f"{call.text}: {error}") from None


def _kernel(m: Any, text: str) -> tuple[int, float | None, float, bool]:
    """Kind, range (None for the default), power and whether there is a trend, of ``m = kind, range, power``."""
    given = list(m) if isinstance(m, (tuple, list)) else [] if m is None else [m]
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) and np.isfinite(v) for v in given)
    if not numbers or len(given) > 3:
        raise InputError(f"m is a kernel's number, or (kernel, range, power): {text!r}")
    kind = given[0] if given else 3
    if kind not in (*range(1, 6), *range(-5, 0)):
        kinds = ", ".join(f"{i + 1} {name}" for i, name in enumerate(KINDS))
        raise InputError(f"m begins with a kernel's number ({kinds}; negative for no linear trend): {text!r}")
    reach = given[1] if len(given) > 1 else None
    if reach is not None and not reach > 0:
        raise InputError(f"the range, second in m, is a positive distance: {text!r}")
    power = given[2] if len(given) > 2 else 1.0
    if not 0 < power <= 2:
        raise InputError(f"the power, third in m, lies between 0 and 2: {text!r}")
    if power != 1.0 and abs(kind) != 2:
        raise InputError(f"only kernel 2, the power exponential, has a power: {text!r}")
    return abs(int(kind)), reach, float(power), kind > 0


def _group_smooth(call: TermCall, columns: tuple[str, ...], label: str, context: Context) -> GroupSmooth:
    """The effects of a group, or of groups crossed, with a group's default prior."""
    if "by" in call.options:
        raise InputError(f"a smooth bs='re' has no by; effects of a number are (0 + {call.options['by']} | group)")
    for option in ("k", "m"):
        if option in call.options:
            raise InputError(f"a smooth bs='re' has no {option}: {call.text!r}")
    for column in columns:
        if column in context.table and pd.api.types.is_float_dtype(context.table[column]):
            raise InputError(
                f"a smooth bs='re' takes groups and {column!r} is a number; a random slope is (0 + {column} | group)"
            )
    group = Group.read(TermCall("group", ("1", columns), {}, call.text), context)
    prior: Prior = group.precision.prior
    name = f"sd({label})"
    if name in context.overrides:
        prior = Independent((read_prior(context.overrides.pop(name), name, "sd"),))
    return GroupSmooth(Iid(group.precision.n, prior, label), group.effects, group.grouping)


def _sd(term: Any) -> Hyperparameter:
    return Hyperparameter(f"sd({term.label})", np.ones(1), 0.0, term.prior.describe())


def _refuse_degenerate(columns: tuple[str, ...], places: Vector, text: str) -> None:
    centred = places - places.mean(axis=0)
    sizes = np.abs(centred).max(axis=0)
    if not sizes.max() < FURTHEST:
        raise InputError(f"the covariates of {text!r} are too far apart for distances: scale them")
    constant = np.flatnonzero(sizes <= 1e-12 * np.abs(places).max(axis=0))
    if constant.size:
        raise InputError(f"the covariate {columns[constant[0]]!r} of {text!r} is constant")
    if np.linalg.matrix_rank(centred / sizes) < len(columns):
        raise InputError(f"the covariates {', '.join(columns)} of {text!r} lie on a line: drop one of them")
