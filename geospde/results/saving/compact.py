"""Large arrays of a fit in little room: what its theta points have in common is written once.

Modes and covariances are smooth functions of theta, so that rows of different points are nearly combinations of a few.
Rotated to their principal axes (the Karhunen-Loève transform of coding theory; Goyal 2001, IEEE Signal Process. Mag.
18(5), 9-21) most rows are nearly zero; rounded to whole steps they take a byte or two an entry, or none.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

STEP = 4e-9  # of the largest value of a column, rounded up to a power of two
LOSSLESS = 500_000  # bytes: smaller arrays are written as they are
CHUNK = 65_536  # columns at a time
LITTLE = 1e-5  # of the longest axis: shorter ones are found again
PARTS = ("axes", "exponents", "widths", "bytes")


def compact(
    name: str, values: Vector, beside: Vector | None = None, finer: int = 0, rows: NDArray[np.int64] | None = None
) -> dict[str, NDArray[Any]]:
    """Arrays that stand for a large one, (k, n), or the array itself where it is small.

    Parameters
    ----------
    name : str
    values : (k, n) array
        Finite. Each comes back to 1e-8 of the largest in its column, most to `STEP`.
    beside : (k, n) array, optional
        The largest in each column of this one instead: of modes, say, where the values are what means are off them.
    finer : int
        Bits more, each of which halves the step; fewer where negative.
    rows : (k,) array of int, optional
        Bits more of each row beside the others, as of rows that are small or count for much.

    Returns
    -------
    dict
        ``{name: values}``, or ``<name>_axes``, (k, r), which also scale the rows, ``<name>_exponents``, (n,), powers of
        two that scale the columns, ``<name>_widths``, (r,), bytes that the codes along each axis take, and
        ``<name>_bytes``, (sum, n), those bytes, the lowest first.

    Examples
    --------
    >>> sorted(compact("modes", np.ones((3, 4))))
    ['modes']
    """
    if values.ndim != 2 or values.nbytes < LOSSLESS or len(values) < 2:
        return {name: values}
    n = values.shape[1]
    rows = np.zeros(len(values), dtype=np.int64) if rows is None else rows
    values, beside = (np.ldexp(each, rows[:, None]) for each in (values, values if beside is None else beside))
    exponents = np.frexp(np.abs(beside).max(axis=0))[1].astype(np.int16) - finer
    scaled = np.ldexp(values, -exponents.astype(int))
    axes = _principal_axes(scaled)
    widths: list[int] = []
    body: list[NDArray[np.uint8]] = []
    for axis in axes.T:
        code = np.rint(axis @ scaled / STEP).astype("<i8")
        zigzag = ((code << 1) ^ (code >> 63)).astype("<i8")  # small numbers of either sign have few bytes
        digits = zigzag.view(np.uint8).reshape(n, 8)
        widths.append((int(zigzag.view("<u8").max()).bit_length() + 7) // 8)
        body.extend(digits[:, place].copy() for place in range(widths[-1]))
    used_axes = np.ldexp(axes[:, np.array(widths) > 0], -rows[:, None])
    lengths = np.array([width for width in widths if width], dtype=np.uint8)
    parts = (used_axes, exponents, lengths, np.array(body, dtype=np.uint8).reshape(-1, n))
    return {f"{name}_{part}": array for part, array in zip(PARTS, parts)}


def expand(name: str, arrays: Mapping[str, NDArray[Any]]) -> Vector:
    """The array that `compact` wrote.

    Raises
    ------
    KeyError
        Where neither it nor what stands for it is there.
    ValueError
        Where the parts do not fit together.
    """
    if name in arrays:
        return np.asarray(arrays[name])
    axes, exponents, widths, body = (arrays[f"{name}_{part}"] for part in PARTS)
    if widths.max(initial=0) > 8 or int(widths.sum()) != len(body) or axes.shape[1:] != widths.shape:
        raise ValueError(f"the parts of {name} do not fit together")
    scaled_axes, powers = axes * STEP, exponents.astype(int)
    out: Vector = np.empty((len(axes), body.shape[1]))
    for first in range(0, body.shape[1], CHUNK):
        part = slice(first, first + CHUNK)
        np.ldexp(scaled_axes @ _codes(body[:, part], widths), powers[part], out=out[:, part])
    return out


def _codes(body: NDArray[np.uint8], widths: NDArray[np.uint8]) -> Vector:
    """Whole numbers of some columns along each axis, (r, n), from their bytes."""
    codes = np.empty((widths.size, body.shape[1]))
    at = 0
    for row, width in enumerate(widths.tolist()):
        zigzag = np.zeros(body.shape[1], dtype=np.int64)
        for place in range(width):
            zigzag |= body[at + place].astype(np.int64) << (8 * place)
        codes[row] = (zigzag >> 1) ^ -(zigzag & 1)
        at += width
    return codes


def _principal_axes(scaled: Vector) -> Vector:
    """Orthogonal axes of rows, (k, k), the one with most of them first: eigenvectors of their products.

    Products lose what is 1e-8 of the largest: axes of little are found again, among themselves.
    """
    axes = np.linalg.eigh(scaled @ scaled.T)[1][:, ::-1]
    along = axes.T @ scaled
    squares = np.einsum("ij,ij->i", along, along)
    little = squares < LITTLE**2 * squares.max()
    axes[:, little] = axes[:, little] @ np.linalg.eigh(along[little] @ along[little].T)[1][:, ::-1]
    return axes
