"""What families of positive values share."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from geospde.families.base import Family
from geospde.families.likelihood import Vector
from geospde.families.links import LOG, Link


class Positive(Family):
    """A family of positive values, by default with log link."""

    links: ClassVar[tuple[Link, ...]] = (LOG,)
    natural_link = LOG
    needs = "numbers above 0"
    without_exposure = "divide the response by it, or add its logarithm as an offset"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are not positive."""
        return ~((y > 0) & np.isfinite(y))
