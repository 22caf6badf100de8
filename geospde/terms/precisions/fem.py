"""Finite element matrices on a triangular mesh: lumped mass C and stiffness G of piecewise linear elements."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


def fem_matrices(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer]
) -> tuple[NDArray[np.float64], sp.csc_matrix]:
    """Lumped mass and stiffness of P1 elements.

    Parameters
    ----------
    vertices : (n, 2) array
        Coordinates, in the length unit of the map.
    triangles : (t, 3) array of int
        Vertex numbers, from 0.

    Returns
    -------
    mass : (n,) array
        Diagonal of the lumped mass matrix C, ``C_ii = integral of psi_i`` (unit: length squared).
    stiffness : (n, n) csc_matrix
        ``G_ij = integral of grad psi_i . grad psi_j`` (no unit).

    References
    ----------
    Lindgren, Rue & Lindström (2011), J. R. Statist. Soc. B 73, 423-498, section 2.3 and appendix A.2.

    Examples
    --------
    >>> mass, stiffness = fem_matrices([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]])
    >>> float(mass.sum())  # the area
    0.5
    >>> abs(stiffness.toarray() - [[1, -0.5, -0.5], [-0.5, 0.5, 0], [-0.5, 0, 0.5]]).max() < 1e-15
    np.True_
    """
    from skfem import Basis, BilinearForm, ElementTriP1, LinearForm, MeshTri
    from skfem.helpers import dot, grad

    def product(u: Any, v: Any, _: Any) -> Any:
        return dot(grad(u), grad(v))

    load, laplace = LinearForm(lambda v, _: v), BilinearForm(product)
    # scikit-fem sorts each triangle's vertices for itself; the numbering of the vertices stays ours
    mesh = MeshTri(
        np.ascontiguousarray(np.asarray(vertices, dtype=float).T),
        np.ascontiguousarray(np.asarray(triangles, dtype=np.int64).T),
    )
    basis = Basis(mesh, ElementTriP1(), intorder=1)  # both integrands are at most linear
    stiffness = laplace.assemble(basis).tocsc()
    return np.asarray(load.assemble(basis)), stiffness
