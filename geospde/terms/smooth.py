"""Smooth terms, ``s(x)``, ``s(x, y, bs="gp")`` and ``s(g, bs="re")``, as parts of a model."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import Independent, PCSd, Prior, read_prior
from geospde.formula.covariates import Covariates, checked_names
from geospde.formula.formula import TermCall
from geospde.terms.base import Context, LatentTerm, round_to
from geospde.terms.groups import Group
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.eigenbasis import KINDS, Eigenbasis
from geospde.terms.precisions.iid import Iid
from geospde.terms.precisions.smooth import Smooth
from geospde.terms.precisions.splines import SPLINES, SplineBasis
from geospde.text.words import did_you_mean

Vector = NDArray[np.float64]
OPTIONS = ("bs", "k", "m")
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
    """

    precision: Smooth
    without_free_part = "give the smooth a negative m, such as m=-3, for no trend of its own"  # of bs="gp"

    def __init__(self, precision: Smooth, basis: Eigenbasis, covariates: Covariates):
        self.precision = precision
        self.basis = basis
        self.covariates = covariates
        self.function_of = covariates.names
        self.trend = covariates.names[: basis.n_trend]
        self.penalty_scale = basis.penalty_scale * basis.scale**2

    @classmethod
    def read(cls, call: TermCall, context: Context) -> LatentTerm:
        """Read an ``s(...)`` call; takes its prior out of the overrides.

        Raises
        ------
        InputError
            For a kind of smooth that there is not, covariates that are no numbers, constant, or on a
            line, and a k, kernel or range that the data do not bear.
        """
        unknown = [o for o in call.options if o not in OPTIONS]
        if unknown:
            hint = did_you_mean(unknown[0], OPTIONS, "options")
            raise InputError(f"s has no option {unknown[0]!r}; {hint}: {call.text!r}")
        columns = checked_names(call.arguments, call.text, "s(x, y, bs='gp')")
        label = context.label(f"s({','.join(columns)})")
        kind = call.options.get("bs", "tp")
        if kind == "gp":
            return _kernel_smooth(call, columns, label, context)
        if kind == "re":
            return _group_smooth(call, columns, label, context)
        if kind in SPLINES:
            return _spline_smooth(call, columns, label, context)
        kinds = ", ".join(map(repr, (*SPLINES, "gp", "re")))
        raise InputError(f"there is no smooth bs={kind!r}; there are {kinds}: {call.text!r}")

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> sp.csr_matrix:
        """Rows of the design: the basis at the covariates."""
        values = self.basis.at(self.covariates.values(table, points)) if new else self.basis.columns
        return sp.csr_matrix(values)

    def start(self, unit: float) -> Vector:
        """Where functions of all sizes have something to say: the predictor's scale, over the typical share."""
        return np.log([unit / self.basis.typical])


class GroupSmooth(Group):
    """Independent effects of a group's levels as a smooth: ``mgcv``'s ``bs="re"``, the same as ``(1 | g)``."""

    precision: Iid
    penalty_scale = 1.0

    def names(self) -> list[str]:
        """Names of the levels' effects."""
        return [f"{self.precision.label}[{level}]" for level in self.grouping.labels]

    def hyperparameters(self) -> list[Hyperparameter]:
        """The standard deviation of the effects."""
        return [_sd(self.precision)]


def _kernel_smooth(call: TermCall, columns: tuple[str, ...], label: str, context: Context) -> KernelSmooth:
    """A smooth with the prior P(sd > s) = 0.05 by default.

    As the kernel's range is by default as long as the data are wide, a surface that bends often needs an sd much larger
    than its own variation. s is therefore three standard deviations of the rough predictor over the share of it that a
    typical function of the basis has.
    """
    covariates = Covariates.of_table(columns, context.table, context.points)
    places = covariates.values(context.table, context.points)
    _refuse_degenerate(columns, places, call.text)
    kind, reach, power, trend = _kernel(call.options.get("m"), call.text)
    return _smooth(_basis(call, places, kind, reach, power, trend), covariates, label, context)


def _spline_smooth(call: TermCall, columns: tuple[str, ...], label: str, context: Context) -> KernelSmooth:
    """A smooth in a spline's basis, of k functions, the constant included."""
    spline = SPLINES[call.options.get("bs", "tp")]
    if "m" in call.options:
        raise InputError(f"m is of bs='gp': splines are penalised by their second derivative: {call.text!r}")
    if len(columns) not in spline.dimensions:
        most = "one covariate" if spline.dimensions == (1,) else "one or two covariates"
        raise InputError(f"this spline is of {most}: {call.text!r}; bs='gp' is of any number")
    covariates = Covariates.of_table(columns, context.table, context.points)
    places = covariates.values(context.table, context.points)
    _refuse_degenerate(columns, places, call.text)
    least, distinct = max(spline.least, len(columns) + 2), len(np.unique(places, axis=0))
    size = call.options.get("k", min((10, 30)[len(columns) - 1], distinct))
    if not isinstance(size, int) or isinstance(size, bool) or not least <= size <= LARGEST:
        raise InputError(f"k is a whole number from {least} to {LARGEST}, not {size!r}: {call.text!r}")
    if size > distinct:
        raise InputError(f"{call.text}: k={size} is more than the {distinct} distinct places of the data: lower k")
    try:
        basis = SplineBasis(spline(places, size), places)
    except InputError as error:
        raise InputError(f"{call.text}: {error}") from None
    return _smooth(basis, covariates, label, context)


def _smooth(basis: Eigenbasis, covariates: Covariates, label: str, context: Context) -> KernelSmooth:
    """A smooth in a basis, with the prior that was given or the default one."""
    name = f"sd({label})"
    if name in context.overrides:
        prior = read_prior(context.overrides.pop(name), name, "sd")
    elif context.defaults is not None:
        prior = context.defaults.sd()
    else:
        likelihood = context.likelihood
        spread = max(float(np.std(likelihood.start())), 0.03 * (likelihood.unit or 1.0))
        prior = PCSd(round_to(3 * spread / basis.typical, 2), 0.05)
    precision = Smooth(basis.n, basis.n_trend, basis.trend_volume, Independent((prior,)), label)
    return KernelSmooth(precision, basis, covariates)


def _basis(
    call: TermCall, places: Vector, kind: int, reach: float | None, power: float, trend: bool
) -> Eigenbasis:
    """The basis of the size asked for, or ``mgcv``'s default."""
    free = 1 + (places.shape[1] if trend else 0)
    size = call.options.get("k", free + FUNCTIONS[min(places.shape[1], 3) - 1])
    if not isinstance(size, int) or isinstance(size, bool):
        raise InputError(f"k is a whole number, not {size!r}: {call.text!r}")
    if size <= free:
        raise InputError(f"k={size} leaves no function beside the {free} unpenalised ones; give k={free + 1} or more")
    if size > LARGEST:
        raise InputError(f"k={size} is more than a dense basis bears ({LARGEST}): {call.text!r}")
    try:
        return Eigenbasis(places, size, kind, reach, power, trend)
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
