"""What families of responses have in common."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.likelihood import Likelihood, Vector
from geospde.families.links import Link
from geospde.families.priors import Independent, Prior


class Family:
    """A family of responses: a name, its links, and how data are bound to it.

    Parameters
    ----------
    link : str, optional
        By default the first of `links`.
    """

    name: ClassVar[str]
    links: ClassVar[tuple[Link, ...]]
    likelihood: ClassVar[type[Likelihood]]
    needs: ClassVar[str]
    takes_trials: ClassVar[bool] = False
    has_exposure: ClassVar[bool] = False
    without_exposure: ClassVar[str] = "leave it out"

    def __init__(self, link: str | None = None):
        by_name = {each.name: each for each in self.links}
        if link is not None and link not in by_name:
            choices = ", ".join(map(repr, by_name))
            raise InputError(f"family {self.name!r} has the link {choices}, not {link!r}")
        self.link = self.links[0] if link is None else by_name[link]

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses lie outside the family's support."""
        return ~np.isfinite(y)

    def bind(
        self,
        y: Any,
        exposure: Any = None,
        weights: Any = None,
        trials: Any = None,
        priors: Mapping[str, Prior] | None = None,
    ) -> Likelihood:
        """Check the response and bind it.

        Parameters
        ----------
        y : (m,) array
        exposure : (m,) array, optional
            Multiplies the mean.
        weights : (m,) array, optional
            Multiply the log density.
        trials : (m,) array, optional
            Of a binomial.
        priors : dict from str to Prior, optional
            Priors that replace the defaults, by a hyperparameter's name.

        Raises
        ------
        InputError
            With the row and value that do not fit, or where the family has no exposure or trials.
        """
        y = np.asarray(y, dtype=float)
        ones = np.ones(y.size)
        if trials is not None and not self.takes_trials:
            raise InputError(f"p(successes, trials) is a response of family 'binomial', not of {self.name!r}")
        refuse(self.name, self.needs, y, self.outside(y))
        exposure = ones if exposure is None else np.asarray(exposure, dtype=float)
        if not self.has_exposure and (exposure != 1).any():
            raise InputError(f"family {self.name!r} has no exposure: {self.without_exposure}")
        kind = self.likelihood
        bound = kind(
            y,
            exposure,
            ones if trials is None else np.asarray(trials, dtype=float),
            ones if weights is None else np.asarray(weights, dtype=float),
            self.link,
            Independent(tuple((priors or {}).get(h.name, h.prior) for h in kind.hyper)),
            np.zeros(len(kind.hyper)),
        )
        self._check(bound)
        return replace(bound, theta=bound.first_theta())

    def _check(self, bound: Likelihood) -> None:
        """Refuse what only shows with everything bound."""


def refuse(family: str, needs: str, y: Vector, bad: NDArray[np.bool_]) -> None:
    """Raise InputError with the first row and value that are bad."""
    rows = np.flatnonzero(bad)
    if rows.size:
        more = f" ({rows.size} such rows)" if rows.size > 1 else ""
        raise InputError(f"family {family!r} needs {needs}: row {rows[0]} holds {y[rows[0]]:g}{more}")


def not_counts(y: Vector) -> NDArray[np.bool_]:
    """Which values are not 0, 1, 2, ..."""
    return ~((y >= 0) & (y == np.floor(y)) & np.isfinite(y))
