"""Fill-reducing orders: in which order to eliminate the unknowns, so that the factor has few entries.

METIS dissects the graph of a large matrix (Karypis & Kumar 1998, SIAM J. Sci. Comput. 20, 359-392). For a small one,
and where METIS is not installed, SuperLU's minimum degree does (Liu 1985, ACM Trans. Math. Softw. 11, 141-153).
"""

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
APART = 200_000  # from which METIS, which holds the interpreter for seconds, has a process of its own: Ctrl-C ends it
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
    starts, neighbours = graph.indptr.astype(np.int64), graph.indices.astype(np.int64)
    if graph.shape[0] >= APART:
        order = _apart(starts, neighbours)
        if order.size == graph.shape[0]:
            return order
    try:
        return np.asarray(pymetis.nested_dissection(pymetis.CSRAdjacency(starts, neighbours))[0], dtype=np.int64)
    except RuntimeError:
        _explain_failure()
        raise


def _explain_failure() -> None:
    """Do what METIS failed of: it takes SIGTERM for itself, and tells a lack of memory by SIGABRT.

    It leaves both by a long jump, so that the one that came is still blocked.
    """
    if not hasattr(signal, "pthread_sigmask"):  # as on Windows
        return
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGABRT})
    if signal.SIGTERM in blocked:
        signal.raise_signal(signal.SIGTERM)
    if signal.SIGABRT in blocked:
        raise MemoryError from None


def _apart(starts: Index, neighbours: Index) -> Index:
    """What METIS finds in a process of its own, which ends with whatever ends this call; nothing if that failed."""
    program = (
        "import pickle, sys, numpy, pymetis; "
        "order = pymetis.nested_dissection(pymetis.CSRAdjacency(*pickle.load(sys.stdin.buffer)))[0]; "
        "sys.stdout.buffer.write(numpy.asarray(order, dtype=numpy.int64).tobytes())"
    )
    nothing = np.zeros(0, dtype=np.int64)
    if not Path(sys.executable or "").name.startswith("python"):  # inside another program
        return nothing
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", program], input=pickle.dumps((starts, neighbours), protocol=5),
            capture_output=True, check=False,
            start_new_session=True,  # a terminal's Ctrl-C is for this process, which ends the other
        )  # fmt: skip
    except OSError:
        return nothing
    return np.frombuffer(done.stdout, dtype=np.int64) if done.returncode == 0 else nothing


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
