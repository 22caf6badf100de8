"""What a fit can draw: methods that take and return matplotlib axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


class Pictures:
    """The pictures of a `geospde.results.result.Fit`, which lists them."""

    def plot_hyper(
        self: Any, names: Sequence[str] | None = None, ax: Any = None, *, prior: bool = True
    ) -> NDArray[Any]:
        """Draw the hyperparameters, a panel each; see `geospde.plots.marginals.plot_hyper`."""
        from geospde.plots.marginals import plot_hyper

        return plot_hyper(self, names, ax, prior=prior)

    def plot_marginal(
        self: Any, name: str | Mapping[str, float], ax: Axes | None = None, *, prior: bool = True
    ) -> Axes:
        """Draw the density of one quantity; see `geospde.plots.marginals.plot_marginal`."""
        from geospde.plots.marginals import plot_marginal

        return plot_marginal(self, name, ax, prior=prior)

    def plot_prior_posterior(self: Any, name: str, ax: Axes | None = None) -> Axes:
        """Draw what the data told, over all that the prior reaches; see `geospde.plots.prior_posterior`."""
        from geospde.plots.prior_posterior import plot_prior_posterior

        return plot_prior_posterior(self, name, ax)

    def plot_random(self: Any, term: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw the effects of a group's levels, sorted; see `geospde.plots.random_effects.plot_random`."""
        from geospde.plots.random_effects import plot_random

        return plot_random(self, term, ax)

    def plot_fitted(self: Any, ax: Axes | None = None) -> Axes:
        """Draw fitted means against the observations; see `geospde.plots.fitted.plot_fitted`."""
        from geospde.plots.fitted import plot_fitted

        return plot_fitted(self, ax)

    def plot_residual_variogram(self: Any, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the variogram of the residuals; see `geospde.plots.residuals.plot_residual_variogram`."""
        from geospde.plots.residuals import plot_residual_variogram

        return plot_residual_variogram(self, ax, **options)

    def plot_pit(self: Any, ax: Axes | None = None, *, bins: int = 10) -> Axes:
        """Draw the leave-one-out PIT histogram; see `geospde.plots.pit.plot_pit`."""
        from geospde.plots.pit import plot_pit

        return plot_pit(self, ax, bins=bins)
