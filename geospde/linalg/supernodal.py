"""Kernels of the supernodal Cholesky factorisation: one dense panel a supernode, compiled loops around BLAS.

The factorisation is left-looking (Ng & Peyton 1993, SIAM J. Sci. Comput. 14, 1034-1056); the selected inverse is
Takahashi's recursion (Takahashi, Fagan & Chen 1973; Erisman & Tinney 1975) in the same layout, see
`geospde.linalg.symbolic.Layout`. The interpreter lock is free while they run.

Panels are flat arrays, and scratch comes from outside: this compiles in half the time.
"""

import numpy as np
from numpy.typing import NDArray

from geospde.linalg import blas
from geospde.linalg.compiled import compiled

Vector = NDArray[np.float64]
Index = NDArray[np.int64]


@compiled
def factorise(
    routines: Index,
    panels: Vector,
    first: Index,
    row_start: Index,
    rows: Index,
    start: Index,
    owner: Index,
    work: Vector,
    place: Index,
    head: Index,
    following: Index,
    position: Index,
    begin: int,
    until: int,
) -> int:
    """Factorise supernodes from `begin` to below `until` in place, where those that they wait for are done.

    Returns the first column of a supernode that is not positive definite, or -1. `head` and `following` link the
    supernodes that wait to update another, and begin as -1; `position` is the first row of each that is not yet used.
    """
    for s in range(begin, until):
        b: int = first[s + 1]
        a: int = first[s]
        width, height = b - a, row_start[s + 1] - row_start[s]
        panel = start[s]
        for k in range(row_start[s], row_start[s + 1]):
            place[rows[k]] = panel + (k - row_start[s]) * width - a
        d = head[s]
        while d >= 0:
            after = following[d]
            top, end = row_start[d] + position[d], row_start[d + 1]
            q = top
            while q < end and rows[q] < b:
                q += 1
            tall, wide, inner = end - top, q - top, first[d + 1] - first[d]
            below = start[d] + position[d] * inner
            blas.gemm_tn(
                routines, wide, tall, inner, 1.0, panels, below, inner, panels, below, inner, 0.0, work, 0, wide
            )
            for i in range(tall):
                target = place[rows[top + i]]
                for j in range(i + 1 if i < wide else wide):
                    panels[target + rows[top + j]] -= work[i * wide + j]
            position[d] += wide
            if q < end:
                following[d] = head[owner[rows[q]]]
                head[owner[rows[q]]] = d
            d = after
        failed = blas.potrf(routines, width, panels, panel, width)
        if failed != 0:
            return a
        for j in range(width):
            if not 0.0 < panels[panel + j * (width + 1)] < np.inf:
                return a
        if height > width:
            blas.solve_ut_x(
                routines, width, height - width, 1.0, panels, panel, width, panels, panel + width * width, width
            )
            position[s] = width
            above = owner[rows[row_start[s] + width]]
            following[s] = head[above]
            head[above] = s
    return -1


@compiled
def forward(
    routines: Index,
    panels: Vector,
    first: Index,
    row_start: Index,
    rows: Index,
    start: Index,
    work: Vector,
    x: Vector,
    columns: int,
) -> None:
    """Overwrite x, (n, columns) in the permuted order, by L⁻¹ x."""
    for s in range(first.size - 1):
        a, at, width = first[s], first[s] * columns, first[s + 1] - first[s]
        panel, below = start[s], start[s] + width * width
        deep = row_start[s + 1] - row_start[s] - width
        if columns == 1:
            blas.solve_ut(routines, width, panels, panel, width, x, a, 1)
            if deep:
                blas.gemv_t(routines, width, deep, 1.0, panels, below, width, x, a, 1, 0.0, work, 0, 1)
        else:
            blas.solve_x_u(routines, columns, width, 1.0, panels, panel, width, x, at, columns)
            if deep:
                blas.gemm_nn(
                    routines, columns, deep, width, 1.0, x, at, columns, panels, below, width, 0.0, work, 0, columns
                )
        if deep:
            for i in range(deep):
                row = rows[row_start[s] + width + i]
                for c in range(columns):
                    x[row * columns + c] -= work[i * columns + c]


@compiled
def backward(
    routines: Index,
    panels: Vector,
    first: Index,
    row_start: Index,
    rows: Index,
    start: Index,
    work: Vector,
    x: Vector,
    columns: int,
) -> None:
    """Overwrite x, (n, columns) in the permuted order, by L'⁻¹ x."""
    for s in range(first.size - 2, -1, -1):
        a, at, width = first[s], first[s] * columns, first[s + 1] - first[s]
        panel, below = start[s], start[s] + width * width
        deep = row_start[s + 1] - row_start[s] - width
        if deep:
            for i in range(deep):
                row = rows[row_start[s] + width + i]
                for c in range(columns):
                    work[i * columns + c] = x[row * columns + c]
        if columns == 1:
            if deep:
                blas.gemv_n(routines, width, deep, -1.0, panels, below, width, work, 0, 1, 1.0, x, a, 1)
            blas.solve_u(routines, width, panels, panel, width, x, a, 1)
        else:
            if deep:
                blas.gemm_nt(
                    routines, columns, width, deep, -1.0, work, 0, columns, panels, below, width, 1.0, x, at, columns
                )
            blas.solve_x_ut(routines, columns, width, 1.0, panels, panel, width, x, at, columns)


@compiled
def selected_inverse(
    routines: Index,
    panels: Vector,
    first: Index,
    row_start: Index,
    rows: Index,
    start: Index,
    owner: Index,
    square: Vector,
    y: Vector,
    z: Vector,
    begin: int,
    until: int,
) -> None:
    """Write the entries of (L L')⁻¹ at the places of the panels of supernodes from `begin` to below `until` into z.

    With S a supernode's columns and J the rows below: ``Y = L_JS L_SS⁻¹``, ``Z_JS = -Z_JJ Y`` and
    ``Z_SS = L_SS⁻ᵀ L_SS⁻¹ - Yᵀ Z_JS``. Z_JJ stands in panels to the right, because J is a clique there.
    """
    for s in range(until - 1, begin - 1, -1):
        width, top, end = first[s + 1] - first[s], row_start[s] + first[s + 1] - first[s], row_start[s + 1]
        panel, below = start[s], end - top
        for k in range(width * width):
            z[panel + k] = panels[panel + k]
        blas.potri(routines, width, z, panel, width)
        if below == 0:
            continue
        # blocks of columns of Z_JJ by the supernode t that owns them; J's tail stands among t's rows in the same order
        c = top
        while c < end:
            t = owner[rows[c]]
            wide, k = first[t + 1] - first[t], row_start[t]
            stop = c
            while stop < end and rows[stop] < first[t + 1]:
                stop += 1
            for i in range(c, end):
                while rows[k] != rows[i]:
                    k += 1
                place = start[t] + (k - row_start[t]) * wide - first[t]
                for j in range(c, i + 1 if i < stop else stop):
                    square[(i - top) * below + j - top] = z[place + rows[j]]
            c = stop
        j_rows = panel + width * width
        for k in range(below * width):
            y[k] = panels[j_rows + k]
        blas.solve_u_x(routines, width, below, 1.0, panels, panel, width, y, 0, width)
        blas.symm_right(routines, width, below, -1.0, square, 0, below, y, 0, width, 0.0, z, j_rows, width)
        blas.gemm_nt(routines, width, width, below, -1.0, y, 0, width, z, j_rows, width, 1.0, z, panel, width)


@compiled
def _symmetric_times(indptr: Index, indices: Index, lower: Vector, x: Vector, out: Vector) -> None:
    for j in range(x.size):
        at = indptr[j]
        total = lower[at] * x[j]
        for k in range(at + 1, indptr[j + 1]):
            i = indices[k]
            out[i] += lower[k] * x[j]
            total += lower[k] * x[i]
        out[j] += total


def symmetric_times(indptr: Index, indices: Index, lower: Vector, x: Vector) -> Vector:
    """Product of x, (n,), with the symmetric matrix whose lower triangle is given, diagonals first."""
    out = np.zeros(x.size)
    _symmetric_times(indptr, indices, np.ascontiguousarray(lower), np.ascontiguousarray(x), out)
    return out
