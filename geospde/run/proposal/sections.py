"""The sections of a proposed run file: every key with the reason for its value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from geospde.families.registry import path_of
from geospde.run.proposal.columns import Column
from geospde.run.proposal.frame import Frame
from geospde.run.proposal.look import FirstLook
from geospde.run.proposal.names import folder_of
from geospde.run.proposal.response import Response, short
from geospde.run.proposal.sizes import Sizes
from geospde.run.proposal.times import YearTerm
from geospde.run.proposal.writing import Entry
from geospde.survey.survey import Survey
from geospde.text.words import counted, in_unit, listed


def sections(
    files: Mapping[str, str],
    frame: Frame,
    survey: Survey,
    response: Response,
    others: tuple[Column, ...],
    look: FirstLook,
    sizes: Sizes,
    exceed: float | None = None,
    year: Column | None = None,
    levels: Sequence[str] = (),
    named: str = "",
) -> Iterator[Entry]:
    """Yield the keys of a run file in order.

    Parameters
    ----------
    files : mapping
        The keys of ``[survey]`` that say where the data are.
    frame : Frame
        Their coordinate system.
    survey : Survey
        The data.
    response : Response
    others : tuple of Column
        Columns that the model does not use.
    look : FirstLook
    sizes : Sizes
    exceed : float, optional
        The limit that the map is to be decided at.
    year : Column, optional
        Which of several years each row is of.
    levels : sequence of str
        The words of the response, the least first.
    named : str
        What tells the run from others of the survey.
    """
    yield from _survey(files, frame, survey, title_of(survey, response, named))
    yield from _mesh(look, sizes, survey)
    time = None if year is None else YearTerm.of(year)
    yield from _model(response, others, time)
    if levels:
        yield Entry("model", "levels", list(levels), "The words of the response, from the least to the most.")
    yield from _priors(response, look, survey)
    yield from _prediction(response, sizes, survey, exceed, time)
    yield from _output(response, survey, levels, named)


def lower(sentence: str) -> str:
    """Return a sentence to stand after a colon."""
    return sentence[:1].lower() + sentence[1:]


def _survey(files: Mapping[str, str], frame: Frame, survey: Survey, title: str) -> Iterator[Entry]:
    columns = ", ".join(str(c) for c in survey.points.columns if c != "geometry")
    comments = {
        "points": f"{counted(len(survey.points), 'row')}: {columns}.",
        "coastline": "What it bounds is mapped: land. If it is no coast, the key boundary says so in the report.",
        "boundary": "What it bounds is mapped: the area of the study.",
        "x": "The coordinates.",
    }
    for key in ("points", "layer", "x", "y", "coastline", "boundary", "coastline_layer"):
        if key in files:
            yield Entry("survey", key, files[key], comments.get(key, ""))
    if frame.source_crs is not None:
        yield Entry("survey", "source_crs", frame.source_crs, frame.reason)
    elif frame.crs is None:
        yield Entry("survey", "", None, frame.reason)
    if frame.crs is not None:
        yield Entry("survey", "crs", frame.crs, "" if frame.source_crs is not None else frame.reason)
    yield Entry("survey", "name", title, "The title of maps and report.")


def _mesh(look: FirstLook, sizes: Sizes, survey: Survey) -> Iterator[Entry]:
    def of(value: float) -> str:
        return in_unit(value, survey.units)

    reach = of(short(look.range))
    what, show = ("what the covariates leave of the data", "shows") if look.less else ("the data", "show")
    seen = (
        f"a first look at {what} puts the range, where correlation is nearly gone, near {reach}"
        if look.seen
        else f"{what} {show} no clear structure, so the range is taken for a fifth of the extent, {reach}"
    )
    edges = {
        "": "a fifth of the range",
        "fewest": "shorter than a fifth of the range, since vertices cost little here",
        "sites": "half of the sites' spacing, since a field that is rougher is not seen between them",
        "most": "longer than a fifth of the range, which would make a large mesh; shorten them for the last run, and "
        "see whether the standard deviations between sites still grow",
    }[sizes.bound]
    yield Entry(
        "mesh", "max_edge", list(sizes.max_edge),
        f"Sites are {of(look.spacing)} apart (median; closest {of(look.closest)}) and spread over {of(look.extent)}; "
        f"{seen}. Inner edges: {edges}; outer ones: twice that. After a run look at range(spde): inner edges should be "
        "a fifth to a third of it.",
    )  # fmt: skip
    yield Entry(
        "mesh", "cutoff", sizes.cutoff,
        "Sites nearer to each other share a vertex, not their values: a fifth of the edges.",
    )  # fmt: skip
    yield Entry(
        "mesh", "offset", sizes.offset,
        "The mesh goes on so far, a range or more: its boundary raises standard deviations nearby.",
    )  # fmt: skip
    around = survey.outline.removesuffix("line")
    hull = (
        f"The inner zone is the {around} widened by an edge, its bays filled where they are narrower than about four."
        if survey.coastline is not None
        else "The inner zone is the hull of the sites, widened; concave is so large that the hull has no bays."
    )
    yield Entry("mesh", "convex", sizes.convex, hull)
    yield Entry("mesh", "concave", sizes.concave)


def likelihood(response: Response, of_link: str = "") -> Iterator[Entry]:
    """Yield family, link and exposure; `of_link` says what the link does."""
    reason = f"{response.formula}: {lower(response.reason)}"
    if response.censored is not None:
        reason = f"{reason} {response.censored!r} says which are bounds: 'left', it lies below; 'right', above."
    yield Entry("model", "family", path_of(response.family), reason)
    if response.family.link.name != type(response.family)().link.name:
        yield Entry("model", "link", response.family.link.name, of_link)
    if response.exposure is not None:
        yield Entry(
            "model", "exposure", response.exposure.name,
            f"What each count is of, {response.exposure.describe()}: rates per unit of it are mapped. Leave it out if "
            "counts are to be mapped as they are.",
        )  # fmt: skip


def _model(response: Response, others: tuple[Column, ...], time: YearTerm | None) -> Iterator[Entry]:
    free = [c.name for c in others]
    more = (
        f" Not used: {listed(free, most=8)}; "
        f"{'as covariates they need' if len(free) > 1 else 'as a covariate it needs'} a raster of "
        f"{'their' if len(free) > 1 else 'its'} name in [covariates], "
        "since cells of a map have coordinates only."
        if free
        else ""
    )
    terms, what = ("1", "An intercept and a field.") if time is None else (f"1 + {time.term}", time.reason)
    yield Entry("model", "formula", f"{response.formula} ~ {terms} + spde(mesh)", f"{what}{more}")
    yield from likelihood(response, "log maps medians, identity means of logs.")


def _priors(response: Response, look: FirstLook, survey: Survey) -> Iterator[Entry]:
    low, of_extent = short(look.range / 3), short(look.extent / 20)
    origin = "a third of the range that the mesh is made for" if low < of_extent else "a twentieth of the sites' extent"
    low = min(low, of_extent)
    yield Entry(
        "priors", "range(spde)", {"pc": [low, 0.05]},
        f"The range is below {in_unit(low, survey.units)}, {origin}, with probability 0.05. Raise it if the map is a "
        "rash of spots.",
    )  # fmt: skip
    unit = response.likelihood.unit
    high, origin = short(response.likelihood.largest_sd), "three standard deviations of the response"
    if unit is None:
        origin = f"three standard deviations of {response.likelihood.rough_words}, 1 at least"
    yield Entry(
        "priors", "sigma(spde)", {"pc": [high, 0.05]},
        f"The field's standard deviation is above {high:g} with probability 0.05: {origin}. Lower it if the map "
        "overshoots the data.",
    )  # fmt: skip
    if unit is not None:
        yield Entry("priors", "sigma", {"pc": [short(3 * unit), 0.05]}, "The same for what single values scatter by.")


def _prediction(
    response: Response, sizes: Sizes, survey: Survey, exceed: float | None, time: YearTerm | None
) -> Iterator[Entry]:
    yield Entry(
        "prediction", "cell", sizes.cell,
        "About 100 cells across the shorter side, or 10,000 in all where it is narrow. Smaller ones draw finer maps, "
        "but nothing is finer than the mesh.",
    )  # fmt: skip
    area = f"the {survey.outline}" if survey.coastline is not None else "the hull of the sites"
    yield Entry("prediction", "buffer", sizes.buffer, f"Map so far beyond {area}.")
    if time is not None:
        yield Entry("prediction", "at", {time.name: list(time.mapped)}, time.of_maps)
    value, what = response.threshold()
    if exceed is None:
        what = f"{what}. Put the limit that matters to you"
    else:
        value, what = exceed, "the limit that was given"
    yield Entry("prediction", "exceed", [value], f"The probability of more than this is mapped: {what}.")
    if exceed is not None:
        yield Entry("excursions", "exceed", [value], "Where the map is above or below it, all cells at once.")


def title_of(survey: Survey, response: Response, named: str) -> str:
    """Return the title of a run: of the survey and, of several runs of it, the response."""
    return f"{survey.name}: {response.column.name}" if named else survey.name


def _output(response: Response, survey: Survey, levels: Sequence[str], named: str) -> Iterator[Entry]:
    yield Entry("output", "dir", folder_of(named or survey.name), "From the folder that the command is run in.")
    label = response.label.replace("above the first", f"above {levels[0]}") if levels else response.label
    yield Entry("output", "label", label, "What maps and report call the value: put its unit.")
