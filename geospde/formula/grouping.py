"""The right side of a group term: which level a row belongs to."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.formula.table import Coding, column_of, refuse_missing


@dataclass(frozen=True)
class Grouping:
    """The levels of a group, learnt from data: combinations of labels that occur.

    Attributes
    ----------
    by : tuple of str
        Columns whose values together are the level.
    codings : tuple of Coding
        Levels of each.
    numbers : (n,) array
        Of each combination that occurs, among all that are possible; increasing.
    """

    by: tuple[str, ...]
    codings: tuple[Coding, ...]
    numbers: NDArray[np.intp]

    @classmethod
    def learn(cls, table: pd.DataFrame, by: tuple[str, ...]) -> "Grouping":
        """Levels that occur, in the order of the categories or of the sorted values."""
        for name in by:
            refuse_missing(column_of(table, name), name)
        codings = tuple(Coding.learn(table[name]) for name in by)
        numbers = np.ravel_multi_index(*cls._codes(table, by, codings))
        return cls(by, codings, np.unique(numbers))

    @property
    def name(self) -> str:
        """Of the group, such as ``a:b``."""
        return ":".join(self.by)

    @property
    def labels(self) -> list[str]:
        """Of the levels, such as ``x:y``."""
        of_each = np.unravel_index(self.numbers, [len(c.levels) for c in self.codings])
        texts = [np.array(coding.labels, dtype=object)[codes] for coding, codes in zip(self.codings, of_each)]
        return [":".join(parts) for parts in zip(*texts)]

    def codes(self, table: pd.DataFrame) -> NDArray[np.intp]:
        """Number of each row's level, (m,); -1 for one that was not learnt or is missing."""
        codes, sizes = self._codes(table, self.by, self.codings)
        seen = np.all([c >= 0 for c in codes], axis=0)
        numbers = np.ravel_multi_index(tuple(np.where(seen, c, 0) for c in codes), sizes)
        places = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        return np.where(seen & (self.numbers[places] == numbers), places, -1)

    @staticmethod
    def _codes(table: pd.DataFrame, by: tuple[str, ...], codings: tuple[Coding, ...]) -> tuple[Any, list[int]]:
        codes = tuple(coding.codes(table[name]) for coding, name in zip(codings, by))
        return codes, [len(coding.levels) for coding in codings]
