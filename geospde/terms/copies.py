"""A term that several likelihoods share, and copies of it with an estimated scale."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.families.likelihood import unchanged
from geospde.families.priors import Gaussian, Prior
from geospde.terms.base import LatentTerm
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.copied import Copied

Vector = NDArray[np.float64]
SCALE = Gaussian(1.0, 10.0, "natural")
"""Prior of a copy's scale: R-INLA's."""
FAR = 10.0  # times one, or as many times less, that a scale may be expected before it is told


class Shared(LatentTerm):
    """A term with copies, as one likelihood's formula has it.

    Parameters
    ----------
    term : LatentTerm
    precision : Copied
    names : sequence of str
        Of the scales, for the user.
    places : tuple of int
        Which this likelihood's predictor sums: 0 is the term itself, 1 its first copy.
    """

    precision: Copied

    def __init__(self, term: LatentTerm, precision: Copied, names: Sequence[str], places: tuple[int, ...] = ()):
        self.term = term
        self.precision = precision
        self.scales = tuple(names)
        self.in_formula = places
        self.mesh, self.mesh_name = term.mesh, term.mesh_name
        self.follows_all = term.follows_all

    @classmethod
    def read(cls, call: Any, context: Any) -> "Shared":
        """Copies are read with the formulas of all likelihoods: see `geospde.model.joint`."""
        raise InputError("copy(name) is only for several likelihoods: gs.fit([gs.Observations(...), ...], terms={...})")

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> Any:
        """Rows of the term, at the places of the copies that are summed."""
        rows = self.term.columns(table, points, new)
        if not sp.issparse(rows):
            raise InputError(f"the term {self.label!r} cannot be copied: its rows depend on hyperparameters")
        empty = sp.csr_matrix(rows.shape)
        blocks = [rows if k in self.in_formula else empty for k in range(1 + self.precision.copies)]
        return sp.csr_matrix(sp.hstack(blocks, format="csr"))

    def names(self) -> list[str]:
        """Names of the latent variables, those of copies in ``copy(...)``."""
        own = self.term.names()
        copies = [f"copy({name})" if k == 1 else f"copy{k}({name})" for k in self._numbers for name in own]
        return own + copies

    @property
    def _numbers(self) -> range:
        return range(1, self.precision.copies + 1)

    def hyperparameters(self) -> list[Hyperparameter]:
        """Those of the term, and the scales."""
        total = len(self.precision.parameters)
        own = [h.placed(0, total) for h in self.term.hyperparameters()]
        first = len(self.precision.inner.parameters)
        priors = self.precision.prior.of_theta[first:]  # type: ignore[attr-defined]
        scales = [
            Hyperparameter(name, np.eye(total)[first + k], 0.0, prior.describe(), unchanged)
            for k, (name, prior) in enumerate(zip(self.scales, priors))
        ]
        return own[:first] + scales + own[first:]

    def notes(self, theta: Vector) -> list[str]:
        """Those of the term."""
        return self.term.notes(theta[: len(self.term.precision.parameters)])

    def notes_at(self, points: Vector, theta: Vector) -> list[str]:
        """Those of the term."""
        return self.term.notes_at(points, theta[: len(self.term.precision.parameters)])

    def start(self, unit: float) -> Vector:
        """From the term's, with scales of one."""
        return np.concatenate([self.term.start(unit), np.ones(self.precision.copies)])

    def method_sentences(self, several: bool) -> list[str]:
        """As of the term, and what is copied."""
        times = "a copy" if self.precision.copies == 1 else f"{self.precision.copies} copies"
        return [*self.term.method_sentences(several), f"The term {self.label} has {times}, with an estimated scale."]


def warn_of_units(scale: str, term: tuple[str, float | None], copy: tuple[str, float | None]) -> None:
    """Warn where units of two likelihoods make a scale far from one.

    Its prior is about one, whatever the units, and a copy keeps to the term by seven digits of the term's precision.

    Parameters
    ----------
    scale : str
        Its name.
    term, copy : (str, float or None)
        Names of the likelihoods that have the term and the copy, and the units of their predictors.
    """
    (of, unit), (to, other) = term, copy
    ratio = (other or 1.0) / (unit or 1.0)
    if 1 / FAR <= ratio <= FAR:
        return
    words = [f"{name} varies by {size:.3g}" for name, size in (term, copy) if size is not None]
    words += [f"the predictor of {name} is a pure number" for name, size in (term, copy) if size is None]
    remedy = f"give {of if unit else to} in a unit in which it varies by about 1, as its standard deviation"
    alert(
        GeospdeWarning(
            f"{' and '.join(words)}: {scale} may be near {ratio:.2g}, and its prior is near 1", remedy=remedy
        )
    )


def copied(term: LatentTerm, names: Sequence[str], priors: Sequence[Prior], unit: float) -> Shared:
    """The term with a copy for each name of a scale."""
    if getattr(term.precision.prior, "parts", None) is None or term.precision.unpenalised is not None:
        raise InputError(f"the term {term.label!r} cannot be copied: take its default kind of prior")
    words = tuple(f"scale[{k}]" for k in range(1, len(names) + 1))
    return Shared(term, Copied(term.precision, words, tuple(priors), term.start(unit)), names)
