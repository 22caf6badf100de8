"""What a random term of a formula is to a model: a latent term, the rows of its design, and words for both."""

from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.terms.hyperparameter import Hyperparameter

Vector = NDArray[np.float64]


class Part(Protocol):
    """A random term of a formula, bound to the columns, levels or mesh it names.

    Attributes
    ----------
    precision : Precision
        Its precision, as inference sees it.
    """

    precision: Any

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> Any:
        """Rows of the design: an (m, precision.n) csr_matrix.

        Where `new`, the rows of a prediction, they may depend on theta: then an object as
        `geospde.terms.rows.MovingRows` describes.
        """

    def names(self) -> list[str]:
        """Names of the latent variables, (term.n,)."""

    def hyperparameters(self) -> list[Hyperparameter]:
        """The term's hyperparameters in the user's words, on directions of the term's own theta.

        The first ``len(precision.parameters)`` are one a theta, in order, where they are functions of that theta alone.
        """

    def start(self, unit: float) -> Vector:
        """Where the search for the mode of the term's theta starts, given the predictor's scale."""
