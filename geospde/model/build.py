"""From a formula, a table and a mesh to a latent Gaussian model."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError, RowsCalled
from geospde.families.base import Family
from geospde.families.likelihood import Likelihood
from geospde.families.registry import DEFAULT, read_family
from geospde.formula.columns import FixedEffects
from geospde.formula.elsewhere import Elsewhere
from geospde.formula.formula import Formula, parse_formula
from geospde.formula.offsets import Offset
from geospde.mesh.trimesh import Meshes
from geospde.model.bounds import check_intercept
from geospde.model.covariates import beside_meshes, on_meshes
from geospde.model.dispersion import Dispersion, read_dispersion
from geospde.model.hyperparameters import hyperparameters_of, theta_slices
from geospde.model.identified import refuse_alike, warn_of_repeated, warn_of_residual
from geospde.model.nonlinear import Curved, Nonlinear
from geospde.model.observations import Recipe
from geospde.model.observed import Observed, bound, read_observed
from geospde.model.overlap import overlap
from geospde.model.priors import FixedPriors, GivenPriors, fixed_priors, given_priors
from geospde.model.support import Aggregate, Support
from geospde.model.window import Window
from geospde.survey.covariates.sites import SiteCovariates
from geospde.survey.graphs import Graph
from geospde.terms.base import Context, LatentTerm
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.registry import TERMS, special_names
from geospde.terms.rows import MovingRows

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """A latent Gaussian model: x = (terms in order, fixed effects), eta = design @ x + offset."""

    formula: Formula
    family: Family
    terms: tuple[LatentTerm, ...]
    effects: FixedEffects
    design: sp.csr_matrix
    offset: Vector
    exposure: Vector
    likelihood: Likelihood
    fixed_priors: FixedPriors
    hyperparameters: tuple[Hyperparameter, ...]
    start: Vector
    coords: tuple[str, str] | None
    crs: Any
    response_label: str
    table: pd.DataFrame
    points: Vector | None
    offsets: Offset
    weights: Vector
    priors_given: dict[str, Any]
    meshes: dict[str, Any]
    fixed_theta: Vector
    covariates: SiteCovariates | None = None
    support: Support | None = None
    nonlinear: Nonlinear | None = None
    dispersion: Dispersion | None = None
    window: Window | None = None
    labels: pd.Index | None = None

    @property
    def fixed_mean(self) -> Vector:
        """Prior means of the fixed effects, after `fixed_transform`."""
        return self.fixed_priors.mean

    @property
    def fixed_precision(self) -> Vector:
        """Their prior precisions, 0 for a flat prior."""
        return self.fixed_priors.precision

    @property
    def fixed_transform(self) -> Vector:
        """What the priors are of: this matrix times the fixed effects."""
        return self.fixed_priors.transform

    @property
    def fixed_log_shift(self) -> float:
        """Log of what the priors have over the Gaussians that stand for them."""
        return self.fixed_priors.log_shift

    def fixed_log_excess(self, coefficients: Vector) -> Vector:
        """Log of what they have over them at other coefficients, (..., k), than those where the two were matched."""
        return self.fixed_priors.log_excess(coefficients)

    @property
    def precisions(self) -> list[Any]:
        """Precisions of the random terms, as inference sees them."""
        return [term.precision for term in self.terms]

    @property
    def meeting(self) -> sp.csr_matrix | None:
        """Latent variables that predictions may have together, a row for each such lot, (k, n); see `overlap`."""
        return overlap(self.terms, self.design.shape[1] - sum(term.n for term in self.terms))

    @property
    def sites(self) -> tuple[pd.DataFrame, Vector | None]:
        """The table and coordinates that rows of terms are of: of areas the places within them."""
        return (self.table, self.points) if self.support is None else (self.support.table, self.support.points)

    @property
    def is_linearised(self) -> bool:
        """Whether the predictor is no linear function of x, and `design` the tangent of one; see `tangent`."""
        return self.nonlinear is not None

    def predictors(self, x: Vector) -> Vector:
        """The predictors of the rows at x, (m,), whether linear or not."""
        return self.design @ x + self.offset if self.nonlinear is None else self.nonlinear.value(x)

    def tangent(self, x: Vector) -> "Model":
        """The model whose predictor is linear, and equals this one to first order at x; itself where it is linear."""
        if self.nonlinear is None:
            return self
        design, offset = self.nonlinear.tangent(x)
        there = self.nonlinear.linearised(x)
        return replace(self, design=design, offset=offset, nonlinear=there, effects=there.effects(self.effects))

    @property
    def linearised_at(self) -> Vector | None:
        """Where the predictor was linearised, as `tangent` takes it; None where it is linear."""
        return None if self.nonlinear is None else self.nonlinear.at

    def rounded(self) -> "Model":
        """The model with corners of its predictor rounded; see `Nonlinear.rounded`."""
        if self.nonlinear is None or self.nonlinear.at is None:
            return self
        return replace(self, nonlinear=self.nonlinear.rounded()).tangent(self.nonlinear.at)

    def of_widths(self, widths: Vector) -> "Model":
        """The model with corners rounded over these widths."""
        return self if self.nonlinear is None else replace(self, nonlinear=self.nonlinear.of_widths(widths))

    @property
    def nonlinearities(self) -> list[Nonlinear]:
        """Of the predictor, one a likelihood that has one."""
        return [] if self.nonlinear is None else [self.nonlinear]

    @property
    def graphs(self) -> dict[str, Graph]:
        """Graphs of areas by the names that the formula calls them."""
        return {term.graph_name: term.graph for term in self.terms if term.graph is not None}

    @property
    def multiplies(self) -> bool:
        """Whether predictions are of the product of what two likelihoods have for means."""
        return False

    @property
    def whole(self) -> "Model | None":
        """Of several likelihoods of one response, the model of its mean where that has one predictor; else None."""
        return None

    @property
    def recipe(self) -> Recipe | None:
        """What a model of several likelihoods was made of; None of one."""
        return None

    @property
    def parts(self) -> "Mapping[str, Model]":
        """The models of several likelihoods, by name; empty where there is one."""
        return {}

    @property
    def used_columns(self) -> list[str]:
        """Columns of the table that the formula or an argument names."""
        of_dispersion = self.dispersion.columns if self.dispersion is not None else ()
        named = {*self.formula.columns, *self.offsets.columns, *of_dispersion, *(self.coords or ())}
        return [c for c in self.table.columns if c in named]

    @property
    def beside(self) -> dict[str, str]:
        """What was given beside the formula, for the record of a fit."""
        return {} if self.dispersion is None else {"dispformula": self.dispersion.text}

    def labelled(self, label: str) -> "Model":
        """The same model under another label of its response."""
        return replace(self, response_label=label)

    @property
    def jumps(self) -> NDArray[np.bool_]:
        """Which responses have a probability rather than a density, (m,)."""
        own = self.likelihood.jumps()
        return np.full(self.likelihood.n, self.family.is_discrete) if own is None else own

    @property
    def has_offset(self) -> bool:
        """Whether something adds to the predictor."""
        return bool(self.offsets)

    @property
    def groups(self) -> list[LatentTerm]:
        """Effects of groups, among the random terms."""
        return [term for term in self.terms if term.grouping is not None]

    @property
    def latent_names(self) -> list[str]:
        """Names of the random part of x."""
        return [name for term in self.terms for name in term.names()]

    def remainder(self, table: pd.DataFrame) -> Vector:
        """What predictors of a table have besides ``rows @ x`` and the offset, where they are tangents of curves."""
        return self.effects.remainder(table) if self.effects.has_curves else np.zeros(len(table))

    def rows(
        self,
        table: pd.DataFrame,
        points: Vector | None,
        leave_out: Collection[LatentTerm] = (),
        allow_new_levels: bool = False,
    ) -> sp.csr_matrix | MovingRows:
        """Rows of the design for new places or levels, without offset; zero for the terms to leave out."""
        blocks = []
        for term in self.terms:
            if term in leave_out:
                blocks.append(sp.csr_matrix((len(table), term.n)))
                continue
            if allow_new_levels:
                term = term.taking_new_levels()
            blocks.append(term.columns(table, points, True))
        blocks.append(self.effects.columns(table, True))
        if all(sp.issparse(block) for block in blocks):
            return sp.csr_matrix(sp.hstack(blocks, format="csr"))
        return MovingRows(blocks, theta_slices(self.terms), self.fixed_theta)


def build_model(
    formula: str,
    data: Any,
    *,
    family: str | Family | type[Family] = DEFAULT,
    link: str | None = None,
    mesh: Meshes | None = None,
    coords: tuple[str, str] | None = None,
    exposure: Any = None,
    offset: Any = None,
    weights: Any = None,
    priors: Any = "default",
    covariates: SiteCovariates | None = None,
    graphs: Any = None,
    shared: Sequence[LatentTerm] = (),
    support: Support | None = None,
    dispformula: str | None = None,
    window: Window | None = None,
    elsewhere: Elsewhere | None = None,
) -> Model:
    """Read a formula against a table; see `geospde.fit` for the arguments.

    `shared` are terms that were read already, which come after those of the formula. `covariates` are those that the
    table was given columns of, by `geospde.survey.covariates.sites.sample_sites`. `support` is what the rows are means
    or totals of; then terms and fixed effects are of its places. `window` is where a point pattern lies.
    `elsewhere` is what the fixed effects have from rows of other likelihoods.

    Raises
    ------
    InputError
        For a formula, column, value or prior that does not fit.
    """
    parsed = parse_formula(formula, special_names())
    kind = read_family(family, link)
    observed = read_observed(
        parsed, data, kind, coords=coords, exposure=exposure, offset=offset, weights=weights, support=support
    )
    with RowsCalled(observed.labels):
        given = given_priors(priors, kind, observed.response.values)
        calls = [call for call in parsed.terms if call.name != "offset"]
        any_follow = any(TERMS[call.name].follows_all for call in calls) or any(term.follows_all for term in shared)
        likelihood, explained = bound(observed, kind, given, any_follow)
        dispersion = read_dispersion(dispformula, observed.table)
        if dispersion is not None:
            likelihood = dispersion.of(likelihood, kind.name, given.overrides)
        places, at = observed.sites
        covariates = covariates if support is None else support.covariates
        mesh = on_meshes(mesh, calls, covariates, observed.crs)
        context = Context(places, at, mesh, observed.crs, explained, given.overrides, given.defaults, graphs=graphs)
        for call in calls:
            context.terms.extend(TERMS[call.name].read_all(call, context))
        terms = [*context.terms, *shared]
        effects, priors_of_fixed = _fixed_effects(parsed, observed, given, likelihood, explained, elsewhere)
        if not terms and not effects.names:
            raise InputError(f"the formula {formula!r} has nothing to estimate")
        predictor = _predictor(observed, terms, effects, kind)
        _check_identified(terms, effects, priors_of_fixed, predictor.blocks, likelihood, kind)
        hyper, start, fixed_theta = hyperparameters_of(terms, likelihood, likelihood.unit)
        warn_of_residual(
            terms, likelihood, is_free=bool(np.isnan(fixed_theta[len(fixed_theta) - len(likelihood.hyper) :]).any())
        )
        overrides = given.overrides
        _refuse_unused(overrides, [*(h.name for h in hyper if h.name not in overrides), *effects.names])
        of_dispersion = () if dispersion is None else dispersion.columns
        label = observed.response.label + (f" / {exposure}" if isinstance(exposure, str) else "")
        ones = np.ones(len(observed.table))
        return Model(
            formula=parsed, family=kind, terms=tuple(terms), effects=effects, design=predictor.design,
            offset=predictor.offset, exposure=ones if observed.exposures is None else observed.exposures,
            likelihood=likelihood, fixed_priors=priors_of_fixed, hyperparameters=hyper, start=start, coords=coords,
            crs=observed.crs if observed.crs is not None else _mesh_crs(terms), response_label=label,
            table=observed.described, points=observed.points,
            offsets=observed.offsets, weights=ones if observed.weights is None else observed.weights,
            priors_given=given.written, meshes=_meshes(terms, window), fixed_theta=fixed_theta,
            covariates=beside_meshes(parsed, of_dispersion, covariates, places), support=observed.support,
            nonlinear=predictor.nonlinear, dispersion=dispersion, window=window, labels=observed.labels,
        )  # fmt: skip


def _fixed_effects(
    parsed: Formula,
    observed: Observed,
    given: GivenPriors,
    likelihood: Likelihood,
    explained: Likelihood,
    elsewhere: Elsewhere | None,
) -> tuple[FixedEffects, FixedPriors]:
    """Columns of the fixed effects that can be estimated, and their priors, which are taken out of those given."""
    effects = FixedEffects(parsed, observed.sites[0], elsewhere)
    if effects.has_curves:
        if observed.support is not None:
            raise InputError("curves with a threshold are of places, not of areas: take s(x)")
        effects = effects.begun(explained.start() - observed.away, explained.says)
    priors = fixed_priors(effects.names, given.overrides, effects.means, given.defaults)
    if "Intercept" in given.written and "Intercept" in effects.names:
        own = effects.names.index("Intercept")
        away = observed.away if observed.support is None else 0.0
        check_intercept(priors.mean[own], priors.sd[own], likelihood.start() - away, explained.largest_sd)
    told = [] if elsewhere is None else [elsewhere.told(effects.names)]
    effects = effects.estimable(np.vstack([priors.proper, *told]))
    effects.refuse_indistinct()
    return effects, priors.of(effects.kept)


@dataclass(frozen=True)
class _Predictor:
    """The predictor of the rows.

    Attributes
    ----------
    blocks : list of csr_matrix
        Columns of each term, then those of the fixed effects, (m, n) each.
    design : (m, n) csr_matrix
        All of them, or the tangent of what is not linear.
    offset : (m,) array
    nonlinear : Nonlinear or None
    """

    blocks: list[sp.csr_matrix]
    design: sp.csr_matrix
    offset: Vector
    nonlinear: Nonlinear | None


def _predictor(observed: Observed, terms: list[LatentTerm], effects: FixedEffects, family: Family) -> _Predictor:
    """Put the columns of terms and fixed effects together: of curves their tangent, of areas their means or totals."""
    places, at = observed.sites
    blocks = [*(term.columns(places, at, False) for term in terms), effects.columns(places, False)]
    design, offset = sp.csr_matrix(sp.hstack(blocks, format="csr")), observed.offsets.values
    if effects.has_curves:
        random = sp.csr_matrix(design[:, : design.shape[1] - len(effects.names)])
        curved = Curved.of(random, effects, observed.away)
        return _Predictor(blocks, design, observed.away + effects.remainder(), curved)
    support = observed.support
    if support is None:
        return _Predictor(blocks, design, offset, None)
    aggregate = Aggregate(support.weights, design, offset, family.link)
    tangent, offset = aggregate.tangent(np.zeros(design.shape[1]))
    nonlinear = None if family.link.is_linear else aggregate
    return _Predictor([support.weights @ block for block in blocks], sp.csr_matrix(tangent), offset, nonlinear)


def _check_identified(
    terms: list[LatentTerm],
    effects: FixedEffects,
    priors: FixedPriors,
    blocks: list[sp.csr_matrix],
    likelihood: Likelihood,
    family: Family,
) -> None:
    """Refuse, or warn of, parts of the predictor that the data cannot tell apart or do not bound."""
    refuse_alike(terms)
    _refuse_shared_trends(terms, blocks, effects.names)
    *of_terms, of_fixed = blocks
    warn_of_repeated(terms, of_terms, of_fixed, effects.names, np.asarray(priors.precision) == 0)
    if "Intercept" in effects.names and priors.precision[effects.names.index("Intercept")] == 0:
        _refuse_one_sided(likelihood, family.name)


def _refuse_unused(overrides: Mapping[str, Any], known: list[str]) -> None:
    """Raise InputError for a prior of what the model does not have."""
    for name in overrides:
        near = get_close_matches(name, known, 1)
        raise InputError(
            f"a prior is given for {name!r}, which the model does not have; it has {', '.join(known)}"
            + (f" (did you mean {near[0]!r}?)" if near else "")
        )


def _refuse_one_sided(likelihood: Likelihood, family: str) -> None:
    """Refuse responses that draw the intercept away without end: all zero, or all trials successes."""
    end = likelihood.end()
    if end is not None:
        raise InputError(
            f"every response is at the {end} end of what family {family!r} allows, so that the intercept has no "
            "finite estimate; give it a prior, as in priors={'Intercept': {'gaussian': [0, 5]}}"
        )


def _refuse_shared_trends(terms: Sequence[LatentTerm], blocks: Sequence[Any], fixed: Sequence[str]) -> None:
    """Refuse what nothing penalises, such as the linear trend of a smooth, where other terms have it, too.

    Parameters
    ----------
    terms : sequence of LatentTerm
    blocks : sequence of csr_matrix
        Columns of each term, then of the fixed effects.
    fixed : sequence of str
        Names of the fixed effects.
    """
    matrix, others = blocks[-1].toarray(), list(fixed)
    for term, block in zip(terms, blocks):
        free = term.precision.unpenalised
        if free is None:
            continue
        own = np.asarray(block @ free)
        if _rank(own) < own.shape[1]:
            raise InputError(
                f"the data do not tell {term.free_part} of {term.label}: nothing penalises it, and in their rows it is "
                "zero or in another's place",
                remedy=term.without_free_part,
            )
        matrix = np.hstack([matrix, own])
        if _rank(matrix) < matrix.shape[1]:
            named = [name for name in others if name != "Intercept"] if term.trend else others
            place = f"{term.free_part} of {term.label} is already in {', '.join(named)}"
            raise InputError(f"{place}: drop that, or {term.without_free_part}")
        others.append(term.label)


def _rank(matrix: Vector) -> int:
    return int(np.linalg.matrix_rank(matrix / np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)))


def _meshes(terms: list[LatentTerm], window: Window | None) -> dict[str, Any]:
    """Meshes by the names that the formula calls them, and that by which a point pattern is integrated."""
    found = {term.mesh_name: term.mesh for term in terms if term.mesh is not None}
    if window is not None and not any(mesh is window.mesh for mesh in found.values()):
        found[next(name for name in ("mesh", "pattern") if name not in found)] = window.mesh
    return found


def _mesh_crs(terms: list[LatentTerm]) -> Any:
    return next((term.mesh.crs for term in terms if term.mesh is not None), None)
