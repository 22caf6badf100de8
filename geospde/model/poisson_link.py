"""A delta model with a Poisson link: two predictors that one density depends on, and their sum, which is mapped."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.links import LOG
from geospde.families.poisson_link import PoissonLinked
from geospde.families.stacked import Several, Stacked
from geospde.model.build import Model
from geospde.model.joint import JointModel, PartModel
from geospde.model.overlap import overlap
from geospde.terms.base import LatentTerm


@dataclass(frozen=True)
class SumModel(PartModel):
    """The sum of two predictors, of which the mean of the response is the exponential.

    Attributes
    ----------
    other : PartModel
        The second of the two; what else it is, is the first.
    """

    other: Any = field(default=None)

    @property
    def groups(self) -> list[LatentTerm]:
        """Effects of groups of both."""
        return [*super().groups, *self.other.groups]

    @property
    def used_columns(self) -> list[str]:
        """Columns of the table that either names."""
        return list(dict.fromkeys([*super().used_columns, *self.other.used_columns]))

    def remainder(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """What predictors of a table have besides rows and offset: of both."""
        return np.asarray(super().remainder(table) + self.other.remainder(table))

    def rows(
        self,
        table: pd.DataFrame,
        points: NDArray[Any] | None,
        leave_out: Collection[LatentTerm] = (),
        allow_new_levels: bool = False,
    ) -> sp.csr_matrix:
        """Rows of the sum for new places or levels."""
        first = super().rows(table, points, leave_out, allow_new_levels)
        return sp.csr_matrix(first + self.other.rows(table, points, leave_out, allow_new_levels))


@dataclass(frozen=True)
class PoissonLinkModel(JointModel):
    """A model of two likelihoods whose densities are coupled: `geospde.families.poisson_link`."""

    @property
    def meeting(self) -> sp.csr_matrix | None:
        """As of one likelihood: predictions are of the sum of both."""
        return overlap(self.terms, self.design.shape[1] - sum(term.n for term in self.terms))

    @property
    def whole(self) -> Model:
        """The model of the mean of the response."""
        first, second = self.members.values()
        likelihood = self.likelihood
        assert isinstance(likelihood, Stacked)
        family = Several([first.family, second.family], likelihood)
        family.link = LOG
        own = {each.name: getattr(first, each.name) for each in fields(PartModel)}
        own |= {"family": family, "response_label": self.response_label}
        return SumModel(**own, other=second)


def coupled(model: JointModel) -> PoissonLinkModel:
    """The model of presence and of values with their densities coupled."""
    assert isinstance(model.likelihood, Stacked)
    own = {each.name: getattr(model, each.name) for each in fields(JointModel)}
    made = PoissonLinkModel(**own)
    return replace(made, likelihood=PoissonLinked.of_parts(model.likelihood), is_product=False)
