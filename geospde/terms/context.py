"""What the reader of a term sees besides its call: the data, the priors, and the terms read before it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.families.default_priors import BrmsDefaults
from geospde.families.likelihood import Likelihood
from geospde.terms.part import Part

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Context:
    """What the reader of a term sees besides its call.

    Attributes
    ----------
    table : DataFrame
    points : (m, 2) array or None
        Coordinates of the rows.
    meshes : Mesh or dict of str to Mesh or None
    crs : pyproj.CRS or None
        Of the points.
    likelihood : Likelihood
    overrides : dict
        Priors by a parameter's name, as given; a reader takes out what it uses.
    defaults : BrmsDefaults or None
        Where priors that are not given come from, if not from us.
    terms : list of Part
        Those read so far.
    """

    table: pd.DataFrame
    points: Vector | None
    meshes: Any
    crs: Any
    likelihood: Likelihood
    overrides: dict[str, Any]
    defaults: BrmsDefaults | None = None
    terms: list[Part] = field(default_factory=list)

    def label(self, base: str) -> str:
        """A label that no term has yet: the base, or the base with a number."""
        taken = {term.precision.label for term in self.terms}
        label, k = base, 2
        while label in taken:
            label, k = f"{base}{k}", k + 1
        return label


def round_to(value: float, digits: int) -> float:
    """Round to significant digits."""
    return float(f"{value:.{digits}g}")
