"""Predictions whose values are known, made without a fit."""

from geospde.prediction.layer import Layer, posterior_layers
from geospde.prediction.layers import Layers

KNOWN = {layer.name: layer for layer in posterior_layers((0.025, 0.05, 0.5, 0.975), (6, 8, 8.5, 10.5))}


def layered(frame, label="counts / time", grid=None, points=None, crs=None, model="", kind=Layers):
    """Return a table of values at places with the layers that its columns are called by."""
    layers = tuple(KNOWN.get(name) or Layer(name) for name in frame if name not in ("x", "y"))
    return kind(label, frame, layers, grid, points, crs, model)
