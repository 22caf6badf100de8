"""Symbolic analysis of a sparse Cholesky factor: which entries L has, by supernodes, before any number is known.

The elimination tree (Liu 1990, SIAM J. Matrix Anal. Appl. 11, 134-172) and the number of entries in each column of L
(Gilbert, Ng & Peyton 1994, SIAM J. Matrix Anal. Appl. 15, 1075-1091) take time almost linear in the entries of the
matrix. Columns of one pattern make a supernode, and a supernode joins its parent where few zeros have to be stored for
that (relaxed supernodes: Ashcraft & Grimes 1989, ACM Trans. Math. Softw. 15, 291-309). Davis (2006), Direct Methods for
Sparse Linear Systems, SIAM, is an introduction to all of it.

The kernels write into arrays that are made outside, which halves the time it takes to compile them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.linalg.compiled import compiled_when_hot

Index = NDArray[np.int64]

ZEROS = 0.05  # share of a panel that may be zeros when a supernode joins its parent,
LOPSIDED = 0.85  # share of the work in one subtree beyond which the others are not worth a thread
NARROW = 2.0  # or this over the panel's width: many small panels cost more by their number than by their size


@dataclass(frozen=True)
class Layout:
    """Where everything stands in a factor L of P A P' = L L'; made once a pattern.

    Supernode s has the columns ``first[s]:first[s+1]`` and a panel of ``height × width`` numbers, row-major, at
    ``start[s]``; its row numbers, the columns themselves first, stand at ``row_start[s]`` in `rows`.

    Attributes
    ----------
    n : int
    permutation : (n,) array
        Number that each row of L has in A.
    first, row_start, start : (supernodes + 1,) arrays
    rows : array
    owner : (n,) array
        Supernode of each column.
    entries : (nnz,) array
        Place in the panels of each entry of the pattern.
    diagonal : (n,) array
        Place in the panels of each diagonal entry of L.
    counts : (n,) array
        Entries in each column of L, without the zeros that relaxed supernodes store.
    """

    n: int
    permutation: Index
    first: Index
    row_start: Index
    rows: Index
    start: Index
    owner: Index
    entries: Index
    diagonal: Index
    counts: Index

    @cached_property
    def size(self) -> int:
        """Numbers in all panels."""
        return int(self.start[-1])

    @cached_property
    def widest(self) -> int:
        """Columns of the widest panel."""
        return int(np.diff(self.first).max())

    @cached_property
    def tallest(self) -> int:
        """Rows of the tallest panel."""
        return int(np.diff(self.row_start).max())

    @cached_property
    def deepest(self) -> int:
        """Most rows that a panel has below its own columns."""
        return int((np.diff(self.row_start) - np.diff(self.first)).max())

    @cached_property
    def halves(self) -> tuple[int, int]:
        """Supernodes that may be done side by side: those before the first number, and from it to below the second.

        None of the others is below one of these in the elimination tree. The numbers are equal where there are none.
        """
        width, height = np.diff(self.first), np.diff(self.row_start)
        work = width * height.astype(float) ** 2
        last = self.rows[np.minimum(self.row_start[:-1] + width, self.rows.size - 1)]
        above = np.where(height > width, self.owner[last], -1)
        whole = work.copy()
        children: dict[int, list[int]] = {}
        for s, parent in enumerate(above.tolist()):
            if parent >= 0:
                whole[parent] += whole[s]
                children.setdefault(parent, []).append(s)
        root = work.size - 1
        while len(below := children.get(root, [])) and whole[below].max() > LOPSIDED * whole[below].sum():
            root = below[int(np.argmax(whole[below]))]
        if len(below) < 2:
            return 0, 0
        done = np.cumsum(whole[below])
        first = int(np.argmin(np.abs(done[:-1] - 0.5 * done[-1])))
        return below[first] + 1, below[-1] + 1

    @cached_property
    def structure(self) -> tuple[Index, Index, Index, Index]:
        """Columns, rows and panels of the supernodes, as the kernels take them."""
        return self.first, self.row_start, self.rows, self.start


class Lists(NamedTuple):
    """Entries of a triangle, row by row or column by column: those of k are ``start[k]:start[k+1]``."""

    start: Index
    other: Index  # the column of an entry where the lists are rows, the row where they are columns
    entry: Index  # its place in the pattern


def analyse(pattern: sp.csc_matrix, order: Index) -> Layout:
    """Lay out the factor of a matrix.

    Parameters
    ----------
    pattern : (n, n) csc_matrix
        Lower triangle, diagonal included; its values are not read.
    order : (n,) array
        Row and column that is eliminated first, second, ...; columns of one supernode are brought together.
    """
    columns, rows = _permuted(pattern, order)
    parent, sequence, counts = _columns(columns, rows)
    follows = (parent[sequence[:-1]] == sequence[1:]) & (counts[sequence[:-1]] == counts[sequence[1:]] + 1)
    first = np.concatenate([[0], np.flatnonzero(~follows) + 1, [order.size]])
    owner = np.empty(order.size, np.int64)
    owner[sequence] = np.repeat(np.arange(first.size - 1), np.diff(first))
    above = parent[sequence[first[1:] - 1]]
    above = np.where(above < 0, -1, owner[above])
    group, above, width, height = _relaxed(above, np.diff(first), counts[sequence[first[:-1]]])
    sequence = sequence[np.argsort(group[owner[sequence]], kind="stable")]
    return _laid_out(rows, order, sequence, counts, above, width, height)


def _permuted(pattern: sp.csc_matrix, order: Index) -> tuple[Lists, Lists]:
    """Columns and rows of the lower triangle of P A P'."""
    n = pattern.shape[0]
    rank = _inverse(order)
    i, j = rank[pattern.indices], rank[np.repeat(np.arange(n), np.diff(pattern.indptr))]
    entry = np.arange(i.size)
    columns = sp.coo_matrix((entry, (np.maximum(i, j), np.minimum(i, j))), shape=(n, n)).tocsc()
    return _lists(columns), _lists(columns.tocsr())


def _lists(matrix: sp.csc_matrix | sp.csr_matrix) -> Lists:
    return Lists(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data)


def _columns(columns: Lists, rows: Lists) -> tuple[Index, Index, Index]:
    """Parent of each column in the elimination tree, the columns in a postorder, and the entries of each in L."""
    n = rows.start.size - 1
    parent, last, counts = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(n, np.int64)
    elimination_tree(rows.start, rows.other, parent, np.empty(n, np.int64))
    alone, descendants = np.ones(n, np.int64), np.ones(n, np.int64)
    postorder(parent, alone, descendants, last, np.empty(n, np.int64))
    sequence = _inverse(last)
    scratch = np.full((3, n), -1)
    column_counts(columns.start, columns.other, parent, sequence, last - descendants + 1, counts, *scratch)
    return parent, sequence, counts


def _relaxed(above: Index, width: Index, height: Index) -> tuple[Index, Index, Index, Index]:
    """Supernodes joined to their parents: the group of each, in a postorder; parents, widths and heights of groups."""
    into = np.empty(above.size, np.int64)
    relax(above, width, height, into, np.zeros(above.size, np.int64), ZEROS, NARROW)
    heads = np.flatnonzero(into == np.arange(above.size))
    number = np.full(above.size, -1)
    number[heads] = np.arange(heads.size)
    above, width, height = above[heads], width[heads], height[heads]
    above = np.where(above < 0, -1, number[into[above]])
    last = np.empty(heads.size, np.int64)
    postorder(above, width, width.copy(), last, np.empty(heads.size, np.int64))
    by_place = np.argsort(last)
    place = _inverse(by_place)
    above = above[by_place]
    return place[number[into]], np.where(above < 0, -1, place[above]), width[by_place], height[by_place]


def _laid_out(
    rows: Lists, order: Index, sequence: Index, counts: Index, above: Index, width: Index, height: Index
) -> Layout:
    """Row numbers of each supernode, and the places of the pattern's entries."""
    n = order.size
    first, row_start, start = (np.concatenate([[0], np.cumsum(steps)]) for steps in (width, height, width * height))
    owner, rank = np.repeat(np.arange(width.size), width), _inverse(sequence)
    column = rank[rows.other]
    supernode = owner[column]
    numbers, place = np.empty(row_start[-1], np.int64), np.empty(column.size, np.int64)
    scratch = np.full(width.size, -1)
    structure(rows.start, supernode, sequence, owner, above, row_start[:-1].copy(), scratch, numbers, place)
    entries = np.empty(column.size, np.int64)
    panel_row, panel_column = place - row_start[supernode], column - first[supernode]
    entries[rows.entry] = start[supernode] + panel_row * width[supernode] + panel_column
    diagonal = start[owner] + (np.arange(n) - first[owner]) * (width[owner] + 1)
    return Layout(n, order[sequence], first, row_start, numbers, start, owner, entries, diagonal, counts[sequence])


def _inverse(permutation: Index) -> Index:
    inverse = np.empty(permutation.size, np.int64)
    inverse[permutation] = np.arange(permutation.size)
    return inverse


@compiled_when_hot
def elimination_tree(start: Index, other: Index, parent: Index, ancestor: Index) -> None:
    """Parent of each column, -1 for a root, from the rows of the lower triangle, with compressed paths."""
    for i in range(len(parent)):
        parent[i] = ancestor[i] = -1
        for e in range(start[i], start[i + 1]):
            j = other[e]
            while j < i:
                up = ancestor[j]
                ancestor[j] = i
                if up < 0:
                    parent[j] = up = i
                j = up


@compiled_when_hot
def postorder(parent: Index, own: Index, whole: Index, last: Index, free: Index) -> None:
    """Last place of each node where nodes take `own` places and follow their children, of whom the first stay first.

    Parents have higher numbers than their children. `whole` is a copy of `own` and ends as the places of subtrees.
    """
    n, end = len(parent), 0
    for j in range(n):
        if parent[j] < 0:
            end += whole[j]
        else:
            whole[parent[j]] += whole[j]
    for j in range(n - 1, -1, -1):
        p = parent[j]
        if p < 0:
            last[j] = end - 1
            end -= whole[j]
        else:
            last[j] = free[p] - 1
            free[p] -= whole[j]
        free[j] = last[j] + 1 - own[j]


@compiled_when_hot
def column_counts(
    start: Index,
    other: Index,
    parent: Index,
    sequence: Index,
    lowest: Index,
    count: Index,
    seen: Index,
    leaf: Index,
    ancestor: Index,
) -> None:
    """Entries in each column of L, diagonal included.

    Row i of L is a subtree of the elimination tree, with root i and leaves among the entries of A. Ones at its leaves,
    minus ones where the paths from two neighbouring leaves meet and above i, add up to 1 over a subtree of each of its
    columns. `lowest` is the place in `sequence` of each column's first descendant; other scratch begins as -1.
    """
    for place in range(len(parent)):
        j = sequence[place]
        if parent[j] >= 0:
            count[parent[j]] -= 1
        for e in range(start[j], start[j + 1]):
            i = other[e]
            if lowest[j] > seen[i]:  # no entry of the row below j: a leaf
                count[j] += 1
                if leaf[i] >= 0:
                    meet = leaf[i]
                    while ancestor[meet] >= 0:
                        meet = ancestor[meet]
                    count[meet] -= 1
                    k = leaf[i]
                    while k != meet:
                        up = ancestor[k]
                        ancestor[k] = meet
                        k = up
                leaf[i] = j
            seen[i] = place
        ancestor[j] = parent[j]
    for place in range(len(parent)):
        j = sequence[place]
        if parent[j] >= 0:
            count[parent[j]] += count[j]


@compiled_when_hot
def relax(above: Index, width: Index, height: Index, into: Index, zeros: Index, part: float, narrow: float) -> None:
    """Join supernodes to their parents; `into` ends as the topmost of each one's group, which has its size."""
    for s in range(len(above)):
        p = above[s]
        into[s] = s
        if p >= 0:
            wide, tall = width[s] + width[p], width[s] + height[p]
            more = width[s] * (tall - height[s])
            stored = wide * tall - wide * (wide - 1) // 2
            whole = zeros[s] + zeros[p] + more
            if more == 0 or whole <= part * stored or whole * wide <= narrow * stored:
                into[s] = p
                width[p] = wide
                height[p] = tall
                zeros[p] = whole
    for s in range(len(above) - 1, -1, -1):
        into[s] = into[into[s]]


@compiled_when_hot
def structure(
    start: Index,
    supernode: Index,
    sequence: Index,
    owner: Index,
    above: Index,
    free: Index,
    mark: Index,
    rows: Index,
    place: Index,
) -> None:
    """Row numbers of each supernode, ascending, and where among them the row of each entry stands.

    Row r is in the supernodes on the way, up the tree, from its entries' own to that of column r.
    """
    for r in range(len(sequence)):
        s = owner[r]
        mark[s] = r
        rows[free[s]] = r
        free[s] += 1
        for e in range(start[sequence[r]], start[sequence[r] + 1]):
            s = supernode[e]
            while mark[s] != r:
                mark[s] = r
                rows[free[s]] = r
                free[s] += 1
                s = above[s]
            place[e] = free[supernode[e]] - 1
