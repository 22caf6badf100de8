"""Smoothing parameters by the error of prediction they promise: UBRE, or GCV where the scale is unknown.

Craven & Wahba (1979), Numer. Math. 31, 377-403; Wood (2008), J. R. Statist. Soc. B 70, 495-518.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.inference.laplace import LaplacePoint
from geospde.inference.mode import silent
from geospde.likelihood.coordinates import Coordinates
from geospde.likelihood.exponential import in_the_mean
from geospde.likelihood.likelihoods import Restricted, Unpriored
from geospde.likelihood.search import Maximum, climb
from geospde.text.progress import Callback

Vector = NDArray[np.float64]
LARGEST = 5_000  # most latent variables for which the inverse is made dense
TIE = 1e-6  # gain, over n/2, that an e-fold change of a standard deviation must bring; else the smoother fit wins
PERFECT = 1e-9  # deviance per observation, relative to the responses' own dispersion, that counts as zero
SMOOTHER = 3.5  # of logarithms of standard deviations: a thirtieth of those of the first search


class PredictionError(Restricted):
    """The criterion as a function of theta, the logarithms of the smooths' standard deviations.

    Its value, as `log_posterior`, is on the scale of a log likelihood and to be maximised: minus half of n times UBRE,
    or of n times the logarithm of GCV. Its gradient is exact: with F = H⁻¹ A'WA, the effective degrees of freedom
    tr F = n - tr(H⁻¹ Q) change through Q and, as the weights move with the mode, through W.

    Parameters
    ----------
    model : Unpriored
        With a family's hyperparameters held.
    saturated : float
        Log likelihood where every mean is its response.
    known_scale : bool
        UBRE, of the dispersion that is held; else GCV, of any.
    """

    def __init__(self, model: Unpriored, saturated: float, known_scale: bool):
        super().__init__(model)
        if self.n > LARGEST:
            raise NumericalError(f"method='ubre' is for at most {LARGEST} coefficients, this model has {self.n}")
        self.saturated = saturated
        self.known_scale = known_scale

    def at(self, theta: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """The criterion at theta; see `Laplace.at`."""
        point = super().at(theta, start, gradient)
        in_mean = in_the_mean(self, point)
        deviance, edf = self.deviance(point), self._edf_of(in_mean)
        m = point.eta.size
        if not self.known_scale and (edf >= m or deviance < PERFECT * m):
            raise NumericalError(f"the fit is perfect at {self.describe(theta)}")
        slope = np.zeros(self.n_theta)
        if gradient:
            of_deviance = -2.0 * point.derivatives[0] @ (self.design @ point.slope)
            of_edf = self._slope_of_edf(in_mean)
            if self.known_scale:
                slope = -0.5 * of_deviance - of_edf
            else:
                slope = -0.5 * m * of_deviance / deviance - m * of_edf / (m - edf)
        value = -0.5 * m * (self._criterion(deviance, edf, m) + TIE * float(point.theta.sum()))
        return replace(point, log_posterior=value, gradient=slope - 0.5 * m * TIE)

    def score(self, point: LaplacePoint) -> float:
        """UBRE or GCV, over the dispersion that is held."""
        value = self._criterion(self.deviance(point), self.edf(point), point.eta.size)
        return value if self.known_scale else float(np.exp(value))

    def deviance(self, point: LaplacePoint) -> float:
        """Twice what the log likelihood falls short of the saturated one."""
        likelihood = self.likelihood_at(point.theta)
        return 2.0 * (self.saturated - float(likelihood.log_density(point.eta).sum()))

    def edf(self, point: LaplacePoint) -> float:
        """Effective degrees of freedom, the fixed effects among them, by the information that is expected."""
        return self._edf_of(in_the_mean(self, point))

    def _edf_of(self, point: LaplacePoint) -> float:
        of_prior = (point.covariance * self.double) @ self.prior_at(self.whole(point.theta))
        return float(self.n - self.n_constraints - of_prior)

    def _criterion(self, deviance: float, edf: float, m: int) -> float:
        """UBRE or log GCV."""
        if self.known_scale:
            return deviance / m + 2.0 * edf / m - 1.0
        return float(np.log(m * deviance) - 2.0 * np.log(m - edf))

    def _slope_of_edf(self, point: LaplacePoint) -> Vector:
        """Derivatives of -tr(H⁻¹ Q): ``-tr(V Q_j) + tr(V Q V (Q_j + A' dW_j A))``, V = H⁻¹."""
        whole = self.whole(point.theta)
        v = self.solve(point, np.eye(self.n))
        lower = sp.csc_matrix((self.prior_at(whole), self.pattern.indices, self.pattern.indptr), shape=(self.n, self.n))
        q = lower + sp.tril(lower, -1).T
        both = v @ (q @ v)
        spread = self.design @ v
        of_weights = (np.asarray(spread @ q) * spread).sum(axis=1)  # a_i' V Q V a_i
        out = -(of_weights * point.derivatives[2]) @ (self.design @ point.slope)
        at = 0
        for term, block, where in zip(self.precisions, self.blocks, self.theta_blocks):
            own = (both - v)[block, block]
            rows = term.pattern.indices
            columns = np.repeat(np.arange(term.n), np.diff(term.pattern.indptr))
            double = np.where(rows == columns, 1.0, 2.0)
            for free, of_q in zip(self.free[where], term.gradients(whole[where])):
                if free:
                    out[at] += float((own[rows, columns] * double) @ of_q)
                    at += 1
        return np.asarray(out)


def least_prediction_error(model: Unpriored, start: Vector, family: Any, progress: Callback = silent) -> Maximum:
    """Minimise UBRE, or GCV for a family with a free dispersion.

    With a free dispersion the penalised fit at one is that at any other with the standard deviations in proportion, so
    that the search is where the dispersion starts, and its result scaled.

    Parameters
    ----------
    model : Unpriored
        Of terms with one standard deviation each.
    start : (d,) array
        Free hyperparameters to start from.
    family : Exponential
        Of the same responses: ``theta(dispersion)`` and back, ``saturated(dispersion)``, ``pearson(eta)``.
    progress : callable
        Told of every evaluation.

    Returns
    -------
    Maximum
        Of the criterion on the scale of a log likelihood; the family's hyperparameters stand at Pearson's estimate of
        the dispersion. It knows no covariance of theta: the criterion's curvature is not that of a likelihood.
    """
    model, basis = model.upright()
    own = len(model.likelihood.parameters)
    count = model.fixed_theta.size - own
    free = bool(np.isnan(model.fixed_theta[count:]).any())
    fixed_theta = model.fixed_theta.copy()
    dispersion = family.dispersion(start[-own:] if free else fixed_theta[count:])
    fixed_theta[count:] = family.theta(dispersion)
    criterion = PredictionError(replace(model, fixed_theta=fixed_theta), family.saturated(dispersion), not free)
    best = _lowest(criterion, model, fixed_theta, start[:-own] if free else start, progress)
    point = criterion.at(best.theta, best.x, gradient=False)
    theta, edges, flat, ratio = best.theta, best.edges, best.flat, 1.0
    if free:
        ratio = family.pearson(point.eta) / (point.eta.size - criterion.edf(point)) / dispersion
        theta = np.append(theta + 0.5 * np.log(ratio), family.theta(ratio * dispersion))
        edges, flat = np.append(edges, 0), np.append(flat, False)
    return replace(
        best,
        theta=theta,
        covariance=np.full((theta.size, theta.size), np.nan),
        fixed_covariance=best.fixed_covariance * ratio,
        edges=edges,
        flat=flat,
    ).outside(basis)


def _lowest(
    criterion: PredictionError, model: Unpriored, fixed_theta: Vector, start: Vector, progress: Callback
) -> Maximum:
    """The best of two searches, from where smooths start and from much smoother ones.

    Unlike a likelihood the criterion often has several minima, and those of rough smooths are found first.
    """
    found: list[Maximum] = []
    fault: NumericalError | None = None
    for smoother in (0.0, SMOOTHER):
        try:
            found.append(
                climb(criterion, Coordinates.of(model.precisions, fixed_theta, start - smoother), progress=progress)
            )
        except NumericalError as error:
            fault = error
    if not found:
        assert fault is not None
        raise fault
    last, best = found[-1], max(found, key=lambda one: one.log_likelihood)
    return replace(best, evaluations=last.evaluations, factorisations=last.factorisations)
