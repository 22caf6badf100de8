"""Which columns hold coordinates, response, exposure and trials.

Names decide first, then values: a table says more about itself in its header than in its numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.registry import family_by_name, names
from geospde.formula.parser import parse_expression
from geospde.formula.syntax import Call, Symbol, quoted
from geospde.run.proposal.asking import Guesser
from geospde.run.proposal.columns import Column, numbers, read_columns, words_of
from geospde.run.proposal.family import find_family
from geospde.run.proposal.names import (
    AMOUNTS,
    CENSORING,
    COVARIATES,
    DURATIONS,
    EXPOSURES,
    LABELS,
    PEOPLE,
    RESPONSES,
    SUBSTANCES,
    TERRAIN,
    TRIALS,
    YEARS,
    is_speakable,
    says,
    without_unit,
)
from geospde.survey.numbers import is_text
from geospde.survey.tables import Table
from geospde.text.words import did_you_mean, listed

Vector = NDArray[np.float64]

MOST_YEARS = 100
"""Different numbers up to which a column called so is of years."""

_BOUND = r"\s*[<>≤≥]=?\s*"

# words for the first and the second coordinate: degrees first, since they say where on Earth the survey is
DEGREES = (
    ("longitude", "latitude"), ("lon", "lat"), ("long", "lat"), ("lng", "lat"), ("longitud", "latitud"),
    ("longitudine", "latitudine"), ("längengrad", "breitengrad"), ("laengengrad", "breitengrad"),
    ("länge", "breite"), ("laenge", "breite"), ("lengtegraad", "breedtegraad"),
)  # fmt: skip
LENGTHS = (
    ("easting", "northing"), ("east", "north"), ("rechtswert", "hochwert"), ("este", "norte"), ("cx", "cy"),
    ("utmx", "utmy"), ("utme", "utmn"), ("xcoord", "ycoord"), ("coordx", "coordy"), ("x", "y"),
    ("x1", "x2"), ("e", "n"),
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What the user says, where the files would leave it to a guess.

    Attributes
    ----------
    response : str, optional
        A column, or ``p(successes, trials)``.
    exposure : str, optional
        A column, or ``none``.
    x, y : str, optional
        The columns of the coordinates.
    crs : str, optional
        The CRS that the points' coordinates are in, or a projected one to work in.
    family : str, optional
    layer, coastline_layer : str, optional
        Which layer of a file that has several.
    exceed : float, optional
        The limit that the map is to be decided at.
    bounded : bool
        Whether the area's outline is no coastline but a boundary.
    named : str
        What tells the run from others of the survey, and names its folder; empty of the only one.
    """

    response: str | None = None
    exposure: str | None = None
    x: str | None = None
    y: str | None = None
    crs: str | None = None
    family: str | None = None
    layer: str | None = None
    coastline_layer: str | None = None
    exceed: float | None = None
    bounded: bool = False
    named: str = ""


@dataclass(frozen=True)
class Roles:
    """The columns of response, trials, exposure, censoring and year, those left, and the rows that have a response."""

    table: Table
    response: Column
    trials: Column | None
    exposure: Column | None
    others: tuple[Column, ...]
    year: Column | None = None
    censored: str | None = None


def find_roles(table: Table, columns: dict[str, Column], places: set[str], options: Options, guesser: Guesser) -> Roles:
    """Return which columns a model uses, all of them numbers without a gap.

    Parameters
    ----------
    table : Table
    columns : dict
        Its columns by name.
    places : set of str
        Those that hold the coordinates.
    options : Options
    guesser : Guesser

    Raises
    ------
    InputError
        If an option names a column that is not there or cannot be what it is said to be, or if nothing looks like a
        response.
    """
    response, trials = _said(options.response)
    for name in filter(None, (response, trials)):
        _require(table, columns, name, "--response")
    if response is None:
        _refuse_bounds(table, columns, places, guesser)
        response = guess_response(columns, places, table.source, guesser)
    table = table.without_gaps([response], warn=False)
    table.numbers(response)
    columns = read_columns(table)
    column = columns[response]
    taken = places | {response}
    family = family_by_name(options.family) if options.family is not None else None
    if trials is None and options.exposure is None and (family is None or family.takes_trials):
        trials = find_trials(columns, column, taken)
    elif trials is not None:
        table.numbers(trials)
    of = columns[trials] if trials is not None else None
    for name in filter(None, (response, trials)):
        _refuse_unspeakable(name, table.source)
    exposure = None
    if of is None and options.response is None:
        _note_share(columns, column, taken, guesser)
    if of is None and options.exposure != "none":
        counts = (family or find_family(column, None)[0]).has_exposure
        if options.exposure is not None:
            exposure = _said_exposure(table, columns, options.exposure, counts)
        elif counts:
            exposure = find_exposure(columns, taken, guesser)
        else:
            _note_effort(columns, column, taken, guesser)
    censored = None if of is not None or exposure is not None else find_censoring(table, columns, column, guesser)
    used = taken | {trials, exposure, censored}
    others = tuple(c for name, c in columns.items() if name not in used and not (c.words & LABELS or c.numbers_rows))
    year = next((one for one in others if is_year(one)), None)
    others = tuple(one for one in others if one is not year)
    return Roles(table, column, of, columns[exposure] if exposure is not None else None, others, year, censored)


def is_year(column: Column) -> bool:
    """Tell whether a column says of which of several years a row is."""
    if not (column.words & YEARS and column.whole and is_speakable(column.name)):
        return False
    return 1 < len(np.unique(numbers(column))) <= MOST_YEARS


def _said(response: str | None) -> tuple[str | None, str | None]:
    """Return response and trials of --response."""
    try:
        match parse_expression(response or ""):
            case Call("p", (Symbol(successes), Symbol(trials)), ()):
                return successes, trials
    except InputError:  # a column of any name, without backquotes
        pass
    return response, None


def _said_exposure(table: Table, columns: dict[str, Column], name: str, counts: bool) -> str:
    """Return the exposure that the user names, if it can be one."""
    _require(table, columns, name, "--exposure")
    if not counts:
        having = ", ".join(names(lambda family: family.has_exposure))
        raise InputError(f"an exposure goes with counts ({having}): leave out --exposure, or give --family")
    wrong = table.numbers(name) <= 0
    if wrong.any():
        row = int(np.argmax(wrong))
        what = f"an exposure must be above 0, not {table.numbers(name)[row]:g}"
        raise InputError(what, where=table.at(row, name))
    return name


def _require(table: Table, columns: dict[str, Column], name: str, option: str) -> None:
    """Raise an InputError that names the nearest column, unless the one of an option is there."""
    if name not in columns:
        raise InputError(f"{table.source} has no column {name!r} ({option}): {did_you_mean(name, columns, 'columns')}")


def _refuse_unspeakable(name: str, source: str) -> None:
    """Raise an InputError for a column that a run file's formula cannot name, not even in backquotes."""
    if not is_speakable(name):
        plain = re.sub(r"\W+", "_", name).strip("_")
        plain = plain if plain[:1].isalpha() else f"n_{plain}"
        raise InputError(f"{source}: a formula cannot name the column {name!r}: rename it, say to {plain!r}")


def find_coordinates(table: Table, columns: dict[str, Column], options: Options, guesser: Guesser) -> tuple[str, str]:
    """Return the columns that hold the coordinates: as the user says, or by their names.

    Raises
    ------
    InputError
        If no two columns are named like coordinates.
    """
    if options.x is not None and options.y is not None:
        for name, option in ((options.x, "--x"), (options.y, "--y")):
            _require(table, columns, name, option)
        return options.x, options.y
    if options.x is not None or options.y is not None:
        raise InputError("give both --x and --y, or neither")
    pairs = coordinate_pairs(columns)
    if not pairs:
        raise InputError(
            f"{table.source}: say which columns hold the coordinates, with --x and --y; it has {listed(columns)}"
        )
    pairs = [pair for i, pair in enumerate(pairs) if not any(_same_places(columns, pair, p) for p in pairs[:i])]
    if len(pairs) == 1:
        return pairs[0]
    choices = {f"{x}, {y}": f"{columns[x].describe()}; {columns[y].describe()}" for x, y in pairs}
    chosen = guesser.choose("the pair of coordinates", choices, next(iter(choices)), "--x and --y")
    return pairs[list(choices).index(chosen)]


def coordinate_pairs(columns: dict[str, Column]) -> list[tuple[str, str]]:
    """Return the pairs of columns whose names differ in the axis alone, the likeliest first.

    Examples
    --------
    >>> coordinate_pairs({n: Column(n, None) for n in ("site", "y", "utm_x", "utm_y", "Lat", "Lon")})
    [('Lon', 'Lat'), ('utm_x', 'utm_y')]
    """
    spelt = {tuple(words_of(name)): name for name in reversed(columns)}
    pairs = []
    for first, second in (*DEGREES, *LENGTHS):
        for words, name in reversed(spelt.items()):
            other = spelt.get(tuple(second if w == first else w for w in words))
            if first in words and other is not None and other != name:
                pairs.append((name, other))
    return list(dict.fromkeys(pairs))


def _same_places(columns: dict[str, Column], pair: tuple[str, str], other: tuple[str, str]) -> bool:
    """Tell whether two pairs are the same places in two systems: a plane through one gives the other, nearly."""
    both = [columns[name] for name in (*other, *pair)]
    if len(numbers_of := [c.values for c in both if c.values is not None and c.complete]) < 4:
        return False
    plane = np.column_stack([np.ones(len(numbers_of[0])), *numbers_of[:2]])
    plane -= plane.mean(axis=0) * [0, 1, 1]
    for values in numbers_of[2:]:
        residual = values - plane @ np.linalg.lstsq(plane, values, rcond=None)[0]
        if len(values) < 8 or residual.std() > 0.05 * values.std():
            return False
    return True


def named_degrees(name: str) -> bool:
    """Tell whether a column is called longitude or latitude."""
    return bool(set(words_of(name)) & {word for pair in DEGREES for word in pair})


def guess_response(columns: dict[str, Column], taken: set[str], source: str, guesser: Guesser) -> str:
    """Return the column that is likeliest to hold the response.

    Parameters
    ----------
    columns : dict
        All columns of the table.
    taken : set of str
        Columns that hold the coordinates.
    source : str
        What errors call the table.
    guesser : Guesser
        Decides where two columns are as likely.

    Raises
    ------
    InputError
        If no column could be it.
    """
    twins = {name for pair in coordinate_pairs(columns) for name in pair}
    free = {name: column for name, column in columns.items() if name not in taken and column.values is not None}
    score = {name: _likeness(column) - 2 * (name in twins) for name, column in free.items()}
    subject = set(words_of(Path(source).stem))
    for name, column in free.items():
        if score[name] > -4 and find_trials(free, column, {*taken, name}) is not None:
            score[name] += 2
        called = without_unit(column.words)
        if score[name] > -4 and called and called <= subject:  # zinc.csv, fulmar_2024.csv
            score[name] += 3
    for name, (less, why) in _derived(free).items():
        if score.get(name, -4) - less > -4 and _likeness(free[name]) > 0:
            guesser.note(f"{name!r} is not taken for the response: {why}")
        score[name] -= less
    rest = {name: s for name, s in score.items() if s > -4}
    if not rest:
        others = [f"{n!r} ({_why_not(columns[n])})" for n in columns if n not in taken]
        have = f"beside the coordinates it has {', '.join(others)}" if others else "it has coordinates only"
        raise InputError(
            f"{source} has no column that looks like a response: {have}; name one with --response, "
            "or, if the places themselves are what was seen, map them as a point pattern, by a run file of its own"
        )
    best = max(rest, key=lambda name: rest[name])
    rivals = [name for name in rest if rest[name] > max(rest[best] - 2, -3)]
    if rest[best] < 0 and len(rest) > 1:
        rivals = list(rest)
    if len(rivals) > 1:
        choices = {name: columns[name].describe() for name in rivals}
        return guesser.choose("the response", choices, best, "--response")
    return best


def _refuse_bounds(table: Table, columns: dict[str, Column], taken: set[str], guesser: Guesser) -> None:
    """Refuse to guess a response where the likeliest column has bounds among its numbers, such as '<5' of an assay."""
    named = {name for name, column in columns.items() if says(column.words, RESPONSES | SUBSTANCES)} - taken
    bounded = [name for name, column in columns.items() if column.values is None and _has_bounds(table, name)]
    if any(columns[name].values is not None for name in named):
        for name in bounded:
            guesser.note(f"{name!r} is not used: among its numbers are bounds, such as '<5'")
    elif bounded:
        table.numbers(next((name for name in bounded if name in named), bounded[0]))


def _has_bounds(table: Table, name: str) -> bool:
    """Tell whether a column of text is of numbers but for signs before some of them."""
    cells = table.frame[name].dropna().astype(str)
    signed = cells.str.match(_BOUND)
    return bool(signed.any()) and not is_text(cells.str.replace(_BOUND, "", regex=True)).any()


def _likeness(column: Column) -> float:
    """Return how much a column looks like a response; -4 and less: it cannot be one."""
    words = column.words
    named = says(words, RESPONSES | SUBSTANCES) and not (words & PEOPLE and "density" in words)
    if words & (LABELS | CENSORING) or (column.numbers_rows and not named):
        return -4
    if column.constant:
        return -3 if named else -4
    other = words & COVARIATES or _is_exposure(column) or says(words, TRIALS)
    other = bool(other) and not words & RESPONSES
    counts = column.whole and bool((numbers(column) >= 0).all())
    if words & TERRAIN and not named:  # heights are whole numbers, too
        return -3.5
    return 3 * named - 3 * other + counts


def _derived(columns: dict[str, Column]) -> dict[str, tuple[int, str]]:
    """Return the columns that others say more than, with what that costs them and why."""
    derived = {}
    whole = {name: c for name, c in columns.items() if c.complete and (numbers(c) >= 0).all()}
    for name, column in whole.items():
        values = numbers(column)
        zeros_and_ones = column.whole and set(np.unique(values)) == {0, 1}
        for other, more in whole.items():
            if other == name or not says(more.words, RESPONSES | SUBSTANCES):
                continue
            amounts = numbers(more)
            if zeros_and_ones and len(np.unique(amounts)) > 2 and ((amounts > 0) == values).all():
                derived[name] = 4, f"it says no more than where {other!r} is above 0"
            of = None if column.whole else find_trials(columns, more, {name, other})
            if of is not None and _is_share(values, amounts / numbers(columns[of])):
                derived[name] = 4, f"it is {other!r} by {of!r}, which say how sure it is"
    return derived


def _is_share(values: Vector, share: Vector) -> bool:
    """Tell whether values are a share or a percentage, rounded to two digits at worst."""
    return any(bool(np.allclose(values / by, share, rtol=0.02, atol=0.006)) for by in (1, 100))


def _why_not(column: Column) -> str:
    if column.values is None:
        return "text"
    if column.constant:
        return "the same in every row"
    return "numbers the rows" if column.numbers_rows else "a label, by its name"


def find_trials(columns: dict[str, Column], response: Column, taken: set[str]) -> str | None:
    """Return the column of trials to a column of successes, by its name and because it is never the smaller."""
    if not response.whole or (numbers(response) < 0).any():
        return None
    for name, column in columns.items():
        if name in taken or not column.whole or not says(column.words, TRIALS) or column.numbers_rows:
            continue
        of = numbers(column)
        if (of >= np.maximum(numbers(response), 1)).all() and (of > 1).any():
            return name
    return None


def _is_exposure(column: Column) -> bool:
    """Tell whether a column is called how long, how large or how many; an "hour" may be one of the day."""
    return says(column.words, EXPOSURES) or bool(DURATIONS & set(re.split(r"[\W_]+", column.name.casefold())))


def find_exposure(columns: dict[str, Column], taken: set[str], guesser: Guesser) -> str | None:
    """Return the column that says how long, how large or how many a count is of, by its name; None without one."""
    named = [
        column
        for name, column in columns.items()
        if name not in taken and _is_exposure(column) and not column.words & LABELS
        and column.values is not None and not _years(column)
    ]  # fmt: skip
    likely = {c.name: c.describe() for c in named if c.complete and (numbers(c) > 0).all()}
    for column in named:
        if column.name not in likely:
            guesser.note(f"{column.name!r} is not taken for the exposure: it is not above 0 in every row")
    if len(likely) > 1 or any(columns[name].words & EXPOSURES == {"area"} for name in likely):  # or a code of areas
        best = next(iter(likely))
        chosen = guesser.choose("the exposure", {**likely, "none": "counts as they are"}, best, "--exposure")
        return None if chosen == "none" else chosen
    return next(iter(likely), None)


def _note_share(columns: dict[str, Column], response: Column, taken: set[str], guesser: Guesser) -> None:
    """Tell of a response that is a share, or a percentage, of a column of trials: how many these were says more."""
    values = numbers(response)
    if response.whole and not (values > 1).any() or (values < 0).any() or (values > 100).any():
        return
    by = 1 if (values <= 1).all() else 100
    for name, column in columns.items():
        if name in taken or not column.whole or not column.complete or not says(column.words, TRIALS):
            continue
        of = numbers(column)
        many = values * of / by
        # a share that is rounded to two digits, or a percentage to none, is that of some whole number
        if (of > 1).any() and (of > 0).all() and (np.abs(many - np.round(many)) <= 0.006 * of + 1e-9).all():
            guesser.note(
                f"{response.name!r} is a share of {name!r}: with how many these were as a column of its own, such as "
                f"'positive', --response 'p(positive, {name})' takes into account how sure each share is"
            )
            return


def _note_effort(columns: dict[str, Column], response: Column, taken: set[str], guesser: Guesser) -> None:
    """Tell of amounts that have an effort beside them, which is the exposure of counts alone."""
    if not response.words & AMOUNTS or (numbers(response) < 0).any():
        return
    for name, column in columns.items():
        if name in taken or not _is_exposure(column) or column.words & LABELS or not column.complete:
            continue
        if (numbers(column) > 0).all() and not column.constant:
            guesser.note(
                f"{name!r} is not used, since an exposure is one of counts: {response.name!r} over {name!r}, as a "
                "column of its own, would map amounts per unit of it"
            )
            return


def find_censoring(table: Table, columns: dict[str, Column], response: Column, guesser: Guesser) -> str | None:
    """Return the column that says which responses are bounds, by its name and the words of `geospde.fit`'s cens()."""
    for name, column in columns.items():
        of = column.words - CENSORING
        if of == column.words or (of and not of & response.words) or not is_speakable(name):
            continue
        said = set(table.frame[name].astype(str).str.strip().str.lower())
        if column.values is None and said <= {"none", "left", "right"}:
            return name if len(said) > 1 else None
        guesser.note(
            f"{name!r} is not taken to say which values are bounds: with 'none', 'left' and 'right' in it, "
            f"cens({quoted(response.name)}, {quoted(name)}) in the formula takes them for that"
        )
    return None


def _years(column: Column) -> bool:
    return column.whole and bool(((numbers(column) >= 1900) & (numbers(column) <= 2100)).all())
