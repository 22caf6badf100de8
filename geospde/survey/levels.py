"""Words of an ordered scale, such as none, few, many, as the numbers that families take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError, Place
from geospde.text.words import did_you_mean, listed

SCALES = (
    "absent no none never negative false",
    "trace rare very_low minimal mild slight",
    "few some low poor light small sometimes minor occasional",
    "moderate medium middle fair intermediate frequent",
    "common high good many strong large often severe major heavy",
    "abundant very_high excellent critical dominant extreme always present yes positive true",
)
"""Words by how much they say."""


def numbered(
    words: pd.Series, levels: Sequence[str], place: Callable[[int], Place], *, from_zero: bool
) -> NDArray[np.float64]:
    """Return the numbers of words: those levels that occur are counted from 1, or from 0.

    Raises
    ------
    InputError
        For a word that is no level.

    Examples
    --------
    >>> scores = pd.Series(["few", "none", "many"])
    >>> numbered(scores, ["none", "rare", "few", "many"], lambda i: Place("t.csv", i), from_zero=False)
    array([2., 1., 3.])
    """
    said = words.astype(str).str.strip()
    unknown = ~said.isin(levels).to_numpy()
    if unknown.any():
        i = int(np.argmax(unknown))
        near = did_you_mean(said.iloc[i], levels, "levels")
        raise InputError(f"{words.iloc[i]!r} is none of the levels {listed(levels)}", where=place(i), remedy=near)
    seen = [level for level in levels if (said == level).any()]
    return np.asarray(said.map({level: k for k, level in enumerate(seen, 0 if from_zero else 1)}), dtype=float)


def in_order(words: pd.Series) -> tuple[list[str], bool]:
    """Return the words of a column from the least to the most, and whether all of them are known to say how much.

    Examples
    --------
    >>> in_order(pd.Series(["many", "none", "few"]))
    (['none', 'few', 'many'], True)
    >>> in_order(pd.Series(["clay", "sand"]))
    (['clay', 'sand'], False)
    """
    rank: dict[Any, int] = {word: k for k, scale in enumerate(SCALES) for word in scale.split()}
    own = sorted(set(words.dropna().astype(str).str.strip()))
    ranks = [rank.get("_".join(word.casefold().split())) for word in own]
    known = [r for r in ranks if r is not None]
    if len(known) < len(own) or len(set(known)) < len(known):
        return own, False
    return [own[k] for k in np.argsort(known)], True
