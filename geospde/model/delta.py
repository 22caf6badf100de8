"""A delta model: presence, and the values where there are some, as two likelihoods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.families.delta import PARTS, Delta
from geospde.formula.parser import parse_sides
from geospde.formula.syntax import Symbol
from geospde.formula.table import numeric
from geospde.model.joint import JointModel, Observations, build_joint


def build_delta(
    delta: Delta,
    formula: str,
    formula2: str | None,
    data: Any,
    *,
    mesh: Any = None,
    coords: tuple[str, str] | None = None,
    offset: str | None = None,
    priors: Any = "default",
    graphs: Any = None,
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
    mesh, coords, offset, priors, graphs
        As of `geospde.fit`; an offset, a column's name, is of the values above 0. Names begin with ``presence:`` or
        ``positive:``.

    Raises
    ------
    InputError
        For a response that is negative, always 0 or never.
    """
    left = parse_sides(formula)[0]
    if not isinstance(left, Symbol):
        raise InputError(f"the response of family {delta.name!r} is a column, not {left}")
    if not isinstance(data, pd.DataFrame):
        raise InputError(f"data must be a DataFrame or GeoDataFrame, not a {type(data).__name__}")
    if offset is not None and not isinstance(offset, str):
        raise InputError(f"family {delta.name!r} takes offset= as a column's name")
    y = numeric(data, left.name, "response")
    bad = np.flatnonzero(y < 0)
    if bad.size:
        raise InputError(f"family {delta.name!r} needs numbers of 0 and above: row {bad[0]} holds {y[bad[0]]:g}")
    if not (y > 0).any() or (y > 0).all():
        which = "above 0" if (y > 0).all() else "0"
        raise InputError(f"family {delta.name!r} is for responses with zeros and others: all are {which}")
    second = formula if formula2 is None else formula2
    second = f"{left} {second}" if second.lstrip().startswith("~") else second
    if str(parse_sides(second)[0]) != str(left):
        raise InputError(f"formula2 is of the response of the first, {left}: {second!r}")
    common: dict[str, Any] = {"coords": coords}
    parts = [
        Observations(
            formula, data.assign(**{left.name: (y > 0).astype(float)}), family=delta.presence, link=delta.links[0],
            name=PARTS[0], **common,
        ),
        Observations(
            second, data.loc[y > 0], family=delta.positive, link=delta.links[1], offset=offset, name=PARTS[1], **common
        ),
    ]  # fmt: skip
    model = build_joint(parts, mesh=mesh, priors=priors, graphs=graphs)
    model.family.name = delta.name  # type: ignore[misc]
    return replace(model, is_product=True, response_label=left.name)
