"""What a computed layer is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geospde.prediction.layer import Layer


class HasValues(Protocol):
    """A prediction, as a computed layer sees it."""

    def values(self, name: str, /) -> NDArray[np.float64]:
        """Return the values of a layer, (m,)."""
        ...


@dataclass(frozen=True)
class ComputedLayer:
    """A layer with the function that computes it from the other layers of a prediction.

    Attributes
    ----------
    layer : Layer
    values : callable
        Takes the prediction and returns one number per place, (m,).
    """

    layer: Layer
    values: Callable[[Any], ArrayLike]
