"""Latent terms of a formula: fields, groups, smooths, Gaussian processes, random walks.

A term is a class derived from `LatentTerm`, which holds a `Precision`; ``TERMS`` has those that go by a name in
formulas, and `register` adds one of your own: see "Add a term" in the documentation.
"""

from geospde.terms.base import Context, LatentTerm, Variable
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.base import Precision
from geospde.terms.precisions.iid import Iid
from geospde.terms.precisions.intrinsic import Intrinsic
from geospde.terms.registry import TERMS, register
from geospde.terms.rows import MovingBlock

__all__ = [
    "TERMS", "Context", "Hyperparameter", "Iid", "Intrinsic", "LatentTerm", "MovingBlock", "Precision", "Variable",
    "register",
]  # fmt: skip
