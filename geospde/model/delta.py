"""A delta model: presence, and the values where there are some, as two likelihoods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from geospde.errors import InputError
from geospde.families.delta import DELTAS, PARTS, Delta
from geospde.formula.parser import parse_sides
from geospde.formula.syntax import Symbol
from geospde.formula.table import numeric, require_table
from geospde.mesh.trimesh import Meshes
from geospde.model.joint import JointModel, build_joint
from geospde.model.observations import Observations, Recipe
from geospde.model.poisson_link import coupled


def build_delta(
    delta: Delta,
    formula: str,
    formula2: str | None,
    data: Any,
    *,
    mesh: Meshes | None = None,
    coords: tuple[str, str] | None = None,
    offset: str | None = None,
    priors: Any = "default",
    graphs: Any = None,
    covariates: Any = None,
    dispformula: str | None = None,
) -> JointModel:
    """Build the model of a delta family.

    Parameters
    ----------
    delta : Delta
    formula : str
        Of the presence, and without `formula2` of the values above 0, too; each part has fields and coefficients of
        its own.
    formula2 : str, optional
        Of the values above 0: ``"~ depth"``, or with the response before it.
    data : DataFrame or GeoDataFrame
    mesh, coords, offset, priors, graphs, covariates, dispformula
        As of `geospde.fit`; an offset, a column's name, and `dispformula` are of the values above 0, but with a Poisson
        link an offset is of the numbers. Names begin with
        ``presence:`` or ``positive:``.

    Raises
    ------
    InputError
        For a response that is negative, always 0 or never.
    """
    left = parse_sides(formula)[0]
    if not isinstance(left, Symbol):
        raise InputError(f"the response of family {delta.name!r} is a column, not {left}")
    require_table(data)
    if offset is not None and not isinstance(offset, str):
        raise InputError(f"family {delta.name!r} takes offset= as a column's name")
    y = numeric(data, left.name, "response")
    bad = np.flatnonzero(y < 0)
    if bad.size:
        raise InputError(
            f"family {delta.name!r} needs numbers of 0 and above: {{row}} holds {y[bad[0]]:g}", row=data.index[bad[0]]
        )
    if not (y > 0).any() or (y > 0).all():
        which = "above 0" if (y > 0).all() else "0"
        raise InputError(f"family {delta.name!r} is for responses with zeros and others: all are {which}")
    second = formula if formula2 is None else formula2
    second = f"{left} {second}" if second.lstrip().startswith("~") else second
    if str(parse_sides(second)[0]) != str(left):
        raise InputError(f"formula2 is of the same response as the first, {left}: {second!r}")
    common: dict[str, Any] = {"coords": coords}
    offsets = (offset, None) if delta.is_coupled else (None, offset)
    parts = [
        Observations(
            formula, data.assign(**{left.name: (y > 0).astype(float)}), family=delta.presence, link=delta.links[0],
            name=PARTS[0], offset=offsets[0], **common,
        ),
        Observations(
            second, data.loc[y > 0], family=delta.positive, link=delta.links[1], offset=offsets[1], name=PARTS[1],
            dispformula=dispformula, **common,
        ),
    ]  # fmt: skip
    model = build_joint(parts, mesh=mesh, priors=priors, graphs=graphs, covariates=covariates, one_survey=True)
    return as_delta(model, delta.name, left.name)


def as_delta(model: JointModel, name: str, label: str) -> JointModel:
    """The model of two likelihoods as that of a delta family of this name, of a response of this label."""
    if DELTAS[name].is_coupled:
        model = coupled(model)
    model.family.name = name  # type: ignore[misc]
    assert model.made_of is not None
    made_of = Recipe(model.made_of.observations, model.made_of.terms, name)
    return replace(model, is_product=not DELTAS[name].is_coupled, response_label=label, made_of=made_of)


def made_again(recipe: Recipe, *, mesh: Meshes | None, priors: Any, graphs: Any, label: str) -> JointModel:
    """Build a model of several likelihoods from its recipe."""
    model = build_joint(
        recipe.observations, terms=recipe.terms, mesh=mesh, priors=priors, graphs=graphs, one_survey=bool(recipe.delta)
    )
    pairs = zip(model.members.items(), recipe.covariates)
    members = {name: replace(part, covariates=known) for (name, part), known in pairs}
    model = replace(model, members=members, response_label=label)
    return as_delta(model, recipe.delta, label) if recipe.delta else model


def refuse_of_delta(name: str, **given: Any) -> None:
    """Refuse the arguments of `geospde.fit` that mean nothing for a delta family."""
    reasons = {
        "exposure": "an amount per effort is offset= of the logarithm of effort, in the values above 0",
        "weights": "weights of two parts differ: give gs.Observations(..., weights=) for each",
        "domain": "domain= is of point patterns",
        "areas": "means of areas are of one family, a list of gs.Observations(..., areas=) of several",
        "terms": "terms that both parts share are of gs.fit([gs.Observations(...), ...], terms=...)",
    }
    for argument, value in given.items():
        if value is not None:
            raise InputError(f"family {name!r} takes no {argument}=: {reasons[argument]}")
