"""A table of areas without shapes, joined by a key to the layer that has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.survey.tables import Table
from geospde.text.words import counted, listed, nearest


def joined(rows: Table, layer: Table, key: str | Sequence[str]) -> Table:
    """The rows of a table with the shapes of a layer.

    Parameters
    ----------
    rows : Table
        A row a count or a measurement; an area may have several, as of several years.
    layer : Table
        One row per area, with its polygon.
    key : str or pair of str
        The column of the areas' labels, or that of the table and that of the layer.

    Returns
    -------
    Table
        In the order of the table's rows, and with its lines; the layer's other columns are there, too.

    Raises
    ------
    InputError
        For an area that the layer has twice or has not.
    """
    own, other = (key, key) if isinstance(key, str) else key
    rows.require(own)
    layer.require(other)
    wanted, known = _alike(rows.frame[own], layer.frame[other])
    if known.isna().any():
        raise InputError("is missing", of=layer.at(int(np.argmax(known.isna())), other))
    twice = known.duplicated()
    if twice.any():
        i = int(np.argmax(twice))
        raise InputError(
            f"the area {layer.frame[other].iloc[i]} is there twice", of=layer.at(i, other), remedy="join its parts"
        )
    place = pd.Index(known).get_indexer(pd.Index(wanted))
    lost = np.flatnonzero(place < 0)
    if lost.size:
        i, labels = int(lost[0]), [str(label) for label in layer.frame[other]]
        near = nearest(str(rows.frame[own].iloc[i]), labels)
        remedy = f"did you mean {near!r}?" if near else f"it has {listed(labels, most=5)}"
        what = f"{layer.source} has no area {str(rows.frame[own].iloc[i])!r}"
        raise InputError(what, of=rows.at(i, own), remedy=remedy)
    unused = np.setdiff1d(np.arange(len(known)), place)
    if unused.size:
        one, names = unused.size == 1, [str(layer.frame[other].iloc[i]) for i in unused]
        what = (
            f"{counted(int(unused.size), 'area')} of {layer.source} {'has' if one else 'have'} no row in "
            f"{rows.source}, and {'is' if one else 'are'} left out: {listed(names, most=5)}"
        )
        remedy = "where nothing was counted there, give it a row with 0"
        alert(GeospdeWarning(what, subject="areas", remedy=remedy))
    shapes = layer.frame.iloc[place].reset_index(drop=True)
    both = [c for c in shapes.columns if c in rows.frame.columns and c not in (own, other)]
    if both:
        what = f"{rows.source} and {layer.source} both have {listed(both)}: those of {rows.source} are taken"
        alert(GeospdeWarning(what, subject="areas"))
    shapes = shapes.drop(columns=[c for c in shapes.columns if c in rows.frame.columns])
    columns = {name: rows.frame[name].to_numpy() for name in rows.frame.columns}
    return replace(rows, frame=shapes.assign(**columns))


def _alike(one: pd.Series, other: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Labels of two files so that they compare: numbers where both can be read as such (``01`` and 1), else text."""
    numbers = [pd.to_numeric(each, errors="coerce") for each in (one, other)]
    if all(bool((n.notna() | each.isna()).all()) for n, each in zip(numbers, (one, other))):
        return numbers[0], numbers[1]
    return _as_text(one), _as_text(other)


def _as_text(labels: pd.Series) -> pd.Series:
    return labels.astype("string").str.strip().astype(object)
