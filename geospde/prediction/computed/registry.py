"""The layers that geospde computes by name: a new one is a file in this folder and its name in `LAYERS`."""

from geospde.errors import InputError
from geospde.prediction.computed.base import ComputedLayer
from geospde.prediction.computed.cv import CV
from geospde.text.words import did_you_mean

LAYERS: tuple[ComputedLayer, ...] = (CV,)


def computed_layer(name: str) -> ComputedLayer:
    """Return the computed layer of this name.

    Raises
    ------
    InputError
        If there is none; with the nearest one.
    """
    for computed in LAYERS:
        if computed.layer.name == name:
            return computed
    known = [computed.layer.name for computed in LAYERS]
    raise InputError(f"no layer {name!r} can be computed: {did_you_mean(str(name), known, 'computed layers')}")
