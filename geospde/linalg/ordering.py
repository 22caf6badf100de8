"""Fill-reducing orders: in which order to eliminate the unknowns, so that the factor has few entries.

METIS dissects the graph of a large matrix (Karypis & Kumar 1998, SIAM J. Sci. Comput. 20, 359-392). For a small one,
and where METIS is not installed, SuperLU's minimum degree does (Liu 1985, ACM Trans. Math. Softw. 11, 141-153).
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import spilu

try:
    import pymetis
except ImportError:  # there is no wheel for this machine
    pymetis = None  # type: ignore[assignment]

Index = NDArray[np.int64]
GraphOrder = Callable[[sp.csr_matrix], Index]

FEW = 500  # unknowns of a mesh below which minimum degree fills in less than nested dissection
DENSE = 10.0  # rows with more entries than this times the root of the number of unknowns come last


def fill_reducing(pattern: sp.csc_matrix, of_graph: GraphOrder | None = None) -> Index:
    """Order of elimination, (n,): the first entry is the row and column that is eliminated first.

    Rows that are nearly full, such as those of fixed effects, come last, the fullest of all at the end: eliminated
    before others, they would fill these, and a graph that has them cannot be dissected.

    Parameters
    ----------
    pattern : (n, n) csc_matrix
        Lower triangle; its values are not read.
    of_graph : callable, optional
        `by_metis` or `by_minimum_degree`; by default what suits the size and is installed.
    """
    n = pattern.shape[0]
    i, j = pattern.indices, np.repeat(np.arange(n), np.diff(pattern.indptr))
    i, j = i[i != j], j[i != j]
    degree = np.bincount(i, minlength=n) + np.bincount(j, minlength=n)
    full = degree > max(16.0, DENSE * np.sqrt(n))
    rest, last = np.flatnonzero(~full), np.flatnonzero(full)
    last = last[np.argsort(degree[last], kind="stable")]
    if full.any():
        number, inside = np.cumsum(~full) - 1, ~(full[i] | full[j])
        i, j = number[i[inside]], number[j[inside]]
    if i.size == 0:
        return np.concatenate([rest, last])
    lower = sp.coo_matrix((np.ones(i.size, np.int8), (i, j)), shape=(rest.size, rest.size)).tocsr()
    if of_graph is None:
        of_graph = by_minimum_degree if pymetis is None or rest.size <= FEW else by_metis
    return np.concatenate([rest[of_graph(lower + lower.T.tocsr())], last])


def by_metis(graph: sp.csr_matrix) -> Index:
    """Nested dissection of a graph, given as its symmetric adjacency matrix without a diagonal."""
    adjacency = pymetis.CSRAdjacency(graph.indptr.astype(np.int64), graph.indices.astype(np.int64))
    return np.asarray(pymetis.nested_dissection(adjacency)[0], dtype=np.int64)


def by_minimum_degree(graph: sp.csr_matrix) -> Index:
    """SuperLU's multiple minimum degree, from an incomplete factorisation that drops all it can."""
    dominant = (sp.csc_matrix(graph, dtype=float) + sp.diags_array(np.diff(graph.indptr) + 1.0)).tocsc()
    symmetric = {"SymmetricMode": True, "Equil": False}
    factor = spilu(dominant, 1.0, 1.0, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)
    return np.argsort(factor.perm_c)


def description() -> str:
    """What factorises on this machine, for `geospde info`."""
    order = "SuperLU minimum degree" if pymetis is None else "METIS 5 nested dissection"
    return f"{order}, own supernodal Cholesky"
