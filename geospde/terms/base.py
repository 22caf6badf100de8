"""The contract of a latent term of a formula, and what its reader sees of the data.

A term stands on two legs, each a class of its own. A `LatentTerm` belongs to the model: it reads its call from the
formula, makes rows of the design, and says what tables and plots call things. It holds a
`geospde.terms.precisions.base.Precision`, which belongs to inference: a sparse matrix as a function of the
hyperparameters, its normaliser and its constraints. Several terms share a precision (effects of a group, however
written, are independent or correlated), and inference knows nothing of tables.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.default_priors import Defaults
from geospde.families.likelihood import Likelihood
from geospde.formula.formula import TermCall
from geospde.formula.grouping import Grouping
from geospde.mesh.trimesh import Mesh
from geospde.survey.graphs import Graph
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.base import Precision
from geospde.terms.rows import MovingBlock
from geospde.text.words import in_brief, is_name

LONGEST = 60  # characters of a label

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Variable:
    """A part of a term's latent vector that labelled arrays hold under one name.

    Attributes
    ----------
    name : str
    dimension : str
        Name of its one axis.
    labels : array or list
        Along it.
    places : array of int
        Of its values in the term's latent vector.
    """

    name: str
    dimension: str
    labels: Any
    places: NDArray[np.intp]


class LatentTerm(ABC):
    """A random term of a formula, bound to the columns, levels or mesh it names.

    A subclass sets `precision` when it is made and writes `read`, `columns` and `start`; the rest has defaults for a
    term with positive hyperparameters. The registry (`geospde.terms.registry`) gives it its name in formulas. Nothing
    outside this room asks what kind of term it has: it asks for what stands here.

    Attributes
    ----------
    precision : Precision
        Its block of the latent vector, as inference sees it.
    function_of : tuple of str
        Columns that the term is a function of, which conditional effects may vary; none for a group or a field.
    distances : tuple of str
        Columns between whose rows the term measures distances, in one unit for all.
    grouping : Grouping or None
        The levels, where the term is the effects of a group's levels.
    effect_names : tuple of str
        The effects of each level, where it is.
    mesh : Mesh or None
        Where the latent variables are values at its vertices; `mesh_name` is what the formula calls it.
    time_column : str
        The column of steps that the term goes along and forecasts beyond, if it does.
    walks_along : str
        Likewise a column that need not be time.
    graph : Graph or None
        Which areas are neighbours, where the latent variables are of areas; `graph_name` is what the formula calls it,
        `graph_column` the column of their labels.
    trend : tuple of str
        What the last latent variables are linear in, where they are coefficients that nothing penalises.
    free_part, without_free_part : str
        What the precision leaves `unpenalised` and how to do without it, for messages.
    penalty_scales : tuple of float
        Of a penalised smooth, which has a test, effective degrees of freedom, and a place in ``method="ubre"``: mgcv's
        smoothing parameter for a standard deviation of 1 and a dispersion of 1, for each penalty. Empty for others.
    follows_all : bool
        Whether it may follow every observation: the default prior of a residual's sd beside it is P(sd > s) = 0.05
        then, which has no mass to speak of near zero, as R-INLA's gamma prior of the precision has.
    can_be_shared : bool
        Whether several likelihoods may share it: its columns for some rows of the data are those of the whole.
    """

    precision: Precision
    function_of: tuple[str, ...] = ()
    distances: tuple[str, ...] = ()
    grouping: Grouping | None = None
    effect_names: tuple[str, ...] = ()
    mesh: Mesh | None = None
    mesh_name: str = ""
    time_column: str = ""
    walks_along: str = ""
    graph: Graph | None = None
    graph_name: str = ""
    graph_column: str = ""
    trend: tuple[str, ...] = ()
    free_part: str = "the linear trend"
    without_free_part: str = "leave the term out"
    penalty_scales: tuple[float, ...] = ()
    follows_all: bool = False
    can_be_shared: bool = True

    # -- to be written --------------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def read(cls, call: TermCall, context: Context) -> LatentTerm:
        """Read the term's call in a formula.

        Parameters
        ----------
        call : TermCall
            Arguments, options, and the text to quote in messages.
        context : Context
            The data, and the priors that were given: the reader takes those of its parameters out of
            ``context.overrides``.

        Raises
        ------
        InputError
            For arguments, options and columns that do not fit.
        """

    @abstractmethod
    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> sp.csr_matrix | MovingBlock:
        """Rows of the design, an (m, n) csr_matrix, for the rows of a table.

        Parameters
        ----------
        table : DataFrame
        points : (m, 2) array or None
            Coordinates of the rows.
        new : bool
            Whether these are the rows of a prediction, and not of the data. Those may depend on theta, and leave a
            variance that the latent variables do not tell: then a `geospde.terms.rows.MovingBlock`.

        Raises
        ------
        InputError
            For places, columns and levels that the term has no rows for.
        """

    @abstractmethod
    def start(self, unit: float) -> Vector:
        """Where the search for the mode of theta starts, given the predictor's scale."""

    @classmethod
    def read_all(cls, call: TermCall, context: Context) -> Sequence[LatentTerm]:
        """Terms that a call stands for, where it may be several; by default the one that `read` gives."""
        return [cls.read(call, context)]

    # -- what it is called ----------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.precision.label

    @property
    def n(self) -> int:
        """Number of latent variables."""
        return self.precision.n

    def names(self) -> list[str]:
        """Names of the latent variables, (n,); by default numbered from 1."""
        return [f"{self.label}[{i + 1}]" for i in range(self.n)]

    def hyperparameters(self) -> list[Hyperparameter]:
        """The hyperparameters on the user's scale, as functions of the term's own theta.

        The first are one for each theta, in order, where they are functions of that theta alone. By default the
        exponential of each, called ``parameter(label)``.
        """
        priors = getattr(self.precision.prior, "of_theta", None)
        names, unit = self.precision.parameters, np.eye(len(self.precision.parameters))
        words = [p.describe() for p in priors] if priors else [self.precision.prior.describe()] * len(names)
        return [Hyperparameter(f"{n}({self.label})", unit[k], 0.0, words[k]) for k, n in enumerate(names)]

    def variables(self) -> list[Variable]:
        """The latent vector as labelled arrays; by default one, along the coefficients."""
        labels = [name[len(self.label) + 1 : -1] for name in self.names()]
        return [Variable(self.label, f"{self.label}_coefficient", labels, np.arange(self.n))]

    def method_sentences(self, several: bool) -> list[str]:
        """What the methods paragraph of a report says of it; none by default.

        Parameters
        ----------
        several : bool
            Whether the model has other terms, so that it needs its name.

        Returns
        -------
        list of str
            Works that they cite stand in braces, ``{spde}``, by their key in `geospde.report.methods`.
        """
        return []

    def notes(self, theta: Vector) -> list[str]:  # noqa: ARG002
        """What a user should look at where these are estimates of its own hyperparameters; nothing by default."""
        return []

    def notes_at(self, points: Vector, theta: Vector) -> list[str]:  # noqa: ARG002
        """What a user should look at in predictions at points, with its own hyperparameters; nothing by default."""
        return []

    def places(self, column: str) -> Vector | None:  # noqa: ARG002
        """Values of a column that curves of its effects go along; None where any between those of the data will do."""
        return None

    @property
    def identities(self) -> tuple[Any, ...]:
        """What two terms have in common that only their sum can be told of, hashable; none where that cannot be."""
        return ()

    def coarser(self, table: pd.DataFrame) -> LatentTerm | None:  # noqa: ARG002
        """The same with fewer latent variables and the same hyperparameters and priors, for starting values.

        Itself where it has no mesh; None where it cannot be made, by default of any term that has one.

        Parameters
        ----------
        table : DataFrame
            The data.
        """
        return self if self.mesh is None else None

    # -- prediction -----------------------------------------------------------------------------------------

    def reach(self, points: Vector) -> sp.csr_matrix | None:  # noqa: ARG002
        """Which latent variables predictions at these places have in them, (m, n), where that is the place's alone.

        Inference keeps the covariance of those of several terms that meet at a place, wherever that is. None, by
        default, where no place needs it: a term with no mesh, or one whose rows depend on more than the place.
        """
        return None

    def taking_new_levels(self) -> LatentTerm:
        """The same, where a prediction may have levels that the data had not; itself where it has no levels."""
        return self


@dataclass(frozen=True)
class Context:
    """What the reader of a term sees besides its call.

    Attributes
    ----------
    table : DataFrame
    points : (m, 2) array or None
        Coordinates of the rows.
    meshes : Mesh or dict of str to Mesh or None
    crs : pyproj.CRS or None
        Of the points.
    likelihood : Likelihood
    overrides : dict
        Priors by a parameter's name, as given; a reader takes out what it uses.
    graphs : dict of str to graphs or None
        Which areas are neighbours; see `geospde.survey.graphs.read_graph`.
    defaults : Defaults or None
        Where priors that are not given come from, if not from us.
    terms : list of LatentTerm
        Those read so far.
    """

    table: pd.DataFrame
    points: Vector | None
    meshes: Any
    crs: Any
    likelihood: Likelihood
    overrides: dict[str, Any]
    defaults: Defaults | None = None
    terms: list[LatentTerm] = field(default_factory=list)
    graphs: Any = None

    def own_label(self, given: Any) -> str:
        """The label that a formula gives a term; raises InputError for what is no name, or another term's."""
        if not is_name(given) or len(given) > LONGEST:
            raise InputError(f"a label is a name of 1 to {LONGEST} characters, not {in_brief(given)}")
        if given == "Intercept":
            raise InputError("a term cannot be called 'Intercept', as the fixed effect is: give it another label")
        if any(term.label == given for term in self.terms):
            raise InputError(f"two terms are called {given!r}: give one of them another label")
        return given

    def label(self, base: str) -> str:
        """A label that no term has yet: the base, or the base with a number."""
        taken = {term.label for term in self.terms}
        label, k = base, 2
        while label in taken:
            label, k = f"{base}{k}", k + 1
        return label
