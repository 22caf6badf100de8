"""What a report's page is made of: tables, pictures, findings, links, and sections of them; everything is text."""

import base64
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pandas.api.types import is_numeric_dtype

from geospde.plots.frame import figure_png
from geospde.prediction.layer import RESPONSE
from geospde.text.words import number, numbers_alike

LEVELS = {"ok": "Passed", "note": "Note", "warning": "Warning", "error": "Error"}
"""Levels of a finding, and what the page calls them."""


_HEADINGS = {
    "q0.025": "2.5 %",
    "q0.5": "median",
    "q0.975": "97.5 %",
    "mc_error": "MC error",
    "sd_error": "MC error of sd",
    "weight": "sum of weights",
    "covered": "part on the map",
    "log_score": "log score",
    "crps": "CRPS",
    "log_score_se": "its se",
    "crps_se": "its se",
    "dss": "Dawid–Sebastiani",
    "rmse": "RMSE",
    "mae": "MAE",
    "cover_50": "in 50 %",
    "cover_80": "in 80 %",
    "cover_95": "in 95 %",
}


_ALIKE = {"mean", "estimate", "sd", "se", "lower", "upper", "mode"}
"""Columns in the unit of the estimates, as their standard deviations are; quantiles are, too."""

_QUANTILE = re.compile(r"q(0?\.\d+)")

_OF_ALL = {"weight": 100.0, "covered": 0.01}
"""Columns whose numbers have the decimals of one another: those that show two digits of this."""

_USUAL = {"sd_error": 0.0, "weight": 1.0, "covered": 1.0}
"""Columns of areas, and what they say nothing by where all hold it."""


class Picture(NamedTuple):
    """A figure with what a reader needs to read it."""

    uri: str
    caption: str
    width: int
    height: int


class Table(NamedTuple):
    """A table; the first cell of a row names it. Without a head the rest of each row is words, not numbers."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


class Section(NamedTuple):
    """What another part of geospde adds to the page, shown in this order."""

    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


class Found(NamedTuple):
    """What a check found."""

    level: str
    """One of `LEVELS`."""
    subject: str
    message: str
    remedy: str


class Link(NamedTuple):
    """A file beside the page."""

    href: str
    name: str
    what: str
    size: str

    @property
    def folder(self) -> str:
        """Folder that it lies in, ``"figures/"``; empty for one beside the page."""
        return self.name[: self.name.rfind("/") + 1]


def picture(source: str | Path | bytes, caption: str) -> Picture:
    """Take a PNG into the page.

    Parameters
    ----------
    source : path or bytes
        The file, or what is in one. Shown at half its pixels, sharp on fine screens.
    caption : str
        Stands under it, and for it where it cannot be seen.

    Raises
    ------
    OSError
        If there is no such file.
    """
    png = source if isinstance(source, bytes) else Path(source).read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    uri = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return Picture(uri, caption, width // 2, height // 2)


def found(finding: Any) -> Found:
    """Take in a finding: an object or a mapping with ``level``, ``subject``, ``message`` and ``remedy``.

    Examples
    --------
    >>> found({"level": "note", "message": "2 sites lie at sea"})
    Found(level='note', subject='', message='2 sites lie at sea', remedy='')
    """
    parts = finding if isinstance(finding, Mapping) else {key: getattr(finding, key, None) for key in Found._fields}
    level, *words = (str(parts.get(key) or "") for key in ("level", "subject", "message", "remedy"))
    return Found(level if level in LEVELS else "note", *words)


def survey_section(facts: Mapping[str, Any]) -> Section:
    """Take in what `geospde.plots.exploration.exploration_section` tells of a survey, but for its findings."""
    distributions = Table("Distributions", facts["quantiles"]["head"], facts["quantiles"]["rows"])
    pictures = [Picture(one["uri"], one["caption"], one["width"], one["height"]) for one in facts["pictures"]]
    return Section(tables=[Table("The survey", [], facts["facts"]), distributions], pictures=pictures)


def regions_sections(regions: Sequence[Any]) -> list[Section]:
    """Take in the figures for areas, a section a layer; or those of the whole region by year."""
    sections = []
    for one in regions:
        layers, per = getattr(one, "layers", ()), getattr(one, "per", 1.0)  # a table of numbers has none
        above = {layer.name: f"P(> {number(per * layer.level)})" for layer in layers if layer.kind == "probability"}
        figures = one.table.set_index(one.table.columns[0])
        scaled = [layer.name for layer in layers if layer.unit == RESPONSE] + ["sd_error"]
        figures = figures.assign(**{name: per * figures[name] for name in scaled if name in figures and per != 1})
        same = [name for name, nothing in _USUAL.items() if name in figures and (figures[name] == nothing).all()]
        figures = figures.drop(columns=same)
        name: str = getattr(one, "name", "")
        called = f"{name}: " if name and len(regions) > 1 else ""
        table = frame_table(f"{called}{one.title}", figures.rename(columns=above))
        pictures = [picture(png, f"{called}{caption}") for caption, png in one.shown]
        sections.append(Section([f"{one.how[:1].upper()}{one.how[1:]}."], [table], pictures))
    return sections


def validation_section(validation: Any) -> Section:
    """Take in a cross-validation: its scores, how much better than simpler models it is, and its picture."""
    if isinstance(validation, Section):
        return validation
    scores = "Scores: smaller is better, but for the shares of observations in intervals"
    losses = "Loss of simpler models against this one: positive where it predicts better"
    tables = [frame_table(scores, validation.scores), frame_table(losses, validation.differences)]
    caption = "Calibration: observed against predicted, probability integral transforms, and coverage of intervals."
    pictures = [picture(figure_png(validation.plot(), 200), caption)]
    return Section([f"{validation.describe()}."], [table for table in tables if table.rows], pictures)


def certificate_section(certificate: Any) -> Section:
    """Take in a certificate: its verdict, the corrected figures, and by how much they moved."""
    words = f"{certificate.verdict[:1].upper()}{certificate.verdict[1:]}"
    evidence = f"The log marginal likelihood is {certificate.evidence_words}"
    caption = "Corrected figures: shift in posterior sd, scale over the fitted sd"
    return Section([f"{words}. {evidence}."], [frame_table(caption, certificate.to_frame())])


def frame_table(caption: str, frame: Any) -> Table:
    """Return a DataFrame of numbers, and of labels, as text, its index first.

    What has a standard deviation or error has the decimals that show two digits of it, along its row.
    """
    head = ["", *(column_heading(str(name)) for name in frame.columns)]
    columns = {name: [*map(number if is_numeric_dtype(frame[name]) else str, frame[name])] for name in frame.columns}
    sd = next((name for name in ("sd", "se") if name in columns), None)
    if sd is not None:
        estimates = [name for name in columns if str(name) in _ALIKE or _QUANTILE.fullmatch(str(name))]
        alike = [name for name in estimates if is_numeric_dtype(frame[name])]
        for row, (spread, values) in enumerate(zip(frame[sd], frame[alike].to_numpy(dtype=float))):
            for name, text in zip(alike, numbers_alike(values, float(spread))):
                columns[name][row] = text
    for name, spread in _OF_ALL.items():
        if name in columns and (name != "weight" or frame[name].max() >= spread):
            columns[name] = numbers_alike(frame[name], spread)
    return Table(caption, head, [[str(name), *row] for name, *row in zip(frame.index, *columns.values())])


def column_heading(name: str) -> str:
    """Return a column's heading.

    Examples
    --------
    >>> column_heading("q0.025"), column_heading("q0.5"), column_heading("q0.9"), column_heading("crps")
    ('2.5 %', 'median', '90 %', 'CRPS')
    """
    level = _QUANTILE.fullmatch(name)
    return _HEADINGS.get(name, f"{100 * float(level[1]):.10g} %" if level else name)


def shown(value: Any) -> str:
    """Return a setting as text.

    Examples
    --------
    >>> shown((300.0, 600.0)), shown(True), shown({"pc": [1, 0.01]})
    ('300, 600', 'yes', 'pc: 1, 0.01')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return str(value)
