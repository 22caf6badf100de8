"""The same model on coarser meshes, whose hyperparameters are near those of the model and cost little to find."""

from dataclasses import replace

import scipy.sparse as sp

from geospde.errors import InputError
from geospde.model.build import Model

# latent variables, the parts of a field counted once, beyond which hyperparameters are first sought on a coarser mesh
MANY = 5_000
FEW = 500  # fewest vertices of the coarser mesh


def is_fine(model: Model) -> bool:
    """Whether a model has so many latent variables that a coarser mesh is looked at first.

    A field that is the sum of some counts once: it is rough, and on a coarser mesh another.
    """
    return sum(term.n // getattr(term.precision, "layers", 1) for term in model.terms) > MANY


def coarser(model: Model) -> Model | None:
    """The model on meshes that leave it at most `MANY` latent variables, or as few as can be; None where there is none.

    Hyperparameters, their priors, fixed effects and likelihood stay. Models of several likelihoods, of areas, or
    whose predictor is not linear have none.
    """
    smaller, own = None, model
    while is_fine(own):
        found = _once(own)
        if found is None:
            break
        smaller = own = found
    return smaller


def _once(model: Model) -> Model | None:
    """The model on meshes of about a quarter of the vertices."""
    if model.parts or model.support is not None or model.is_linearised:
        return None
    meshes = [term.mesh for term in model.terms if term.mesh is not None]
    if not meshes or min(mesh.n_vertices for mesh in meshes) < 4 * FEW:
        return None
    terms = [term.coarser(model.table) for term in model.terms]
    known = [term for term in terms if term is not None]
    if len(known) < len(terms):
        return None
    try:
        blocks = [term.columns(model.table, model.points, False) for term in known]
    except InputError:
        return None  # a place on the edge of the mesh
    design = sp.csr_matrix(sp.hstack([*blocks, model.effects.columns(model.table, False)], format="csr"))
    return replace(model, terms=tuple(known), design=design)
