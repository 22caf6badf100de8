"""Several likelihoods over one latent vector: shared terms, copies of them, and terms of each likelihood's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import as_written, read_prior
from geospde.families.registry import read_family
from geospde.families.stacked import Several, Stacked
from geospde.formula.algebra import Sum
from geospde.formula.columns import left_out_words
from geospde.formula.elsewhere import Elsewhere, SharedEffects, shared_effects
from geospde.formula.formula import Formula, parse_formula
from geospde.formula.offsets import read_offset
from geospde.formula.parser import parse_sides
from geospde.mesh.trimesh import Meshes
from geospde.model.build import Model, build_model
from geospde.model.covariates import on_meshes, with_covariates
from geospde.model.dispersion import with_dispersion
from geospde.model.hyperparameters import hyperparameters_of
from geospde.model.nonlinear import Nonlinear
from geospde.model.observations import Observations, Recipe
from geospde.model.pattern import pattern, refuse_marks, refuse_rows
from geospde.model.priors import FixedPriors, prior_table
from geospde.model.shared import Written, written_out
from geospde.model.support import Support, read_support
from geospde.model.window import Window
from geospde.terms.base import Context, LatentTerm
from geospde.terms.copies import SCALE, Shared, copied, warn_of_units
from geospde.terms.registry import TERMS, special_names

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class JointEffects:
    """The fixed effects of several likelihoods, as one names them."""

    names: list[str]
    dropped: tuple[str, ...] = ()

    @property
    def left_out(self) -> str:
        """What a summary says of the columns left out; empty where there are none."""
        return left_out_words(self.dropped)

    @property
    def needs(self) -> list[str]:
        """No columns of one table."""
        return []


@dataclass(frozen=True)
class PartModel(Model):
    """One likelihood of several, whose rows are of the whole latent vector.

    Attributes
    ----------
    selection : (k, n) csr_matrix
        Which of the whole latent vector the part's own is.
    """

    selection: sp.csr_matrix = field(default_factory=lambda: sp.csr_matrix((0, 0)))

    def rows(
        self,
        table: pd.DataFrame,
        points: Vector | None,
        leave_out: Collection[LatentTerm] = (),
        allow_new_levels: bool = False,
    ) -> sp.csr_matrix:
        """Rows of the design for new places or levels."""
        rows = super().rows(table, points, leave_out, allow_new_levels)
        if not sp.issparse(rows):
            raise InputError("a term whose rows depend on hyperparameters cannot be predicted with several likelihoods")
        return sp.csr_matrix(rows @ self.selection)


@dataclass(frozen=True)
class JointModel(Model):
    """A latent Gaussian model of several likelihoods.

    Attributes
    ----------
    members : dict of str to PartModel
    is_product : bool
        Whether the mean of the response is the product of theirs: of a delta family.
    made_of : Recipe or None
    """

    members: dict[str, Model] = field(default_factory=dict)
    is_product: bool = False
    made_of: Recipe | None = None

    @property
    def recipe(self) -> Recipe | None:
        """What it was made of, for a saved fit to make it again."""
        return self.made_of

    @property
    def multiplies(self) -> bool:
        """Whether predictions are of a product."""
        return self.is_product

    @property
    def meeting(self) -> None:
        """None: a field of each likelihood is in no prediction with another's, and tied to it would fill the factor."""
        return

    @property
    def parts(self) -> Mapping[str, Model]:
        """The models of the likelihoods, by name."""
        return self.members

    @property
    def is_linearised(self) -> bool:
        """Whether the predictor of one of them is no linear function."""
        return any(member.is_linearised for member in self.members.values())

    @property
    def linearised_at(self) -> Vector | None:
        """Where those were linearised, all at one latent vector; before that each where its own curves begin."""
        places = [m.linearised_at for m in self.members.values() if m.linearised_at is not None]
        return reduce(lambda one, other: np.where(one == 0, other, one), places) if places else None

    @property
    def nonlinearities(self) -> list[Nonlinear]:
        """Of all."""
        return [each for member in self.members.values() for each in member.nonlinearities]

    def rounded(self) -> Model:
        """The model with corners of all predictors rounded."""
        return replace(self, members={name: member.rounded() for name, member in self.members.items()})

    def of_widths(self, widths: Vector) -> Model:
        """The model with corners rounded over these widths, in the order of `nonlinearities`."""
        members, first = dict(self.members), 0
        for name, member in members.items():
            last = first + sum(each.widths.size for each in member.nonlinearities)
            members[name], first = member.of_widths(widths[first:last]), last
        return replace(self, members=members)

    def predictors(self, x: Vector) -> Vector:
        """The predictors of all rows."""
        return np.concatenate([member.predictors(x) for member in self.members.values()])

    def tangent(self, x: Vector) -> Model:
        """The model with the tangents of its members."""
        members = {name: member.tangent(x) for name, member in self.members.items()}
        design = sp.csr_matrix(sp.vstack([member.design for member in members.values()], format="csr"))
        offset = np.concatenate([member.offset for member in members.values()])
        return replace(self, members=members, design=design, offset=offset)


def build_joint(
    observations: Sequence[Observations],
    *,
    terms: Mapping[str, str] | None = None,
    mesh: Meshes | None = None,
    priors: Any = "default",
    graphs: Any = None,
    covariates: Any = None,
    one_survey: bool = False,
) -> JointModel:
    """Build the model of several likelihoods.

    Parameters
    ----------
    observations : sequence of Observations
    terms : dict from str to str
        Shared terms by the name that formulas have: ``{"field": "spde(mesh)"}``; or fixed effects, ``"1 + x"``.
    mesh : Mesh or dict of str to Mesh
    graphs, covariates : dict, optional
        As of `geospde.fit`; covariates are taken at the sites of each likelihood.
    priors : dict
        By the names that the fit's tables have.
    one_survey : bool
        Whether the first has all rows, of which the others have some: means, knots and levels are then learnt from it.

    Raises
    ------
    InputError
        For two likelihoods of one name, a shared term that no formula has, and whatever one likelihood's model refuses.
    """
    shared = dict(terms or {})
    names = likelihood_names(observations)
    observations = [replace(o, formula=o.full_formula) for o in observations]
    chosen, given = prior_table(priors)
    if chosen != "default":
        raise InputError("several likelihoods take priors by name, not a set of defaults")
    calls = {name: _call(name, text) for name, text in shared.items()}
    copies: Counter[str] = Counter()
    written = [written_out(o, shared, calls, copies) for o in observations]
    observations, sampled = _with_columns(observations, written, shared, covariates, mesh)
    for of_sites in sampled:
        mesh = on_meshes(mesh, [call for call in calls.values() if call is not None], of_sites, None)
    for name in calls:
        if calls[name] is not None and not any(name in w.places for w in written):
            raise InputError(f"terms has {name!r}, which no formula names")
    bare = [_plain(o, name) for o, name in zip(observations, names)]
    own = {n: {k[len(n) + 2 :]: given.pop(k) for k in list(given) if k.startswith(f"{n}: ")} for n in names}
    read = _shared_terms(calls, written, names, bare, (mesh, graphs), given, copies)
    common = _shared_effects(written, bare, names, one_survey)
    fixed_given = {k: given.pop(k) for k in list(given) if k in common.names}
    models = []
    for o, w, name, of_sites, elsewhere in zip(observations, written, names, sampled, common.elsewhere):
        mine = [_in_part(read[term], places) for term, places in w.places.items()]
        extra = {} if elsewhere is None else {k: v for k, v in fixed_given.items() if k in elsewhere.names}
        try:
            one = build_model(
                w.formula, o.data, family=o.family, link=o.link, mesh=mesh, coords=o.coords, exposure=o.exposure,
                offset=o.offset, weights=o.weights, priors={**own[name], **extra}, shared=mine, graphs=graphs,
                covariates=of_sites, support=o.areas, dispformula=o.dispformula, window=o.domain,
                elsewhere=elsewhere,
            )  # fmt: skip
        except InputError as error:
            raise error.within(name) from None
        models.append(one)
    if given:
        near = f"begin it with the likelihood that it is of, as in {f'{names[0]}: {next(iter(given))}'!r}"
        raise InputError(f"a prior is given for {next(iter(given))!r}, which the model does not have", remedy=near)
    kept = {name: as_written(prior) for name, prior in prior_table(priors)[1].items()}
    for name, model in zip(names, models):
        kept |= {f"{name}: {k}": as_written(v) for k, v in model.family.priors.items() if f"{name}: {k}" not in kept}
    return _joined(models, names, common, read, kept, observations, (calls, shared))


def _with_columns(
    observations: Sequence[Observations],
    written: Sequence[Written],
    shared: Mapping[str, str],
    covariates: Any,
    mesh: Meshes | None,
) -> tuple[list[Observations], list[Any]]:
    """The observations with columns of the covariates that formulas and shared terms name, and patterns as rows."""
    out, sites = [], []
    for o, w in zip(observations, written):
        mine, places = [shared[name] for name in w.places], None
        if o.domain is not None and not isinstance(o.domain, Window):
            o, places = _as_rows(o, w.formula, mesh, covariates)
        if o.areas is not None:
            o = _as_support(o, " + ".join([w.formula, *mine]), mesh, covariates)
            out.append(o)
            sites.append(o.areas.covariates)
            continue
        wanted = with_dispersion(" + ".join([w.formula, *mine]), o.dispformula)
        found = with_covariates(wanted, o.data, covariates, o.coords, places)
        given = {name: found.rows_of(getattr(o, name)) for name in ("exposure", "offset", "weights")}
        out.append(replace(o, data=found.table, **given))
        sites.append(found.covariates)
    return out, sites


def _as_rows(o: Observations, formula: str, mesh: Meshes | None, covariates: Any) -> tuple[Observations, Vector]:
    """A point pattern as the rows that it is fitted by, and where those take covariates."""
    family = read_family(o.family, o.link)
    if not family.is_pattern:
        raise InputError(f"{o.called}: domain= is only for point patterns, not for family {family.name!r}")
    refuse_rows(family.name, exposure=o.exposure, offset=o.offset, weights=o.weights)
    found = pattern(formula, o.data, o.domain, mesh, o.coords, covariates)
    refuse_marks(found.window)
    return replace(o, data=found.table, exposure=found.exposure, domain=found.window), found.places


def _as_support(o: Observations, formula: str, mesh: Meshes | None, covariates: Any) -> Observations:
    """Areas with the places within them; what is laid out already stays."""
    if isinstance(o.areas, Support):
        return o
    family = read_family(o.family, o.link)
    return replace(
        o, areas=read_support(o.areas, formula, o.data, family, mesh=mesh, coords=o.coords, covariates=covariates)
    )


def likelihood_names(observations: Sequence[Observations]) -> list[str]:
    """What each is called; two of one response are told apart by their families."""
    if len(observations) < 2 or not all(isinstance(o, Observations) for o in observations):
        raise InputError("several likelihoods are a list of two or more gs.Observations(formula, data, family=...)")
    names = [o.called for o in observations]
    twice = {name for name, count in Counter(names).items() if count > 1}
    names = [
        f"{name} ({getattr(o.family, 'name', o.family)})" if name in twice and o.name is None else name
        for name, o in zip(names, observations)
    ]
    again = [name for name, count in Counter(names).items() if count > 1]
    if again:
        raise InputError(f"two likelihoods are called {again[0]!r}: give Observations(..., name=)")
    return names


def _call(name: str, text: Any) -> Any:
    """The call of a shared term, None for fixed effects."""
    if not name.isidentifier() or not isinstance(text, str):
        raise InputError(f"terms hold texts by name, as in {{'field': 'spde(mesh)'}}, not {name!r}: {text!r}")
    parsed = parse_formula(f"y ~ 0 + {text}", special_names())
    if not parsed.terms:
        return None
    if len(parsed.terms) != 1 or parsed.effects.terms or parsed.terms[0].name == "offset":
        raise InputError(f"the shared term {name!r} is one term, such as 'spde(mesh)', or fixed effects: {text!r}")
    return parsed.terms[0]


def _plain(o: Observations, name: str) -> Model:
    """A likelihood without terms, for what shared terms ask of data."""
    left = parse_sides(o.formula)[0]
    try:
        return build_model(
            f"{left} ~ 1", o.data, family=o.family, link=o.link, coords=o.coords, exposure=o.exposure,
            priors={"Intercept": {"gaussian": [0.0, 1.0]}}, support=o.areas,
        )  # fmt: skip
    except InputError as error:
        raise error.within(name) from None


def _shared_terms(
    calls: dict[str, Any],
    written: Sequence[Written],
    names: Sequence[str],
    bare: Sequence[Model],
    given_places: tuple[Any, Any],
    given: dict[str, Any],
    copies: Counter[str],
) -> dict[str, LatentTerm]:
    """Read each shared term against the rows of the likelihoods that have it."""
    found: dict[str, LatentTerm] = {}
    mesh, graphs = given_places
    for name, call in calls.items():
        if call is None:
            continue
        users = [k for k, w in enumerate(written) if name in w.places]
        sites = [bare[k].sites for k in users]
        table = pd.concat([table for table, _ in sites], ignore_index=True)
        places = [points for _, points in sites if points is not None]
        points = np.vstack(places) if len(places) == len(users) else None
        first = bare[users[0]]
        context = Context(table, points, mesh, first.crs, first.likelihood, given, None, list(found.values()), graphs)
        labelled = replace(call, options={**call.options, "label": name}) if call.name == "spde" else call
        term = TERMS[call.name].read(labelled, context)
        if len(users) > 1 and not term.can_be_shared:
            raise InputError(f"several likelihoods cannot share {call.text}: write each of them one of its own")
        if copies[name]:
            having = [k for k in users for place in written[k].places[name] if place > 0]
            owners = [names[k] for k in having]
            words = [f"scale(copy({name}))" if len(owners) == 1 else f"{o}: scale(copy({name}))" for o in owners]
            priors = [read_prior(given.pop(w), w, "real") if w in given else SCALE for w in words]
            term = copied(term, words, priors, first.likelihood.unit or 1.0)
            own = next((k for k in users if 0 in written[k].places[name]), users[0])
            for word, k in zip(words, having):
                warn_of_units(word, (names[own], bare[own].likelihood.unit), (names[k], bare[k].likelihood.unit))
        found[name] = term
    return found


def _in_part(term: LatentTerm, places: tuple[int, ...]) -> LatentTerm:
    """The term as one likelihood has it."""
    return Shared(term.term, term.precision, term.scales, places) if isinstance(term, Shared) else term


def _shared_effects(
    written: Sequence[Written], bare: Sequence[Model], names: Sequence[str], one_survey: bool
) -> SharedEffects:
    """The fixed effects that likelihoods share, and what each has from the rows of others."""
    if any(w.shared_fixed for w in written):
        tables = [(model.sites[0], model.labels) for model in bare]
        return shared_effects(
            [parse_formula(w.formula, special_names()) for w in written],
            [w.shared_fixed for w in written],
            tables,
            names,
        )
    whole = Elsewhere(bare[0].sites[0]) if one_survey else None
    return SharedEffects(frozenset(), (None, *(whole for _ in written[1:])))


def _joined(
    models: list[Model],
    names: list[str],
    common: SharedEffects,
    read: dict[str, LatentTerm],
    given: dict[str, Any],
    observations: Sequence[Observations],
    shared: tuple[Mapping[str, Any], Mapping[str, str]],
) -> JointModel:
    """One model of several: shared terms first, then each likelihood's own, then fixed effects."""
    terms: list[LatentTerm] = list(read.values())
    blocks: dict[int, int] = {}
    at = 0
    for term in terms:
        blocks[id(term.precision)] = at
        at += term.n
    owners = ["" for _ in terms]
    for model, name in zip(models, names):
        for term in model.terms:
            if id(term.precision) not in blocks:
                blocks[id(term.precision)] = at
                terms.append(term)
                owners.append(name)
                at += term.n
    fixed: dict[str, int] = {}
    columns = []
    for model, name, elsewhere in zip(models, names, common.elsewhere):
        of_all = () if elsewhere is None else elsewhere.names
        called = [e if e in of_all else f"{name}: {e}" for e in model.effects.names]
        places = [blocks[id(term.precision)] + np.arange(term.n) for term in model.terms]
        columns.append(np.concatenate([*places, [at + fixed.setdefault(e, len(fixed)) for e in called]]).astype(int))
    dropped = [f"{name}: {e}" for model, name in zip(models, names) for e in model.effects.dropped]
    total = at + len(fixed)
    likelihood = Stacked.of([m.likelihood for m in models], names, [m.family.is_discrete for m in models])
    hyper, start, fixed_theta = hyperparameters_of(terms, likelihood, models[0].likelihood.unit, owners)
    selections = [_selection(c, total) for c in columns]
    designs = [sp.csr_matrix(m.design @ s) for m, s in zip(models, selections)]
    members: dict[str, Model] = {n: _part(m, s, d, hyper) for n, m, s, d in zip(names, models, selections, designs)}
    table = pd.concat([m.table for m in models], ignore_index=True)
    everywhere = all(m.points is not None for m in models)
    text = "; ".join(o.formula for o in observations)
    calls = (
        *(call for call in shared[0].values() if call is not None),
        *(call for m in models for call in m.formula.terms),
    )
    used = tuple(dict.fromkeys(c for m in models for c in m.formula.columns))
    return JointModel(
        Formula(text, models[0].formula.left, Sum(False, ()), calls, used),
        Several([m.family for m in models], likelihood), tuple(terms),
        JointEffects(list(fixed), tuple(dropped)),  # type: ignore[arg-type]
        sp.csr_matrix(sp.vstack(designs, format="csr")), np.concatenate([m.offset for m in models]),
        np.concatenate([m.exposure for m in models]), likelihood, _fixed_priors(models, columns, at, len(fixed)), hyper,
        start, None, models[0].crs, ", ".join(names), table,
        np.vstack([m.points for m in models]) if everywhere else None,  # type: ignore[misc]
        read_offset([], None, table), np.concatenate([m.weights for m in models]), given,
        {k: v for m in models for k, v in m.meshes.items()}, fixed_theta, members=members,
        made_of=Recipe(tuple(replace(o, name=n) for o, n in zip(observations, names)), dict(shared[1])),
    )  # fmt: skip


def _selection(columns: NDArray[np.intp], total: int) -> sp.csr_matrix:
    ones = np.ones(columns.size)
    return sp.csr_matrix((ones, (np.arange(columns.size), columns)), shape=(columns.size, total))


def _part(model: Model, selection: sp.csr_matrix, design: sp.csr_matrix, hyper: Any) -> PartModel:
    own = {each.name: getattr(model, each.name) for each in fields(Model)}
    nonlinear = None if model.nonlinear is None else model.nonlinear.of_columns(selection)
    own |= {"design": design, "hyperparameters": hyper, "nonlinear": nonlinear}
    return PartModel(**own, selection=selection)


def _fixed_priors(models: Sequence[Model], columns: Sequence[NDArray[np.intp]], first: int, size: int) -> FixedPriors:
    """The priors of all fixed effects; of a shared one that of the first likelihood that has it."""
    out = FixedPriors(np.zeros(size), np.zeros(size), np.eye(size), np.full(size, np.inf), np.ones(size))
    seen = np.zeros(size, dtype=bool)
    for model, places in zip(models, columns):
        mine = places[places >= first] - first
        for k, place in enumerate(mine):
            if not seen[place]:
                for name in ("mean", "precision", "df", "scale"):
                    getattr(out, name)[place] = getattr(model.fixed_priors, name)[k]
        seen[mine] = True
    return out
