"""Colour scales: from the values of a layer to its colours."""

import math
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize, to_rgba
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from geospde.errors import InputError
from geospde.prediction.layer import SPACINGS, Layer
from geospde.text.words import did_you_mean

MIDDLE = "#dcd7cc"
"""Of classes: the one that is neither above nor below."""

_CROWDED = 0.2
"""Share of a linear scale in whose lowest part half of all values make a map of one colour."""

_DECADES = 1000.0
"""Most that the upper end of a logarithmic scale is of its lower end."""

_CLASSES = 10
"""Equal shares of the values that a scale of quantiles goes through."""


class Spaced(Normalize):
    """From values to shares of a colour map by a scale's spacing; matplotlib's colour bars follow it."""

    def __init__(self, scale: "Scale") -> None:
        super().__init__(scale.low, scale.high, clip=False)
        self.scale = scale

    def __call__(self, value: Any, clip: bool | None = None) -> Any:
        """Return shares, below 0 and above 1 beyond the ends, and NaN where there is no value.

        No masked arrays, as other norms return: a colour bar asks a hundred times, and they take longest.
        """
        values = np.ma.filled(np.ma.asarray(value, dtype=float), np.nan) if np.ma.isMaskedArray(value) else value
        shares = self.scale.shares(values)
        return shares if shares.ndim else float(shares)

    def inverse(self, value: Any) -> Any:
        """Return the values that have these shares."""
        return self.scale.values_at(value)


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
        From values to colours; by default as `spacing` says.
    spacing : {"linear", "log", "quantiles"}
        How values between the ends are spread over the colours.
    knots : tuple of float
        Of quantiles: the values at equal steps along the colours, both ends among them.
    classes : int
        Of whole numbers from `low` to `high` that are classes: how many; 0 where values are no classes.
    """

    low: float
    high: float
    largest: float
    ramp: str | Colormap = "viridis"
    least: float | None = None
    norm: Normalize | None = None
    spacing: str = "linear"
    knots: tuple[float, ...] = ()
    classes: int = 0

    @classmethod
    def over(cls, values: Iterable[ArrayLike], ramp: str | Colormap = "viridis", *, spacing: str = "linear") -> "Scale":
        """Make the scale of several layers: from zero where that costs little, to a robust upper end.

        A few cells far above the rest (a skewed upper limit away from the sites) would leave the others one
        colour; then the scale ends at the 99 % quantile of all, and the colour bar says how far values go.

        Parameters
        ----------
        values : iterable of arrays
        ramp : str or matplotlib Colormap
        spacing : {"linear", "auto", "log", "quantiles"}
            ``"auto"`` is linear but where half of all values would share the lowest fifth of the colours: there
            colours follow the logarithm of positive values, and quantiles of others and of those of many decades.

        Raises
        ------
        InputError
            For another spacing.

        Examples
        --------
        >>> skewed = np.exp(np.linspace(0.0, 6.0, 200))
        >>> Scale.over([skewed]).spacing, Scale.over([skewed], spacing="auto").spacing
        ('linear', 'log')
        >>> Scale.over([skewed - 2], spacing="auto").spacing
        'quantiles'
        """
        if spacing not in SPACINGS:
            raise InputError(f"colours cannot be spaced by {spacing!r}", remedy=did_you_mean(str(spacing), SPACINGS))
        pooled = _finite(values)
        plain = cls._linear(pooled, ramp)
        if spacing == "auto":
            crowded = plain.high > plain.low and np.median(plain.shares(pooled)) < _CROWDED if pooled.size else False
            spacing = "linear" if not crowded else "log" if (pooled > 0).all() else "quantiles"
            if spacing == "log" and np.median(plain.spaced(spacing, pooled).shares(pooled)) < _CROWDED:
                spacing = "quantiles"  # more decades than a logarithmic scale goes through
        return plain.spaced(spacing, pooled)

    def spaced(self, spacing: str, values: ArrayLike) -> "Scale":
        """Return the same colours for these values under another spacing; linear where the values allow no other."""
        pooled = _finite([values])
        if spacing == "log" and (positive := pooled[pooled > 0]).size:
            high = self.high if self.high > 0 else float(positive.max())
            low = max(float(np.quantile(positive, 0.01)), high / _DECADES)
            return replace(self, low=low, high=high, spacing="log", knots=()) if low < high else self
        if spacing == "quantiles" and pooled.size:
            knots = np.unique(np.quantile(pooled[pooled <= self.high], np.linspace(0, 1, _CLASSES + 1)))
            if len(knots) > 2:
                knots[-1] = max(self.high, knots[-1])
                steps = tuple(map(float, _rounded(knots)))
                return replace(self, low=steps[0], high=steps[-1], spacing="quantiles", knots=steps)
        return self

    @classmethod
    def _linear(cls, pooled: NDArray[np.float64], ramp: str | Colormap) -> "Scale":
        if not pooled.size:
            return cls(0.0, 1.0, 1.0, ramp)
        low, high, largest = (float(q) for q in np.quantile(pooled, [0, 0.99, 1]))
        if high <= low < largest:  # all but a few cells are alike
            high = float(np.quantile(pooled[pooled > low], 0.99))
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
            return cls(fixed[0], fixed[1], fixed[1], ramp, classes=len(layer.classes)).showing(*values)
        made = cls.over(values, ramp, spacing=layer.spacing)
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
        if self.spacing == "log" and low_end <= 0:
            return replace(self, low=low_end, high=high_end, spacing="linear")
        inner = tuple(knot for knot in self.knots if low_end < knot < high_end)
        return replace(self, low=low_end, high=high_end, knots=(low_end, *inner, high_end) if self.knots else ())

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
        norm = self.norm
        if self.classes and norm is None:
            return {"norm": Normalize(self.low, self.high), "cmap": ListedColormap(self.class_colours)}
        if norm is None:
            norm = Normalize(self.low, self.high) if self.spacing == "linear" else Spaced(self)
        return {"norm": norm, "cmap": colour_map(self.ramp)}

    @property
    def class_colours(self) -> list[Any]:
        """A colour a class: from the ramp short of its darkest ends, and a grey that no sea has for a middle one."""
        ramp, count = colour_map(self.ramp), self.classes
        colours = [ramp(share) for share in np.linspace(0.12, 0.88, count)]
        if count % 2:
            colours[count // 2] = to_rgba(MIDDLE)
        return colours

    def shares(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return how far along the colours values lie: 0 at the lower end, 1 at the upper, and on beyond them.

        Examples
        --------
        >>> Scale(1.0, 100.0, 100.0, spacing="log").shares([1.0, 10.0, 100.0])
        array([0. , 0.5, 1. ])
        >>> Scale(0.0, 9.0, 9.0, spacing="quantiles", knots=(0.0, 1.0, 9.0)).shares([0.5, 5.0])
        array([0.25, 0.75])
        """
        given = np.asarray(values, dtype=float)
        if self.spacing == "log":
            logs = np.log(np.maximum(given, self.low * 1e-6)) - math.log(self.low)
            return np.asarray(logs / (math.log(self.high) - math.log(self.low)))
        linear = (given - self.low) / (self.high - self.low)
        if self.spacing == "linear":
            return np.asarray(linear)
        inside = np.interp(given, self.knots, np.linspace(0, 1, len(self.knots)))
        return np.where((given < self.low) | (given > self.high), linear, inside)

    def values_at(self, shares: ArrayLike) -> NDArray[np.float64]:
        """Return the values that lie so far along the colours: the inverse of `shares`."""
        given = np.asarray(shares, dtype=float)
        if self.spacing == "log":
            return np.asarray(self.low * (self.high / self.low) ** given)
        linear = self.low + given * (self.high - self.low)
        if self.spacing == "linear":
            return np.asarray(linear)
        inside = np.interp(given, np.linspace(0, 1, len(self.knots)), self.knots)
        return np.where((given < 0) | (given > 1), linear, inside)

    @property
    def said(self) -> str:
        """How the colours are spaced, for the words beside them; empty where they are linear."""
        return {"log": "colours by logarithm", "quantiles": "colours by quantiles"}.get(self.spacing, "")

    def ticks(self, most: int = 6, per: float = 1.0) -> NDArray[np.float64]:
        """Return the values to write beside the colours: round ones, or the quantiles that they go through.

        Parameters
        ----------
        most : int
        per : float
            What values are multiplied with where they are written: the products are round.

        Examples
        --------
        >>> Scale(2.4, 580.0, 580.0, spacing="log").ticks()
        array([  5.,  10.,  20.,  50., 100., 200., 500.])
        """
        low, high = self.low * per, self.high * per
        if self.spacing == "quantiles":
            return np.asarray(self.knots[:: max(1, round(len(self.knots) / most))])
        if self.spacing == "log":
            found = round_numbers(low, high)
        else:
            found = np.asarray(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
        slack = 1e-9 * (high - low)
        found = np.where(np.abs(found) < slack, 0.0, found)  # steps through 0 miss it by rounding
        return np.asarray(found[(found >= low - slack) & (found <= high + slack)] / per)


def _rounded(knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return increasing values as rounder ones: the ends outwards, those that fall together once.

    Each is a multiple of a power of ten, at most a twentieth of its smaller gap, or a thousandth of what the middle
    half spans where that is more: what is nearly 0 is 0.

    Examples
    --------
    >>> _rounded(np.array([7e-12, 3e-10, 0.07391, 0.57512, 47.93]))
    array([ 0.   ,  0.074,  0.58 , 48.   ])
    """
    gaps = np.diff(knots)
    size = len(knots) - 1
    middle = knots[size - size // 4] - knots[size // 4]
    near = np.minimum(np.append(gaps, gaps[-1]), np.insert(gaps, 0, gaps[0]))
    step = 10.0 ** np.floor(np.log10(np.maximum(near / 20, middle / 1000)))
    counts = np.round(knots / step)
    counts[0], counts[-1] = np.floor(knots[0] / step[0]), np.ceil(knots[-1] / step[-1])
    found = np.unique(np.array([float(f"{value:.12g}") for value in counts * step + 0.0]))
    return found if len(found) > 2 else knots


def round_numbers(low: float, high: float) -> NDArray[np.float64]:
    """Return round numbers that a logarithmic axis is labelled with: powers of ten, or twos and fives too.

    Examples
    --------
    >>> round_numbers(0.3, 30.0)
    array([ 0.5,  1. ,  2. ,  5. , 10. , 20. ])
    >>> round_numbers(5.8, 9.2)
    array([6., 7., 8., 9.])
    """
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1.0,), (1.0, 2.0, 5.0)):
        found = np.outer(powers, steps).ravel()
        found = found[(found >= low) & (found <= high)]
        if len(found) >= 4:
            return found
    found = np.asarray(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high))
    return found[(found >= low) & (found <= high) & (found > 0)]


def chosen_scale(
    scale: Scale,
    values: ArrayLike,
    *,
    spacing: str | None = None,
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
    spacing, cmap, norm, vmin, vmax
        As `geospde.prediction.layers.Layers.plot` takes them.

    Raises
    ------
    InputError
        For a colour map that matplotlib does not have, or ends that are none.
    """
    if cmap is not None:
        scale = replace(scale, ramp=colour_map(cmap))
    if spacing is not None:
        if norm is not None:
            raise InputError("give either norm or spacing: a norm has a spacing of its own")
        scale = _with_spacing(scale, spacing, values)
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


def _with_spacing(scale: Scale, spacing: str, values: ArrayLike) -> Scale:
    """Return a scale under the spacing that a caller wants; `InputError` where the values allow no such."""
    if spacing == "log" and not (_finite([values]) > 0).any():
        raise InputError("no value is above 0, so colours cannot follow their logarithm: spacing 'quantiles' can")
    if spacing in ("auto", "linear"):
        return replace(Scale.over([values], scale.ramp, spacing=spacing), norm=None)
    if spacing not in SPACINGS:
        raise InputError(f"colours cannot be spaced by {spacing!r}", remedy=did_you_mean(str(spacing), SPACINGS))
    return scale.spaced(spacing, values)


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
