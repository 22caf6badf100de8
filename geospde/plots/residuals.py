"""Spatial structure that a fit leaves in its residuals, as a variogram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geospde.errors import InputError
from geospde.explore.variogram import Variogram, variogram
from geospde.plots.panels import plot_variogram
from geospde.results.base import Fit
from geospde.survey.crs import unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


KINDS = ("quantile", "pearson")


def plot_residual_variogram(
    fit: Fit, ax: Axes | None = None, *, kind: str = "quantile", permutations: int = 199, seed: int = 1
) -> Axes:
    """Draw the variogram of a fit's residuals at the sites, in the envelope of residuals permuted among them.

    Parameters
    ----------
    fit : Fit
        Of any method.
    ax : Axes, optional
        A new pyplot figure by default.
    kind, permutations, seed
        As `residual_variogram` takes them.

    Returns
    -------
    Axes
        Points below the band: near sites are more alike than the model says.

    Raises
    ------
    InputError
        Where the data have no coordinates, or too few sites.
    """
    return plot_variogram(residual_variogram(fit, kind=kind, permutations=permutations, seed=seed), ax)


def residual_variogram(fit: Fit, *, kind: str = "quantile", permutations: int = 199, seed: int = 1) -> Variogram:
    """Compute the variogram of a fit's residuals at the sites.

    Parameters
    ----------
    fit : Fit
    kind : {"quantile", "pearson"}
        Of `Fit.residuals`: normal scores of the responses, which suit counts, too; or what is left over its standard
        deviation. Both are given the latent variables: a field that the model has is not in them.
    permutations : int
        Of the envelope.
    seed : int
        Of the permutations, and of the uniforms that spread counts.

    Returns
    -------
    Variogram
    """
    if kind not in KINDS:
        raise InputError(f"residuals of a variogram are of kind {' or '.join(map(repr, KINDS))}, not {kind!r}")
    points = fit.model.points
    if points is None:
        raise InputError(
            "a variogram of residuals needs coordinates, and the data have none: fit a GeoDataFrame of points, or give "
            "coords=('x', 'y')"
        )
    values = fit.residuals(kind, seed=seed)
    words = {"quantile": "quantile residuals", "pearson": "Pearson residuals"}[kind]
    return variogram(points, values, permutations=permutations, seed=seed, unit=unit_of(fit.model.crs), label=words)
