"""What a column of a prediction means, and how it is shown."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from geospde.errors import InputError
from geospde.text.keywords import answers_keywords
from geospde.text.rates import with_article
from geospde.text.words import did_you_mean, numeral

KINDS = ("mean", "quantile", "sd", "probability", "decided", "limit", "difference", "other")
"""What the numbers of a layer may be."""

RESPONSE = "response"
"""The scale that mean and quantiles share, and the unit of all that is measured as the response is."""

PLACES = ("x", "y")
"""Columns of a prediction that say where, and are no layers."""

EXTRAPOLATION = "extrapolation"
"""The layer of where a map lies beyond the sites' covariates."""

SPACINGS = ("auto", "linear", "log", "quantiles")
"""How values may be spread over colours; "auto" takes what the values need."""

_LABEL = "{label}"
_WORDS = ("title", "short", "axis", "caption")


@answers_keywords
@dataclass(frozen=True)
class Layer:
    """What a column of a prediction means, and how it is shown: in figures, rasters, the report's map and QGIS.

    In `title`, `short`, `axis` and `caption`, ``{label}`` stands for what is predicted, such as ``"counts / time"``.

    Parameters
    ----------
    name : str
        The column, the raster's band, the variable of a NetCDF file: letters, digits, ``_``, ``.`` and ``-``.
    kind : {"mean", "quantile", "sd", "probability", "decided", "limit", "difference", "other"}
        What the numbers are.
    title : str
        Over its map; by default the name.
    short : str
        Where there is little room; by default the title.
    axis : str
        Along its colour bar; by default the title.
    unit : str
        ``"response"`` where the numbers are in the unit of what is predicted, ``"1"`` where they have none, or a unit
        as UDUNITS writes it.
    scale : str
        Layers of one scale have one colour for one value where they are shown together; by default its own, by name.
    limits : (float or None, float or None)
        Ends of the colours; None for what the values need.
    centre : float, optional
        A value that has the middle colour: the scale is as wide below it as above.
    colours : str
        A matplotlib colour map.
    page_colours : str
        That of the report's interactive map; by default `colours`.
    caption : str
        A sentence under its figure; by default title and label. Files describe the layer by what is before a colon.
    level : float, optional
        Of a quantile; of a probability or of decided classes the threshold.
    along, step : str
        Of a layer that is one of several steps, such as of a year: the column, and its value there.
    spacing : {"auto", "linear", "log", "quantiles"}
        How values are spread over the colours; by default evenly, but where that leaves a map of one colour.
    classes : tuple of str
        Of whole numbers between the two `limits`: what each is called, in a legend in place of a colour bar.

    Raises
    ------
    InputError
        For a name that no file can have, an unknown kind or spacing, or limits that are none.

    Examples
    --------
    >>> layer = Layer("cv", title="Coefficient of variation", unit="1", colours="magma")
    >>> layer.with_label("counts / time").caption
    'Coefficient of variation of counts / time.'
    """

    name: str
    kind: str = "other"
    title: str = ""
    short: str = ""
    axis: str = ""
    unit: str = RESPONSE
    scale: str = ""
    limits: tuple[float | None, float | None] = (None, None)
    centre: float | None = None
    colours: str = "viridis"
    page_colours: str = ""
    caption: str = ""
    level: float | None = None
    along: str = ""
    step: str = ""
    spacing: str = "auto"
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[\w.-]+", self.name) or self.name in PLACES:
            raise InputError(
                f"the name of a layer has letters, digits, '_', '.' and '-', and not x or y: {self.name!r} will not do"
            )
        if self.kind not in KINDS:
            near = did_you_mean(str(self.kind), KINDS, "kinds")
            raise InputError(f"layer {self.name!r} cannot be of kind {self.kind!r}: {near}")
        if self.spacing not in SPACINGS:
            near = did_you_mean(str(self.spacing), SPACINGS, "spacings")
            raise InputError(f"layer {self.name!r} cannot spread its colours by {self.spacing!r}: {near}")
        object.__setattr__(self, "limits", _as_limits(self.name, self.limits))
        object.__setattr__(self, "classes", tuple(self.classes))
        title = self.title or self.name
        defaults = {
            "title": title,
            "short": title,
            "axis": title,
            "scale": self.name,
            "page_colours": self.colours,
            "caption": f"{title} of {_LABEL}.",
        }
        for field, value in defaults.items():
            object.__setattr__(self, field, getattr(self, field) or value)

    def with_label(self, label: str, per: float = 1.0) -> Layer:
        """Return the layer of what is predicted under this name: its words without placeholders.

        Parameters
        ----------
        label : str
        per : float
            What numbers of the response are multiplied with where they are shown, as the label says: 1000 for "cases
            per 1,000 population". Thresholds in words are, too.
        """
        words = {field: getattr(self, field) for field in _WORDS} | {str(k): c for k, c in enumerate(self.classes)}
        if per != 1.0 and self.level is not None:
            level = re.compile(rf"(?<![\w.]){re.escape(numeral(self.level))}(?!\w|\.\d)")
            words = {field: level.sub(f"{self.level * per:.6g}", text) for field, text in words.items()}
        words = {field: _labelled(text, label) for field, text in words.items()}
        classes = tuple(words.pop(str(k)) for k in range(len(self.classes)))
        return replace(self, **words, classes=classes)

    def at_step(self, along: str, step: str) -> Layer:
        """Return the layer as one of several steps, told apart by name and words; scale and colours are shared.

        Examples
        --------
        >>> layer = mean_layer().at_step("year", "2020")
        >>> layer.name, layer.title, layer.scale == mean_layer().scale
        ('mean_2020', 'Posterior mean, year 2020', True)
        """
        said, colon, why = self.caption.removesuffix(".").partition(": ")
        when = f", {along} {step}"
        return replace(
            self, name=f"{self.name}_{step}", title=self.title + when, short=self.short + when,
            caption=f"{said}{when}{colon}{why}.", along=along, step=step,
        )  # fmt: skip

    def without_step(self) -> Layer:
        """Return the layer that `at_step` was called of."""
        when = f", {self.along} {self.step}"
        return self if not self.step else replace(
            self, name=self.name.removesuffix(f"_{self.step}"), title=self.title.removesuffix(when),
            short=self.short.removesuffix(when), caption=self.caption.replace(when, "", 1), along="", step="",
        )  # fmt: skip

    def description(self, label: str) -> str:
        """Return the caption up to its colon or full stop, as it stands inside a sentence: CF's ``long_name``."""
        said = self.caption.partition(": ")[0].removesuffix(".")
        said = said[:1].lower() + said[1:] if said[1:2].islower() else said
        return _labelled(said, label)

    def to_json(self) -> str:
        """Return it as text, for `Layer.from_json`."""
        return json.dumps(asdict(self), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> Layer:
        """Return the layer that `to_json` wrote.

        Raises
        ------
        InputError
            For another text.
        """
        try:
            content = json.loads(text)
            later = {"along": "", "step": "", "spacing": "auto", "classes": ()}  # files of before have layers without
            return cls(**{field.name: (later | content)[field.name] for field in fields(cls)})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"this is no layer: {error}") from None


def _labelled(text: str, label: str) -> str:
    """Put what is predicted into words: with an article unless they begin with it."""
    begins = text.startswith(_LABEL)
    inside = text.removeprefix(_LABEL).replace(_LABEL, with_article(label))
    return label + inside if begins else inside


def mean_layer() -> Layer:
    """Return the layer of the posterior mean."""
    return Layer(
        "mean",
        "mean",
        title="Posterior mean",
        short="Mean",
        axis=_LABEL,
        scale=RESPONSE,
        caption=f"Posterior mean of {_LABEL}.",
    )


def sd_layer() -> Layer:
    """Return the layer of the posterior standard deviation."""
    return Layer(
        "sd",
        "sd",
        title="Posterior standard deviation",
        short="Standard deviation",
        axis=f"standard deviation of {_LABEL}",
        colours="plasma",
        caption=f"Posterior standard deviation of {_LABEL}: how uncertain the mean is.",
    )


def quantile_layer(level: float) -> Layer:
    """Return the layer of a quantile.

    Examples
    --------
    >>> quantile_layer(0.975).title, quantile_layer(0.975).short
    ('Upper limit (97.5 % quantile)', '97.5 % limit')
    """
    percent = f"{100 * level:.4g}"
    side = "Median" if level == 0.5 else "Lower limit" if level < 0.5 else "Upper limit"
    return Layer(
        f"q{numeral(level)}",
        "quantile",
        title=side if level == 0.5 else f"{side} ({percent} % quantile)",
        short=side if level == 0.5 else f"{percent} % limit",
        axis=_LABEL,
        scale=RESPONSE,
        caption=f"{percent} % quantile of the posterior of {_LABEL}: its {side.lower()}.",
        level=level,
    )


def probability_layer(threshold: float) -> Layer:
    """Return the layer of the probability that what is predicted lies above a threshold.

    Examples
    --------
    >>> probability_layer(8).with_label("counts / time").title
    'Probability that counts / time is above 8'
    """
    at, name = _limit(threshold)
    return Layer(
        f"exceed_{name}",
        "probability",
        title=f"Probability that {_LABEL} is above {at}",
        short=f"Probability above {at}",
        axis="probability",
        unit="1",
        scale="probability",
        limits=(0.0, 1.0),
        colours="cividis",
        page_colours="PuOr_r",  # diverges at 0.5, where the data do not decide
        caption=f"Posterior probability that {_LABEL} is above {at}.",
        level=float(threshold),
    )


def excursion_layer(threshold: float | str, kind: str = ">") -> Layer:
    """Return the layer of an excursion function: the probability that a place and all surer ones lie on one side.

    A text names the classes whose limits take the place of one threshold.
    """
    word, side = {
        ">": ("excursion", "above"),
        "<": ("excursion_below", "below"),
        "!=": ("avoidance", "on one side of"),
        "=": ("contour", "about"),
    }[kind]
    at, name = _limit(threshold)
    return Layer(
        f"{word}_{name}",
        title=f"Joint probability that {_LABEL} is {side} {at}",
        short=f"Jointly {side} {at}",
        axis="joint probability",
        unit="1",
        scale="probability",
        limits=(0.0, 1.0),
        colours="cividis",
        caption=f"Excursion function of {_LABEL} {side} {at}: "
        "the probability that a place and all surer ones lie there at once.",
        level=None if isinstance(threshold, str) else float(threshold),
    )


def decided_layer(threshold: float | str, level: float, limits: Mapping[str, float] | None = None) -> Layer:
    """Return the layer of three classes: above a threshold, below it, undecided.

    A text names the classes whose `limits` take the place of one threshold.
    """
    at, name = _limit(threshold)
    short = "limit" if isinstance(threshold, str) else at
    by = "" if limits is None else f" ({', '.join(f'{label}: {numeral(limit)}' for label, limit in limits.items())})"
    return Layer(
        f"decided_{name}",
        "decided",
        title=f"Where {_LABEL} is above or below {at}, decided at {level:g}",
        short=f"Decided at {at}",
        axis=f"below (\N{MINUS SIGN}1), undecided (0), above (1) {at}",
        unit="1",
        limits=(-1.0, 1.0),
        colours="PuOr_r",
        caption=f"Where {_LABEL} is above {at}{by} (1), where below (\N{MINUS SIGN}1), and where the data "
        f"do not decide (0): with probability {level:g} all that is decided is right at once.",
        level=None if isinstance(threshold, str) else float(threshold),
        classes=(f"below {short}", "undecided", f"above {short}"),
    )


def limit_layer(name: str) -> Layer:
    """Return the layer of the threshold at each place, by its class."""
    return Layer(
        f"limit_{name}",
        "limit",
        title=f"Limits of {_LABEL} by {name}",
        short=f"Limits by {name}",
        axis=f"limit of {_LABEL}",
        colours="viridis",
        caption=f"The limit of {_LABEL} at each place, by its class of {name}.",
        spacing="linear",
    )


def _limit(threshold: float | str) -> tuple[str, str]:
    """A threshold, or the limits of classes, in words and as a part of a name."""
    if isinstance(threshold, str):
        return f"the limits of {threshold}", re.sub(r"[^A-Za-z0-9_.-]+", "_", threshold)
    return numeral(threshold).replace("-", "\N{MINUS SIGN}"), numeral(threshold)


def difference_layer(name: str, what: str) -> Layer:
    """Return the layer of what one prediction is above another; `what` names what both have, in the plural."""
    title = f"Difference of the {what}"
    return Layer(
        name,
        "difference",
        title=title,
        short=what.capitalize(),
        axis=f"difference of {_LABEL}",
        scale=f"difference of {name}",
        centre=0.0,
        # told apart by colour-blind readers, and both ends dark where the difference is large
        colours="RdBu_r",
        caption=f"{title}, of {_LABEL}: blue below zero, red above.",
    )


def extrapolation_layer() -> Layer:
    """Return the layer of how far a map lies beyond the sites' covariates."""
    return Layer(
        EXTRAPOLATION,
        title="Beyond the covariates of the sites",
        short="Extrapolation",
        axis="distance beyond the sites, in their ranges",
        unit="1",
        limits=(0.0, None),
        colours="Reds",
        caption="How far the covariates lie beyond those of the sites: 0 within their ranges and their combinations; "
        "there the model extrapolates.",
    )


def posterior_layers(quantiles: Iterable[float], exceed: Iterable[float] = ()) -> tuple[Layer, ...]:
    """Return mean, standard deviation, quantiles and exceedance probabilities, in the order of a prediction's columns.

    Raises
    ------
    InputError
        Where two levels or two thresholds differ by less than their names tell.
    """
    layers: dict[str, Layer] = {}
    for layer in (mean_layer(), sd_layer(), *map(quantile_layer, quantiles), *map(probability_layer, exceed)):
        known = layers.setdefault(layer.name, layer)
        if known.level != layer.level:
            raise InputError(
                f"{known.level!r} and {layer.level!r} are too near: both layers would be called {layer.name!r}"
            )
    return tuple(layers.values())


def estimate_layers(quantiles: Iterable[float], exceed: Iterable[float] = ()) -> tuple[Layer, ...]:
    """Return the layers of `posterior_layers` in the words of a fit without priors: estimate, standard error, limits.

    Examples
    --------
    >>> [layer.title for layer in estimate_layers([0.025])]
    ['Estimated mean', 'Standard error', 'Lower limit (2.5 %)']
    """
    return tuple(map(_estimated, posterior_layers(quantiles, exceed)))


def _estimated(layer: Layer) -> Layer:
    """Return a layer of a posterior in the words of an estimate."""
    if layer.kind == "mean":
        return replace(layer, title="Estimated mean", short="Estimate", caption=f"Estimated mean of {_LABEL}.")
    if layer.kind == "sd":
        caption = f"Standard error of the estimated mean of {_LABEL}: how uncertain the estimate is."
        axis = f"standard error of {_LABEL}"
        return replace(layer, title="Standard error", short="Standard error", axis=axis, caption=caption)
    if layer.kind == "quantile":
        percent = f"{100 * quantile_level(layer):.4g}"
        side = {-1: "lower limit", 0: "median", 1: "upper limit"}[int(np.sign(quantile_level(layer) - 0.5))]
        title = "Median" if side == "median" else f"{side.capitalize()} ({percent} %)"
        caption = f"{percent} % limit of the estimated mean of {_LABEL}: its {side}."
        return replace(layer, title=title, caption=caption)
    caption = f"Probability that {_LABEL} is above {layer.level:g}: by the estimate and its standard error."
    return replace(layer, caption=caption)


def outer_limits(layers: Iterable[Layer]) -> tuple[Layer, Layer] | None:
    """Return the outermost quantiles on either side of the median, or None where a side has none."""
    ordered = sorted((one for one in layers if one.kind == "quantile"), key=quantile_level)
    lower = [one for one in ordered if quantile_level(one) < 0.5]
    upper = [one for one in ordered if quantile_level(one) > 0.5]
    return (lower[0], upper[-1]) if lower and upper else None


def quantile_level(layer: Layer) -> float:
    """Return the level of a quantile; NaN for a layer without one."""
    return math.nan if layer.level is None else layer.level


def interval_percent(limits: tuple[Layer, Layer]) -> str:
    """Return what the interval between two quantiles holds, as ``"95 %"``."""
    lower, upper = map(quantile_level, limits)
    return f"{100 * (upper - lower):.4g} %"


def _as_limits(name: str, limits: Any) -> tuple[float | None, float | None]:
    """Return two ends, each a finite number or None, the lower one first."""
    try:
        low, high = (None if end is None else float(end) for end in limits)
    except (TypeError, ValueError):
        low = high = math.nan
    known = [end for end in (low, high) if end is not None]
    if not all(map(math.isfinite, known)) or (len(known) == 2 and known[0] >= known[1]):
        raise InputError(f"limits of layer {name!r} are (low, high), either None or a number, not {limits!r}")
    return low, high
