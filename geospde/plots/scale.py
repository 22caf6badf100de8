"""Colour scales: from the values of a layer to its colours."""

import math
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from numpy.typing import ArrayLike, NDArray

from geospde.errors import InputError
from geospde.prediction.layer import Layer
from geospde.text.words import did_you_mean


@dataclass(frozen=True)
class Scale:
    """A colour scale.

    Parameters
    ----------
    low, high : float
        Values at its ends.
    largest : float
        Largest value shown; the colour bar ends in an arrow if that is beyond `high`.
    ramp : str or matplotlib Colormap
        Colours, by name or themselves.
    least : float, optional
        Least value shown; the colour bar begins with an arrow if that is below `low`.
    norm : matplotlib Normalize, optional
        From values to colours; linear between the ends by default.
    """

    low: float
    high: float
    largest: float
    ramp: str | Colormap = "viridis"
    least: float | None = None
    norm: Normalize | None = None

    @classmethod
    def over(cls, values: Iterable[ArrayLike], ramp: str | Colormap = "viridis") -> "Scale":
        """Make the scale of several layers: from zero where that costs little, to a robust upper end.

        A few cells far above the rest (a skewed upper limit away from the sites) would leave the others one
        colour; then the scale ends at the 99 % quantile of all, and the colour bar says how far values go.
        """
        pooled = _finite(values)
        if not pooled.size:
            return cls(0.0, 1.0, 1.0, ramp)
        low, high, largest = (float(q) for q in np.quantile(pooled, [0, 0.99, 1]))
        if largest <= low + 1.25 * (high - low):
            high = largest
        if 0 <= low <= 0.25 * high:
            low = 0.0
        if high <= low:
            low, high = low - 0.5 * (abs(low) or 1.0), low + 0.5 * (abs(low) or 1.0)
        return cls(low, high, largest, ramp)

    @classmethod
    def of(cls, layer: Layer, values: Sequence[ArrayLike], ramp: str | None = None) -> "Scale":
        """Make the scale of a layer, or of several that share its scale, from their values and its limits.

        Parameters
        ----------
        layer : Layer
        values : sequence of arrays
        ramp : str, optional
            By default the layer's colours.
        """
        ramp = layer.colours if ramp is None else ramp
        fixed = layer.limits
        if fixed[0] is not None and fixed[1] is not None:
            return cls(fixed[0], fixed[1], fixed[1], ramp).showing(*values)
        made = cls.over(values, ramp)
        if layer.centre is not None:
            pooled = _finite(values)
            reach = float(np.abs(pooled - layer.centre).max(initial=0.0)) or 1.0
            made = cls(layer.centre - reach, layer.centre + reach, layer.centre + reach, ramp)
        return made.between(*fixed).showing(*values) if fixed != (None, None) else made

    def between(self, low: float | None, high: float | None) -> "Scale":
        """Return the same colours between other ends; None leaves an end where it is, below or above the other."""
        low_end = self.low if low is None else float(low)
        high_end = self.high if high is None else float(high)
        if high_end <= low_end:
            room = abs(low_end if high is None else high_end) or 1.0
            low_end, high_end = (low_end, low_end + room) if high is None else (high_end - room, high_end)
        return replace(self, low=low_end, high=high_end)

    def showing(self, *values: ArrayLike) -> "Scale":
        """Return the same colours for these values."""
        pooled = _finite(values)
        if not pooled.size:
            return replace(self, largest=self.high, least=None)
        return replace(self, largest=float(pooled.max()), least=float(pooled.min()))

    @property
    def mappable(self) -> ScalarMappable:
        """What turns values into colours."""
        return ScalarMappable(**self.style)

    @property
    def style(self) -> dict[str, Any]:
        """Keywords of `imshow` and `scatter`."""
        norm = Normalize(self.low, self.high) if self.norm is None else self.norm
        return {"norm": norm, "cmap": colour_map(self.ramp)}


def chosen_scale(
    scale: Scale,
    values: ArrayLike,
    *,
    cmap: str | Colormap | None = None,
    norm: Normalize | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
) -> Scale:
    """Return a scale with what a caller of a plot wants otherwise, under matplotlib's names.

    Parameters
    ----------
    scale : Scale
        The layer's own.
    values : array
        Those shown, from which a `norm` without ends takes them.
    cmap, norm, vmin, vmax
        As `geospde.prediction.layers.Layers.plot` takes them.

    Raises
    ------
    InputError
        For a colour map that matplotlib does not have, or ends that are none.
    """
    if cmap is not None:
        scale = replace(scale, ramp=colour_map(cmap))
    if norm is not None:
        if vmin is not None or vmax is not None:
            raise InputError("give either norm or vmin and vmax: a norm has ends of its own")
        if not isinstance(norm, Normalize):
            raise InputError(f"norm must be a matplotlib Normalize, such as LogNorm(), not {norm!r}")
        own = copy(norm)
        own.autoscale_None(_finite([values]))
        low, high = (float(end) if end is not None else other for end, other in ((own.vmin, 0.0), (own.vmax, 1.0)))
        return replace(scale, low=low, high=high, norm=own).showing(values)
    if vmin is None and vmax is None:
        return scale
    ends = [_end(name, end) for name, end in (("vmin", vmin), ("vmax", vmax))]
    if ends[0] is not None and ends[1] is not None and ends[0] >= ends[1]:
        raise InputError(f"vmin must be below vmax, not {vmin:g} and {vmax:g}")
    return scale.between(*ends).showing(values)


def _end(name: str, value: Any) -> float | None:
    """Return an end of a scale as a number."""
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{name} must be a finite number, not {value!r}")
    return number


def colour_map(cmap: Any) -> Colormap:
    """Return a colour map, itself or by its name; `InputError` for a name that matplotlib does not have."""
    if isinstance(cmap, Colormap):
        return cmap
    if not isinstance(cmap, str) or cmap not in colormaps:
        raise InputError(f"matplotlib has no colour map {cmap!r}: {did_you_mean(str(cmap), colormaps, 'colour maps')}")
    return colormaps[cmap]


def _finite(values: Iterable[ArrayLike]) -> NDArray[np.float64]:
    """Return the finite ones of all values."""
    pooled = np.concatenate([np.zeros(0), *(np.ravel(np.asarray(v, dtype=float)) for v in values)])
    return np.asarray(pooled[np.isfinite(pooled)])
