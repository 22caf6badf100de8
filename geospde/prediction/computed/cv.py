"""The coefficient of variation: how large the standard deviation is beside the mean."""

import numpy as np
from numpy.typing import NDArray

from geospde.prediction.computed.base import ComputedLayer, HasValues
from geospde.prediction.layer import Layer


def _values(prediction: HasValues) -> NDArray[np.float64]:
    """Return sd over mean; NaN where the mean is zero or negative, and a ratio says nothing."""
    mean, sd = prediction.values("mean"), prediction.values("sd")
    return np.asarray(np.divide(sd, mean, out=np.full(mean.shape, np.nan), where=mean > 0))


CV = ComputedLayer(
    Layer(
        "cv",
        title="Coefficient of variation",
        axis="standard deviation over mean",
        unit="1",
        limits=(0.0, None),
        colours="magma",
        caption="Coefficient of variation of {label}: its standard deviation over its mean.",
    ),
    _values,
)
