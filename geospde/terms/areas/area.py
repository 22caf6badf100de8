"""What terms of areas share: their graph, rows of the design, names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula.covariates import Covariates, checked_names
from geospde.formula.formula import Name, TermCall
from geospde.formula.table import column_of, refuse_missing
from geospde.survey.graphs import Graph, label_of, read_graph
from geospde.terms.base import Context, LatentTerm, Variable
from geospde.terms.calls import multiplier, refuse_unknown
from geospde.terms.precisions.base import Precision
from geospde.terms.rows import times

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Areas:
    """What a call of a term of areas names.

    Attributes
    ----------
    column : str
        Of the data, with the areas' labels.
    graph : Graph
    graph_name : str
        What the formula calls it.
    by : Covariates or None
        What the effects multiply.
    size : float
        Root mean square of that; 1 without.
    label : str
        Of the term.
    """

    column: str
    graph: Graph
    graph_name: str
    by: Covariates | None
    size: float
    label: str


class Area(LatentTerm):
    """An effect of each area of a graph; those of neighbours are alike.

    Areas without data are there, too, and are predicted. With ``by=x`` the effects are coefficients of x.

    Attributes
    ----------
    column : str
        Of the data, with the areas' labels.
    by : Covariates or None
        What the effects multiply: then they are coefficients.
    graph : Graph
    graph_name : str
        What the formula calls it.
    """

    graph: Graph
    follows_all = True
    options: ClassVar[tuple[str, ...]] = ("graph", "by")
    shares: ClassVar[str] = "neighbours"  # what terms of one kind have in common

    def __init__(self, precision: Precision, areas: Areas):
        self.precision = precision
        self.column = self.graph_column = areas.column
        self.graph = areas.graph
        self.graph_name = areas.graph_name
        self.by = areas.by
        self._size = areas.size

    @classmethod
    def areas_of(cls, call: TermCall, context: Context) -> Areas:
        """What a call names.

        Raises
        ------
        InputError
            For other than one column, a graph that is not there, labels of the data that are no areas of it, and
            ``by=`` that is no column of numbers.
        """
        refuse_unknown(call, cls.options)
        names = checked_names(call.arguments, call.text, f"{call.name}(g, graph=w)")
        if len(names) > 1:
            raise InputError(f"{call.name} takes one column of areas: {call.text}")
        given, name = context.graphs, call.options.get("graph")
        if not isinstance(name, Name):
            example = f"{call.name}({names[0]}, graph=w)"
            raise InputError(f"{call.name} takes the name of a graph, as in {example}: {call.text}")
        if not given:
            raise InputError(f"{call.text} needs the graph {str(name)!r}", remedy=f"give graphs={{{str(name)!r}: ...}}")
        if not isinstance(given, Mapping):
            raise InputError(f"graphs are given by name, as in graphs={{{str(name)!r}: ...}}")
        if name not in given:
            raise InputError(f"no graph {str(name)!r}; there are {', '.join(map(str, given))}")
        graph = _counted_from_one(read_graph(given[name], names[0], str(name)), context.table, names[0])
        by, factors = multiplier(call, context)
        label = context.label(f"{call.name}({', '.join((names[0], *(by.names if by else ())))})")
        return Areas(names[0], graph, str(name), by, float(np.sqrt((factors**2).mean())), label)

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> Any:  # noqa: ARG002
        """Rows of the design: the area that a row is in, times what it multiplies.

        Raises
        ------
        InputError
            For a label that is no area of the graph.
        """
        values = column_of(table, self.column)
        refuse_missing(values, self.column)
        code = np.array([self.graph.places.get(label_of(v), -1) for v in values], dtype=np.intp)
        if (code < 0).any():
            row = int(np.flatnonzero(code < 0)[0])
            raise InputError(
                f"{label_of(values.iloc[row])!r} of {self.column!r}, {{row}}, is no area of the graph "
                f"{self.graph_name!r}, which has {', '.join(self.graph.labels[:3])} and so on",
                row=table.index[row],
            )
        rows = sp.csr_matrix((np.ones(code.size), (np.arange(code.size), code)), shape=(code.size, self.n))
        return rows if self.by is None else times(rows, self.by.values(table, points)[:, 0])

    @property
    def identities(self) -> tuple[Any, ...]:
        """What neighbours share, of the column, its graph and what the effects multiply."""
        return ((type(self).shares, self.column, self.graph_name, *self._multiplied),)

    @property
    def _multiplied(self) -> tuple[str, ...]:
        return () if self.by is None else self.by.names

    def names(self) -> list[str]:
        """Names of the latent variables: the areas."""
        return [f"{self.label}[{label}]" for label in self.graph.labels]

    def variables(self) -> list[Variable]:
        """The effects, along the areas."""
        return [Variable(self.label, f"{self.column}_area", list(self.graph.labels), np.arange(self.n))]

    def start(self, unit: float) -> Vector:
        """Half the predictor's scale for what they add to it; other parameters in the middle."""
        return np.array([np.log(0.5 * unit / self._size), *(0.0,) * (len(self.precision.parameters) - 1)])


def _counted_from_one(graph: Graph, table: pd.DataFrame, column: str) -> Graph:
    """The graph with areas counted as the data do, where it counts them from 0 and they from 1."""
    if graph.labels != tuple(map(str, range(graph.n))) or column not in table.columns:
        return graph
    own = {label_of(v) for v in table[column].dropna().unique()}
    from_one = tuple(map(str, range(1, graph.n + 1)))
    return Graph(from_one, graph.edges) if own <= set(from_one) and str(graph.n) in own else graph
