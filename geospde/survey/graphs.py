"""Which areas are neighbours: from polygons that touch, adjacency matrices, dictionaries, files, libpysal's graphs."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from geospde.errors import GeospdeWarning, InputError, Place, alert
from geospde.text.offline import read_vectors
from geospde.text.words import in_brief, listed

KINDS = "a GeoDataFrame of polygons, a libpysal Graph, a sparse matrix, a dictionary of neighbours, or a file"


@dataclass(frozen=True)
class Graph:
    """Areas and which of them are neighbours.

    Attributes
    ----------
    labels : tuple of str
        What the areas are called.
    edges : (k, 2) array of int
        Pairs of neighbours by their places among the labels, the smaller first, each once.
    """

    labels: tuple[str, ...]
    edges: NDArray[np.intp]

    @property
    def n(self) -> int:
        """Number of areas."""
        return len(self.labels)

    @cached_property
    def places(self) -> dict[str, int]:
        """Place of each label."""
        return {label: k for k, label in enumerate(self.labels)}

    @cached_property
    def adjacency(self) -> sp.csr_matrix:
        """Ones where areas are neighbours, (n, n)."""
        i, j = self.edges.T
        ones = np.ones(2 * len(self.edges))
        return sp.csr_matrix((ones, (np.r_[i, j], np.r_[j, i])), shape=(self.n, self.n))

    @cached_property
    def degrees(self) -> NDArray[np.float64]:
        """Number of each area's neighbours, (n,)."""
        return np.asarray(self.adjacency.sum(axis=1), dtype=float).ravel()

    @cached_property
    def components(self) -> NDArray[np.intp]:
        """Number of the connected part that each area is in, (n,)."""
        return np.asarray(connected_components(self.adjacency, directed=False)[1], dtype=np.intp)

    def to_json(self) -> dict[str, Any]:
        """As words and numbers."""
        return {"labels": list(self.labels), "edges": self.edges.tolist()}

    @classmethod
    def from_json(cls, words: Mapping[str, Any]) -> "Graph":
        """From what `to_json` made."""
        return cls(tuple(map(str, words["labels"])), np.array(words["edges"], dtype=np.intp).reshape(-1, 2))


def read_graph(given: Any, column: str, name: str) -> Graph:
    """The graph of something that says which areas are neighbours.

    Parameters
    ----------
    given : Graph, GeoDataFrame, libpysal Graph or W, sparse or dense matrix, dict, str or Path
        Polygons are neighbours where they touch, at a corner too; their labels are those of the column, where they have
        it, else of the index; rows of one label and shape are one area. Areas of a matrix are counted from 0. A file is
        a vector layer, or R-INLA's graph: the number of areas, then for each a line of its number, that of its
        neighbours, and those.
    column : str
        Of the data, with the areas' labels.
    name : str
        Of the graph, for messages.

    Raises
    ------
    InputError
        For other things, labels that stand twice, neighbours that are no areas.
    """
    if isinstance(given, Graph):
        return given
    if isinstance(given, str | Path):
        return _of_file(Path(given).expanduser(), column, name)
    if hasattr(given, "geometry") and isinstance(given, pd.DataFrame):
        return _of_polygons(given, column, name)
    if isinstance(given, Mapping):
        return _of_neighbours(given, name)
    if isinstance(getattr(given, "adjacency", None), pd.Series):  # libpysal.graph.Graph
        pairs = given.adjacency
        pairs = pairs[pairs != 0].index
        return _of_pairs(list(given.unique_ids), list(pairs), name)
    if isinstance(getattr(given, "neighbors", None), Mapping):  # libpysal.weights.W
        return _of_neighbours(given.neighbors, name)
    if sp.issparse(given) or (isinstance(given, np.ndarray) and given.ndim == 2):
        matrix = sp.coo_matrix(given)
        if matrix.shape[0] != matrix.shape[1]:
            raise InputError(f"the matrix of the graph {name!r} is not square: {matrix.shape[0]} by {matrix.shape[1]}")
        there = matrix.data != 0
        pairs = list(zip(matrix.row[there].tolist(), matrix.col[there].tolist()))
        return _of_pairs(list(range(matrix.shape[0])), pairs, name)
    raise InputError(f"the graph {name!r} is {KINDS}, not a {type(given).__name__}")


def warn_of_unused(graphs: Any, used: Container[str]) -> None:
    """Warn of graphs that no term of a model uses; raise InputError for what is no mapping.

    Parameters
    ----------
    graphs : mapping or None
        As they were given, by name.
    used : container of str
        Names of those that the model has.
    """
    if not isinstance(graphs, Mapping | None):
        raise InputError(f"graphs are given by name, as in graphs={{'w': ...}}, not as {in_brief(graphs)}")
    idle = [str(name) for name in graphs or () if name not in used]
    if idle:
        what = f"no term uses {'the graph' if len(idle) == 1 else 'the graphs'} {listed(idle)}"
        remedy = f"name it in one, as in bym2(area, graph={idle[0]}), or leave it out"
        alert(GeospdeWarning(what, remedy=remedy))


def label_of(value: Any) -> str:
    """An area's label as a text; whole numbers without a point."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value)


def _of_pairs(ids: list[Any], pairs: list[tuple[Any, Any]], name: str) -> Graph:
    labels = tuple(label_of(i) for i in ids)
    places = {label: k for k, label in enumerate(labels)}
    if len(places) < len(labels):
        twice = next(label for k, label in enumerate(labels) if label in labels[:k])
        raise InputError(f"the area {twice!r} appears twice in the graph {name!r}")
    if len(labels) < 2:
        raise InputError(f"the graph {name!r} has {len(labels)} area: it takes two or more")
    edges = set()
    for a, b in pairs:
        try:
            i, j = places[label_of(a)], places[label_of(b)]
        except KeyError as error:
            raise InputError(f"{error.args[0]!r} is a neighbour in the graph {name!r}, but no area of it") from None
        if i != j:
            edges.add((min(i, j), max(i, j)))
    if not edges:
        raise InputError(f"no areas of the graph {name!r} are neighbours")
    return Graph(labels, np.array(sorted(edges), dtype=np.intp))


def _of_neighbours(given: Mapping[Any, Any], name: str) -> Graph:
    if odd := [a for a, others in given.items() if not isinstance(others, Iterable)]:
        raise InputError(
            f"the graph {name!r} gives neighbours as {in_brief(given[odd[0]])} for {in_brief(odd[0])}",
            remedy="give a list of areas for each, as in {'a': ['b', 'c']}",
        )
    return _of_pairs(list(given), [(a, b) for a, others in given.items() for b in others], name)


def _of_polygons(frame: Any, column: str, name: str) -> Graph:
    ids = frame[column] if column in frame.columns else frame.index
    shapes = np.asarray(frame.geometry.values)
    empty = [k for k, shape in enumerate(shapes) if shape is None or shape.is_empty]
    if empty:
        raise InputError(f"{{row}} of the polygons of the graph {name!r} has no shape", row=frame.index[empty[0]])
    first = pd.Series(range(len(frame))).groupby(list(map(label_of, ids)), sort=False).transform("first").to_numpy()
    if np.all([shapes[k].equals(shapes[j]) for k, j in enumerate(first) if k != j]):  # an area at several times
        frame, ids = frame.iloc[np.unique(first)], [ids[k] for k in np.unique(first)]
    first, second = frame.sindex.query(frame.geometry, predicate="intersects")
    ids = list(ids)
    return _of_pairs(ids, [(ids[i], ids[j]) for i, j in zip(first, second)], name)


def _of_file(path: Path, column: str, name: str) -> Graph:
    if not path.is_file():
        raise InputError(f"the file of the graph {name!r} is missing: {path}")
    if path.suffix.lower() in (".gpkg", ".shp", ".geojson", ".json", ".fgb"):
        try:
            return _of_polygons(read_vectors(path), column, name)
        except (ValueError, OSError, RuntimeError) as error:
            what = f"cannot read the polygons of the graph {name!r}: {error}"
            raise InputError(what, where=Place(path.name)) from None
    try:
        numbers = [int(word) for word in path.read_text(encoding="utf-8").split()]
    except (ValueError, UnicodeDecodeError):
        what = f"the graph {name!r} is no list of numbers, as R-INLA writes graphs"
        raise InputError(what, where=Place(path.name)) from None
    neighbours: dict[int, list[int]] = {}
    at = 1
    while at + 1 < len(numbers):
        area, count = numbers[at : at + 2]
        neighbours[area] = numbers[at + 2 : at + 2 + count]
        at += 2 + count
    if not numbers or at != len(numbers) or len(neighbours) != numbers[0]:
        raise InputError(
            f"the graph {name!r} says {numbers[0] if numbers else 'no'} areas and lists {len(neighbours)}",
            where=Place(path.name),
        )
    return _of_neighbours(neighbours, name)
