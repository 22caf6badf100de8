"""Kernels of the supernodal Cholesky factorisation: one dense panel a supernode, compiled loops around BLAS.

The factorisation is left-looking (Ng & Peyton 1993, SIAM J. Sci. Comput. 14, 1034-1056); the selected inverse is
Takahashi's recursion (Takahashi, Fagan & Chen 1973; Erisman & Tinney 1975) in the same layout. The interpreter lock is
free while they run.

Layout: supernode s has columns ``first[s]:first[s+1]`` and a panel of ``nrow × width`` numbers in C order at
``start[s]``; its row numbers, the columns themselves first, stand at ``row_start[s]`` in `rows`.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numba import njit
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Index = NDArray[np.int64]

WIDEST = 64  # wider supernodes are split: the triangular kernels below are plain loops
SMALL = 12  # products with a side below this are loops too, for the price of a BLAS call


@dataclass(frozen=True)
class Layout:
    """Where everything stands; made once a pattern."""

    n: int
    permutation: Index
    first: Index  # (S+1,) first column of each supernode
    row_start: Index  # (S+1,)
    rows: Index
    start: Index  # (S+1,) of the panels
    owner: Index  # (n,) supernode of each column
    tallest: int
    entries: Index  # place in the panels of each entry of the pattern

    diagonal: Index  # place in the panels of each diagonal entry of L

    @property
    def size(self) -> int:
        """Numbers in all panels."""
        return int(self.start[-1])

    @classmethod
    def of(cls, pattern: sp.csc_matrix, permutation: Index, indptr: Index, indices: Index) -> "Layout":
        """Panels for a lower-triangular pattern, from its permutation and the pattern of its factor.

        Parameters
        ----------
        pattern : (n, n) csc_matrix
            Lower triangle of the matrix.
        permutation : (n,) array
        indptr, indices : arrays
            Column starts and sorted row numbers of L for the permuted matrix.
        """
        n = pattern.shape[0]
        first = _supernodes(indptr, indices, WIDEST)
        heights, widths = np.diff(indptr)[first[:-1]], np.diff(first)
        row_start = np.concatenate([[0], np.cumsum(heights)])
        rows = np.concatenate([indices[indptr[a] : indptr[a + 1]] for a in first[:-1]])
        start = np.concatenate([[0], np.cumsum(heights * widths)])
        owner = np.repeat(np.arange(widths.size), widths)
        rank = np.empty(n, np.int64)
        rank[permutation] = np.arange(n)
        i = rank[pattern.indices]
        j = rank[np.repeat(np.arange(n), np.diff(pattern.indptr))]
        entries = _places(np.maximum(i, j), np.minimum(i, j), first, row_start, rows, start, owner)
        diagonal = start[owner] + (np.arange(n) - first[owner]) * (widths[owner] + 1)
        return cls(n, permutation, first, row_start, rows, start, owner, int(heights.max()), entries, diagonal)


@njit(cache=True, nogil=True)
def _supernodes(indptr, indices, widest):
    """First columns of maximal runs of columns, at most so wide, whose patterns nest without a gap."""
    n = indptr.size - 1
    first = np.empty(n + 1, np.int64)
    count = 0
    for j in range(n):
        new = True
        if j > 0 and j - first[count - 1] < widest:
            before, here = indptr[j] - indptr[j - 1], indptr[j + 1] - indptr[j]
            if before == here + 1 and before > 1 and indices[indptr[j - 1] + 1] == j:
                new = False
                for k in range(here):
                    if indices[indptr[j - 1] + 1 + k] != indices[indptr[j] + k]:
                        new = True
                        break
        if new:
            first[count] = j
            count += 1
    first[count] = n
    return first[: count + 1]


@njit(cache=True, nogil=True)
def _places(i, j, first, row_start, rows, start, owner):
    out = np.empty(i.size, np.int64)
    for k in range(i.size):
        s = owner[j[k]]
        low, high = row_start[s], row_start[s + 1]
        while high - low > 1:
            middle = (low + high) // 2
            if rows[middle] <= i[k]:
                low = middle
            else:
                high = middle
        out[k] = start[s] + (low - row_start[s]) * (first[s + 1] - first[s]) + j[k] - first[s]
    return out


@njit(cache=True, nogil=True)
def _gram(a, b, out):
    """Write a @ b.T into out, by BLAS where it pays."""
    if a.shape[0] < SMALL or b.shape[0] < SMALL or a.shape[1] < 4:
        for i in range(a.shape[0]):
            for j in range(b.shape[0]):
                total = 0.0
                for k in range(a.shape[1]):
                    total += a[i, k] * b[j, k]
                out[i, j] = total
    else:
        np.dot(a, b.T, out)


@njit(cache=True, nogil=True)
def factorise(panels, first, row_start, rows, start, tallest):
    """Factorise in place; return the first column that is not positive, or -1."""
    count = first.size - 1
    n = first[count]
    work = np.empty(tallest * WIDEST)
    place = np.empty(n, np.int64)  # row number -> row of the panel at hand
    head = np.full(count, -1, np.int64)  # supernodes waiting to update s, as linked lists
    following = np.full(count, -1, np.int64)
    position = np.zeros(count, np.int64)  # first row of a waiting supernode that is not yet used
    for s in range(count):
        a, b = first[s], first[s + 1]
        width = b - a
        r0, r1 = row_start[s], row_start[s + 1]
        height = r1 - r0
        panel = panels[start[s] : start[s + 1]].reshape(height, width)
        for k in range(height):
            place[rows[r0 + k]] = k
        d = head[s]
        while d >= 0:
            after = following[d]
            d0, d1 = row_start[d], row_start[d + 1]
            below = panels[start[d] : start[d + 1]].reshape(d1 - d0, first[d + 1] - first[d])
            p = position[d]
            q = p
            while q < d1 - d0 and rows[d0 + q] < b:
                q += 1
            tall, wide = d1 - d0 - p, q - p
            update = work[: tall * wide].reshape(tall, wide)
            _gram(below[p:], below[p:q], update)
            for i in range(tall):
                target = place[rows[d0 + p + i]]
                for j in range(min(i + 1, wide)):
                    panel[target, rows[d0 + p + j] - a] -= update[i, j]
            if q < d1 - d0:
                position[d] = q
                owner = _owner(first, rows[d0 + q], s)
                following[d] = head[owner]
                head[owner] = d
            d = after
        # the diagonal block, then the rows below it
        for j in range(width):
            pivot = panel[j, j]
            for k in range(j):
                pivot -= panel[j, k] * panel[j, k]
            if not pivot > 0.0 or pivot == np.inf:
                return a + j
            pivot = np.sqrt(pivot)
            panel[j, j] = pivot
            for i in range(j + 1, width):
                total = panel[i, j]
                for k in range(j):
                    total -= panel[i, k] * panel[j, k]
                panel[i, j] = total / pivot
            for i in range(j):
                panel[i, j] = 0.0
        if height > width:
            if width < SMALL or height - width < SMALL:
                for i in range(width, height):
                    for j in range(width):
                        total = panel[i, j]
                        for k in range(j):
                            total -= panel[i, k] * panel[j, k]
                        panel[i, j] = total / panel[j, j]
            else:
                inverse = _inverse_of_lower(panel[:width])
                update = work[: (height - width) * width].reshape(height - width, width)
                np.dot(panel[width:], inverse.T, update)
                for i in range(width, height):  # a slice assignment would take seconds to compile
                    for j in range(width):
                        panel[i, j] = update[i - width, j]
            position[s] = width
            owner = _owner(first, rows[r0 + width], s)
            following[s] = head[owner]
            head[owner] = s
    return -1


@njit(cache=True, nogil=True)
def _owner(first, row, after):
    """Supernode of a column, by bisection among those after a given one."""
    low, high = after, first.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if first[middle] <= row:
            low = middle
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _inverse_of_lower(block):
    """Inverse of a lower triangle, by rows."""
    n = block.shape[0]
    inverse = np.zeros((n, n))
    for i in range(n):
        scale = 1.0 / block[i, i]
        for k in range(i):
            weight = block[i, k] * scale
            for j in range(k + 1):
                inverse[i, j] -= weight * inverse[k, j]
        inverse[i, i] = scale
    return inverse


@njit(cache=True, nogil=True)
def forward(panels, first, row_start, rows, start, x):
    """Overwrite x, (n, k) in the permuted order, by L⁻¹ x."""
    for s in range(first.size - 1):
        a, width = first[s], first[s + 1] - first[s]
        r0 = row_start[s]
        height = row_start[s + 1] - r0
        panel = panels[start[s] : start[s + 1]].reshape(height, width)
        for c in range(x.shape[1]):
            for j in range(width):
                total = x[a + j, c]
                for k in range(j):
                    total -= panel[j, k] * x[a + k, c]
                x[a + j, c] = total / panel[j, j]
            for i in range(width, height):
                total = 0.0
                for k in range(width):
                    total += panel[i, k] * x[a + k, c]
                x[rows[r0 + i], c] -= total


@njit(cache=True, nogil=True)
def backward(panels, first, row_start, rows, start, x):
    """Overwrite x, (n, k) in the permuted order, by L'⁻¹ x."""
    for s in range(first.size - 2, -1, -1):
        a, width = first[s], first[s + 1] - first[s]
        r0 = row_start[s]
        height = row_start[s + 1] - r0
        panel = panels[start[s] : start[s + 1]].reshape(height, width)
        for c in range(x.shape[1]):
            for i in range(width, height):
                value = x[rows[r0 + i], c]
                for k in range(width):
                    x[a + k, c] -= panel[i, k] * value
            for j in range(width - 1, -1, -1):
                value = x[a + j, c] / panel[j, j]
                x[a + j, c] = value
                for k in range(j):
                    x[a + k, c] -= panel[j, k] * value


@njit(cache=True, nogil=True)
def forward_many(panels, first, row_start, rows, start, tallest, x):
    """`forward` for many right-hand sides, by matrix products."""
    k = x.shape[1]
    work = np.empty(tallest * k)
    for s in range(first.size - 1):
        a, width = first[s], first[s + 1] - first[s]
        r0 = row_start[s]
        height = row_start[s + 1] - r0
        panel = panels[start[s] : start[s + 1]].reshape(height, width)
        for j in range(width):
            for i in range(j):
                weight = panel[j, i]
                for c in range(k):
                    x[a + j, c] -= weight * x[a + i, c]
            weight = 1.0 / panel[j, j]
            for c in range(k):
                x[a + j, c] *= weight
        if height > width:
            update = work[: (height - width) * k].reshape(height - width, k)
            np.dot(panel[width:], x[a : a + width], update)
            for i in range(width, height):
                row = rows[r0 + i]
                for c in range(k):
                    x[row, c] -= update[i - width, c]


@njit(cache=True, nogil=True)
def backward_many(panels, first, row_start, rows, start, tallest, x):
    """`backward` for many right-hand sides, by matrix products."""
    k = x.shape[1]
    work, small = np.empty(tallest * k), np.empty(WIDEST * k)
    for s in range(first.size - 2, -1, -1):
        a, width = first[s], first[s + 1] - first[s]
        r0 = row_start[s]
        height = row_start[s + 1] - r0
        panel = panels[start[s] : start[s + 1]].reshape(height, width)
        if height > width:
            below = work[: (height - width) * k].reshape(height - width, k)
            for i in range(width, height):
                row = rows[r0 + i]
                for c in range(k):
                    below[i - width, c] = x[row, c]
            update = small[: width * k].reshape(width, k)
            np.dot(panel[width:].T, below, update)
            for i in range(width):
                for c in range(k):
                    x[a + i, c] -= update[i, c]
        for j in range(width - 1, -1, -1):
            weight = 1.0 / panel[j, j]
            for c in range(k):
                x[a + j, c] *= weight
            for i in range(j):
                weight = panel[j, i]
                for c in range(k):
                    x[a + i, c] -= weight * x[a + j, c]


@njit(cache=True, nogil=True)
def selected_inverse(panels, first, row_start, rows, start, owner, tallest):
    """Entries of (L L')⁻¹ at the places of the panels.

    With S a supernode's columns and J the rows below: ``Y = L_JS L_SS⁻¹``, ``Z_JS = -Z_JJ Y`` and
    ``Z_SS = L_SS⁻ᵀ L_SS⁻¹ - Yᵀ Z_JS``. Z_JJ stands in panels to the right, because J is a clique there.
    """
    z = np.zeros(panels.size)
    count = first.size - 1
    whole = np.empty(tallest * tallest)
    buffer_y, buffer_z = np.empty(tallest * WIDEST), np.empty(tallest * WIDEST)
    buffer_square = np.empty(WIDEST * WIDEST)
    where = np.empty(tallest, np.int64)
    for s in range(count - 1, -1, -1):
        width = first[s + 1] - first[s]
        r0 = row_start[s]
        height = row_start[s + 1] - r0
        below = height - width
        panel = panels[start[s] : start[s + 1]].reshape(height, width)
        out = z[start[s] : start[s + 1]].reshape(height, width)
        inverse = _inverse_of_lower(panel[:width])
        for i in range(width):
            for j in range(i + 1):
                total = 0.0
                for k in range(i, width):
                    total += inverse[k, i] * inverse[k, j]
                out[i, j] = total
                out[j, i] = total
        if below == 0:
            continue
        zjj = whole[: below * below].reshape(below, below)
        # column blocks of J by the supernode t that owns them; J's tail stands among t's rows in the same order
        c = 0
        while c < below:
            t = owner[rows[r0 + width + c]]
            end = c
            while end < below and rows[r0 + width + end] < first[t + 1]:
                end += 1
            t0, tw = row_start[t], first[t + 1] - first[t]
            k = 0
            for i in range(c, below):
                row = rows[r0 + width + i]
                while rows[t0 + k] != row:
                    k += 1
                where[i] = k
            base = start[t]
            for i in range(c, below):
                offset = base + where[i] * tw - first[t]
                for j in range(c, min(i + 1, end)):
                    value = z[offset + rows[r0 + width + j]]
                    zjj[i, j] = value
                    zjj[j, i] = value
            c = end
        y = buffer_y[: below * width].reshape(below, width)
        square = buffer_square[: width * width].reshape(width, width)
        zjs = buffer_z[: below * width].reshape(below, width)
        if width < SMALL or below < SMALL:
            for i in range(below):
                for j in range(width):
                    total = 0.0
                    for k in range(j, width):
                        total += panel[width + i, k] * inverse[k, j]
                    y[i, j] = total
            for i in range(below):
                for j in range(width):
                    zjs[i, j] = 0.0
                for k in range(below):
                    value = zjj[i, k]
                    for j in range(width):
                        zjs[i, j] += value * y[k, j]
            for k in range(below):
                for i in range(width):
                    value = y[k, i]
                    for j in range(width):
                        out[i, j] += value * zjs[k, j]
        else:
            np.dot(panel[width:], inverse, y)
            np.dot(zjj, y, zjs)
            np.dot(y.T, zjs, square)
            for i in range(width):
                for j in range(width):
                    out[i, j] += square[i, j]
        for i in range(below):
            for j in range(width):
                out[width + i, j] = -zjs[i, j]
    return z


@njit(cache=True, nogil=True)
def symmetric_times(indptr, indices, lower, x):
    """Product of x, (n,), with the symmetric matrix whose lower triangle is given, diagonals first."""
    out = np.zeros(x.size)
    for j in range(x.size):
        at = indptr[j]
        total = lower[at] * x[j]
        for k in range(at + 1, indptr[j + 1]):
            i = indices[k]
            out[i] += lower[k] * x[j]
            total += lower[k] * x[i]
        out[j] += total
    return out
