"""Small pieces of the sentences that geospde says: nearest names, lists, plurals, numbers."""

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TypeGuard

from geospde.errors import QUOTED

MOST_LISTED = 250  # letters of all names that a sentence lists
LONGEST_NAME = 200  # that is compared with others: the time goes by the square


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was most likely meant to be, or None.

    Examples
    --------
    >>> nearest("Counts", ["cX", "cY", "counts", "time"])
    'counts'
    >>> nearest("depth", ["cX", "cY"]) is None
    True
    """
    if len(name) > LONGEST_NAME:
        return None
    known = [k for k in known if len(k) <= LONGEST_NAME]
    folded = {k.casefold(): k for k in reversed(known)}
    match = get_close_matches(name.casefold(), folded, n=1, cutoff=0.55)
    return folded[match[0]] if match else None


def did_you_mean(name: str, known: Iterable[str], what: str = "known names") -> str:
    """Return the end of a sentence about an unknown name: the nearest known one, or all of them.

    Examples
    --------
    >>> did_you_mean("tmie", ["counts", "time"])
    "did you mean 'time'?"
    >>> did_you_mean("depth", ["cX", "cY"], "columns")
    "the columns are 'cX' and 'cY'"
    """
    known = list(known)
    match = nearest(name, known)
    if match is not None:
        return f"did you mean {match!r}?"
    return f"the {what} are {listed(known)}" if known else f"there are no {what}"


def listed(names: Iterable[object], *, most: int = 12) -> str:
    """Return names as a sentence lists them, ``'a', 'b' and 'c'``; many are cut at `most`, or when they fill lines.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    "'a', 'b' and 'c'"
    >>> listed(range(5), most=3)
    '0, 1, 2 and 2 more'
    """
    words = [repr(n) for n in names]
    room = [min(most, len(words))]
    room += [k for k in range(1, room[0]) if sum(min(len(word), QUOTED + 2) for word in words[:k]) > MOST_LISTED]
    if len(words) > min(room):
        words = [*words[: min(room)], f"{len(words) - min(room)} more"]
    return joined(words)


def joined(parts: Sequence[str]) -> str:
    """Return parts of a sentence with commas and a last "and".

    Examples
    --------
    >>> joined(["2 km", "3 km", "a half"])
    '2 km, 3 km and a half'
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def in_brief(given: object, most: int = 60) -> str:
    """Return what a user wrote as a message quotes it: its beginning and its end, where it is longer than `most`.

    Examples
    --------
    >>> in_brief("depth"), in_brief("x" * 1000, most=12)
    ("'depth'", "'xxxx...xxx'")
    """
    try:
        text = repr(given)
    except ValueError:  # Python refuses to write numbers of thousands of digits
        return "a number of thousands of digits"
    if "\n" in text:  # of tables and arrays a sentence has no room
        return f"a {type(given).__name__}"
    return text if len(text) <= most else f"{text[: most // 2 - 1]}...{text[-(most - most // 2 - 2) :]}"


def is_name(given: object) -> TypeGuard[str]:
    r"""Return whether a text can be the name of something: it shows, stands on one line and commands no terminal.

    Examples
    --------
    >>> is_name("hard coral"), is_name("hard\ncoral"), is_name(" ")
    (True, False, False)
    """
    return isinstance(given, str) and bool(given.strip()) and given.isprintable()


def observed_words(label: str) -> str:
    """Return what was observed of a response, the word once.

    Examples
    --------
    >>> observed_words("zinc"), observed_words("observed cases")
    ('Observed zinc', 'Observed cases')
    """
    return label[:1].upper() + label[1:] if label.casefold().startswith("observed") else f"Observed {label}"


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "site"), counted(1612, "cell")
    ('1 site', '1,612 cells')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def bytes_of(size: float) -> str:
    """Return a size in bytes as a reader expects it.

    Examples
    --------
    >>> bytes_of(2.5e6), bytes_of(31.4e9), bytes_of(1)
    ('2.5 MB', '31 GB', '1 byte')
    """
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.{1 if size < 10 * scale else 0}f} {unit}"
    return f"{size / 1e3:.0f} kB" if size >= 1e3 else counted(round(size), "byte")


def duration(seconds: float) -> str:
    """Return a time in its unit.

    Examples
    --------
    >>> duration(0.42), duration(90), duration(7500)
    ('1 s', '90 s', '2 h 5 min')
    """
    whole = max(math.ceil(seconds), 1)
    if whole < 120:
        return f"{whole} s"
    minutes = math.ceil(whole / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def length(value: float, unit: str) -> str:
    """Return a length for a sentence: three significant digits, kilometres where metres would need many.

    Examples
    --------
    >>> length(18.94, "m"), length(2480.3, "m"), length(86142.0, "m"), length(0.00213, "km")
    ('18.9 m', '2,480 m', '86.1 km', '0.00213 km')
    """
    return lengths([value], unit)


def lengths(values: Iterable[float], unit: str, beside: Iterable[float] = ()) -> str:
    """Return a length, or the ends of a span, in the unit that suits the largest, of those told beside it, too.

    Examples
    --------
    >>> lengths([30620.0, 89100.0], "m"), lengths([200.0, 310.0], "m"), lengths([7530.0], "m", [3310.0, 17800.0])
    ('30.6 to 89.1 km', '200 to 310 m', '7.53 km')
    """
    ends = list(values)
    if unit == "m" and max([*ends, *beside]) >= 10_000:
        ends, unit = [end / 1000 for end in ends], "km"
    *first, last = ends
    return " to ".join([*(in_unit(end, "") for end in first), in_unit(last, unit)])


def in_unit(value: float, unit: str) -> str:
    """Return a length to three significant digits in the unit that it is in, as a setting is given.

    Examples
    --------
    >>> in_unit(86142.0, "m"), in_unit(-37.61, "")
    ('86,100 m', '−37.6')
    """
    if value < 0 and math.isfinite(value):
        return f"\N{MINUS SIGN}{in_unit(-value, unit)}"
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}".rstrip()
    digits = 2 - math.floor(math.log10(abs(value)))
    if not -12 < digits < 9:
        return f"{value:.3g} {unit}".rstrip()
    return f"{round(value, digits):,.{max(digits, 0)}f} {unit}".rstrip()


def area(value: float, unit: str) -> str:
    """Return an area, in square kilometres where square metres would need thousands.

    Examples
    --------
    >>> area(2120283.3, "m"), area(3.21, "km")
    ('2.12 km²', '3.21 km²')
    """
    if unit == "m" and value >= 1e4:
        value, unit = value / 1e6, "km"
    return in_unit(value, f"{unit}²")


def numeral(value: float) -> str:
    """Return a number as a part of a name, such as a column's: all its digits, and no plus sign.

    Examples
    --------
    >>> numeral(0.975), numeral(8.0), numeral(1234567), numeral(1e300), numeral(-2.5)
    ('0.975', '8', '1234567', '1e300', '-2.5')
    """
    return f"{value:.15g}".replace("+", "")


def coordinate(value: float) -> str:
    """Return a coordinate: six digits, and all those before the point.

    Examples
    --------
    >>> coordinate(4998800.2), coordinate(11.3125), coordinate(400010.26)
    ('4998800', '11.3125', '400010')
    """
    return f"{value:.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"


MOST_DECIMALS = 6
"""Beyond these a power of ten is easier to read."""


def number(value: float) -> str:
    """Return a number as a reader expects it: four significant digits, no exponent where few zeros would do.

    Examples
    --------
    >>> number(6.0438), number(-1328.0196), number(472801.0), number(1.2344e-7), number(float("nan"))
    ('6.044', '−1,328.02', '472,801', '1.234×10⁻⁷', '–')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else str(value)
    size = abs(value)
    if value == round(value) and size < 1e9:
        text = f"{value:,.0f}"
    elif 1000 <= size < 1e9:
        text = f"{value:,.2f}" if size < 1e5 else f"{value:,.0f}"
    else:
        text = four_digits(value)
    return f"\N{MINUS SIGN}{text[1:]}" if text.startswith("-") else text


def numbers_alike(values: Iterable[float], spread: float) -> list[str]:
    """Return numbers of one kind with as many decimals as show two digits of their spread, as of a standard deviation.

    More would be noise, fewer hide it. Whole numbers stay whole; without a spread, or where decimals would be many, as
    `number` writes them.

    Examples
    --------
    >>> numbers_alike([3.9317, 0.07636, 3.7951, 3.93], 0.07636)
    ['3.932', '0.076', '3.795', '3.930']
    >>> numbers_alike([514.72, 312.3, 1247.37], 312.3), numbers_alike([-0.001, 2.0, float("nan")], 0.4)
    (['515', '312', '1,247'], ['0.00', '2.00', '–'])
    """
    each = [float(value) for value in values]
    known = [abs(value) for value in each if math.isfinite(value)]
    decimals = max(1 - math.floor(math.log10(spread)), 0) if math.isfinite(spread) and spread > 0 else MOST_DECIMALS + 1
    if decimals > MOST_DECIMALS or max(known, default=0.0) >= 1e9 or all(value == round(value) for value in known):
        return [number(value) for value in each]
    texts = [f"{value:,.{decimals}f}" if math.isfinite(value) else number(value) for value in each]
    nothing = f"{-0.0:.{decimals}f}"
    return [text.lstrip("-") if text == nothing else text.replace("-", "\N{MINUS SIGN}") for text in texts]


def plain_alike(values: Iterable[float], spread: float) -> list[str]:
    """Return `numbers_alike` as a terminal has them, to be copied: no commas, a hyphen for a minus sign.

    Examples
    --------
    >>> plain_alike([-514.72, 312.3, 1247.37, float("inf")], 312.3)
    ['-515', '312', '1247', 'inf']
    """
    each = [float(value) for value in values]
    texts = [text.replace(",", "").replace("\N{MINUS SIGN}", "-") for text in numbers_alike(each, spread)]
    return [text if math.isfinite(value) else f"{value}" for value, text in zip(each, texts)]


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def four_digits(value: float) -> str:
    """Return four significant digits, with a power of ten as a reader writes it.

    Examples
    --------
    >>> four_digits(3.4851e-6), four_digits(-2e12), four_digits(0.25)
    ('3.485×10⁻⁶', '-2×10¹²', '0.25')
    """
    digits, _, power = f"{value:.4g}".partition("e")
    return f"{digits}×10{str(int(power)).translate(_RAISED)}" if power else digits
