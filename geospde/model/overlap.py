"""Where several fields overlap: which of their latent variables a prediction may have together."""

from collections.abc import Sequence

import scipy.sparse as sp

from geospde.terms.base import LatentTerm


def overlap(terms: Sequence[LatentTerm], more: int = 0) -> sp.csr_matrix | None:
    """Latent variables that meet somewhere, a row for each triangle of the finest mesh; None of a single field.

    A field of any smoothness is a sum of several.

    The covariances of those that meet at sites are found anyway. Where there are none, in a gap of the survey, they are
    not, and each cell of a map there would take a solve with the whole matrix. A triangle meets what its centre and its
    corners do: that leaves out little where another mesh is coarser.

    Parameters
    ----------
    terms : sequence of LatentTerm
    more : int
        Columns without entries at the end, for fixed effects.
    """
    meshes = [term.mesh for term in terms if term.mesh is not None]
    if sum(term.n // term.mesh.n_vertices for term in terms if term.mesh is not None) < 2:
        return None
    finest = max(meshes, key=lambda mesh: mesh.n_vertices)
    corners = finest.vertices[finest.triangles]
    places = [corners.mean(axis=1), *corners.transpose(1, 0, 2)]
    blocks, fields = [], 0
    for term in terms:
        met = [term.reach(place) for place in places]
        parts = [abs(each) for each in met if each is not None]
        blocks.append(sum(parts[1:], parts[0]) if parts else sp.csr_matrix((len(corners), term.n)))
        if parts and term.mesh is not None:
            fields += term.n // term.mesh.n_vertices
    if fields < 2:
        return None
    return sp.csr_matrix(sp.hstack([*blocks, sp.csr_matrix((len(corners), more))], format="csr"))
